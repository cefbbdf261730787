package inspect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// Summary is a file of a store in one line.
type Summary struct {
	File    string   `json:"file"`
	Kind    string   `json:"kind"` // that of Kind, or "missing"
	Bytes   int64    `json:"bytes"`
	What    string   `json:"what"`
	Damages []string `json:"damage"`
}

// directory sums up files.
type directory struct {
	dir    string
	newest *flusher.Checkpoint
	all    []Summary
	named  map[string]bool // tables that the newest checkpoint names
	seen   map[string]bool
}

// Directory sums up the files of a store in dir, sorted by name, and behind them the tables that the
// newest whole checkpoint names and that are not there. Of a table it reads the description at its
// end; the log is read whole.
func Directory(ctx context.Context, dir string) ([]Summary, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	d := &directory{dir: dir, named: map[string]bool{}, seen: map[string]bool{}}
	for _, f := range files { // checkpoints come first by name
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if f.Type().IsRegular() {
			d.seen[f.Name()] = true
			d.all = append(d.all, d.file(f.Name()))
		}
	}
	d.judge()
	return d.all, nil
}

// file sums up one file. What keeps it from being read is among its damages.
func (d *directory) file(name string) (s Summary) {
	s = Summary{File: name, Damages: []string{}}
	fail := func(err error) Summary {
		s.Damages = append(s.Damages, err.Error())
		return s
	}
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	s.Bytes, s.Kind = info.Size(), Kind(name, nil)
	switch s.Kind {
	case "checkpoint":
		err = d.checkpoint(f, &s)
	case "table":
		var m pages.TableMeta
		if m, err = pages.ReadTableMeta(f, s.Bytes, name); err == nil {
			s.What = fmt.Sprintf("%s, %s to %s, commits %d to %d", cli.Count(int(m.Entries), "entry", "entries"), keyText(m.Min), keyText(m.Max), m.SeqLo, m.SeqHi)
		}
	case "log":
		err = d.log(f, &s)
	case "mark":
		s.What = markText
	default:
		s.What = "no file of a store"
		if name == backends.LockName {
			s.What = "the lock, which any open takes"
		}
	}
	var bad *pages.CorruptionError
	if errors.As(err, &bad) {
		err = fmt.Errorf("offset %d: %s", bad.Offset, bad.What)
	}
	if err != nil {
		return fail(err)
	}
	return s
}

func (d *directory) checkpoint(f *os.File, s *Summary) error {
	c, err := loadCheckpoint(f, s.Bytes, s.File)
	if err != nil {
		return err
	}
	if d.newest == nil || c.Number >= d.newest.Number {
		d.newest = c
	}
	tables := 0
	for _, r := range c.Runs {
		tables += len(r.Tables)
	}
	s.What = fmt.Sprintf("number %d, commits up to %d in %s and %s", c.Number, c.Freeze, cli.Count(len(c.Runs), "run", "runs"), cli.Count(tables, "table", "tables"))
	if c.Clean {
		s.What += ", closed properly"
	}
	return nil
}

func (d *directory) log(f *os.File, s *Summary) error {
	sum, err := logFile(f, s.Bytes, Options{}, func(i Item) {
		if i.Kind == Damage {
			s.Damages = append(s.Damages, fmt.Sprintf("offset %d: %v", i.Offset, i.Fields[0].Value))
		}
	})
	switch {
	case err != nil:
		return err
	case sum.segment.OtherVersion != 0:
		s.What = fmt.Sprintf("a segment of format version %d", sum.segment.OtherVersion)
	case sum.segment.Copies == 0 && sum.Groups == 0:
		s.What, s.Damages = "no segment: prepared for use, or lost", []string{}
	case sum.records == 0:
		s.What = fmt.Sprintf("segment %d of epoch %d, no records", sum.segment.Number, sum.segment.Epoch)
	default:
		s.What = fmt.Sprintf("segment %d of epoch %d, commits %d to %d", sum.segment.Number, sum.segment.Epoch, sum.First, sum.Last)
	}
	return nil
}

// judge holds the files against the newest checkpoint.
func (d *directory) judge() {
	if d.newest == nil {
		return
	}
	for _, r := range d.newest.Runs {
		for i := range r.Tables {
			m := &r.Tables[i]
			name := pages.TableName(m.ID)
			d.named[name] = true
			if !d.seen[name] {
				d.all = append(d.all, Summary{File: name, Kind: "missing", Damages: []string{
					fmt.Sprintf("checkpoint %d names it, and it is not here: it held %s", d.newest.Number, cli.Count(int(m.Entries), "entry", "entries")),
				}})
			}
		}
	}
	for i := range d.all {
		if s := &d.all[i]; s.Kind == "table" && !d.named[s.File] {
			s.What += " (no newer checkpoint names it: it is left over)"
		}
	}
}

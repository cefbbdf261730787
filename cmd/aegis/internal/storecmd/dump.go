package storecmd

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/stream"
)

func dumpCommand() *cli.Command {
	return &cli.Command{
		Name: "dump", Args: "STORE [FILE]", Least: 1, Most: 2, Short: "write all that a store holds into one stream",
		Long: `
The stream has every keyspace with its options and entries, and the blocks, as of one moment. It is
written into FILE, which must not be there, or to standard output. aegis load reads it.

Its own format is versioned, and has a checksum over each 64 KiB or so, so that damage is noticed and
named by its offset. With --format jsonl it is JSON lines, which other programs read: larger, and
without checksums.`,
		Examples: `  aegis dump data data.dump
  aegis dump data | zstd > data.dump.zst
  aegis dump data --format jsonl --only users | jq .key`,
		Begin: func(f *cli.Flags) cli.Work {
			d := &dumper{}
			f.StringVar(&d.format, "format", "stream", "write `F`: stream, or jsonl for JSON lines")
			f.StringSliceVar(&d.only, "only", nil, "write the keyspaces `NAME,…` only, and no blocks")
			f.BoolVar(&d.hex, "hex", false, "with jsonl: write all keys and values in hexadecimal")
			f.BoolVar(&d.json, "json", false, "print what was written as JSON, to standard error if there is no FILE")
			return d.run
		},
	}
}

type dumper struct {
	notation
	format string
	only   []string
	json   bool
}

// dumpSink takes what a store holds.
type dumpSink interface {
	Keyspace(k stream.Keyspace) error
	Entry(key, value []byte) error
	Block(b stream.Block) error
	End() (stream.Sums, error)
}

// dumped is what --json prints.
type dumped struct {
	Keyspaces uint64  `json:"keyspaces"`
	Entries   uint64  `json:"entries"`
	Blocks    uint64  `json:"blocks"`
	Bytes     int64   `json:"bytes"`
	Seq       uint64  `json:"seq"` // of the newest commit in it
	Seconds   float64 `json:"seconds"`
}

func (d *dumper) run(ctx context.Context, a *cli.App, args []string) (int, error) {
	if d.format != "stream" && d.format != "jsonl" {
		return cli.ExitUsage, fmt.Errorf("--format %s: there are: stream, jsonl", d.format)
	}
	if len(args) == 1 && a.OutTerminal && d.format == "stream" {
		return cli.ExitUsage, cli.ErrTerminal
	}
	return access{json: d.json}.with(a, args[0], func(db *aegis.DB) (int, error) {
		var sum dumped
		write := func(w io.Writer) (err error) {
			sum, err = d.dump(ctx, a, db, w)
			return err
		}
		if len(args) == 1 {
			if err := write(a.Out); err != nil {
				return cli.ExitUsage, err
			}
			return cli.ExitClean, d.report(a, a.Err, "standard output", sum)
		}
		if err := newFile(a, args[1], write); err != nil {
			return cli.ExitUsage, err
		}
		return cli.ExitClean, d.report(a, a.Out, args[1], sum)
	})
}

func (d *dumper) report(a *cli.App, w *cli.Sink, name string, sum dumped) error {
	if d.json {
		return cli.WriteJSON(w, sum)
	}
	a.Err.Printf("%s, %s, %s: %s into %s\n", cli.Count(int(sum.Keyspaces), "keyspace", "keyspaces"), cli.Count(int(sum.Entries), "entry", "entries"),
		cli.Count(int(sum.Blocks), "block", "blocks"), cli.Size(sum.Bytes), name)
	return nil
}

// newFile makes a file that is not there of what write writes, synced, or leaves none behind.
func newFile(a *cli.App, name string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there: name a new file, or remove it", name)
	}
	if err != nil {
		return err
	}
	defer a.Unfinished(func() { _ = os.Remove(name) })() // it was the last that this process does
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// counter counts bytes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func (d *dumper) dump(ctx context.Context, a *cli.App, db *aegis.DB, w io.Writer) (sum dumped, err error) {
	start := time.Now()
	bytes := &counter{w: w}
	out := bufio.NewWriterSize(bytes, 1<<20)
	var sink dumpSink = &jsonSink{w: out, notation: d.notation}
	if d.format == "stream" {
		if sink, err = stream.NewWriter(out); err != nil {
			return sum, err
		}
	}
	tell := cli.NewTeller(a, d.json)
	defer tell.End()
	err = db.View(ctx, func(tx *aegis.Tx) error {
		sum.Seq = tx.ReadSeq()
		return d.all(ctx, tx, sink, func(n uint64) {
			tell.Tell(aegis.Progress{Stage: "dump", Done: int64(n), Unit: "entries"})
		})
	})
	if err != nil {
		return sum, err
	}
	sums, err := sink.End()
	sum.Keyspaces, sum.Entries, sum.Blocks = sums.Keyspaces, sums.Entries, sums.Blocks
	err = errors.Join(err, out.Flush())
	sum.Bytes, sum.Seconds = bytes.n, time.Since(start).Seconds()
	return sum, err
}

// all writes what a transaction sees.
func (d *dumper) all(ctx context.Context, tx *aegis.Tx, sink dumpSink, told func(entries uint64)) error {
	infos, err := tx.Keyspaces()
	if err != nil {
		return err
	}
	for _, name := range d.only {
		if _, err := open(tx, name); err != nil {
			return err
		}
	}
	infos = append([]aegis.KeyspaceInfo{{Name: aegis.DefaultKeyspaceName}}, infos...)
	entries := uint64(0)
	for _, info := range infos {
		if len(d.only) > 0 && !slices.Contains(d.only, info.Name) && info.Name != aegis.DefaultKeyspaceName {
			continue
		}
		if err := sink.Keyspace(stream.Keyspace{Name: info.Name, Compression: info.Compression, CompressionLevel: info.CompressionLevel}); err != nil {
			return err
		}
		if len(d.only) > 0 && !slices.Contains(d.only, info.Name) {
			continue // the default one is there, and empty
		}
		k, err := tx.Keyspace(info.Name)
		if err != nil {
			return err
		}
		for key, value := range k.Range(nil, nil) {
			if entries++; entries%1024 == 0 {
				if told(entries); ctx.Err() != nil {
					return ctx.Err()
				}
			}
			if err := sink.Entry(key, value); err != nil {
				return err
			}
		}
		if err := tx.Err(); err != nil {
			return err
		}
	}
	if len(d.only) > 0 {
		return nil
	}
	return blocks(ctx, tx, sink)
}

// blocks writes the blocks, each checked.
func blocks(ctx context.Context, tx *aegis.Tx, sink dumpSink) error {
	for id, stored := range tx.StoredBlocks() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := tx.ReadBlock(id); err != nil {
			return err
		}
		if err := sink.Block(stream.Block{ID: id, Stored: stored}); err != nil {
			return err
		}
	}
	return tx.Err()
}

// jsonSink writes JSON lines.
type jsonSink struct {
	notation
	w        io.Writer
	keyspace string
	sums     stream.Sums
	line     []byte
}

// keyspaceRecord and blockRecord are the lines that are no entries.
type keyspaceRecord struct {
	Keyspace    string `json:"keyspace"`
	Compression string `json:"compression"`
	Level       int    `json:"compression_level,omitempty"`
}

type blockRecord struct {
	Block     uint64 `json:"block"`
	StoredHex string `json:"stored_hex"`
}

func (s *jsonSink) write(v any) (err error) {
	if s.line, err = appendJSON(s.line[:0], v); err != nil {
		return err
	}
	_, err = s.w.Write(s.line)
	return err
}

// Keyspace writes the options of a keyspace. The default one has none.
func (s *jsonSink) Keyspace(k stream.Keyspace) error {
	s.sums.Keyspaces++
	if s.keyspace = k.Name; k.Name == aegis.DefaultKeyspaceName {
		s.keyspace = ""
		return nil
	}
	if !utf8.ValidString(k.Name) {
		return fmt.Errorf("the name of the keyspace %q is no UTF-8, which JSON cannot say: --format stream can", k.Name)
	}
	return s.write(keyspaceRecord{k.Name, k.Compression.String(), k.CompressionLevel})
}

func (s *jsonSink) Entry(key, value []byte) error {
	s.sums.Entries++
	e := s.notation.line(key, value)
	e.Keyspace = s.keyspace
	return s.write(e)
}

func (s *jsonSink) Block(b stream.Block) error {
	s.sums.Blocks++
	return s.write(blockRecord{uint64(b.ID), hex.EncodeToString(b.Stored)})
}

func (s *jsonSink) End() (stream.Sums, error) { return s.sums, nil }

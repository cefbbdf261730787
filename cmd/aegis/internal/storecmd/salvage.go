package storecmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/salvage"
)

func salvageCommand() *cli.Command {
	return &cli.Command{
		Name: "salvage", Args: "STORE NEW", Least: 2, Most: 2, Short: "copy what is sound of a damaged store into a new one",
		Long: `
Every entry that can be read is copied, and what is lost is listed: keyspace, range of keys, commits,
file and why. STORE is only read. NEW is a directory that is empty or not there. If anything was lost
the exit code is 1. Try aegis check first, and a backup, if there is one.`,
		Examples: `  aegis salvage data data-salvaged`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return runSalvage(ctx, a, args[0], args[1], *json)
			}
		},
	}
}

func runSalvage(ctx context.Context, a *cli.App, dir, to string, json bool) (code int, err error) {
	if err := (access{}).check(dir); err != nil {
		return cli.ExitUsage, err
	}
	files, err := os.ReadDir(to)
	if err == nil && len(files) > 0 {
		return cli.ExitUsage, fmt.Errorf("%s is not empty: name a new directory", to)
	}
	wasThere := err == nil
	from, err := backends.NewLocal(dir, true)
	if err != nil {
		return cli.ExitUsage, err
	}
	db, err := aegis.Open(to, nil)
	if err != nil {
		return cli.ExitUsage, err
	}
	tell := cli.NewTeller(a, json)
	done := a.Unfinished(func() { a.Err.Printf("%s\n", onlyPart(to)) })
	report, err := salvage.Run(ctx, from, db, salvage.Options{Progress: tell.Tell})
	took := tell.End()
	err = errors.Join(err, db.Close())
	done()
	switch {
	case err != nil && report == nil:
		return cli.ExitUsage, explain(dir, errors.Join(err, removeStore(to, wasThere)))
	case err != nil: // the medium may fail for good: what was read of it is kept
		return cli.ExitUsage, fmt.Errorf("%w; %s", explain(dir, err), onlyPart(to))
	}
	code = cli.ExitClean
	if !report.Sound() {
		code = cli.ExitFound
	}
	if json {
		return code, cli.WriteJSON(a.Out, salvagedAs(report))
	}
	a.Out.Printf("%s", report)
	a.Err.Printf("%s made in %v\n", to, took.Round(time.Millisecond))
	return code, nil
}

// salvaged is what salvage prints as JSON.
type salvaged struct {
	Sound       bool       `json:"sound"`                // nothing is known to be lost
	Checkpoint  string     `json:"checkpoint,omitempty"` // absent: none could be read
	Covers      uint64     `json:"covers"`               // commits up to this one are in tables
	LastSeq     uint64     `json:"last_seq"`
	UnknownFrom uint64     `json:"unknown_from,omitempty"` // commits from this one on cannot be known of
	LogEnds     string     `json:"log_ends,omitempty"`     // with unknown_from: why they cannot
	Tables      int        `json:"tables"`
	Keyspaces   int        `json:"keyspaces"`
	Entries     int64      `json:"entries"`
	Blocks      int64      `json:"blocks"`
	Bytes       int64      `json:"bytes"`
	Commits     uint64     `json:"commits"` // applied from the log
	Lost        []lostLine `json:"lost"`
	Unlisted    int64      `json:"unlisted"` // lost beside that, when there was too much to list
	Ignored     []string   `json:"ignored"`  // files that the store does not need
	Notes       []string   `json:"notes"`
}

// lostLine is one thing that is not as it was, as JSON: keys lo ≤ key < hi.
type lostLine struct {
	Kind     salvage.Kind `json:"kind"`
	Keyspace string       `json:"keyspace,omitempty"` // absent: any
	Lo       *string      `json:"lo,omitempty"`       // neither lo nor lo_hex: from the first key on
	LoHex    *string      `json:"lo_hex,omitempty"`
	Hi       *string      `json:"hi,omitempty"` // neither hi nor hi_hex: to the last key
	HiHex    *string      `json:"hi_hex,omitempty"`
	SeqLo    uint64       `json:"seq_lo,omitempty"`
	SeqHi    uint64       `json:"seq_hi,omitempty"`
	Older    int64        `json:"older,omitempty"` // entries of older tables in its place
	File     string       `json:"file,omitempty"`
	Offset   int64        `json:"offset"`
	Why      string       `json:"why"`
}

func salvagedAs(r *salvage.Report) salvaged {
	s := salvaged{
		Sound: r.Sound(), Checkpoint: r.Checkpoint, Covers: r.Covers, LastSeq: r.LastSeq, UnknownFrom: r.UnknownFrom,
		LogEnds: r.LogEnds, Tables: r.Tables, Keyspaces: r.Keyspaces, Entries: r.Entries, Blocks: r.Blocks, Bytes: r.Bytes,
		Commits: r.Commits, Lost: []lostLine{}, Unlisted: r.Unlisted,
		Ignored: append([]string{}, r.Ignored...), Notes: append([]string{}, r.Notes...),
	}
	for i := range r.Lost {
		s.Lost = append(s.Lost, lostAs(&r.Lost[i]))
	}
	return s
}

func lostAs(l *salvage.Lost) lostLine {
	line := lostLine{
		Kind: l.Kind, Keyspace: l.Keyspace, SeqLo: l.SeqLo, SeqHi: l.SeqHi, Older: l.Older,
		File: l.File, Offset: l.Offset, Why: l.Why,
	}
	var n notation
	if l.Lo != nil {
		line.Lo, line.LoHex = n.asText(l.Lo)
	}
	if l.Hi != nil {
		line.Hi, line.HiHex = n.asText(l.Hi)
	}
	return line
}

func onlyPart(dir string) string {
	return dir + " has only a part of what can be salvaged: another attempt needs another directory"
}

// removeStore removes the files of a store that this command has made, and the directory unless it was
// there before.
func removeStore(dir string, keepDir bool) error {
	files, err := os.ReadDir(dir)
	errs := []error{err}
	for _, f := range files {
		if isStoreFile(f.Name()) || f.Name() == backends.LockName {
			errs = append(errs, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	if !keepDir {
		errs = append(errs, os.Remove(dir))
	}
	return errors.Join(errs...)
}

package storecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/inspect"
)

func statsCommand() *cli.Command {
	return &cli.Command{
		Name: "stats", Args: "STORE", Least: 1, Most: 1, Short: "print what a store holds, and its figures",
		Long: `
The figures are of the store as it lies on the disk. Those that a running program gathers (commits,
latencies, cache) the program has: DB.Stats, and aegis.DebugHandler as a page.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return access{json: *json}.with(a, args[0], func(db *aegis.DB) (int, error) {
					return stats(ctx, a, db, args[0], *json)
				})
			}
		},
	}
}

// filesOf are the bytes of a store's files, by kind.
type filesOf struct {
	Checkpoints int64 `json:"checkpoints"`
	Tables      int64 `json:"tables"`
	Log         int64 `json:"log"`
	Other       int64 `json:"other"`
}

func (f filesOf) total() int64 { return f.Checkpoints + f.Tables + f.Log + f.Other }

// storeStats is what stats prints.
type storeStats struct {
	Directory string         `json:"directory"`
	Seq       uint64         `json:"seq"` // of the newest commit
	Keyspaces []keyspaceLine `json:"keyspaces"`
	Files     filesOf        `json:"file_bytes"`
	Tables    tableStats     `json:"tables"`
	Recovery  recoveryStats  `json:"recovery"`
}

// tableStats are sums over all tables.
type tableStats struct {
	Tables     int    `json:"tables"`
	Runs       int    `json:"runs"`
	Bytes      int64  `json:"bytes"`
	RawBytes   int64  `json:"raw_bytes"` // keys and values before compression
	Entries    uint64 `json:"entries"`   // deletions included
	Tombstones uint64 `json:"tombstones"`
}

// recoveryStats say what opening had to do.
type recoveryStats struct {
	Clean     bool    `json:"clean"`
	Records   int64   `json:"records"`
	LogBytes  int64   `json:"log_bytes"`
	TornBytes int64   `json:"torn_bytes"`
	Seconds   float64 `json:"seconds"`
}

func sumTables(runs []aegis.RunLayout) (t tableStats) {
	t.Runs = len(runs)
	for _, r := range runs {
		for _, table := range r.Tables {
			t.Tables++
			t.Bytes += table.Bytes
			t.RawBytes += table.RawBytes
			t.Entries += table.Entries
			t.Tombstones += table.Tombstones
		}
	}
	return t
}

// measure sums up the files of a store. A file that goes meanwhile is none.
func measure(dir string) (sizes filesOf, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return sizes, err
	}
	for _, f := range files {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sizes, err
		}
		switch inspect.Kind(f.Name(), nil) {
		case "checkpoint":
			sizes.Checkpoints += info.Size()
		case "table":
			sizes.Tables += info.Size()
		case "log":
			sizes.Log += info.Size()
		default:
			if f.Type().IsRegular() {
				sizes.Other += info.Size()
			}
		}
	}
	return sizes, nil
}

func stats(ctx context.Context, a *cli.App, db *aegis.DB, dir string, json bool) (int, error) {
	engine, err := db.Stats(ctx)
	if err != nil {
		return cli.ExitUsage, err
	}
	r := engine.Recovery
	s := storeStats{
		Directory: dir, Seq: db.Seq(), Tables: sumTables(db.Layout()),
		Recovery: recoveryStats{r.Clean, r.Records, r.Bytes, r.TornBytes, r.Took.Seconds()},
	}
	if s.Files, err = measure(dir); err != nil {
		return cli.ExitUsage, err
	}
	if s.Keyspaces, err = keyspaceLines(ctx, db, false); err != nil {
		return cli.ExitUsage, err
	}
	if json {
		return cli.ExitClean, cli.WriteJSON(a.Out, s)
	}
	return cli.ExitClean, s.print(a)
}

func (s *storeStats) print(a *cli.App) error {
	t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("store", "%s", s.Directory)
	row("newest commit", "%s", cli.Thousands(int64(s.Seq)))
	row("keyspaces", "%d", len(s.Keyspaces))
	row("tables", "%s in %s", cli.Count(s.Tables.Tables, "table", "tables"), cli.Count(s.Tables.Runs, "run", "runs"))
	row("entries in them", "%s, %s of them deletions", cli.Thousands(int64(s.Tables.Entries)), cli.Thousands(int64(s.Tables.Tombstones)))
	if s.Tables.Bytes > 0 {
		row("compression", "%s of keys and values in %s, %.2f to 1", cli.Size(s.Tables.RawBytes), cli.Size(s.Tables.Bytes),
			float64(s.Tables.RawBytes)/float64(s.Tables.Bytes))
	}
	row("files", "%s: tables %s, log %s, checkpoints %s", cli.Size(s.Files.total()), cli.Size(s.Files.Tables), cli.Size(s.Files.Log), cli.Size(s.Files.Checkpoints))
	closed := "properly"
	if !s.Recovery.Clean {
		closed = fmt.Sprintf("no: opening replays %s from %s of log", cli.Count(int(s.Recovery.Records), "commit", "commits"), cli.Size(s.Recovery.LogBytes))
	}
	row("closed", "%s", closed)
	if s.Recovery.TornBytes > 0 {
		row("cut off", "%s of a group that a crash did not let be finished", cli.Size(s.Recovery.TornBytes))
	}
	return t.Flush()
}

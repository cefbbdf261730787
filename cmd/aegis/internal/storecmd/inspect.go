package storecmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/inspect"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name: "inspect", Args: "STORE [FILE]", Least: 1, Most: 2, Short: "show what is in a store's files, damaged ones too",
		Long: `
Without FILE: a line for each file of the store. With FILE, or with the path of a file instead of the
store's: the records of a log segment, the pages of a table, the tables of a checkpoint, with their
offsets in bytes.

It opens no store, takes no lock and writes nothing, so it works where nothing else does, and shows
files in motion while a program has the store open. Damage is shown where it is; it makes the exit
code 1. At the end of the newest log segment it can be a group that a crash cut short, which every
open passes over.`,
		Examples: `  aegis inspect data
  aegis inspect data wal-00000000 --entries
  aegis inspect data table-0000000000000004 --values --limit 100`,
		Begin: func(f *cli.Flags) cli.Work {
			i := &inspector{}
			f.BoolVar(&i.json, "json", false, "print JSON: one document without FILE, lines with it")
			f.BoolVar(&i.options.Entries, "entries", false, "show each write of a record and each entry of a page")
			f.BoolVar(&i.options.Values, "values", false, "show how the values begin, too")
			f.IntVar(&i.limit, "limit", 0, "end after `N` lines, damages not counted")
			return i.run
		},
	}
}

type inspector struct {
	options inspect.Options
	json    bool
	limit   int
}

func (i *inspector) run(ctx context.Context, a *cli.App, args []string) (int, error) {
	if i.limit < 0 {
		return cli.ExitUsage, fmt.Errorf("--limit %d: it cannot be negative", i.limit)
	}
	i.options.Entries = i.options.Entries || i.options.Values
	info, err := os.Stat(args[0])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cli.ExitUsage, fmt.Errorf("there is no %s: name the directory of a store, or a file of one", args[0])
	case err != nil:
		return cli.ExitUsage, err
	case len(args) == 2:
		return i.file(ctx, a, filepath.Join(args[0], args[1]))
	case !info.IsDir():
		return i.file(ctx, a, args[0])
	}
	return i.directory(ctx, a, args[0])
}

func (i *inspector) directory(ctx context.Context, a *cli.App, dir string) (int, error) {
	all, err := inspect.Directory(ctx, dir)
	if err != nil {
		return cli.ExitUsage, err
	}
	code, ours := cli.ExitClean, false
	for _, s := range all {
		ours = ours || s.Kind != ""
		if len(s.Damages) > 0 {
			code = cli.ExitFound
		}
	}
	if !ours {
		return cli.ExitUsage, access{}.check(dir)
	}
	if i.json {
		return code, cli.WriteJSON(a.Out, map[string]any{"directory": dir, "files": all})
	}
	t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tWHAT")
	for _, s := range all {
		what := s.What
		for n, d := range s.Damages {
			if n > 0 || what != "" {
				what += "; "
			}
			what += "DAMAGED: " + d
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", cli.Escape([]byte(s.File)), cli.Thousands(s.Bytes), what)
	}
	return code, t.Flush()
}

// file tells what is in one file.
func (i *inspector) file(ctx context.Context, a *cli.App, path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return cli.ExitUsage, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return cli.ExitUsage, err
	}
	if info.IsDir() {
		return cli.ExitUsage, fmt.Errorf("%s is a directory: name a file of a store", path)
	}
	out, damages, shown := bufio.NewWriter(a.Out), 0, 0
	err = inspect.File(ctx, f, info.Size(), filepath.Base(path), i.options, func(item inspect.Item) {
		if item.Kind == inspect.Damage {
			damages++
		} else if shown++; i.limit > 0 && shown > i.limit {
			return
		}
		if i.json {
			_ = cli.WriteJSON(out, item.JSON()) // out keeps the error
			return
		}
		fmt.Fprintln(out, item.Text())
	})
	err = errors.Join(err, out.Flush())
	switch {
	case err != nil:
		return cli.ExitUsage, err
	case i.limit > 0 && shown > i.limit && !i.json:
		a.Err.Printf("%s more, without --limit\n", cli.Count(shown-i.limit, "line", "lines"))
	}
	if damages > 0 {
		a.Err.Printf("%s in %s\n", cli.Count(damages, "damage", "damages"), path)
		return cli.ExitFound, nil
	}
	return cli.ExitClean, nil
}

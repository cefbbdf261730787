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
		return code, cli.WriteJSON(a.Out, report)
	}
	a.Out.Printf("%s", report)
	a.Err.Printf("%s made in %v\n", to, took.Round(time.Millisecond))
	return code, nil
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

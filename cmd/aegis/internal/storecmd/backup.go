package storecmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

func backupCommand() *cli.Command {
	return &cli.Command{
		Name: "backup", Args: "STORE [FILE]", Least: 1, Most: 2, Short: "write a backup of a store, full or since another one",
		Long: `
The backup goes into FILE, which must not be there, or to standard output. With --since it has only what
is new since the backup in that file, and needs that one to be restored. It keeps the files of the store
as they are, compressed; each piece has a checksum. A store that a program has open for writing is
backed up by that program: DB.Backup.`,
		Examples: `  aegis backup data monday.backup
  aegis backup data --since monday.backup tuesday.backup
  aegis backup data | ssh elsewhere 'cat > data.backup'`,
		Begin: func(f *cli.Flags) cli.Work {
			b := &backup{}
			f.StringVar(&b.since, "since", "", "only what is new since the backup in `FILE`")
			f.BoolVar(&b.verify, "verify", false, "read FILE again, and check every checksum")
			f.BoolVar(&b.json, "json", false, "print what was written as JSON, to standard error if there is no FILE")
			return b.run
		},
	}
}

type backup struct {
	since        string
	verify, json bool
}

func (b *backup) run(ctx context.Context, a *cli.App, args []string) (int, error) {
	if b.verify && len(args) == 1 {
		return cli.ExitUsage, errors.New("--verify: it needs FILE")
	}
	if len(args) == 1 && a.OutTerminal {
		return cli.ExitUsage, cli.ErrTerminal
	}
	var since *aegis.BackupInfo
	if b.since != "" {
		var err error
		if since, err = backupInfo(b.since); err != nil {
			return cli.ExitUsage, fmt.Errorf("--since %s: %w", b.since, err)
		}
	}
	return access{json: b.json}.with(a, args[0], func(db *aegis.DB) (int, error) {
		if len(args) == 1 {
			info, err := db.Backup(ctx, a.Out, since)
			if err != nil {
				return cli.ExitUsage, err
			}
			return cli.ExitClean, printBackup(a.Err, a.Err, info, b.json)
		}
		var info *aegis.BackupInfo
		err := newFile(a, args[1], func(w io.Writer) (err error) {
			out := bufio.NewWriterSize(w, 1<<20)
			if info, err = db.Backup(ctx, out, since); err != nil {
				return err
			}
			return out.Flush()
		})
		if err == nil && b.verify {
			if _, err = verifyBackup(ctx, a, args[1], b.json); err != nil {
				err = fmt.Errorf("%s was written, and did not stand the check: %w", args[1], err)
			}
		}
		if err != nil {
			return cli.ExitUsage, err
		}
		return cli.ExitClean, printBackup(a.Out, a.Err, info, b.json)
	})
}

// printBackup describes a backup.
func printBackup(out, text *cli.Sink, info *aegis.BackupInfo, json bool) error {
	if json {
		return cli.WriteJSON(out, info)
	}
	kind := "full"
	if info.Since != "" {
		kind = "since " + info.Since
	}
	included := 0
	for _, t := range info.Tables {
		if t.Included {
			included++
		}
	}
	text.Printf("backup %s, %s, of %s: commits up to %s, %d of %s in it, %s\n", info.ID, kind, info.Taken.Format(time.RFC3339),
		cli.Thousands(int64(info.Seq)), included, cli.Count(len(info.Tables), "table", "tables"), cli.Size(info.Bytes))
	return nil
}

// backupInfo reads what a file says of its backup.
func backupInfo(name string) (*aegis.BackupInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := aegis.ReadBackupInfo(bufio.NewReader(f))
	return info, foundBackup(err)
}

// foundBackup gives damage of a backup its exit code.
func foundBackup(err error) error {
	if bad := new(aegis.BackupError); errors.As(err, &bad) {
		return cli.Found{Err: err}
	}
	return err
}

func verifyBackup(ctx context.Context, a *cli.App, name string, json bool) (*aegis.BackupInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tell := cli.NewTeller(a, json)
	defer tell.End()
	info, err := aegis.VerifyBackup(ctx, bufio.NewReaderSize(f, 1<<20), tell.Tell)
	return info, foundBackup(err)
}

func backupInfoCommand() *cli.Command {
	return &cli.Command{
		Name: "backup-info", Args: "FILE", Least: 1, Most: 1, Short: "describe a backup, and check it",
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			verify := f.Bool("verify", false, "read all of it, and check every checksum")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				info, err := backupInfo(args[0])
				if err == nil && *verify {
					info, err = verifyBackup(ctx, a, args[0], *json)
				}
				if err != nil {
					return cli.ExitUsage, fmt.Errorf("%s: %w", args[0], err)
				}
				return cli.ExitClean, printBackup(a.Out, a.Out, info, *json)
			}
		},
	}
}

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Args: "NEW FILE…", Least: 2, Most: -1, Short: "make a new store of a backup and those since it",
		Long: `
NEW is a directory that is empty or not there. The FILEs are a full backup and then the incremental
ones, each since the one before. All of it is checked; a damaged backup makes no store.`,
		Examples: `  aegis restore copy monday.backup tuesday.backup`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return restore(ctx, a, args[0], args[1:], *json)
			}
		},
	}
}

func restore(ctx context.Context, a *cli.App, dir string, names []string, json bool) (int, error) {
	var streams []io.Reader
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return cli.ExitUsage, err
		}
		defer f.Close()
		streams = append(streams, bufio.NewReaderSize(f, 1<<20))
	}
	tell := cli.NewTeller(a, json)
	info, err := aegis.Restore(ctx, dir, &aegis.RestoreOptions{Progress: tell.Tell}, streams...)
	took := tell.End()
	if bad := new(aegis.BackupError); errors.As(err, &bad) && bad.Stream < len(names) {
		err = cli.Found{Err: fmt.Errorf("%s: %w", names[bad.Stream], err)}
	}
	if err != nil {
		return cli.ExitUsage, err
	}
	if json {
		return cli.ExitClean, cli.WriteJSON(a.Out, info)
	}
	a.Out.Printf("%s restored with the commits up to %s, in %v\n", dir, cli.Thousands(int64(info.Seq)), took.Round(time.Millisecond))
	return cli.ExitClean, nil
}

func checkpointCommand() *cli.Command {
	return &cli.Command{
		Name: "checkpoint", Args: "STORE NEW", Least: 2, Most: 2, Short: "make a second store of the same contents, by hard links",
		Long: `
NEW is a directory that is empty or not there. Tables are linked where the file system can, so that it
takes no time and no space, and copied elsewhere. The two stores are independent of one another.`,
		Examples: `  aegis checkpoint data data-before-the-change`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return access{json: *json}.with(a, args[0], func(db *aegis.DB) (int, error) {
					if err := db.CheckpointTo(ctx, args[1]); err != nil {
						return cli.ExitUsage, err
					}
					if *json {
						return cli.ExitClean, cli.WriteJSON(a.Out, map[string]any{"directory": args[1], "seq": db.Seq()})
					}
					a.Out.Printf("%s has the commits up to %s\n", args[1], cli.Thousands(int64(db.Seq())))
					return cli.ExitClean, nil
				})
			}
		},
	}
}

package storecmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

func keyspacesCommand() *cli.Command {
	return &cli.Command{
		Name: "keyspaces", Short: "list, make and drop keyspaces",
		Long: "aegis keyspaces STORE is aegis keyspaces list STORE.",
		Subs: []*cli.Command{listKeyspaces(), createKeyspace(), dropKeyspace()}, Implied: "list",
	}
}

// keyspaceLine is a keyspace as JSON.
type keyspaceLine struct {
	Name        string `json:"name"`
	Compression string `json:"compression"`
	Entries     *int64 `json:"entries,omitempty"` // with --count
	Bytes       *int64 `json:"bytes,omitempty"`   // of keys and values, before compression
}

func listKeyspaces() *cli.Command {
	return &cli.Command{
		Name: "list", Args: "STORE", Least: 1, Most: 1, Short: "list the keyspaces of a store",
		Long: `
The compression of the default keyspace is chosen by each program that opens the store.`,
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			count := f.Bool("count", false, "read all entries, and count them")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return access{json: *json}.with(a, args[0], func(db *aegis.DB) (int, error) {
					all, err := keyspaceLines(ctx, db, *count)
					switch {
					case err != nil:
						return cli.ExitUsage, err
					case *json:
						return cli.ExitClean, cli.WriteJSON(a.Out, all)
					}
					return cli.ExitClean, printKeyspaces(a, all, *count)
				})
			}
		},
	}
}

func printKeyspaces(a *cli.App, all []keyspaceLine, count bool) error {
	t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	head := "KEYSPACE\tCOMPRESSION"
	if count {
		head += "\tENTRIES\tBYTES"
	}
	fmt.Fprintln(t, head)
	for _, k := range all {
		fmt.Fprintf(t, "%s\t%s", cli.Escape([]byte(k.Name)), k.Compression)
		if count {
			fmt.Fprintf(t, "\t%s\t%s", cli.Thousands(*k.Entries), cli.Size(*k.Bytes))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func keyspaceLines(ctx context.Context, db *aegis.DB, count bool) (all []keyspaceLine, err error) {
	err = db.View(ctx, func(tx *aegis.Tx) error {
		infos, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		all = []keyspaceLine{{Name: aegis.DefaultKeyspaceName, Compression: "of the store"}}
		for _, k := range infos {
			all = append(all, keyspaceLine{Name: k.Name, Compression: k.Compression.String()})
		}
		for i := range all {
			if !count {
				break
			}
			k, err := tx.Keyspace(all[i].Name)
			if err != nil {
				return err
			}
			var entries, size int64
			for key, value := range k.Range(nil, nil) {
				if entries++; entries%1024 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				size += int64(len(key) + len(value))
			}
			all[i].Entries, all[i].Bytes = &entries, &size
		}
		return nil
	})
	return all, err
}

// compressions are the names that flags and configuration files use.
var compressions = map[string]aegis.Compression{
	"": aegis.DefaultCompression, "none": aegis.NoCompression, "lz4": aegis.LZ4, "zstd": aegis.Zstd,
}

func compressionNamed(name string) (aegis.Compression, error) {
	c, ok := compressions[name]
	if !ok {
		return c, fmt.Errorf("--compression %s: there are: none, lz4, zstd", name)
	}
	return c, nil
}

func createKeyspace() *cli.Command {
	return &cli.Command{
		Name: "create", Args: "STORE NAME", Least: 2, Most: 2, Short: "make a keyspace",
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			name := f.String("compression", "", "store its pages as `C`: none, lz4 or zstd; without it as the store does")
			level := f.Int("level", 0, "the level `N` of zstd, 1 (fastest) to 4 (smallest)")
			create := f.Bool("create", false, "make the store if there is none")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				compression, err := compressionNamed(*name)
				if err != nil {
					return cli.ExitUsage, err
				}
				return changeKeyspaces(ctx, a, access{write: true, create: *create, makes: true, json: *json}, args, "made", func(tx *aegis.Tx) error {
					_, err := tx.CreateKeyspace(args[1], aegis.KeyspaceOptions{Compression: compression, CompressionLevel: *level})
					if errors.Is(err, aegis.ErrKeyspaceExists) {
						err = cli.Found{Err: fmt.Errorf("there is a keyspace %q", args[1])}
					}
					return err
				})
			}
		},
	}
}

func dropKeyspace() *cli.Command {
	return &cli.Command{
		Name: "drop", Args: "STORE NAME", Least: 2, Most: 2, Short: "remove a keyspace with all that it holds",
		Begin: func(f *cli.Flags) cli.Work {
			json := cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return changeKeyspaces(ctx, a, access{write: true, json: *json}, args, "dropped", func(tx *aegis.Tx) error {
					if args[1] == aegis.DefaultKeyspaceName {
						return errors.New("the default keyspace cannot be dropped: aegis delete --prefix '' empties it")
					}
					if _, err := open(tx, args[1]); err != nil {
						return err
					}
					return tx.DropKeyspace(args[1])
				})
			}
		},
	}
}

// changeKeyspaces runs one transaction and says what it has done.
func changeKeyspaces(ctx context.Context, a *cli.App, c access, args []string, done string, do func(tx *aegis.Tx) error) (int, error) {
	return c.with(a, args[0], func(db *aegis.DB) (int, error) {
		if err := db.Update(ctx, do); err != nil {
			return cli.ExitUsage, err
		}
		if c.json {
			return cli.ExitClean, cli.WriteJSON(a.Out, map[string]string{"keyspace": args[1], "outcome": done})
		}
		a.Out.Printf("keyspace %s %s\n", strings.TrimSpace(cli.Escape([]byte(args[1]))), done)
		return cli.ExitClean, nil
	})
}

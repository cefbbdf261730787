package storecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/pages"
)

// place are the flags that say where an entry is and how it is written.
type place struct {
	notation
	keyspace string
	json     *bool
}

func (p *place) declare(f *cli.Flags) {
	p.notation.declare(f)
	f.StringVarP(&p.keyspace, "keyspace", "k", aegis.DefaultKeyspaceName, "the keyspace `NAME`")
}

func getCommand() *cli.Command {
	return &cli.Command{
		Name: "get", Args: "STORE KEY", Least: 2, Most: 2, Short: "print the value of a key",
		Long: `
The value's bytes go to standard output as they are, and a line end behind them, unless --raw. A key
that is not there gives exit code 1.`,
		Examples: `  aegis get data answer
  aegis get data --raw picture > picture.png
  aegis get data --keyspace users --hex 00000001`,
		Begin: func(f *cli.Flags) cli.Work {
			p, raw := &place{}, false
			p.declare(f)
			p.json = cli.JSONFlag(f)
			f.BoolVar(&raw, "raw", false, "print nothing but the value's bytes")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return p.get(ctx, a, args[0], args[1], raw)
			}
		},
	}
}

func (p *place) get(ctx context.Context, a *cli.App, dir, word string, raw bool) (int, error) {
	key, err := p.parse(word)
	if err != nil {
		return cli.ExitUsage, err
	}
	return access{json: *p.json}.with(a, dir, func(db *aegis.DB) (int, error) {
		var value []byte
		err := view(ctx, db, p.keyspace, func(k *aegis.Keyspace) (err error) {
			value, err = k.Get(key)
			return err
		})
		if errors.Is(err, aegis.ErrNotFound) {
			err = cli.Found{Err: fmt.Errorf("the key %s is not in the keyspace %q", p.show(key), p.keyspace)}
		}
		switch {
		case err != nil:
			return cli.ExitUsage, err
		case *p.json:
			return cli.ExitClean, cli.WriteJSON(a.Out, p.line(key, value))
		case p.hex && !raw:
			a.Out.Printf("%s\n", p.show(value))
		case raw:
			_, err = a.Out.Write(value)
		default:
			_, err = a.Out.Write(append(value[:len(value):len(value)], '\n'))
		}
		return cli.ExitClean, err
	})
}

func putCommand() *cli.Command {
	return &cli.Command{
		Name: "put", Args: "STORE KEY [VALUE]", Least: 2, Most: 3, Short: "set the value of a key",
		Long: `
Without VALUE and --file the value is read from standard input, to its end. It is durable when the
command ends.`,
		Examples: `  aegis put --create data answer 42
  aegis put data picture --file picture.png
  date | aegis put data now`,
		Begin: func(f *cli.Flags) cli.Work {
			p, file, create := &place{}, "", false
			p.declare(f)
			p.json = cli.JSONFlag(f)
			f.StringVar(&file, "file", "", "the value is what `FILE` holds")
			f.BoolVar(&create, "create", false, "make the store if there is none, and the keyspace")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return p.put(ctx, a, args, file, create)
			}
		},
	}
}

func (p *place) put(ctx context.Context, a *cli.App, args []string, file string, create bool) (int, error) {
	key, err := p.parse(args[1])
	if err != nil {
		return cli.ExitUsage, err
	}
	c := access{write: true, create: create, makes: true, json: *p.json}
	if err := c.check(args[0]); err != nil { // before a value is waited for
		return cli.ExitUsage, err
	}
	value, err := p.value(a, args[2:], file)
	if err != nil {
		return cli.ExitUsage, err
	}
	return c.with(a, args[0], func(db *aegis.DB) (int, error) {
		err := db.Update(ctx, func(tx *aegis.Tx) error {
			k, err := open(tx, p.keyspace)
			if create && err != nil && errors.As(err, new(cli.Found)) {
				k, err = tx.CreateKeyspace(p.keyspace, aegis.KeyspaceOptions{})
			}
			if err != nil {
				return err
			}
			return k.Put(key, value)
		})
		if err == nil && *p.json {
			err = cli.WriteJSON(a.Out, struct {
				entryLine
				ValueBytes int `json:"value_bytes"`
			}{p.keyLine(key), len(value)})
		}
		return cli.ExitClean, err
	})
}

// value finds what put stores.
func (p *place) value(a *cli.App, words []string, file string) ([]byte, error) {
	switch {
	case len(words) > 0 && file != "":
		return nil, errors.New("--file: there is a VALUE, too; only one of them")
	case len(words) > 0:
		return p.parse(words[0])
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readValue(f)
	}
	a.Awaits("the value")
	return readValue(a.In)
}

func readValue(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, aegis.MaxValueBytes+1))
	if err == nil && len(b) > aegis.MaxValueBytes {
		err = fmt.Errorf("%w: a value has at most %d bytes", aegis.ErrTooLarge, aegis.MaxValueBytes)
	}
	return b, err
}

func deleteCommand() *cli.Command {
	return &cli.Command{
		Name: "delete", Args: "STORE [KEY]…", Least: 1, Most: -1, Short: "remove keys, or all with a prefix",
		Long: `
Keys that are not there are no error; what is printed says how many were. The KEYs go in one
transaction, those of --prefix in several.`,
		Examples: `  aegis delete data answer
  aegis delete data --prefix session/`,
		Begin: func(f *cli.Flags) cli.Work {
			p, prefix := &place{}, ""
			p.declare(f)
			p.json = cli.JSONFlag(f)
			f.StringVar(&prefix, "prefix", "", "remove all keys that begin with `P`")
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				if (len(args) > 1) == f.Changed("prefix") {
					return cli.ExitUsage, errors.New("it needs KEYs or --prefix, and not both")
				}
				return p.remove(ctx, a, args[0], args[1:], prefix)
			}
		},
	}
}

func (p *place) remove(ctx context.Context, a *cli.App, dir string, words []string, prefix string) (int, error) {
	var keys [][]byte
	for _, word := range words {
		key, err := p.parse(word)
		if err != nil {
			return cli.ExitUsage, err
		}
		keys = append(keys, key)
	}
	start, err := p.parse(prefix)
	if err != nil {
		return cli.ExitUsage, err
	}
	return access{write: true, json: *p.json}.with(a, dir, func(db *aegis.DB) (int, error) {
		removed, err := 0, error(nil)
		if len(keys) > 0 {
			removed, err = p.removeKeys(ctx, db, keys)
		} else {
			removed, err = p.removePrefix(ctx, a, db, start)
		}
		switch {
		case err != nil && removed > 0:
			return cli.ExitUsage, fmt.Errorf("after %s: %w", cli.Count(removed, "key", "keys"), err)
		case err != nil:
			return cli.ExitUsage, err
		case *p.json:
			return cli.ExitClean, cli.WriteJSON(a.Out, map[string]int{"removed": removed})
		}
		a.Out.Printf("%s removed\n", cli.Count(removed, "key", "keys"))
		return cli.ExitClean, nil
	})
}

// removeKeys removes keys in one transaction, and returns how many were there.
func (p *place) removeKeys(ctx context.Context, db *aegis.DB, keys [][]byte) (removed int, err error) {
	err = db.Update(ctx, func(tx *aegis.Tx) error {
		removed = 0
		k, err := open(tx, p.keyspace)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if _, err := k.Get(key); errors.Is(err, aegis.ErrNotFound) {
				continue
			} else if err != nil {
				return err
			}
			if err := k.Delete(key); err != nil {
				return err
			}
			removed++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// removePrefix removes keys a batch at a time. Each batch goes on where the one before ended, and not
// through what that one has removed.
func (p *place) removePrefix(ctx context.Context, a *cli.App, db *aegis.DB, prefix []byte) (removed int, err error) {
	const batch = 10_000
	tell := cli.NewTeller(a, *p.json)
	defer tell.End()
	from, to := prefix, pages.PrefixEnd(prefix)
	for {
		n, last := 0, []byte(nil)
		err := db.Update(ctx, func(tx *aegis.Tx) error {
			n = 0
			k, err := open(tx, p.keyspace)
			if err != nil {
				return err
			}
			for key := range k.Range(from, to) {
				if err := k.Delete(key); err != nil {
					return err
				}
				last = key
				if n++; n == batch {
					break
				}
			}
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed += n
		tell.Tell(aegis.Progress{Stage: "remove", Done: int64(removed), Unit: "keys"})
		if n < batch {
			return removed, nil
		}
		from = append(bytes.Clone(last), 0) // the first key above it
	}
}

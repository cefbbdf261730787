package storecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/inspect"
)

// access says how a command opens a store.
type access struct {
	write, create bool
	makes         bool // the command has --create
	json          bool // progress is not told
}

// with opens the store in dir, calls do, and closes it.
func (c access) with(a *cli.App, dir string, do func(db *aegis.DB) (int, error)) (code int, err error) {
	if err := c.check(dir); err != nil {
		return cli.ExitUsage, err
	}
	tell := cli.NewTeller(a, c.json)
	defer tell.End()
	db, err := c.open(tell, dir)
	tell.End() // what is printed now stands on a line of its own
	if err != nil {
		return cli.ExitUsage, explain(dir, err)
	}
	defer func() {
		if closeErr := db.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("close the store: %w", closeErr))
		}
	}()
	code, err = do(db)
	return code, explain(dir, err)
}

// open opens the store. tell hears how far recovery is, and the checkpoint at the end.
func (c access) open(tell *cli.Teller, dir string) (*aegis.DB, error) {
	return aegis.Open(dir, &aegis.Options{ReadOnly: !c.write, Observer: &aegis.Observer{Progress: tell.Tell}})
}

// check refuses a directory without a store, unless one may be made there.
func (c access) check(dir string) error {
	if c.create {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: name that of a store; %s", dir, c.hint())
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is a file: name the directory of a store", dir)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if isStoreFile(f.Name()) {
			return nil
		}
	}
	if len(files) == 0 {
		return fmt.Errorf("%s is empty: name the directory of a store; %s", dir, c.hint())
	}
	return fmt.Errorf("%s holds no store but other files, as %q: name the directory of a store", dir, files[0].Name())
}

// hint says how a store is made.
func (c access) hint() string {
	if c.makes {
		return "--create makes one"
	}
	return "aegis put --create makes one"
}

// isStoreFile reports whether a file makes its directory a store's, or that of one that is being put
// together, for which package aegis has an error of its own.
func isStoreFile(name string) bool { return inspect.Kind(name, nil) != "" }

// explain adds to an error what to do.
func explain(dir string, err error) error {
	var bad *aegis.CorruptionError
	switch {
	case errors.Is(err, aegis.ErrLocked):
		return fmt.Errorf("%w: close it there, or ask again when it is closed", err)
	case errors.Is(err, aegis.ErrNoStore):
		return fmt.Errorf("%w: aegis put --create makes one", err)
	case errors.As(err, &bad):
		return fmt.Errorf("%w: aegis inspect %s shows what is there, aegis salvage %s NEW copies what is sound", err, dir, dir)
	}
	return err
}

// view runs fn on a keyspace as of one moment.
func view(ctx context.Context, db *aegis.DB, keyspace string, fn func(k *aegis.Keyspace) error) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		k, err := open(tx, keyspace)
		if err != nil {
			return err
		}
		return fn(k)
	})
}

// open finds a keyspace. The error says which ones there are.
func open(tx *aegis.Tx, name string) (*aegis.Keyspace, error) {
	k, err := tx.Keyspace(name)
	if !errors.Is(err, aegis.ErrNotFound) {
		return k, err
	}
	all, listErr := tx.Keyspaces()
	if listErr != nil {
		return nil, listErr
	}
	names := []string{aegis.DefaultKeyspaceName}
	for _, info := range all {
		names = append(names, info.Name)
	}
	return nil, cli.Found{Err: fmt.Errorf("there is no keyspace %q, there are: %s", name, strings.Join(names, ", "))}
}

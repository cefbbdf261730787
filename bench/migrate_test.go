package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/dgraph-io/badger/v4"
	bolt "go.etcd.io/bbolt"
)

// TestMigrationPrograms: the programs of docs/ that copy another engine's data, which this module can
// build because it measures those engines, copy all of it.
func TestMigrationPrograms(t *testing.T) {
	for _, c := range []struct {
		page string
		fill func(dir string) error
		want map[string]map[string]string // by keyspace
	}{
		{"from-bbolt.md", fillBolt, map[string]map[string]string{
			"people": {"ada": "1815", "alan": "1912", "cities/london": "8799800"},
			"empty":  {},
		}},
		{"from-badger.md", fillBadger, map[string]map[string]string{"badger": {"ada": "1815", "alan": "1912", "zoe": ""}}},
	} {
		t.Run(c.page, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.fill(dir); err != nil {
				t.Fatal(err)
			}
			runProgram(t, filepath.Join("..", "docs", c.page), dir)
			got, err := contents(filepath.Join(dir, "data"))
			if err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(got, c.want, maps.Equal) {
				t.Errorf("copied %v, want %v", got, c.want)
			}
		})
	}
}

// programBlock is a page's program that needs another module.
var programBlock = regexp.MustCompile("(?s)\n```go elsewhere\n(.*?)\n```\n")

func runProgram(t *testing.T, page, dir string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := programBlock.FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no program", page)
	}
	source, program := filepath.Join(t.TempDir(), "main.go"), filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := exec.Command(program)
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
}

func fillBolt(dir string) error {
	db, err := bolt.Open(filepath.Join(dir, "old.db"), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("empty")); err != nil {
			return err
		}
		people, err := tx.CreateBucket([]byte("people"))
		if err != nil {
			return err
		}
		cities, err := people.CreateBucket([]byte("cities"))
		if err != nil {
			return err
		}
		for b, pairs := range map[*bolt.Bucket][][2]string{people: {{"ada", "1815"}, {"alan", "1912"}}, cities: {{"london", "8799800"}}} {
			for _, p := range pairs {
				if err := b.Put([]byte(p[0]), []byte(p[1])); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func fillBadger(dir string) error {
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "old")).WithLogger(nil))
	if err != nil {
		return err
	}
	err = db.Update(func(txn *badger.Txn) error {
		for k, v := range map[string]string{"ada": "1815", "alan": "1912", "zoe": ""} {
			if err := txn.Set([]byte(k), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return db.Close()
}

// contents are a store's keyspaces, as they are on disk, without the default one.
func contents(dir string) (map[string]map[string]string, error) {
	ctx := context.Background()
	db, err := aegis.Open(dir, &aegis.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	got := map[string]map[string]string{}
	err = db.View(ctx, func(tx *aegis.Tx) error {
		keyspaces, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		for _, info := range keyspaces {
			ks, err := tx.Keyspace(info.Name)
			if err != nil {
				return err
			}
			got[info.Name] = map[string]string{}
			for k, v := range ks.Range(nil, nil) {
				got[info.Name][string(k)] = string(v)
			}
		}
		return nil
	})
	return got, err
}

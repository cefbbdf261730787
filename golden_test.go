package aegis_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// testdata/golden-vN is a store that version N of the formats wrote, as a kill leaves it: tables of
// every compression, tombstones above older tables, a dropped keyspace, blocks, a value larger
// than a page, and a log tail that no checkpoint covers. Every later version reads it exactly.
// It is written again, for a new version only, by
//
//	go test -run TestGoldenStore -update-golden .
var updateGolden = flag.Bool("update-golden", false, "write testdata/golden-v1 again")

const (
	goldenDir   = "testdata/golden-v1"
	goldenBytes = 200 << 10
)

func goldenLimits() *aegis.Limits {
	return &aegis.Limits{
		SegmentBytes: 16 << 10, FirstSegment: 16 << 10, LogBytes: 1 << 20, TableBytes: 8 << 10, LeafBytes: 1 << 10,
		InnerBytes: 256, FanIn: 8, SyncInterval: time.Hour, SettleAfter: time.Hour, CompressAbove: 512,
	}
}

// goldenState is what the store holds: keyspace (and "blocks") to key to value.
type goldenState map[string]map[string]string

func goldenPut(tx *aegis.Tx, s goldenState, keyspace, key, value string) error {
	k, err := tx.Keyspace(keyspace)
	if err != nil {
		return err
	}
	s[keyspace][key] = value
	return k.Put([]byte(key), []byte(value))
}

// goldenSteps are the store's transactions; those after the last nil, which stands for a
// checkpoint, stay in the log.
func goldenSteps(s goldenState) []func(tx *aegis.Tx) error {
	value := func(i int) string {
		return fmt.Sprintf("value %d %s", i, strings.Repeat(string(rune('a'+i%26)), i%120))
	}
	fill := func(keyspace string, from, to, step int) func(tx *aegis.Tx) error {
		return func(tx *aegis.Tx) error {
			for i := from; i < to; i += step {
				if err := goldenPut(tx, s, keyspace, fmt.Sprintf("key%05d", i), value(i*step)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	create := func(keyspace string, c aegis.Compression) func(tx *aegis.Tx) error {
		return func(tx *aegis.Tx) error {
			s[keyspace] = map[string]string{}
			_, err := tx.CreateKeyspace(keyspace, aegis.KeyspaceOptions{Compression: c})
			return err
		}
	}
	return []func(tx *aegis.Tx) error{
		create("raw", aegis.NoCompression), create("fast", aegis.LZ4), create("small", aegis.Zstd), create("gone", aegis.LZ4),
		fill("default", 0, 300, 1), fill("raw", 0, 100, 1), fill("fast", 0, 200, 1), fill("small", 0, 200, 1), fill("gone", 0, 50, 1),
		nil,
		fill("default", 0, 600, 7), fill("small", 100, 300, 3),
		func(tx *aegis.Tx) error {
			delete(s, "gone")
			return tx.DropKeyspace("gone")
		},
		func(tx *aegis.Tx) error {
			for i := 0; i < 300; i += 5 {
				key := fmt.Sprintf("key%05d", i)
				delete(s["default"], key)
				if err := tx.Delete([]byte(key)); err != nil {
					return err
				}
			}
			return goldenPut(tx, s, "default", "large", strings.Repeat("0123456789abcdef", 1500))
		},
		nil,
		fill("fast", 50, 90, 2), create("late", aegis.Zstd), fill("late", 0, 30, 1),
		func(tx *aegis.Tx) error {
			delete(s["raw"], "key00007")
			raw, err := tx.Keyspace("raw")
			if err != nil {
				return err
			}
			return errors.Join(raw.Delete([]byte("key00007")), goldenPut(tx, s, "default", "", "the empty key"),
				goldenPut(tx, s, "default", "empty", ""), goldenPut(tx, s, "default", "tail", strings.Repeat("compressed in the log ", 100)))
		},
	}
}

func newGoldenState() goldenState {
	return goldenState{"default": {}, "blocks": {}}
}

// goldenBuild writes the store and copies its files while it is open.
func goldenBuild(t *testing.T) (map[string][]byte, goldenState) {
	t.Helper()
	s := newGoldenState()
	life := newCrashDisk().life(1, 0)
	db, err := aegis.Open("", &aegis.Options{Backend: life, Limits: goldenLimits()})
	must(t, err)
	defer db.Close()
	for i, step := range goldenSteps(s) {
		if step == nil {
			must(t, db.Checkpoint(ctx))
			continue
		}
		must(t, db.Update(ctx, step))
		if i%4 == 0 { // blocks get ids 1.1, 1.2, …
			data := strings.Repeat(fmt.Sprintf("block %d ", i), 60)
			c := []aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd}[i/4%3]
			id, err := db.WriteBlock(ctx, aegis.NewBlock([]byte(data)).WithCompression(c))
			must(t, err)
			s["blocks"][fmt.Sprint(uint64(id))] = data
		}
	}
	must(t, db.Sync(ctx))
	return life.disk.copyFiles(), s
}

// goldenCheck compares a store with the state, both ways.
func goldenCheck(db *aegis.DB, s goldenState) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		infos, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		if len(infos) != len(s)-2 {
			return fmt.Errorf("keyspaces %v", infos)
		}
		for _, name := range slices.Sorted(maps.Keys(s)) {
			if name == "blocks" {
				continue
			}
			k, err := tx.Keyspace(name)
			if err != nil {
				return err
			}
			if err := loadCompare(s[name], k.Range(nil, nil), tx); err != nil {
				return fmt.Errorf("keyspace %s: %w", name, err)
			}
			for key, want := range s[name] {
				if v, err := k.Get([]byte(key)); err != nil || string(v) != want {
					return fmt.Errorf("keyspace %s: Get(%q) = %.20q, %w", name, key, v, errors.Join(err))
				}
			}
		}
		for id, want := range s["blocks"] {
			var n uint64
			if _, err := fmt.Sscan(id, &n); err != nil {
				return err
			}
			if b, err := tx.ReadBlock(aegis.BlockID(n)); err != nil || string(b.Data()) != want {
				return fmt.Errorf("block %s: %w", id, errors.Join(err))
			}
		}
		return nil
	})
}

func TestGoldenStore(t *testing.T) {
	built, state := goldenBuild(t)
	if *updateGolden {
		goldenWrite(t, built)
	}
	dir, size := t.TempDir(), 0
	entries, err := os.ReadDir(goldenDir)
	must(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(goldenDir, e.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600))
		size += len(b)
	}
	if size == 0 || size > goldenBytes {
		t.Errorf("the golden store has %d bytes, at most %d are meant", size, goldenBytes)
	}
	reader, err := aegis.Open(dir, &aegis.Options{ReadOnly: true})
	must(t, err)
	must(t, goldenCheck(reader, state))
	must(t, reader.Verify(ctx, nil))
	s, err := reader.Stats(ctx)
	must(t, err)
	if s.Recovery.Records < 3 || s.Recovery.Clean {
		t.Errorf("the log tail is not replayed: %+v", s.Recovery)
	}
	must(t, reader.Close())
	goldenGoOn(t, dir, state)
}

// goldenWrite replaces the golden store.
func goldenWrite(t *testing.T, files map[string][]byte) {
	t.Helper()
	must(t, os.RemoveAll(goldenDir))
	must(t, os.MkdirAll(goldenDir, 0o750))
	for name, b := range files {
		if strings.HasPrefix(name, "wal-") && len(bytes.Trim(b, "\x00")) == 0 {
			continue // a spare
		}
		must(t, os.WriteFile(filepath.Join(goldenDir, name), b, 0o600))
	}
}

// goldenGoOn writes to the old store, merges what is old and new, and reads it all again.
func goldenGoOn(t *testing.T, dir string, state goldenState) {
	t.Helper()
	for range 2 {
		db, err := aegis.Open(dir, nil)
		must(t, err)
		must(t, goldenCheck(db, state))
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for _, name := range []string{"default", "raw", "fast", "small", "late"} {
				if err := goldenPut(tx, state, name, "key00042", "of the new version"); err != nil {
					return err
				}
			}
			return nil
		}))
		must(t, db.Compact(ctx, nil))
		must(t, goldenCheck(db, state))
		must(t, db.Verify(ctx, nil))
		must(t, db.Close())
	}
}

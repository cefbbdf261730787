package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

var ctx = context.Background()

// each runs f over a memory backend and over real files; open opens the same store again.
func each(t *testing.T, f func(t *testing.T, open func(o aegis.Options) *aegis.DB)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		b := backends.NewMemory()
		f(t, func(o aegis.Options) *aegis.DB {
			t.Helper()
			o.Backend = b
			return open(t, "", o)
		})
	})
	t.Run("local", func(t *testing.T) {
		dir := t.TempDir()
		f(t, func(o aegis.Options) *aegis.DB {
			t.Helper()
			return open(t, dir, o)
		})
	})
}

func open(t testing.TB, dir string, o aegis.Options) *aegis.DB {
	t.Helper()
	db, err := aegis.Open(dir, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantGet(t testing.TB, db *aegis.DB, key, want string) {
	t.Helper()
	v, err := db.Get(ctx, []byte(key))
	if err != nil || string(v) != want {
		t.Fatalf("Get(%q) = %q, %v; want %q", key, v, err, want)
	}
}

func TestPutGetReopen(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		db := open(aegis.Options{})
		must(t, db.Put(ctx, []byte("a"), []byte("1")))
		must(t, db.Put(ctx, []byte("empty"), nil))
		must(t, db.Put(ctx, []byte("gone"), []byte("x")))
		must(t, db.Delete(ctx, []byte("gone")))
		for range 2 {
			wantGet(t, db, "a", "1")
			wantGet(t, db, "empty", "")
			if _, err := db.Get(ctx, []byte("gone")); !errors.Is(err, aegis.ErrNotFound) {
				t.Fatalf("deleted key: %v", err)
			}
			must(t, db.Verify(ctx, nil))
			must(t, db.Close())
			db = open(aegis.Options{})
		}
	})
}

func TestManyKeysThroughCheckpointsAndCompact(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := aegis.Limits{IndexBytes: 64 << 10, TableBytes: 32 << 10, SegmentBytes: 64 << 10, FirstSegment: 32 << 10}
		o := aegis.Options{Limits: &limits, Durability: aegis.NoSync}
		db := open(o)
		const n = 5000
		for i := range n {
			must(t, db.Put(ctx, fmt.Appendf(nil, "key%06d", i*7919%n), bytes.Repeat([]byte{byte(i)}, 50)))
		}
		check := func() {
			t.Helper()
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				i := 0
				for k := range tx.Range(nil, nil) {
					if want := fmt.Sprintf("key%06d", i); string(k) != want {
						return fmt.Errorf("entry %d is %q, want %q", i, k, want)
					}
					i++
				}
				if i != n {
					return fmt.Errorf("%d entries, want %d", i, n)
				}
				return nil
			}))
			for i := range n {
				if _, err := db.Get(ctx, fmt.Appendf(nil, "key%06d", i)); err != nil {
					t.Fatal(i, err)
				}
			}
		}
		check()
		must(t, db.Sync(ctx))
		must(t, db.Compact(ctx, nil))
		check()
		must(t, db.Verify(ctx, nil))
		must(t, db.Close())
		db = open(o)
		check()
	})
}

package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// entries yields n entries in order.
func entries(n int) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		k, v := make([]byte, 0, 16), make([]byte, 0, 64) // reused, as a caller may
		for i := range n {
			k = fmt.Appendf(k[:0], "%08d", i)
			v = bytes.Repeat(append(v[:0], byte(i)), i%50)
			if !yield(k, v) {
				return
			}
		}
	}
}

func wantEntries(t *testing.T, db *aegis.DB, name string, n int) {
	t.Helper()
	got, err := contents(db, name)
	if want := collect(entries(n)); err != nil || !slices.Equal(got, want) {
		t.Errorf("keyspace %q holds %d entries, %v; want %d", name, len(got), err, n)
	}
}

func tables(t *testing.T, db *aegis.DB) int {
	t.Helper()
	s, err := db.Stats(ctx)
	must(t, err)
	return s.Tables.Tables
}

func TestBulkLoad(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := tiny()
		o := aegis.Options{Limits: &limits}
		db := open(o)
		must(t, db.Put(ctx, b("beside"), b("1")))
		for _, n := range []int{0, 1, 5000} {
			name := fmt.Sprint("bulk", n)
			r, err := db.BulkLoad(ctx, name, aegis.KeyspaceOptions{Compression: aegis.Zstd}, entries(n))
			must(t, err)
			var raw int64
			for _, p := range collect(entries(n)) {
				raw += int64(len(p.key) + len(p.value))
			}
			if r.Entries != uint64(n) || r.RawBytes != raw || (r.StoredBytes > 0) != (n > 0) || (r.Tables > 0) != (n > 0) || n == 5000 && r.Tables < 10 {
				t.Errorf("%d entries, %d raw bytes: %+v", n, raw, r)
			}
			wantEntries(t, db, name, n)
			_, err = db.BulkLoad(ctx, name, aegis.KeyspaceOptions{}, entries(1))
			wantErr(t, "the name is taken", err, aegis.ErrKeyspaceExists)
		}
		must(t, db.Verify(ctx, nil))
		want := collect(entries(5000))
		inKeyspace(t, db, "bulk5000", func(k *aegis.Keyspace) error { // normal writes over it
			must(t, k.Delete([]byte(want[10].key)))
			must(t, k.Put([]byte(want[20].key), b("changed")))
			want[20].value = "changed"
			want = slices.Delete(want, 10, 11)
			want = append(want, pair{"zzz", "new"})
			return k.Put(b("zzz"), b("new"))
		})
		for range 2 {
			wantContents(t, db, "bulk5000", want...)
			must(t, db.Compact(ctx, nil))
			wantContents(t, db, "bulk5000", want...)
			must(t, db.Verify(ctx, nil))
			must(t, db.Close())
			db = open(o)
		}
		wantEntries(t, db, "bulk1", 1)
		wantEntries(t, db, "bulk0", 0)
		wantGet(t, db, "beside", "1")
	})
}

// TestBulkLoadFails: an entry that cannot be stored is named, nothing appears, no table is left,
// and the name is free.
func TestBulkLoadFails(t *testing.T) {
	with := func(at int, k, v []byte) iter.Seq2[[]byte, []byte] {
		return func(yield func(k, v []byte) bool) {
			i := 0
			for ek, ev := range entries(300) {
				if i == at {
					ek, ev = k, v
				}
				if i++; !yield(ek, ev) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		name string
		seq  iter.Seq2[[]byte, []byte]
		says string
		is   error
	}{
		{"a key twice", with(123, b("00000122"), nil), "entry 123", nil},
		{"a key too early", with(200, b("0"), nil), "entry 200", nil},
		{"the empty key later", with(1, nil, nil), "entry 1:", nil},
		{"a key too long", with(250, bytes.Repeat(b("9"), aegis.MaxKeyBytes+1), nil), "entry 250", aegis.ErrTooLarge},
		{"a value too long", with(50, b("000000495"), make([]byte, aegis.MaxValueBytes+1)), "entry 50", aegis.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			limits := tiny()
			backend := backends.NewMemory()
			db := open(t, "", aegis.Options{Backend: backend, Limits: &limits})
			must(t, db.Compact(ctx, nil))
			before := tables(t, db)
			_, err := db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, c.seq)
			if err == nil || !strings.Contains(err.Error(), c.says) || (c.is != nil && !errors.Is(err, c.is)) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			_, err = contents(db, "bulk")
			wantErr(t, "the keyspace", err, aegis.ErrNotFound)
			must(t, db.Compact(ctx, nil))
			if after := tables(t, db); after > before+1 { // one for the catalog's counter
				t.Errorf("%d tables are left, before %d", after, before)
			}
			_, err = db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, entries(300))
			must(t, err)
			wantEntries(t, db, "bulk", 300)
			must(t, db.Close())
			leftovers(t, backend, limits)
		})
	}
}

// leftovers fails if there are files that Open has to remove.
func leftovers(t *testing.T, backend backends.Backend, limits aegis.Limits) {
	t.Helper()
	db := open(t, "", aegis.Options{Backend: backend, Limits: &limits})
	s, err := db.Stats(ctx)
	must(t, err)
	if s.Recovery.Orphans != 0 {
		t.Errorf("%d files were left behind", s.Recovery.Orphans)
	}
}

// TestBulkLoadCancelled: the context is looked at while entries come.
func TestBulkLoadCancelled(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	bounded, cancel := context.WithCancel(ctx)
	n := 0
	_, err := db.BulkLoad(bounded, "bulk", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for k, v := range entries(1_000_000) {
			if n++; n == 10 {
				cancel()
			}
			if !yield(k, v) {
				return
			}
		}
	})
	wantErr(t, "BulkLoad", err, context.Canceled)
	if n > 10_000 {
		t.Errorf("it took %d entries more", n)
	}
	_, err = contents(db, "bulk")
	wantErr(t, "the keyspace", err, aegis.ErrNotFound)
}

// TestBulkLoadPanics: a panic of the caller's sequence comes through, and the store goes on.
func TestBulkLoadPanics(t *testing.T) {
	limits := tiny()
	backend := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: backend, Limits: &limits})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
			entries(500)(yield)
			panic("the caller's")
		})
	}()
	_, err := contents(db, "bulk")
	wantErr(t, "the keyspace", err, aegis.ErrNotFound)
	must(t, db.Put(ctx, b("a"), b("1")))
	must(t, db.Close())
	leftovers(t, backend, limits)
}

// TestBulkLoadsAtOnce: of loads with one name exactly one wins, those with other names all do,
// beside writers and readers.
func TestBulkLoadsAtOnce(t *testing.T) {
	limits := tiny()
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Limits: &limits, Durability: aegis.NoSync})
	var group errgroup.Group
	won := make([]bool, 8)
	for i := range won {
		group.Go(func() error {
			name := "same"
			if i%2 == 0 {
				name = fmt.Sprint("own", i)
			}
			_, err := db.BulkLoad(ctx, name, aegis.KeyspaceOptions{}, entries(300+i))
			won[i] = err == nil
			if i%2 == 1 && errors.Is(err, aegis.ErrKeyspaceExists) {
				return nil
			}
			return err
		})
	}
	group.Go(func() error {
		for i := range 300 {
			if err := db.Put(ctx, []byte{byte(i)}, make([]byte, 50)); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, group.Wait())
	winners := 0
	for i, w := range won {
		if i%2 == 0 {
			wantEntries(t, db, fmt.Sprint("own", i), 300+i)
		} else if w {
			winners++
			wantEntries(t, db, "same", 300+i)
		}
	}
	if winners != 1 {
		t.Errorf("%d loads of one name won", winners)
	}
	must(t, db.Compact(ctx, nil))
	must(t, db.Verify(ctx, nil))
}

// TestBulkLoadIsDurable: when it returns, also without a log and with NoSync: a store that is
// opened from the files as they are has it.
func TestBulkLoadIsDurable(t *testing.T) {
	for _, o := range []aegis.Options{{}, {Durability: aegis.NoSync}, {DisableWAL: true}} {
		o.Backend = backends.NewMemory()
		db := open(t, "", o)
		_, err := db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, entries(100))
		must(t, err)
		files := o.Backend
		o.Backend = copyFiles(t, files)
		wantEntries(t, open(t, "", o), "bulk", 100)
	}
}

// copyFiles is the state that a process leaves that is killed now. The store must be idle.
func copyFiles(t *testing.T, from backends.Backend) *backends.Memory {
	t.Helper()
	to := backends.NewMemory()
	files, err := from.List()
	must(t, err)
	for _, info := range files {
		f, err := from.Open(info.Name)
		must(t, err)
		p := make([]byte, info.Size)
		_, err = f.ReadAt(p, 0)
		must(t, err)
		g, err := to.Create(info.Name)
		must(t, err)
		_, err = g.WriteAt(p, 0)
		must(t, err)
		must(t, errors.Join(f.Close(), g.Close()))
	}
	return to
}

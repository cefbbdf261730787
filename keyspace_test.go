package aegis_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// inKeyspace runs fn on a keyspace in an update.
func inKeyspace(t testing.TB, db *aegis.DB, name string, fn func(k *aegis.Keyspace) error) {
	t.Helper()
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace(name)
		if errors.Is(err, aegis.ErrNotFound) {
			k, err = tx.CreateKeyspace(name, aegis.KeyspaceOptions{})
		}
		if err != nil {
			return err
		}
		return fn(k)
	}))
}

// contents are the entries of a keyspace, or why it cannot be had.
func contents(db *aegis.DB, name string) (got []pair, err error) {
	err = db.View(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace(name)
		if err == nil {
			got = collect(k.Range(nil, nil))
		}
		return err
	})
	return got, err
}

func wantContents(t *testing.T, db *aegis.DB, name string, want ...pair) {
	t.Helper()
	got, err := contents(db, name)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("keyspace %q holds %q, %v; want %q", name, got, err, want)
	}
}

// TestKeyspacesAreApart: one transaction writes the same keys into several keyspaces; each has
// its own, whatever the keys.
func TestKeyspacesAreApart(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		names := []string{"a", "b", strings.Repeat("n", aegis.MaxKeyspaceName), "\x00\xff", "catalog"}
		keys := []string{"", "\x00", "a", "\xff", "\xff\xff\xff\xff\xff"}
		db := open(aegis.Options{})
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for _, name := range append(names, aegis.DefaultKeyspaceName) {
				k, err := tx.CreateKeyspace(name, aegis.KeyspaceOptions{})
				if name == aegis.DefaultKeyspaceName {
					wantErr(t, "create default", err, aegis.ErrKeyspaceExists)
					k, err = tx.Keyspace(name)
				}
				must(t, err)
				if k.Name() != name {
					t.Errorf("%q is named %q", name, k.Name())
				}
				for _, key := range keys {
					must(t, k.Put([]byte(key), []byte(name+key)))
				}
			}
			return nil
		}))
		for range 2 {
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				list, err := tx.Keyspaces()
				must(t, err)
				var got []string
				for _, info := range list {
					got = append(got, info.Name)
				}
				if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
					t.Errorf("Keyspaces = %q, want %q", got, want)
				}
				return nil
			}))
			for _, name := range append(names, aegis.DefaultKeyspaceName) {
				var want []pair
				for _, key := range keys {
					want = append(want, pair{key, name + key})
				}
				wantContents(t, db, name, want...)
			}
			wantGet(t, db, "a", "defaulta")
			must(t, db.Compact(ctx, nil))
			must(t, db.Close())
			db = open(aegis.Options{})
		}
	})
}

func TestKeyspaceNames(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		for _, name := range []string{"", strings.Repeat("n", aegis.MaxKeyspaceName+1)} {
			if _, err := tx.CreateKeyspace(name, aegis.KeyspaceOptions{}); err == nil {
				t.Errorf("a name of %d bytes was taken", len(name))
			}
			_, err := tx.Keyspace(name)
			wantErr(t, "Keyspace", err, aegis.ErrNotFound)
		}
		if err := tx.DropKeyspace(aegis.DefaultKeyspaceName); err == nil {
			t.Error("the default keyspace was dropped")
		}
		wantErr(t, "drop", tx.DropKeyspace("nothing"), aegis.ErrNotFound)
		_, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
		must(t, err)
		_, err = tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
		wantErr(t, "create twice", err, aegis.ErrKeyspaceExists)
		for _, o := range []aegis.KeyspaceOptions{{Compression: 7}, {CompressionLevel: 1}, {Compression: aegis.Zstd, CompressionLevel: 5}} {
			if _, err := tx.CreateKeyspace("bad", o); err == nil {
				t.Errorf("%+v was taken", o)
			}
		}
		return nil
	}))
}

// TestDropAndRecreate: in one transaction and over several, with handles of before.
func TestDropAndRecreate(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := tiny()
		db := open(aegis.Options{Limits: &limits})
		inKeyspace(t, db, "k", func(k *aegis.Keyspace) error { return k.Put(b("a"), b("1")) })
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			old, err := tx.Keyspace("k")
			must(t, err)
			must(t, old.Put(b("b"), b("own write")))
			must(t, tx.DropKeyspace("k"))
			wantErr(t, "put into the dropped", old.Put(b("c"), nil), aegis.ErrNotFound)
			_, err = old.Get(b("a"))
			wantErr(t, "get of the dropped", err, aegis.ErrNotFound)
			wantErr(t, "drop again", tx.DropKeyspace("k"), aegis.ErrNotFound)
			fresh, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
			must(t, err)
			if n := drain(fresh.Range(nil, nil)); n != 0 {
				t.Errorf("the fresh keyspace has %d entries", n)
			}
			wantErr(t, "put through the old handle", old.Put(b("c"), nil), aegis.ErrNotFound)
			return fresh.Put(b("a"), b("2"))
		}))
		for range 2 {
			wantContents(t, db, "k", pair{"a", "2"})
			must(t, db.Compact(ctx, nil))
			wantContents(t, db, "k", pair{"a", "2"})
			must(t, db.Close())
			db = open(aegis.Options{Limits: &limits})
		}
		must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("k") }))
		_, err := contents(db, "k")
		wantErr(t, "the dropped keyspace", err, aegis.ErrNotFound)
		inKeyspace(t, db, "k", func(k *aegis.Keyspace) error { return k.Put(b("z"), b("3")) })
		wantContents(t, db, "k", pair{"z", "3"})
	})
}

// TestDroppedHandleInLoop: a loop over a dropped keyspace yields nothing and fails.
func TestDroppedHandleInLoop(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	inKeyspace(t, db, "k", func(k *aegis.Keyspace) error { return k.Put(b("a"), b("1")) })
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	k, err := tx.Keyspace("k")
	must(t, err)
	must(t, tx.DropKeyspace("k"))
	if n := drain(k.Range(nil, nil)); n != 0 {
		t.Errorf("%d entries", n)
	}
	wantErr(t, "Err", tx.Err(), aegis.ErrNotFound)
	wantErr(t, "Commit", tx.Commit(), aegis.ErrNotFound)
	wantContents(t, db, "k", pair{"a", "1"})
}

// TestWriterAgainstDrop: whoever writes into a keyspace that is dropped, or dropped and made
// again, meanwhile conflicts at every level; a reader goes on seeing it.
func TestWriterAgainstDrop(t *testing.T) {
	for _, level := range levels {
		for _, again := range []bool{false, true} {
			for _, flush := range []bool{false, true} {
				db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
				inKeyspace(t, db, "k", func(k *aegis.Keyspace) error { return k.Put(b("a"), b("1")) })
				begin := func(o aegis.TxOptions) (*aegis.Tx, *aegis.Keyspace) {
					tx, err := db.Begin(ctx, o)
					must(t, err)
					k, err := tx.Keyspace("k")
					must(t, err)
					return tx, k
				}
				writer, k := begin(aegis.TxOptions{Isolation: level})
				reader, seen := begin(aegis.TxOptions{ReadOnly: true, Isolation: level})
				must(t, k.Put(b("lost"), b("x")))
				must(t, db.Update(ctx, func(tx *aegis.Tx) error {
					err := tx.DropKeyspace("k")
					if again {
						_, err = tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
					}
					return err
				}))
				if flush {
					must(t, db.Compact(ctx, nil))
				}
				wantErr(t, levelNames[level], writer.Commit(), aegis.ErrConflict)
				if got := collect(seen.Range(nil, nil)); !slices.Equal(got, []pair{{"a", "1"}}) {
					t.Errorf("the reader sees %q", got)
				}
				must(t, reader.Commit())
				if again {
					wantContents(t, db, "k")
				}
			}
		}
	}
}

// TestCreateConflicts: two transactions that create keyspaces cannot both win, as both count
// the ids up, and a retry finds the other's keyspace.
func TestCreateConflicts(t *testing.T) {
	for _, level := range levels {
		db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
		var txs []*aegis.Tx
		for _, name := range []string{"k", "k", "other"} {
			tx, err := db.Begin(ctx, aegis.TxOptions{Isolation: level})
			must(t, err)
			k, err := tx.CreateKeyspace(name, aegis.KeyspaceOptions{})
			must(t, err)
			must(t, k.Put(b(fmt.Sprint(len(txs))), nil))
			txs = append(txs, tx)
		}
		must(t, txs[0].Commit())
		wantErr(t, "the same name", txs[1].Commit(), aegis.ErrConflict)
		wantErr(t, "another name", txs[2].Commit(), aegis.ErrConflict)
		wantContents(t, db, "k", pair{"0", ""})
	}
}

// TestDroppedSpaceComesBack: after Compact nothing of a dropped keyspace is left in tables.
func TestDroppedSpaceComesBack(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		limits := aegis.Limits{IndexBytes: 128 << 10, TableBytes: 64 << 10}
		db := open(aegis.Options{Limits: &limits, Durability: aegis.NoSync})
		for i := range 200 {
			for _, name := range []string{"big", "small"} {
				inKeyspace(t, db, name, func(k *aegis.Keyspace) error {
					n := 10
					if name == "big" {
						n = 5000
					}
					return k.Put(fmt.Appendf(nil, "%06d", i), noise(n, uint64(i)))
				})
			}
		}
		must(t, db.Compact(ctx, nil))
		before, err := db.Stats(ctx)
		must(t, err)
		must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("big") }))
		must(t, db.Compact(ctx, nil))
		after, err := db.Stats(ctx)
		must(t, err)
		if before.Tables.Bytes < 1_000_000 || after.Tables.Bytes > 50_000 {
			t.Errorf("table bytes: %d before, %d after", before.Tables.Bytes, after.Tables.Bytes)
		}
		if got, err := contents(db, "small"); err != nil || len(got) != 200 {
			t.Errorf("the other keyspace has %d entries, %v", len(got), err)
		}
		must(t, db.Verify(ctx, nil))
		must(t, db.Close())
		db = open(aegis.Options{Limits: &limits})
		if s, err := db.Stats(ctx); err != nil || s.Tables.Bytes > 50_000 {
			t.Errorf("table bytes after reopen: %d, %v", s.Tables.Bytes, err)
		}
	})
}

// TestKeyspaceCompression: each keyspace is stored with its own, through flushes and merges, and
// says which.
func TestKeyspaceCompression(t *testing.T) {
	size := map[aegis.Compression]int64{}
	for _, c := range []aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd} {
		db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Compression: aegis.NoCompression})
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			k, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{Compression: c})
			must(t, err)
			if _, err = tx.CreateKeyspace("as the store", aegis.KeyspaceOptions{}); err != nil {
				return err
			}
			for i := range 2000 {
				must(t, k.Put(fmt.Appendf(nil, "%06d", i*7919%2000), bytes.Repeat(fmt.Appendf(nil, "%d and so on ", i), 8)))
			}
			return nil
		}))
		for range 2 { // by the flush, and by the merge
			must(t, db.Checkpoint(ctx))
			s, err := db.Stats(ctx)
			must(t, err)
			size[c] = s.Tables.Bytes
			must(t, db.Compact(ctx, nil))
		}
		must(t, db.View(ctx, func(tx *aegis.Tx) error {
			list, err := tx.Keyspaces()
			k := aegis.KeyspaceInfo{Name: "k", Compression: c}
			if c == aegis.Zstd {
				k.CompressionLevel = 1
			}
			if want := []aegis.KeyspaceInfo{{Name: "as the store", Compression: aegis.NoCompression}, k}; !slices.Equal(list, want) {
				t.Errorf("Keyspaces = %v, want %v", list, want)
			}
			return err
		}))
	}
	if size[aegis.LZ4] > size[aegis.NoCompression]/2 || size[aegis.Zstd] >= size[aegis.LZ4] {
		t.Errorf("table bytes: none %d, lz4 %d, zstd %d", size[aegis.NoCompression], size[aegis.LZ4], size[aegis.Zstd])
	}
}

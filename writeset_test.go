package aegis

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/backends"
)

// TestWriteSet: own writes of a transaction, few and many, replaced, deleted and forgotten, read as a
// map does, by key and in order; slices that were given out stay as they are; and the store has the
// same after the commit.
func TestWriteSet(t *testing.T) {
	db, err := Open("", &Options{Backend: backends.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, n := context.Background(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		name, m := fmt.Sprintf("space-%d", n), &writeSetModel{values: map[string]string{}}
		err := db.Update(ctx, func(tx *Tx) error {
			k, err := tx.CreateKeyspace(name, KeyspaceOptions{})
			if err != nil {
				return err
			}
			return m.run(t, k)
		})
		if err != nil {
			t.Fatal(err)
		}
		// Another transaction may get the memory of this one.
		for n := 8; n < 60_000; n += n / 4 {
			if err := db.Put(ctx, []byte("other"), bytes.Repeat([]byte{'z'}, n)); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range m.kept {
			if string(v) != m.given[i] {
				t.Fatalf("a slice that was given out has changed to %q", v)
			}
		}
		err = db.View(ctx, func(tx *Tx) error {
			k, err := tx.Keyspace(name)
			if err == nil {
				m.compare(t, k)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// writeSetModel is what a transaction should see, and slices that it was given.
type writeSetModel struct {
	values map[string]string
	kept   [][]byte
	given  []string // what kept was then
}

// run does random operations on a keyspace in one transaction.
func (m *writeSetModel) run(t *rapid.T, k *Keyspace) (err error) {
	keys := rapid.SampledFrom([]int{3, 12, 200}).Draw(t, "keys")
	scans, once := rapid.Bool().Draw(t, "scans"), rapid.Bool().Draw(t, "each key once")
	for i := range rapid.IntRange(0, 4*keys).Draw(t, "writes") {
		key := fmt.Sprintf("k%03d", rapid.IntRange(0, keys-1).Draw(t, "key"))
		what := rapid.IntRange(0, 9).Draw(t, "what")
		if once && (what == 0 || what > 2 && m.values[key] != "") {
			what = 2
		}
		switch {
		case what == 0:
			delete(m.values, key)
			err = k.Delete([]byte(key))
		case what == 1 && scans:
			for _, v := range k.Range([]byte(key), nil) {
				m.keep(v)
				break
			}
			m.compare(t, k)
		case what == 2:
			v, err := k.Get([]byte(key))
			if (err == nil) != (m.values[key] != "") || string(v) != m.values[key] {
				t.Fatalf("%s is %q, %v; want %q", key, v, err, m.values[key])
			}
			m.keep(v)
		case what > 2:
			m.values[key] = fmt.Sprintf("v%d %s", i, bytes.Repeat([]byte{'x'}, i%7*rapid.IntRange(0, 3000).Draw(t, "size")))
			err = k.Put([]byte(key), []byte(m.values[key]))
		}
		if err != nil {
			return err
		}
	}
	if rapid.Bool().Draw(t, "compared") {
		m.compare(t, k)
	}
	return nil
}

func (m *writeSetModel) keep(v []byte) {
	m.kept, m.given = append(m.kept, v), append(m.given, string(v))
}

// compare walks the keyspace and looks every key up.
func (m *writeSetModel) compare(t *rapid.T, k *Keyspace) {
	n, last := 0, ""
	for key, v := range k.Range(nil, nil) {
		if string(key) <= last || string(v) != m.values[string(key)] || m.values[string(key)] == "" {
			t.Fatalf("%q after %q has %q, want %q", key, last, v, m.values[string(key)])
		}
		last = string(key)
		n++
	}
	if n != len(m.values) {
		t.Fatalf("%d keys, want %d", n, len(m.values))
	}
}

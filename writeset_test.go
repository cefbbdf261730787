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
		name := fmt.Sprintf("space-%d", n)
		model, given := map[string]string{}, map[string]string{}
		var kept [][]byte
		err := db.Update(ctx, func(tx *Tx) error {
			k, err := tx.CreateKeyspace(name, KeyspaceOptions{})
			if err != nil {
				return err
			}
			keys := rapid.SampledFrom([]int{3, 12, 200}).Draw(t, "keys")
			scans, once := rapid.Bool().Draw(t, "scans"), rapid.Bool().Draw(t, "each key once")
			for i := range rapid.IntRange(0, 4*keys).Draw(t, "writes") {
				key := fmt.Sprintf("k%03d", rapid.IntRange(0, keys-1).Draw(t, "key"))
				what := rapid.IntRange(0, 9).Draw(t, "what")
				if once && (what == 0 || what > 2 && model[key] != "") {
					what = 2
				}
				switch what {
				case 0:
					delete(model, key)
					if err := k.Delete([]byte(key)); err != nil {
						return err
					}
				case 1:
					if !scans {
						continue
					}
					for _, v := range k.Range([]byte(key), nil) {
						given[fmt.Sprint(len(kept))] = string(v)
						kept = append(kept, v)
						break
					}
					compare(t, k, model)
				case 2:
					if v, err := k.Get([]byte(key)); (err == nil) != (model[key] != "") || string(v) != model[key] {
						t.Fatalf("%s is %q, %v; want %q", key, v, err, model[key])
					} else if err == nil {
						given[fmt.Sprint(len(kept))] = string(v)
						kept = append(kept, v)
					}
				default:
					model[key] = fmt.Sprintf("v%d %s", i, bytes.Repeat([]byte{'x'}, i%7*rapid.IntRange(0, 3000).Draw(t, "size")))
					if err := k.Put([]byte(key), []byte(model[key])); err != nil {
						return err
					}
				}
			}
			if rapid.Bool().Draw(t, "compared") {
				compare(t, k, model)
			}
			return nil
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
		for i, v := range kept {
			if string(v) != given[fmt.Sprint(i)] {
				t.Fatalf("a slice that was given out has changed to %q", v)
			}
		}
		err = db.View(ctx, func(tx *Tx) error {
			k, err := tx.Keyspace(name)
			if err == nil {
				compare(t, k, model)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// compare walks the keyspace and looks every key up.
func compare(t *rapid.T, k *Keyspace, model map[string]string) {
	n, last := 0, ""
	for key, v := range k.Range(nil, nil) {
		if string(key) <= last || string(v) != model[string(key)] || model[string(key)] == "" {
			t.Fatalf("%q after %q has %q, want %q", key, last, v, model[string(key)])
		}
		last = string(key)
		n++
	}
	if n != len(model) {
		t.Fatalf("%d keys, want %d", n, len(model))
	}
}

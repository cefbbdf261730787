package aegis_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis"
)

// pair is one entry that a loop yields.
type pair struct{ key, value string }

func collect(seq iter.Seq2[[]byte, []byte]) (got []pair) {
	for k, v := range seq {
		got = append(got, pair{string(k), string(v)})
	}
	return got
}

// expect is what a loop over state must yield; nil bounds are open.
func expect(state map[string]string, lo, hi []byte, backward bool) (want []pair) {
	for _, k := range slices.Sorted(maps.Keys(state)) {
		if k >= string(lo) && (hi == nil || k < string(hi)) {
			want = append(want, pair{k, state[k]})
		}
	}
	if backward {
		slices.Reverse(want)
	}
	return want
}

func end(prefix []byte) []byte {
	for i := len(prefix); i > 0; i-- {
		if prefix[i-1] < 0xff {
			return append(bytes.Clone(prefix[:i-1]), prefix[i-1]+1)
		}
	}
	return nil
}

// layered is a store whose entries lie in several runs, frozen indexes and the active one, with
// what must be found in it.
type layered struct {
	t     *testing.T
	db    *aegis.DB
	hooks *hooks
	state map[string]string
	r     *rand.Rand
}

// key draws from a few hundred keys: the empty one, bytes 0x00 and 0xFF, keys that are prefixes
// of others, and long ones.
func (l *layered) key() []byte {
	k := bytes.Repeat([]byte{[...]byte{0, 'a', 'b', 0xff}[l.r.IntN(4)]}, l.r.IntN(4))
	switch l.r.IntN(6) {
	case 0:
		return k
	case 1:
		return append(append(k, bytes.Repeat([]byte("long"), 60)...), byte(l.r.IntN(8)))
	}
	return append(k, byte(l.r.IntN(16)), byte(l.r.IntN(4)))
}

func (l *layered) value() []byte {
	return bytes.Repeat([]byte{byte('A' + l.r.IntN(26))}, l.r.IntN(60)*l.r.IntN(20)/10)
}

func newLayered(t *testing.T, seed uint64) *layered {
	limits := tiny()
	limits.FanIn, limits.MaxRuns = 6, 24
	l := &layered{t: t, hooks: newHooks(), state: map[string]string{}, r: rand.New(rand.NewPCG(seed, 1))}
	l.db = open(t, "", aegis.Options{Backend: l.hooks, Limits: &limits, Durability: aegis.NoSync})
	for i := range 600 {
		k, v := l.key(), l.value()
		if l.r.IntN(4) == 0 {
			delete(l.state, string(k))
			must(t, l.db.Delete(ctx, k))
		} else {
			l.state[string(k)] = string(v)
			must(t, l.db.Put(ctx, k, v))
		}
		if i == 200 {
			must(t, l.db.Compact(ctx, nil))
		}
	}
	return l
}

// write makes some writes of tx's own and returns what it sees then.
func (l *layered) write(tx *aegis.Tx, n int) map[string]string {
	sees := maps.Clone(l.state)
	for range n {
		k, v := l.key(), l.value()
		if l.r.IntN(3) == 0 {
			delete(sees, string(k))
			must(l.t, tx.Delete(k))
		} else {
			sees[string(k)] = string(v)
			must(l.t, tx.Put(k, v))
		}
	}
	return sees
}

func (l *layered) bound() []byte {
	switch l.r.IntN(6) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return l.key()
}

// TestIterators: loops of every kind against a sorted map, over own writes, indexes and runs.
func TestIterators(t *testing.T) {
	for seed := range uint64(4) {
		l := newLayered(t, seed)
		for _, o := range []aegis.TxOptions{{ReadOnly: true}, {}, {Isolation: aegis.ReadCommitted}} {
			tx, err := l.db.Begin(ctx, o)
			must(t, err)
			sees := l.state
			if !o.ReadOnly {
				sees = l.write(tx, 200)
			}
			for range 300 {
				l.loops(tx, sees)
			}
			must(t, tx.Rollback())
		}
		must(t, l.db.Close())
	}
}

func (l *layered) loops(tx *aegis.Tx, sees map[string]string) {
	l.t.Helper()
	lo, hi, prefix := l.bound(), l.bound(), l.bound()
	what := fmt.Sprintf("lo %q, hi %q, prefix %q", lo, hi, prefix)
	for name, c := range map[string]struct {
		seq  iter.Seq2[[]byte, []byte]
		want []pair
	}{
		"Range":          {tx.Range(lo, hi), expect(sees, lo, hi, false)},
		"RangeBackward":  {tx.RangeBackward(lo, hi), expect(sees, lo, hi, true)},
		"Prefix":         {tx.Prefix(prefix), expect(sees, prefix, end(prefix), false)},
		"PrefixBackward": {tx.PrefixBackward(prefix), expect(sees, prefix, end(prefix), true)},
	} {
		stop := l.r.IntN(20)
		for range 2 { // a sequence can be looped over twice
			if got := collect(c.seq); !slices.Equal(got, c.want) {
				l.t.Fatalf("%s, %s:\n got %q\nwant %q", name, what, got, c.want)
			}
		}
		var some []pair
		for k, v := range c.seq {
			if len(some) == stop {
				break
			}
			some = append(some, pair{string(k), string(v)})
		}
		if want := c.want[:min(stop, len(c.want))]; !slices.Equal(some, want) {
			l.t.Fatalf("%s, %s, stopped after %d:\n got %q\nwant %q", name, what, stop, some, want)
		}
	}
	must(l.t, tx.Err())
	k := l.key()
	v, err := tx.Get(k)
	if want, ok := sees[string(k)]; ok != (err == nil) || string(v) != want {
		l.t.Fatalf("Get(%q) = %q, %v; want %q, %t", k, v, err, want, ok)
	}
}

// TestWriteWhileIterating: a loop sees the state at its beginning, whatever its body writes; the
// next one sees that.
func TestWriteWhileIterating(t *testing.T) {
	for seed := range uint64(6) {
		l := newLayered(t, seed)
		tx, err := l.db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		sees := l.write(tx, 100)
		for _, backward := range []bool{false, true} {
			loop := tx.Range(nil, nil)
			if backward {
				loop = tx.RangeBackward(nil, nil)
			}
			before := expect(sees, nil, nil, backward)
			var got []pair
			for k, v := range loop {
				got = append(got, pair{string(k), string(v)})
				switch l.r.IntN(5) {
				case 0: // what bbolt #146 skips: the entry that the loop stands on
					must(t, tx.Delete(k))
					delete(sees, string(k))
				case 1: // just behind and just before it
					after := append(bytes.Clone(k), 0)
					must(t, tx.Put(after, []byte("new")))
					sees[string(after)] = "new"
				case 2: // somewhere
					k := l.key()
					must(t, tx.Delete(k))
					delete(sees, string(k))
				case 3:
					must(t, tx.Put(k, []byte("changed")))
					sees[string(k)] = "changed"
				}
			}
			if !slices.Equal(got, before) {
				t.Fatalf("backward %t: the loop saw its own writes:\n got %q\nwant %q", backward, got, before)
			}
			if after := collect(tx.Range(nil, nil)); !slices.Equal(after, expect(sees, nil, nil, false)) {
				t.Fatalf("backward %t: the next loop got %q", backward, after)
			}
		}
		must(t, tx.Commit())
		must(t, l.db.View(ctx, func(tx *aegis.Tx) error {
			if got := collect(tx.Range(nil, nil)); !slices.Equal(got, expect(sees, nil, nil, false)) {
				t.Fatalf("committed is %q", got)
			}
			return nil
		}))
	}
}

// TestNestedLoops: loops within loops do not disturb each other, with writes and others'
// commits in between.
func TestNestedLoops(t *testing.T) {
	l := newLayered(t, 9)
	tx, err := l.db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	sees := l.write(tx, 50)
	want := expect(sees, nil, nil, false)
	i := 0
	for k := range tx.Range(nil, nil) {
		if want[i].key != string(k) {
			t.Fatalf("entry %d is %q, want %q", i, k, want[i].key)
		}
		if i++; i%10 != 0 {
			continue
		}
		lo, hi := l.key(), l.key()
		if got := collect(tx.RangeBackward(lo, hi)); !slices.Equal(got, expect(sees, lo, hi, true)) {
			t.Fatalf("the inner loop got %q", got)
		}
		must(t, l.db.Put(ctx, l.key(), []byte("another's")))
	}
	if i != len(want) {
		t.Errorf("%d entries, want %d", i, len(want))
	}
}

// TestReadCommittedLoop: each loop sees what is committed when it begins.
func TestReadCommittedLoop(t *testing.T) {
	l := newLayered(t, 5)
	tx, err := l.db.Begin(ctx, aegis.TxOptions{Isolation: aegis.ReadCommitted})
	must(t, err)
	for range 5 {
		want := expect(l.state, nil, nil, false)
		var got []pair
		for k, v := range tx.Range(nil, nil) {
			got = append(got, pair{string(k), string(v)})
			k, v := l.key(), l.value()
			must(t, l.db.Put(ctx, k, v))
			l.state[string(k)] = string(v)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("a loop is not one state:\n got %q\nwant %q", got, want)
		}
	}
}

// TestCommitInLoop: a loop whose transaction ends does not go on, and says so.
func TestCommitInLoop(t *testing.T) {
	for name, finish := range map[string]func(tx *aegis.Tx) error{"Commit": (*aegis.Tx).Commit, "Rollback": (*aegis.Tx).Rollback} {
		l := newLayered(t, 3)
		tx, err := l.db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		must(t, tx.Put(b("by the loop"), nil))
		n := 0
		for range tx.Range(nil, nil) {
			if n++; n == 5 {
				must(t, finish(tx))
			}
		}
		if n != 5 {
			t.Errorf("%s: %d entries, want 5", name, n)
		}
		wantErr(t, name+" in a loop", tx.Err(), aegis.ErrTxDone)
		_, err = l.db.Get(ctx, b("by the loop"))
		if (name == "Commit") != (err == nil) {
			t.Errorf("%s in a loop: %v", name, err)
		}
	}
}

// TestIteratorFailure: the one rule for errors. A read that fails ends the loop early, Err keeps
// it, and everything that would commit refuses with it.
func TestIteratorFailure(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, backward := range []bool{false, true} {
		for _, after := range []int{0, 1, 5, 20} {
			t.Run(fmt.Sprintf("backward %t, %d reads", backward, after), func(t *testing.T) {
				l := newLayered(t, 2)
				must(t, l.db.Compact(ctx, nil))
				must(t, l.db.Close())
				left := after
				l.db = open(t, "", aegis.Options{Backend: l.hooks})
				loop := func(tx *aegis.Tx) int {
					if backward {
						return drain(tx.RangeBackward(nil, nil))
					}
					return drain(tx.Range(nil, nil))
				}
				l.hooks.onRead(func(string) error {
					if left--; left < 0 {
						return broken
					}
					return nil
				})
				tx, err := l.db.Begin(ctx, aegis.TxOptions{})
				must(t, err)
				must(t, tx.Put(b("k"), b("v")))
				if n := loop(tx); n >= len(l.state) {
					t.Fatalf("the loop saw all %d entries", n)
				}
				wantErr(t, "Err", tx.Err(), broken)
				wantErr(t, "Commit", tx.Commit(), broken)
				for name, run := range map[string]func(fn func(*aegis.Tx) error) error{
					"Update": func(fn func(*aegis.Tx) error) error { return l.db.Update(ctx, fn) },
					"View":   func(fn func(*aegis.Tx) error) error { return l.db.View(ctx, fn) },
				} {
					wantErr(t, name, run(func(tx *aegis.Tx) error { loop(tx); return nil }), broken)
				}
				l.hooks.onRead(func(string) error { return nil })
				must(t, l.db.View(ctx, func(tx *aegis.Tx) error { // a failed load is not remembered
					if n := loop(tx); n != len(l.state) {
						t.Errorf("%d entries after the disk came back, want %d", n, len(l.state))
					}
					_, err := tx.Get(b("k"))
					wantErr(t, "what was not committed", err, aegis.ErrNotFound)
					return nil
				}))
			})
		}
	}
}

// TestGetFailure: a failed read is neither an absence nor forgotten.
func TestGetFailure(t *testing.T) {
	broken := errors.New("the disk is broken")
	h := newHooks()
	db := open(t, "", aegis.Options{Backend: h})
	must(t, db.Put(ctx, b("k"), b("v")))
	must(t, db.Close())
	db = open(t, "", aegis.Options{Backend: h})
	h.onRead(func(string) error { return broken })
	_, err := db.Get(ctx, b("k"))
	wantErr(t, "DB.Get", err, broken)
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	_, err = tx.Get(b("k"))
	wantErr(t, "Tx.Get", err, broken)
	h.onRead(func(string) error { return nil })
	must(t, tx.Put(b("k2"), nil))
	wantErr(t, "Commit", tx.Commit(), broken)
	wantGet(t, db, "k", "v")
}

// TestSlicesOfLoops: what a loop yields stays as it is, and appending to it copies.
func TestSlicesOfLoops(t *testing.T) {
	l := newLayered(t, 4)
	must(t, l.db.View(ctx, func(tx *aegis.Tx) error {
		type raw struct{ k, v []byte }
		var kept []raw
		for k, v := range tx.Range(nil, nil) {
			kept = append(kept, raw{k, v})
			_ = append(append(k, "xxxx"...), append(v, "yyyy"...)...)
		}
		for range 200 {
			must(t, l.db.Put(ctx, l.key(), []byte("overwritten")))
		}
		must(t, l.db.Compact(ctx, nil))
		var got []pair
		for _, e := range kept {
			got = append(got, pair{string(e.k), string(e.v)})
		}
		if !slices.Equal(got, expect(l.state, nil, nil, false)) {
			t.Error("slices changed after the loop")
		}
		return nil
	}))
}

package propertytests

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/aegis-storage/aegis"
)

// A history of transactions that append to lists and read them, checked like Elle does (Kingsbury
// and Alvaro, 2020): the lists tell in which order their elements were appended, which gives an
// edge between two transactions wherever one must come before the other. Each kind of anomaly
// is a cycle.

// step is one operation of a transaction: an append of its element, or a read of a list.
type step struct {
	key     int
	element uint32 // appended; zero: a read
	read    []uint32
}

// txn is a committed transaction. began and ended are readings of one logical clock: whoever ended
// before another one began comes before it.
type txn struct {
	steps        []step
	began, ended int
}

// check returns nil if the transactions are strictly serializable, given the final lists.
func check(history []txn, final map[int][]uint32) error {
	writer := map[uint32]int{}
	for i, x := range history {
		for _, s := range x.steps {
			if s.element != 0 {
				writer[s.element] = i
			}
		}
	}
	after := make([]map[int]string, len(history))
	edge := func(from, to int, why string) {
		if from != to {
			if after[from] == nil {
				after[from] = map[int]string{}
			}
			after[from][to] = why
		}
	}
	for key, list := range final {
		for i, e := range list {
			if _, ok := writer[e]; !ok {
				return fmt.Errorf("list %d has %d, which nobody committed", key, e)
			}
			if i > 0 {
				edge(writer[list[i-1]], writer[e], "ww")
			}
		}
	}
	seen := map[uint32]bool{}
	for _, list := range final {
		for _, e := range list {
			if seen[e] {
				return fmt.Errorf("%d was appended twice", e)
			}
			seen[e] = true
		}
	}
	for e, i := range writer {
		if !seen[e] {
			return fmt.Errorf("transaction %d appended %d, which is lost", i, e)
		}
	}
	for i, x := range history {
		for _, s := range x.steps {
			if s.element != 0 {
				continue
			}
			list := final[s.key]
			if n := len(s.read); n > len(list) || !slices.Equal(s.read, list[:n]) {
				return fmt.Errorf("transaction %d read %v of list %d, which became %v", i, s.read, s.key, list)
			} else if n > 0 {
				edge(writer[list[n-1]], i, "wr")
			}
			if n := len(s.read); n < len(list) {
				edge(i, writer[list[n]], "rw")
			}
		}
		for j := range history {
			if x.ended < history[j].began {
				edge(i, j, "time")
			}
		}
	}
	return cycle(after)
}

// cycle returns an error that shows one, nil if there is none.
func cycle(after []map[int]string) error {
	const unseen, open, done = 0, 1, 2
	mark := make([]int, len(after))
	var path []int
	var visit func(i int) error
	visit = func(i int) error {
		mark[i], path = open, append(path, i)
		for j, why := range after[i] {
			switch mark[j] {
			case open:
				var text strings.Builder
				from := slices.Index(path, j)
				for n, k := range path[from:] {
					next := j
					if from+n+1 < len(path) {
						next = path[from+n+1]
					}
					fmt.Fprintf(&text, "%d -%s-> ", k, after[k][next])
				}
				return fmt.Errorf("cycle: %s%d (%s)", text.String(), j, why)
			case unseen:
				if err := visit(j); err != nil {
					return err
				}
			}
		}
		mark[i], path = done, path[:len(path)-1]
		return nil
	}
	for i := range after {
		if mark[i] == unseen {
			if err := visit(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestChecker: what the checker must find, and what it must let pass.
func TestChecker(t *testing.T) {
	add := func(key int, e uint32) step { return step{key: key, element: e} }
	read := func(key int, list ...uint32) step { return step{key: key, read: list} }
	at := func(time int, steps ...step) txn { return txn{steps, time, time} }
	for _, c := range []struct {
		name    string
		history []txn
		final   map[int][]uint32
		bad     bool
	}{
		{"one after the other", []txn{at(1, read(1), add(1, 7)), at(2, read(1, 7), add(1, 8))}, map[int][]uint32{1: {7, 8}}, false},
		{"at the same time", []txn{at(1, read(1), add(2, 7)), at(1, read(1, 8), add(1, 9)), at(1, add(1, 8))}, map[int][]uint32{1: {8, 9}, 2: {7}}, false},
		{"lost", []txn{at(1, add(1, 7)), at(1, add(1, 8))}, map[int][]uint32{1: {8}}, true},
		{"aborted read", []txn{at(1, read(1, 9))}, map[int][]uint32{1: {9}}, true},
		{"not a prefix", []txn{at(1, add(1, 7)), at(1, add(1, 8)), at(1, read(1, 8))}, map[int][]uint32{1: {7, 8}}, true},
		{"write skew", []txn{at(1, read(2), add(1, 7)), at(1, read(1), add(2, 8))}, map[int][]uint32{1: {7}, 2: {8}}, true},
		{"read skew", []txn{at(1, add(1, 7), add(2, 8)), at(1, read(1, 7), read(2))}, map[int][]uint32{1: {7}, 2: {8}}, true},
		{"stale read", []txn{at(1, add(1, 7)), at(2, read(1))}, map[int][]uint32{1: {7}}, true},
		{"twice", []txn{at(1, add(1, 7))}, map[int][]uint32{1: {7, 7}}, true},
	} {
		if err := check(c.history, c.final); (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// recorder runs transactions over lists and keeps the committed ones.
type recorder struct {
	mu      sync.Mutex
	clock   int
	history []txn
}

func (r *recorder) now() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	return r.clock
}

func (r *recorder) add(x txn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	x.ended = r.clock
	r.history = append(r.history, x)
}

func listKey(k int) []byte { return fmt.Appendf(nil, "list %d", k) }

func list(v []byte) (l []uint32) {
	for ; len(v) >= 4; v = v[4:] {
		l = append(l, binary.BigEndian.Uint32(v))
	}
	return l
}

const lists = 6

// perform runs the transaction's steps; reads are by key or, now and then, by one scan of all.
func perform(tx *aegis.Tx, x *txn, scan bool) error {
	got := map[int][]byte{}
	if scan {
		for k, v := range tx.Prefix([]byte("list ")) {
			got[int(k[len(k)-1]-'0')] = v
		}
		if err := tx.Err(); err != nil {
			return err
		}
	}
	for i := range x.steps {
		runtime.Gosched() // the others come in between
		s := &x.steps[i]
		v := got[s.key]
		if !scan || s.element != 0 {
			var err error
			if v, err = tx.Get(listKey(s.key)); err != nil && !errors.Is(err, aegis.ErrNotFound) {
				return err
			}
		}
		if s.element == 0 {
			s.read = list(v)
		} else if err := tx.Put(listKey(s.key), binary.BigEndian.AppendUint32(slices.Clip(v), s.element)); err != nil {
			return err
		}
	}
	return nil
}

// client commits n random transactions.
func (r *recorder) client(db *aegis.DB, rnd *rand.Rand, id, n int) error {
	for i := range n {
		x := txn{began: r.now()}
		reader := rnd.IntN(4) == 0
		for j := range 1 + rnd.IntN(4) {
			s := step{key: rnd.IntN(lists)}
			if !reader && rnd.IntN(2) == 0 {
				s.element = uint32(1 + id*100_000 + i*10 + j)
			}
			if slices.ContainsFunc(x.steps, func(o step) bool { return o.key == s.key }) {
				continue // one step per list: reads then are of what others wrote
			}
			x.steps = append(x.steps, s)
		}
		scan := rnd.IntN(3) == 0
		run := db.Update
		if reader {
			run = db.View
		}
		if err := run(ctx, func(tx *aegis.Tx) error { return perform(tx, &x, scan) }); err != nil {
			return err
		}
		r.add(x)
	}
	return nil
}

// TestHistories: what concurrent clients saw is strictly serializable, while the store is flushed,
// merged and reopened.
func TestHistories(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		o := aegis.Options{Backend: newDisk(), Limits: smallLimits(rnd), MemoryBudget: 256 << 10}
		r := &recorder{}
		final := map[int][]uint32{}
		for reopen := range 3 {
			db, err := aegis.Open("", &o)
			must(t, err)
			k := &bank{db: db}
			done := make(chan struct{})
			var work, rest errgroup.Group
			rest.Go(func() error { return k.maintain(rand.New(rand.NewPCG(seed, 9)), done) })
			for c := range 5 {
				id := reopen*10 + c
				work.Go(func() error { return r.client(db, rand.New(rand.NewPCG(seed, uint64(id))), id, 25) })
			}
			must(t, work.Wait())
			close(done)
			must(t, rest.Wait())
			must(t, db.View(ctx, func(tx *aegis.Tx) error {
				for i := range lists {
					v, err := tx.Get(listKey(i))
					if err != nil && !errors.Is(err, aegis.ErrNotFound) {
						return err
					}
					final[i] = list(v)
				}
				return nil
			}))
			must(t, db.Close())
			o.Limits = smallLimits(rnd)
		}
		if err := check(r.history, final); err != nil {
			t.Fatalf("seed %d, %d transactions: %v", seed, len(r.history), err)
		}
	}
}

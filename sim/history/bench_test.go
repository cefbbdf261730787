package history

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkCheckSmall: the history of one cycle of the simulator, 9 transactions of 3 clients with a
// crash and a recovery.
func BenchmarkCheckSmall(b *testing.B) {
	var all []*store
	for seed := uint64(0); len(all) < 50; seed++ {
		s := runStore(seed, 1, 45, false, Honest)
		if n := len(s.h.Lives[0].Txs); n == 9 {
			all = append(all, s)
		}
	}
	var c Checker
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if r := c.Check(&all[i%len(all)].h); len(r.Violations) > 0 {
			b.Fatal(r.Violations)
		}
	}
}

// long is a history of n transactions by 8 clients over many keys: serializable read-modify-writes,
// snapshot writers, scans and readers.
func long(n int) *History {
	rnd := rand.New(rand.NewPCG(1, 13))
	h := &History{}
	const keys = 10_000
	name := func(k int) string { return fmt.Sprintf("key %05d", k) }
	now := make([]string, keys)
	seq := uint64(0)
	for i := range n {
		t := Tx{ID: int64(i), Client: i % 8, Level: Level(rnd.IntN(4)), Acked: true,
			Begin: int64(2 * i), End: int64(2*i + 1), Snapshot: seq}
		for range 3 {
			k := rnd.IntN(keys)
			t.Ops = append(t.Ops, Op{Kind: Get, Key: name(k), Value: now[k], Found: now[k] != "", At: seq})
		}
		if rnd.IntN(4) == 0 {
			lo := rnd.IntN(keys - 20)
			op := Op{Kind: Scan, Key: name(lo), Hi: name(lo + 20), At: seq}
			for k := lo; k < lo+20; k++ {
				if now[k] != "" {
					op.Pairs = append(op.Pairs, Pair{name(k), now[k]})
				}
			}
			t.Ops = append(t.Ops, op)
		}
		if t.Level != ReadOnly {
			seq++
			t.Seq = seq
			for range 3 {
				k := rnd.IntN(keys)
				now[k] = fmt.Sprint("v", i)
				t.Ops = append(t.Ops, Op{Kind: Put, Key: name(k), Value: now[k]})
			}
		}
		h.Add(1, t)
	}
	var left State
	left = append(left, Space{})
	for k, v := range now {
		if v != "" {
			left[0].Pairs = append(left[0].Pairs, Pair{name(k), v})
		}
	}
	h.Ended(1, PowerCut, Honest)
	h.Recovered(2, left)
	return h
}

func BenchmarkCheck100000(b *testing.B) {
	h := long(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if r := Check(h); len(r.Violations) > 0 {
			told(b, r.Violations)
			b.Fatal("violations")
		}
	}
}

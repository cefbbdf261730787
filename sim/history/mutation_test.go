package history

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// breakage changes a right history into a wrong one, and reports whether it could.
type breakage struct {
	name string
	do   func(s *store, l *Life, rnd *rand.Rand) bool
}

// pick returns a random element that is accepted, or nil.
func pick[T any](list []T, rnd *rand.Rand, ok func(*T) bool) *T {
	for range 4 * len(list) {
		if x := &list[rnd.IntN(len(list))]; ok(x) {
			return x
		}
	}
	return nil
}

// rewrite gives one transaction other operations, which are its own copy.
func rewrite(l *Life, rnd *rand.Rand, change func(t *Tx) bool) bool {
	return pick(l.Txs, rnd, func(t *Tx) bool {
		old := t.Ops
		t.Ops = slices.Clone(old)
		for i := range t.Ops {
			t.Ops[i].Pairs = slices.Clone(t.Ops[i].Pairs)
		}
		if change(t) {
			return true
		}
		t.Ops = old
		return false
	}) != nil
}

func isGet(op *Op) bool  { return op.Kind == Get && op.Found }
func isScan(op *Op) bool { return op.Kind == Scan && len(op.Pairs) > 0 }

// onScan changes what a scan returned.
func onScan(change func(op *Op, n int) bool) func(*store, *Life, *rand.Rand) bool {
	return func(_ *store, l *Life, rnd *rand.Rand) bool {
		return rewrite(l, rnd, func(t *Tx) bool {
			op := pick(t.Ops, rnd, isScan)
			return op != nil && change(op, rnd.IntN(len(op.Pairs)))
		})
	}
}

// onState makes the state after the life one that no prefix has which reaches up to from.
func onState(change func(s *store, l *Life, left table, rnd *rand.Rand) (broken table, from uint64)) func(*store, *Life, *rand.Rand) bool {
	return func(s *store, l *Life, rnd *rand.Rand) bool {
		n := l.Number
		left, from := change(s, l, s.state(n, s.cuts[n]).clone(), rnd)
		if left == nil {
			return false
		}
		for _, allowed := range s.all[n][max(from, s.bases[n])-s.bases[n]:] {
			if allowed.equal(left) {
				return false
			}
		}
		// What follows is not looked at.
		s.h.Lives = s.h.Lives[:n+1]
		*s.h.Lives[n] = Life{Number: n + 1, Known: true, Base: left.state()}
		return true
	}
}

// anyEntry returns a key that a table has.
func anyEntry(t table, rnd *rand.Rand) (sp, key string) {
	for _, s := range t.state() {
		if len(s.Pairs) > 0 {
			sp, key = s.Name, s.Pairs[rnd.IntN(len(s.Pairs))].Key
			if rnd.IntN(2) == 0 {
				break
			}
		}
	}
	return sp, key
}

// otherSnapshot moves a snapshot to a state in which the transaction would have read other things.
func otherSnapshot(by uint64) func(*store, *Life, *rand.Rand) bool {
	return func(s *store, l *Life, rnd *rand.Rand) bool {
		return pick(l.Txs, rnd, func(t *Tx) bool {
			at := t.Snapshot + by - s.bases[l.Number]
			if t.Level == ReadCommitted || at >= uint64(len(s.all[l.Number])) {
				return false
			}
			view := s.all[l.Number][at].clone()
			for _, op := range t.Ops {
				again := op
				view.do(&again)
				if op.Stopped {
					again.Pairs = again.Pairs[:min(len(op.Pairs), len(again.Pairs))]
				}
				if op.Value != again.Value || op.Found != again.Found || !slices.Equal(op.Pairs, again.Pairs) {
					t.Snapshot += by
					return true
				}
			}
			return false
		}) != nil
	}
}

func acked(t *Tx) bool { return t.Acked && t.Seq != 0 }

var breakages = []breakage{
	{"another value", func(_ *store, l *Life, rnd *rand.Rand) bool {
		return rewrite(l, rnd, func(t *Tx) bool {
			op := pick(t.Ops, rnd, isGet)
			if op != nil {
				op.Value = "nobody's"
			}
			return op != nil
		})
	}},
	{"two values swapped", func(_ *store, l *Life, rnd *rand.Rand) bool {
		return rewrite(l, rnd, func(t *Tx) bool {
			a, b := pick(t.Ops, rnd, isGet), pick(t.Ops, rnd, isGet)
			if a == nil || b == nil || a.Value == b.Value {
				return false
			}
			a.Value, b.Value = b.Value, a.Value
			return true
		})
	}},
	{"not found", func(_ *store, l *Life, rnd *rand.Rand) bool {
		return rewrite(l, rnd, func(t *Tx) bool {
			op := pick(t.Ops, rnd, isGet)
			if op != nil {
				op.Found, op.Value = false, ""
			}
			return op != nil
		})
	}},
	{"keyspace there or not", func(_ *store, l *Life, rnd *rand.Rand) bool {
		return rewrite(l, rnd, func(t *Tx) bool {
			op := pick(t.Ops, rnd, func(op *Op) bool { return op.Kind == OpenSpace })
			if op != nil {
				op.Found = !op.Found
			}
			return op != nil
		})
	}},
	{"pair missing in a scan", onScan(func(op *Op, n int) bool {
		if op.Stopped && n == len(op.Pairs)-1 {
			return false // as if it had stopped earlier
		}
		op.Pairs = slices.Delete(op.Pairs, n, n+1)
		return true
	})},
	{"pair twice in a scan", onScan(func(op *Op, n int) bool { op.Pairs = slices.Insert(op.Pairs, n, op.Pairs[n]); return true })},
	{"value in a scan", onScan(func(op *Op, n int) bool { op.Pairs[n].Value += "x"; return true })},
	{"invented key in a scan", onScan(func(op *Op, n int) bool { op.Pairs[n].Key += "x"; return true })},
	{"scan out of order", onScan(func(op *Op, n int) bool { slices.Reverse(op.Pairs); return len(op.Pairs) > 1 })},
	{"scan beyond its limit", onScan(func(op *Op, n int) bool { op.Limit = len(op.Pairs) - 1; return op.Limit > 0 })},
	{"snapshot too new", otherSnapshot(1)},
	{"snapshot too old", otherSnapshot(^uint64(0))},
	{"snapshot as new as the commit", func(_ *store, l *Life, rnd *rand.Rand) bool {
		t := pick(l.Txs, rnd, func(t *Tx) bool { return t.Seq != 0 && t.Level != ReadCommitted })
		if t != nil {
			t.Snapshot = t.Seq
		}
		return t != nil
	}},
	{"two commits with one seq", func(_ *store, l *Life, rnd *rand.Rand) bool {
		a, b := pick(l.Txs, rnd, acked), pick(l.Txs, rnd, acked)
		if a == nil || b == nil || a == b {
			return false
		}
		a.Seq = b.Seq
		return true
	}},
	{"seqs against real time", func(_ *store, l *Life, rnd *rand.Rand) bool {
		a, b := pick(l.Txs, rnd, acked), pick(l.Txs, rnd, acked)
		if a == nil || b == nil || a.End >= b.Begin {
			return false
		}
		a.Seq, b.Seq = b.Seq, a.Seq
		return true
	}},
	{"half a transaction left", onState(func(s *store, l *Life, left table, rnd *rand.Rand) (table, uint64) {
		t := pick(l.Txs, rnd, func(t *Tx) bool { return t.Seq > s.bases[l.Number] && t.Seq <= s.cuts[l.Number] })
		if t == nil {
			return nil, 0
		}
		before := s.state(l.Number, t.Seq-1)
		for _, op := range t.Ops {
			if op.Kind == Put && left[op.Space][op.Key] == op.Value {
				if left[op.Space][op.Key] = before[op.Space][op.Key]; left[op.Space][op.Key] == "" {
					delete(left[op.Space], op.Key)
				}
				return left, 0
			}
		}
		return nil, 0
	})},
	{"key lost", onState(func(_ *store, _ *Life, left table, rnd *rand.Rand) (table, uint64) {
		sp, key := anyEntry(left, rnd)
		delete(left[sp], key)
		return left, 0
	})},
	{"key come back", onState(func(_ *store, _ *Life, left table, rnd *rand.Rand) (table, uint64) {
		left[""][fmt.Sprintf("k%d", rnd.IntN(6))] = "ghost"
		return left, 0
	})},
	{"keyspace come back", onState(func(_ *store, _ *Life, left table, rnd *rand.Rand) (table, uint64) {
		left["b"] = map[string]string{}
		return left, 0
	})},
	{"promised commit lost", onState(func(s *store, l *Life, _ table, rnd *rand.Rand) (table, uint64) {
		if t := pick(l.Txs, rnd, func(t *Tx) bool { return acked(t) && !t.NoSync }); t != nil {
			return s.state(l.Number, t.Seq-1).clone(), t.Seq
		}
		return nil, 0
	})},
}

// TestBreakages: each way to break a random history is found, every time.
func TestBreakages(t *testing.T) {
	const seeds = 400
	var c Checker
	for _, b := range breakages {
		t.Run(b.name, func(t *testing.T) {
			broken := 0
			for seed := range uint64(seeds) {
				s := runStore(seed, 3, 60, false, Honest)
				rnd := rand.New(rand.NewPCG(seed, 12))
				if !b.do(s, s.h.Lives[rnd.IntN(3)], rnd) {
					continue
				}
				broken++
				r := c.Check(&s.h)
				if len(r.Violations) == 0 {
					t.Fatalf("seed %d: not found", seed)
				}
				if seed < 3 {
					told(t, r.Violations)
				}
			}
			if broken < seeds/100 {
				t.Fatalf("only %d histories could be broken", broken)
			}
		})
	}
}

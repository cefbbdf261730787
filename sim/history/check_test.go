package history

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func told(t testing.TB, vs []Violation) {
	t.Helper()
	for _, v := range vs {
		t.Logf("life %d: %s: %s %v", v.Life, v.Check, v.Text, v.Txs)
	}
}

// TestRightHistories: no false alarm over random executions, with and without known seqs.
func TestRightHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := mix(rapid.Uint64().Draw(rt, "seed"))
		var c Checker
		for n := range uint64(20) {
			for _, hide := range []bool{false, true} {
				s := runStore(seed+n, 4, 60, hide, Rules(seed%2))
				if (seed+n)%3 == 0 {
					s.forget()
				}
				r := c.Check(&s.h)
				if hide { // then the search for places may give up, but it may not be wrong
					r.Violations = slices.DeleteFunc(r.Violations, func(v Violation) bool { return v.Check == "undecided" })
				}
				if len(r.Violations) > 0 {
					told(t, r.Violations)
					rt.Fatalf("seed %d hide %t", seed+n, hide)
				}
				if len(r.Cuts) != 4 {
					rt.Fatalf("%d cuts", len(r.Cuts))
				}
				for _, cut := range r.Cuts {
					if !hide && !s.state(cut.Of, cut.Seq).equal(s.state(cut.Of, s.cuts[cut.Of])) {
						rt.Fatalf("seed %d: life %d was cut at %d, not %d", seed+n, cut.Of, s.cuts[cut.Of], cut.Seq)
					}
				}
			}
		}
	})
}

// forget takes half of the seqs that were read at out of the history.
func (s *store) forget() {
	for _, l := range s.h.Lives {
		for i := range l.Txs {
			if s.chance(2) {
				l.Txs[i].Snapshot = NoSeq
			}
			for j := range l.Txs[i].Ops {
				if s.chance(2) {
					l.Txs[i].Ops[j].At = NoSeq
				}
			}
		}
	}
}

// state returns what a life held at a seq.
func (s *store) state(life int, seq uint64) table {
	return s.all[life][max(seq, s.bases[life])-s.bases[life]]
}

// mix spreads what rapid draws, which prefers small numbers.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return (x ^ x>>31) >> 1
}

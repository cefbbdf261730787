package flusher

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// simRun is a run of uniformly random keys: the share of the key space that it has, and how far a
// merge has consumed it.
type simRun struct {
	tier     uint8
	share    float64
	consumed float64
	merge    *simMerge
}

type simMerge struct {
	sources []*simRun
	target  *simRun // the bottom run, or the run that is made
	old     float64 // share of the bottom before
	share   float64 // share of the result
	pos     float64
}

// simulation is the flusher in numbers. Keys are uniform over a key space whose live form has
// space bytes; merging a and b gives 1-(1-a)(1-b).
type simulation struct {
	policy    policy
	space     float64
	step      float64
	runs      []*simRun // newest first
	merges    []*simMerge
	user      float64
	written   float64
	unwritten float64 // share of keys never written
	peakRuns  int
	peakDebt  int
	peakSpace float64
}

func (s *simulation) size(r *simRun) float64 {
	b := r.share * s.space * (1 - r.consumed)
	if m := r.merge; m != nil && m.target == r {
		b = s.space * (m.share*m.pos + m.old*(1-m.pos))
	}
	return b
}

func (s *simulation) sizes() []runSize {
	sizes := make([]runSize, len(s.runs))
	for i, r := range s.runs {
		b := s.size(r)
		sizes[i] = runSize{tier: r.tier, bytes: int64(b), entries: uint64(b / 100), busy: r.merge != nil}
	}
	return sizes
}

func (s *simulation) flush(bytes float64) {
	share := 1 - math.Exp(-bytes/s.space)
	r := &simRun{share: share}
	if len(s.runs) == 0 {
		r.tier = BottomTier
	}
	s.runs = append([]*simRun{r}, s.runs...)
	s.user += bytes
	s.written += share * s.space
	s.unwritten *= 1 - share
}

func (s *simulation) foremost() *simMerge {
	var best *simMerge
	for _, m := range s.merges {
		if best == nil || m.target.tier < best.target.tier {
			best = m
		}
	}
	return best
}

// plan follows Machine.plan.
func (s *simulation) plan(all bool) {
	sizes := s.sizes()
	pl, ok := s.policy.pick(sizes, all)
	best := s.foremost()
	if !ok || best != nil && pl.tier >= best.target.tier {
		return
	}
	m := &simMerge{sources: append([]*simRun(nil), s.runs[pl.newest:pl.oldest+1]...)}
	absent := 1.0
	for _, r := range m.sources {
		r.merge = m
		absent *= 1 - r.share
	}
	if pl.tier == BottomTier && s.runs[len(s.runs)-1].tier == BottomTier {
		m.target = s.runs[len(s.runs)-1]
		m.old = m.target.share
		absent *= 1 - m.old
	} else {
		m.target = &simRun{tier: pl.tier}
		rest := append([]*simRun{m.target}, s.runs[pl.oldest+1:]...)
		s.runs = append(append([]*simRun(nil), s.runs[:pl.oldest+1]...), rest...)
	}
	m.target.merge, m.share = m, 1-absent
	s.merges = append(s.merges, m)
}

// work merges for as much as bytes of output, a step at a time.
func (s *simulation) work(bytes float64, all bool) (left float64) {
	for bytes > 0 {
		s.plan(all)
		m := s.foremost()
		if m == nil {
			return bytes
		}
		out := min(s.step, bytes, m.share*s.space*(1-m.pos))
		bytes -= out
		s.written += out
		m.pos += out / (m.share * s.space)
		for _, r := range m.sources {
			r.consumed = m.pos
		}
		if m.pos > 1-1e-9 {
			s.finish(m)
		}
	}
	return 0
}

func (s *simulation) finish(m *simMerge) {
	m.target.share, m.target.merge = m.share, nil
	var runs []*simRun
	for _, r := range s.runs {
		if r.merge != m {
			runs = append(runs, r)
		}
	}
	s.runs = runs
	var merges []*simMerge
	for _, x := range s.merges {
		if x != m {
			merges = append(merges, x)
		}
	}
	s.merges = merges
}

func (s *simulation) measure() {
	total := 0.0
	for _, r := range s.runs {
		total += s.size(r)
	}
	s.peakRuns = max(s.peakRuns, len(s.runs))
	s.peakDebt = max(s.peakDebt, s.policy.debt(s.sizes(), 512<<20))
	if s.user > 1<<30 {
		s.peakSpace = max(s.peakSpace, total/((1-s.unwritten)*s.space))
	}
}

// TestPolicyFigures loads uniformly random keys, 32 MiB a flush, and holds the policy to what the
// design promises: write amplification at most 8, dead versions at most half of the live ones
// while loading, a bounded number of runs, one run within the settling budget.
func TestPolicyFigures(t *testing.T) {
	const flushBytes, gib = 32 << 20, float64(1 << 30)
	for _, c := range []struct {
		space, user float64 // GiB
		bandwidth   float64 // bytes that merging writes while one byte is flushed
	}{
		{1e6, 0.1, 8}, {1e6, 1, 8}, {1e6, 3, 8}, {1e6, 5, 8}, {1e6, 7, 8}, {1e6, 10, 8}, {1e6, 10, 5},
		{10, 10, 8}, {10, 40, 8}, {3, 20, 8}, {1, 10, 8}, {10, 40, 5},
	} {
		t.Run(fmt.Sprintf("space=%v,user=%v,bandwidth=%v", c.space, c.user, c.bandwidth), func(t *testing.T) {
			s := &simulation{policy: policy{fanIn: 4, maxRuns: 32, small: 4 * flushBytes}, space: c.space * gib, step: 64 << 20, unwritten: 1}
			for s.user < c.user*gib {
				s.flush(flushBytes)
				s.measure()
				s.work(c.bandwidth*flushBytes, false)
				s.measure()
				for s.policy.debt(s.sizes(), 512<<20) >= 32 { // writers are held
					s.work(flushBytes, false)
				}
			}
			loading := s.written / s.user
			for s.work(gib, true) == 0 {
			}
			settled := s.written / s.user
			t.Logf("write amplification %.2f, settled %.2f; space %.2f; at most %d runs, debt %d", loading, settled, s.peakSpace, s.peakRuns, s.peakDebt)
			if loading > 8 || settled > 8 {
				t.Errorf("write amplification %.2f, settled %.2f, want at most 8", loading, settled)
			}
			if settled > 6 {
				t.Errorf("settled write amplification %.2f is above the settling budget of 6", settled)
			}
			if s.peakSpace > 1.5 {
				t.Errorf("space %.2f times the live bytes, want at most 1.5", s.peakSpace)
			}
			if s.peakRuns > 24 {
				t.Errorf("%d runs, want at most 24", s.peakRuns)
			}
			if len(s.runs) != 1 {
				t.Errorf("%d runs left after settling", len(s.runs))
			}
		})
	}
}

func TestPolicyPicks(t *testing.T) {
	const mib = 1 << 20
	small := func(n int) (runs []runSize) {
		for range n {
			runs = append(runs, runSize{bytes: mib, entries: 10})
		}
		return runs
	}
	bottom := runSize{tier: BottomTier, bytes: 1000 * mib, entries: 10000}
	with := func(r runSize, f func(*runSize)) runSize { f(&r); return r }
	busy := func(r *runSize) { r.busy = true }
	blocked := func(r *runSize) { r.blocked = true }
	p := policy{fanIn: 4, maxRuns: 32, small: 100 * mib}
	for _, c := range []struct {
		name string
		runs []runSize
		all  bool
		want plan
		ok   bool
	}{
		{name: "nothing"},
		{name: "nothing to settle", runs: []runSize{bottom}, all: true},
		{name: "too few", runs: append(small(3), bottom)},
		{name: "a tier is full", runs: append(small(4), bottom), want: plan{0, 3, 1}, ok: true},
		{name: "settling takes all", runs: append(small(2), bottom), all: true, want: plan{0, 1, BottomTier}, ok: true},
		{name: "no bottom yet", runs: small(8), want: plan{0, 7, BottomTier}, ok: true},
		{name: "no bottom yet, few", runs: small(7)},
		{name: "no bottom yet, one busy", runs: append(small(8), with(runSize{}, busy)), want: plan{0, 7, 1}, ok: true},
		{name: "small bottom", runs: []runSize{{tier: 1, bytes: 90 * mib}, {tier: BottomTier, bytes: 99 * mib}}},
		{name: "as much above a small bottom", runs: []runSize{{tier: 1, bytes: 99 * mib}, {tier: BottomTier, bytes: 99 * mib}}, want: plan{0, 0, BottomTier}, ok: true},
		{name: "large enough for the bottom", runs: []runSize{{bytes: 10 * mib}, {tier: 1, bytes: 440 * mib}, bottom}, want: plan{0, 1, BottomTier}, ok: true},
		{name: "not yet", runs: []runSize{{bytes: 9 * mib}, {tier: 1, bytes: 440 * mib}, bottom}},
		{name: "tombstones", runs: []runSize{{bytes: mib, entries: 4500, tombstones: 4500}, bottom}, want: plan{0, 0, BottomTier}, ok: true},
		{name: "bottom is busy", runs: append(small(4), with(runSize{tier: 3, bytes: 900 * mib}, busy), with(bottom, busy)), want: plan{0, 3, 1}, ok: true},
		{name: "settling waits for a merge", runs: append(small(1), with(runSize{tier: 1}, busy), bottom), all: true},
		{name: "bottom cannot be read", runs: append(small(4), with(bottom, blocked)), all: true, want: plan{0, 3, 1}, ok: true},
		{name: "a run cannot be read", runs: append(small(2), with(runSize{tier: 1}, blocked), runSize{tier: 2}, bottom), all: true, want: plan{3, 3, BottomTier}, ok: true},
		{name: "put off", runs: []runSize{{tier: 2, bytes: 12 * mib}, {tier: 2, bytes: 12 * mib}, {tier: 2, bytes: 12 * mib}, {tier: 2, bytes: 12 * mib}, bottom}},
		{name: "neighbours only", runs: []runSize{{}, {}, {tier: 1}, {}, {}, bottom}},
	} {
		got, ok := p.pick(c.runs, c.all)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: picks %+v, %v, want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// TestWritersAreNotHeldForEver: whatever the limits and the sizes, where writers are held there is
// something to merge.
func TestWritersAreNotHeldForEver(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		p := policy{fanIn: 2 + rng.IntN(6)}
		p.maxRuns = max(4, p.fanIn+1+rng.IntN(10))
		var runs []runSize
		tier := uint8(0)
		for range rng.IntN(2 * p.maxRuns) {
			entries := rng.Uint64N(1000) + 1
			runs = append(runs, runSize{tier: tier, bytes: rng.Int64N(1000) + 1, entries: entries, tombstones: rng.Uint64N(entries)})
			tier += uint8(rng.IntN(2))
		}
		if rng.IntN(4) > 0 {
			runs = append(runs, runSize{tier: BottomTier, bytes: rng.Int64N(1_000_000) + 1, entries: rng.Uint64N(1_000_000) + 1})
		}
		if pl, ok := p.pick(runs, false); !ok && p.debt(runs, 1) >= p.maxRuns {
			t.Fatalf("%+v holds writers at a debt of %d, and picks nothing: %+v", p, p.debt(runs, 1), runs)
		} else if ok && pl.oldest == pl.newest && pl.tier != BottomTier {
			t.Fatalf("%+v merges a run with nothing: %+v of %+v", p, pl, runs)
		}
	}
}

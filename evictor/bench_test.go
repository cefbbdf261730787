package evictor

import (
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/messages"
)

// BenchmarkSweep is what evicting one page costs, with half of the others in use, over a ring of
// many pages.
func BenchmarkSweep(b *testing.B) {
	s := newStore(b, 256<<20)
	a, _ := s.addTable(400000, 100)
	rng := rand.New(rand.NewPCG(8, 9))
	load := func() {
		for i := range 400000 {
			s.get(a, i)
		}
		s.settle()
	}
	load()
	b.ReportMetric(float64(s.m.ring.len()), "pages")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		b.StopTimer()
		if s.m.ring.len() < 10000 {
			load()
		}
		for range s.m.ring.len() / 2 {
			s.get(a, rng.IntN(400000))
		}
		s.m.absorb()
		before := s.m.evicted
		s.m.budget = s.cache.Resident() * 3 / 4
		b.StartTimer()
		for s.step(messages.Tick{}) {
		}
		b.StopTimer()
		n += int(s.m.evicted - before)
		s.m.budget = 256 << 20
		s.step()
		b.StartTimer()
	}
}

// BenchmarkStep is a Step with nothing to do.
func BenchmarkStep(b *testing.B) {
	s := newStore(b, 256<<20)
	b.ReportAllocs()
	for b.Loop() {
		s.step(messages.PagesLoaded{})
	}
}

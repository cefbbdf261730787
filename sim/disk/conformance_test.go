package disk

import (
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
)

// TestConformance: without failing calls and damage each profile is a Backend as the contract has it, also
// over power cuts. What a lying disk loses is its point.
func TestConformance(t *testing.T) {
	seen := map[Profile]bool{}
	for _, p := range Profiles() {
		if !p.Has(Time) {
			p = p.Quiet()
		}
		name := p.Name
		p.Name = ""
		if seen[p] || p.Has(EIORead) {
			continue // crashes as another profile does
		}
		seen[p] = true
		for _, cut := range []string{"nothing kept", "sampled"} {
			t.Run(name+"/"+cut, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(1, 2))
				conformance.Run(t, func(t *testing.T) conformance.Subject { return subject(p, cut, rng) })
			})
		}
	}
}

func subject(p Profile, cut string, rng *rand.Rand) conformance.Subject {
	d := New(p)
	w := newChance(1)
	choose := func(int) int { return 0 }
	if cut == "sampled" {
		choose = rng.IntN
	}
	return conformance.Subject{
		Backend: d.Mount(w),
		Reopen:  func() (backends.Backend, error) { return d.Mount(w), nil },
		PowerCut: func() (backends.Backend, error) {
			d.PowerCut(choose)
			return d.Mount(w), nil
		},
	}
}

package evictor

import (
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/pages"
)

// The ring is a queue, against the obvious one, and its buffer follows its contents.
func TestRing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var r ring
	var model []*pages.Page
	for round := range 40 {
		grow := 6 - round%3*2 // of ten operations pushes: 6, 4, 2
		for range 500 * (1 + round%5) {
			if rng.IntN(10) < grow || len(model) == 0 {
				p := new(pages.Page)
				r.push(p)
				model = append(model, p)
				continue
			}
			if got := r.pop(); got != model[0] {
				t.Fatalf("round %d: pop returns another page than was pushed first", round)
			}
			model = model[1:]
		}
		if r.len() != len(model) {
			t.Fatalf("%d pages, want %d", r.len(), len(model))
		}
		for i, p := range model {
			if r.at(i) != p {
				t.Fatalf("page %d is another", i)
			}
		}
		if len(r.slots) > minRing && len(r.slots) > 16*r.len() {
			t.Fatalf("%d slots for %d pages", len(r.slots), r.len())
		}
		held := 0
		for _, p := range r.slots {
			if p != nil {
				held++
			}
		}
		if held != r.len() {
			t.Fatalf("the buffer holds on to %d pages, %d are in the ring", held, r.len())
		}
	}
}

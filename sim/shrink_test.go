package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/sim/trace"
)

// pair fails when one client's third operation comes after the other's fifth, in one life. Nothing
// else that happens matters.
func pair() func(*Life) {
	return func(l *Life) {
		done := map[string]bool{}
		for _, name := range []string{"a", "b", "c"} {
			l.Go(name, func(c *Client) {
				for c.Next() {
					l.Must(touch(l))
					c.Yield()
					if c.Name() == "a" && c.Op() == 3 && done["b 5"] {
						l.Failf("a 3 came after b 5")
					}
					done[fmt.Sprintf("%s %d", c.Name(), c.Op())] = true
				}
			})
		}
	}
}

// failing finds a plan that fails.
func failing(t *testing.T, plan Plan, subject Subject) Plan {
	t.Helper()
	for ; plan.Seed < 300; plan.Seed++ {
		if execute1(t, plan, subject, Fast).Failure != nil {
			return plan
		}
	}
	t.Fatal("no seed fails")
	return plan
}

// Of many operations, two are left, and next to no switches and faults.
func TestShrink(t *testing.T) {
	for _, seed := range []uint64{1, 100, 200} {
		plan := failing(t, Plan{Seed: seed, Each: 12}, pair)
		res, err := Shrink(t.Context(), plan, pair, Config{})
		if err != nil {
			t.Fatal(err)
		}
		wants(t, res, "subject", "a 3 came after b 5")
		p := res.Plan
		t.Logf("seed %d: %d operations, %d switches, %d faults, %d lives", plan.Seed, len(p.Ops), len(p.Preempts), len(p.Faults), p.Lives)
		if len(p.Ops) != 2 || len(p.Preempts) > 1 || len(p.Faults) != 0 || p.Lives != res.Failure.Life {
			t.Errorf("%+v", p)
		}
		if len(res.Events) == 0 {
			t.Error("the events are not kept")
		}
		replays(t, res, pair)
	}
}

// replays holds a shrunk run to its token: the same failure, and the same hash however often.
func replays(t *testing.T, res *Result, subject Subject) {
	t.Helper()
	plan, err := ParseToken(res.Plan.Token())
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{Fast, Proof, Keep} {
		again, twice := execute1(t, plan, subject, mode), execute1(t, plan, subject, mode)
		if again.Failure == nil || *again.Failure != *res.Failure {
			t.Errorf("mode %d: the token fails by %v, the run by %v", mode, again.Failure, res.Failure)
		}
		if again.Hash != twice.Hash || mode == Keep && again.Hash != res.Hash {
			t.Errorf("mode %d: hashes %x and %x, that of the run is %x", mode, again.Hash, twice.Hash, res.Hash)
		}
		if (len(again.Events) > 0) != (mode == Keep) {
			t.Errorf("mode %d: %d events", mode, len(again.Events))
		}
	}
}

// A store that acknowledges too early: few operations and a power cut show it.
func TestShrinkStore(t *testing.T) {
	subject := counter(true)
	plan := failing(t, Plan{Seed: 1}, subject)
	res, err := Shrink(t.Context(), plan, subject, Config{})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, res, "subject", "was acknowledged")
	p := res.Plan
	t.Logf("%d operations, %d switches, %d faults, %d lives: %s", len(p.Ops), len(p.Preempts), len(p.Faults), p.Lives, p.Token())
	if len(p.Ops) > 3 || len(p.Preempts) > 2 || len(p.Faults) > 1 || p.Lives > 2 {
		t.Errorf("%+v", p)
	}
	replays(t, res, subject)
	crash := slices.IndexFunc(res.Events, func(e trace.Event) bool { return e.Kind == trace.Crash && strings.Contains(e.Text, "power cut") })
	if crash < 0 {
		t.Error("its events tell of no power cut")
	}
}

// A stall that was found without words is told with them, shrunk or not.
func TestStallIsReadable(t *testing.T) {
	subject := every(func(l *Life) {
		l.Go("stuck", func(c *Client) { waitsForEver(l) })
	})
	for _, noShrink := range []bool{false, true} {
		rep, err := Run(t.Context(), Config{Seeds: 1, NoShrink: noShrink}, subject)
		if err != nil || len(rep.Failures) != 1 {
			t.Fatalf("%+v, %v", rep, err)
		}
		wants(t, rep.Failures[0], "liveness", "stuck waits in sim.waitsForEver (shrink_test.go:")
	}
}

func waitsForEver(l *Life) {
	l.run.world.Park(context.Background(), func() bool { return false })
	l.Logf("never")
}

// A plan that does not fail is not shrunk, and an ended context ends the shrinking.
func TestShrinkNothing(t *testing.T) {
	good := every(func(*Life) {})
	if res, err := Shrink(t.Context(), Plan{Seed: 1}, good, Config{}); err != nil || res.Failure != nil {
		t.Errorf("%+v, %v", res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	plan := failing(t, Plan{Seed: 1, Each: 12}, pair)
	if res, err := Shrink(ctx, plan, pair, Config{}); err != nil || res.Failure == nil || len(res.Ops) < 10 {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := Shrink(t.Context(), plan, pair, Config{Profiles: []string{"kinder"}}); err == nil {
		t.Error("a profile that does not exist is taken")
	}
}

// When one operation is left out, most of what is left happens as before: that is what makes
// shrinking quick. The switches are compared, each named by where it happens; those of the
// operation itself are among the ones that go.
func TestChoicesStay(t *testing.T) {
	const floor = 0.65 // of 0.93: a fifteenth is the operation's own
	stayed, all := 0, 0
	for seed := range uint64(12) {
		plan := Plan{Seed: seed, Each: 5, Lives: 1, Ends: []End{{Life: 1, Kind: Close}}}
		res := holds(t, plan, counter(false))
		if len(res.Preempts) < 20 {
			continue
		}
		for _, drop := range []int{0, len(res.Ops) / 2, len(res.Ops) - 1} {
			plan.Ops = setOf(res.Ops)
			delete(plan.Ops, res.Ops[drop])
			less := setOf(holds(t, plan, counter(false)).Preempts)
			for key := range setOf(res.Preempts) {
				all++
				if less[key] {
					stayed++
				}
			}
		}
	}
	part := float64(stayed) / float64(all)
	t.Logf("%.0f %% of %d switches stay when one of 15 operations is left out", 100*part, all)
	if part < floor {
		t.Errorf("want %.0f %%", 100*floor)
	}
}

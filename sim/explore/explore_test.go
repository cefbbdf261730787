package explore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/trace"
)

func TestBankHolds(t *testing.T) {
	ways := []struct {
		name    string
		explore explore
		config  Config
		subject sim.Subject
	}{
		{"boundaries", Boundaries, Config{Plan: sim.Plan{Each: 3}}, bank(2, true)},
		{"boundaries, torn", Boundaries, Config{Plan: sim.Plan{Each: 2, Profile: "torn", Seed: 2}}, bank(2, true)},
		{"interleavings", Interleavings, Config{Plan: sim.Plan{Each: 2}, Switches: 1}, bank(2, true)},
		{"interleavings, to a kill", Interleavings, Config{Plan: sim.Plan{Each: 1, Seed: 2}, Switches: 1, End: sim.End{Kind: sim.Kill}}, bank(2, true)},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			res := explored(t, way.explore, way.config, way.subject)
			for _, f := range res.Failures {
				t.Errorf("%v\ntoken %s", f.Failure, f.Plan.Token())
			}
			if !res.Whole || res.Runs < 20 {
				t.Errorf("%v", res)
			}
			if way.config.Plan.Profile == "torn" && res.Sampled == 0 {
				t.Error("no boundary was sampled, though a sector can tear anywhere")
			}
			t.Log(res)
		})
	}
}

func TestBankHoldsNested(t *testing.T) {
	c := Config{Plan: sim.Plan{Seed: 6, Profile: "kind", Each: 1}}
	res, err := Nested(context.Background(), c, bank(1, false))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Failures {
		t.Errorf("%v\ntoken %s", f.Failure, f.Plan.Token())
	}
	once, err := Boundaries(context.Background(), c, bank(1, false))
	if err != nil || !res.Whole || res.Boundaries < 10*once.Boundaries {
		t.Errorf("%v, by one crash %v, %v", res, once, err)
	}
	t.Log(res)
}

// hasty takes commits that did not wait for the disk as durable, until the sync at its end.
func hasty() func(*sim.Life) {
	acked := uint64(0)
	return func(l *sim.Life) {
		o := l.Options()
		o.Durability = aegis.NoSync
		db, err := aegis.Open("", o)
		l.Must(err)
		l.Must(db.View(l.Context(), func(tx *aegis.Tx) error {
			if n, err := number(tx, "n"); err != nil || n < acked {
				l.Failf("n is %d, %d was acknowledged: %v", n, acked, err)
			}
			return nil
		}))
		l.AtClose(db.Close)
		l.Go("client", func(c *sim.Client) {
			for c.Next() {
				c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return put(tx, "n", acked+1) }))
				acked++
				c.Logf("acknowledged")
			}
			c.Must(db.Sync(c.Context()))
			c.Logf("synced")
		})
	}
}

func TestUnsyncedCommitsAreLostUpToTheSync(t *testing.T) {
	res := explored(t, Boundaries, Config{Plan: sim.Plan{Each: 2}, Failures: 1000}, hasty)
	if len(res.Failures) == 0 || !res.Whole {
		t.Fatalf("%v", res)
	}
	for _, f := range res.Failures {
		if end := f.Plan.Ends[0]; !said(f, "acknowledged") || said(f, "synced") {
			t.Errorf("it fails by %+v, acknowledged %v, synced %v", end, said(f, "acknowledged"), said(f, "synced"))
		}
	}
	between(t, res, hasty, "acknowledged", "synced")
}

// halves moves money in two transactions.
func halves() func(*sim.Life) {
	return func(l *sim.Life) {
		db, err := aegis.Open("", l.Options())
		l.Must(err)
		audit(l, db, nil, nil)
		l.AtClose(db.Close)
		l.Go("client", func(c *sim.Client) {
			for c.Next() {
				c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return put(tx, "account-0", 1) }))
				c.Logf("taken")
				c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return put(tx, "account-1", ^uint64(0)) }))
				c.Logf("given")
			}
		})
	}
}

func TestHalfAMoveIsFoundBetweenItsHalves(t *testing.T) {
	res := explored(t, Boundaries, Config{Plan: sim.Plan{Each: 1}, Failures: 1000}, halves)
	kinds := map[sim.EndKind]int{}
	for _, f := range res.Failures {
		kinds[f.Plan.Ends[0].Kind]++
		if said(f, "given") {
			t.Errorf("it fails by %+v, with both halves there", f.Plan.Ends[0])
		}
	}
	if kinds[sim.Kill] == 0 || kinds[sim.Power] == 0 {
		t.Errorf("kills and power cuts harm it: %v", kinds)
	}
	between(t, res, halves, "taken", "given")
}

// between wants a failure at each call that has both of its boundaries between two remarks.
func between(t *testing.T, res *Result, subject sim.Subject, from, to string) {
	t.Helper()
	failing := ends(res, 0)
	plan := failing[0]
	plan.At.IO = 1 << 40 // beyond the close
	whole, err := sim.Execute(sim.Plan{Seed: 1, Profile: "sector", Each: res.Failures[0].Plan.Each, Lives: 1, Ends: []sim.End{plan}}, subject, sim.Keep)
	if err != nil || whole.Failure != nil {
		t.Fatal(err, whole.Failure)
	}
	calls, inside, missed := int64(0), false, 0
	for _, e := range whole.Events {
		switch {
		case e.Text == from:
			inside = true
		case e.Text == to:
			inside = false
		case e.Kind.String() == "io":
			calls++
			if inside && !slices.ContainsFunc(failing, func(e sim.End) bool { return e.At.IO <= 2*calls }) {
				missed++
			}
		}
		if e.Life > 1 {
			break
		}
	}
	if missed > 0 {
		t.Errorf("%d calls between %q and %q and no failure up to them", missed, from, to)
	}
}

func said(res *sim.Result, text string) bool {
	return slices.ContainsFunc(res.Events, func(e trace.Event) bool { return e.Text == text && e.Life == 1 })
}

// forgetful has clients that read a number in one transaction and write it in another.
func forgetful() func(*sim.Life) {
	done := uint64(0)
	return func(l *sim.Life) {
		db, err := aegis.Open("", l.Options())
		l.Must(err)
		if l.Last() {
			l.Must(db.View(l.Context(), func(tx *aegis.Tx) error {
				if n, err := number(tx, "n"); err != nil || n != done {
					l.Failf("n is %d after %d increments: %v", n, done, err)
				}
				return nil
			}))
		}
		l.AtClose(db.Close)
		for i := range 2 {
			l.Go(fmt.Sprint("client-", i), func(c *sim.Client) {
				for c.Next() {
					n := uint64(0)
					c.Must(db.View(c.Context(), func(tx *aegis.Tx) (err error) {
						n, err = number(tx, "n")
						return err
					}))
					c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return put(tx, "n", n+1) }))
					done++
				}
			})
		}
	}
}

func TestLostUpdateNeedsOneSwitch(t *testing.T) {
	res := explored(t, Interleavings, Config{Plan: sim.Plan{Each: 1}}, forgetful)
	if len(res.Failures) != 1 || len(res.Failures[0].Plan.Switches) != 1 || res.Whole {
		t.Fatalf("%v", res)
	}
	plan := res.Failures[0].Plan
	plan.Switches = plan.Switches[:0]
	if again, err := sim.Execute(plan, forgetful, sim.Fast); err != nil || again.Failure != nil {
		t.Errorf("without the switch it fails, too: %v, %v", again.Failure, err)
	}
}

func TestChanceIsReported(t *testing.T) {
	var chance atomic.Uint64
	subject := func() func(*sim.Life) {
		return func(l *sim.Life) {
			f, err := l.Backend().Create(fmt.Sprint("file-", chance.Add(1)))
			l.Must(err)
			l.Must(f.Close())
		}
	}
	res, err := Boundaries(context.Background(), Config{}, subject)
	if err != nil || len(res.Failures) != 1 || res.Failures[0].Failure.Check != "determinism" || !strings.Contains(res.Failures[0].Failure.Text, "chance") {
		t.Errorf("%v, %v, %v", res, res.Failures, err)
	}
}

func TestContextAndProgress(t *testing.T) {
	var last Progress
	c := Config{Plan: sim.Plan{Each: 1}, Jobs: 1, Progress: func(p Progress) { last = p }}
	res, err := Boundaries(context.Background(), c, hasty)
	if err != nil || len(res.Failures) != 1 || last.Failures != 1 || last.Runs != int64(res.Runs) || last.Done == 0 || last.Done > last.Of {
		t.Errorf("%v, %v, progress %+v", res, err, last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, f := range []explore{Boundaries, Nested, Interleavings} {
		if res, err := f(ctx, c, bank(1, true)); err != nil || res.Whole || res.Runs > 1 {
			t.Errorf("a context that has ended: %v, %v", res, err)
		}
		c := Config{Plan: sim.Plan{Profile: "paper"}}
		if _, err := f(context.Background(), c, bank(1, true)); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("a profile that does not exist: %v", err)
		}
	}
}

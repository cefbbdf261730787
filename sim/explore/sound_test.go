package explore

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/world"
)

// TestNothingIsLeftOut compares with all crashes at all boundaries, equal ones included: the same
// ways to fail have to be found.
func TestNothingIsLeftOut(t *testing.T) {
	for seed := range uint64(3) {
		subject := hasty
		if seed >= 2 {
			subject = mindful
		}
		plan := sim.Plan{Seed: seed + 1, Profile: "sector", Each: 2}
		if seed%2 == 1 {
			plan.Switches = []world.Switch{}
		}
		all := map[string]bool{}
		for _, end := range allCrashes(t, plan, subject) {
			plan.Lives, plan.Ends = 1, []sim.End{end}
			res, err := sim.Execute(plan, subject, sim.Fast)
			if err != nil {
				t.Fatal(err)
			}
			if res.Failure != nil {
				all[fmt.Sprint(end.Kind, res.Failure)] = true
			}
		}
		res, err := Boundaries(context.Background(), Config{Plan: plan, Failures: 1000, Drawn: -1}, subject)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, f := range res.Failures {
			found[fmt.Sprint(f.Plan.Ends[0].Kind, f.Failure)] = true
		}
		if len(all) == 0 || !maps.Equal(all, found) {
			t.Errorf("seed %d: %d ways to fail were found, there are %d:\n%v\n%v", plan.Seed, len(found), len(all), found, all)
		}
	}
}

// mindful has a client that changes what it remembers between two calls that only read, and dislikes
// crashes there.
func mindful() func(*sim.Life) {
	step := 0
	return func(l *sim.Life) {
		if step%2 == 1 {
			l.Failf("it was at step %d", step)
		}
		db, err := aegis.Open("", l.Options())
		l.Must(err)
		l.AtClose(db.Close)
		l.Go("client", func(c *sim.Client) {
			for c.Next() {
				c.Must(db.Update(c.Context(), func(tx *aegis.Tx) error { return put(tx, "n", 1) }))
				c.Must(db.Checkpoint(c.Context()))
				c.Must(db.Verify(c.Context(), nil))
				step++
				c.Must(db.Verify(c.Context(), nil))
				step++
			}
		})
	}
}

// allCrashes lists every kill and every image at every boundary of a plan's one life.
func allCrashes(t *testing.T, plan sim.Plan, subject sim.Subject) (all []sim.End) {
	plan.Lives, plan.Ends = 1, []sim.End{{Life: 1, Kind: sim.Close}}
	res, err := sim.ExecuteProbed(plan, subject, false, sim.Probe{Boundary: func(b sim.Boundary) {
		if b.Life > 1 {
			return
		}
		at := world.CrashAt{IO: b.IO}
		images, _ := b.Images(0)
		for _, image := range images {
			all = append(all, sim.End{Life: 1, Kind: sim.Power, At: at, Image: image.Number})
		}
		all = append(all, sim.End{Life: 1, Kind: sim.Kill, At: at})
	}})
	if err != nil || res.Failure != nil {
		t.Fatal(err, res.Failure)
	}
	return all
}

// TestKillsThatLeaveUnsyncedWorkDiffer: a recovery's crash can lose what a kill has left.
func TestKillsThatLeaveUnsyncedWorkDiffer(t *testing.T) {
	p := &part{explorer: newExplorer(context.Background(), Config{}, journal)}
	flat, err := p.look(nil, true)
	if err != nil {
		t.Fatal(err)
	}
	deep, err := p.look(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	// Before and behind the syncs of the directory and of the file.
	if len(deep) != len(flat)+2 {
		t.Errorf("%d crashes, %d where the next life is crashed, too", len(flat), len(deep))
	}
}

func TestRecoveriesDoNothingElse(t *testing.T) {
	subject := func() func(*sim.Life) {
		return func(l *sim.Life) {
			f, err := l.Backend().Create(fmt.Sprint("life-", l.Number()))
			l.Must(err)
			l.Must(f.Close())
			l.Go("client", func(c *sim.Client) {
				for c.Next() {
					if l.Number() > 1 {
						c.Failf("an operation in life %d", l.Number())
					}
				}
			})
		}
	}
	if res := explored(t, Nested, Config{}, subject); len(res.Failures) > 0 || !res.Whole {
		t.Errorf("%v: %v", res, res.Failures)
	}
}

// TestTokensTellAll: what explorers put into plans survives a token.
func TestTokensTellAll(t *testing.T) {
	for _, plan := range []sim.Plan{
		{Seed: 3, Profile: "torn", Mode: 2, Lives: 2, Each: 7, Ends: []sim.End{
			{Life: 1, Kind: sim.Kill, At: world.CrashAt{IO: 300}},
			{Life: 2, Kind: sim.Power, At: world.CrashAt{IO: 70}, Image: sim.MaxImages + 3, Idle: true},
		}},
		{Seed: 1, Profile: "kind", Lives: 1, Switches: []world.Switch{}},
		{Seed: 1, Profile: "kind", Lives: 1, Switches: []world.Switch{{At: 4000, To: 2}, {At: 4001}, {At: 5000, To: 1}}},
	} {
		got, err := sim.ParseToken(plan.Token())
		if err != nil || !reflect.DeepEqual(got, plan) {
			t.Errorf("%v:\n%+v\n%+v", err, got, plan)
		}
	}
}

// trio has one client that is left in the middle, and two others that then run in an order.
func trio(first, second string) sim.Subject {
	return func() func(*sim.Life) {
		middle, ran := false, ""
		return func(l *sim.Life) {
			if l.Last() {
				return
			}
			l.Go("left", func(c *sim.Client) {
				middle = true
				c.Yield()
				middle = false
			})
			for _, name := range []string{"b", "c"} {
				l.Go(name, func(c *sim.Client) {
					if middle && ran == first && name == second {
						l.Failf("%s after %s", second, first)
					}
					ran = name
				})
			}
		}
	}
}

func TestWhatASwitchLeavesStaysBehind(t *testing.T) {
	for _, order := range []string{"bc", "cb"} {
		res := explored(t, Interleavings, Config{Switches: 1, Failures: 10}, trio(order[:1], order[1:]))
		if len(res.Failures) != 1 {
			t.Errorf("%s: one switch is enough, and one alone does it: %v", order, res)
		}
	}
}

func TestTheFirstFailuresCountWhateverTheJobs(t *testing.T) {
	for _, failures := range []int{1, 2, 3} {
		res := explored(t, Boundaries, Config{Plan: sim.Plan{Each: 1}, Failures: failures}, halves)
		if len(res.Failures) != failures || res.Whole {
			t.Errorf("%v, %d were asked for", res, failures)
		}
	}
}

package propertytests

import (
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/sim"
	simdisk "github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// Properties over the simulator: rapid draws the seed of a run and the profile of its disk, the
// simulator does the rest. All other choices are the seed's, so a run is a few bytes to rapid, and
// its trace stays out of rapid's log: the token that is printed gives it again, by sim.Replay or
// aegis sim replay.

// honest are the profiles in which a sync that succeeded is to be believed.
func honest() (names []string) {
	for _, p := range simdisk.Profiles() {
		if p.Honest() {
			names = append(names, p.Name)
		}
	}
	return names
}

// drawPlan draws a run. rapid prefers small numbers, so what it draws is hashed.
func drawPlan(t *rapid.T, profiles []string, modes ...uint8) sim.Plan {
	drawn := rapid.SliceOfN(rapid.Uint64(), 3, 3).Draw(t, "seed")
	var b []byte
	for _, n := range drawn {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	h := xxhash.New()
	_, _ = h.Write(b)
	seed := h.Sum64()
	_, _ = h.Write([]byte("profile, mode"))
	choice := h.Sum64()
	return sim.Plan{
		Seed: seed >> 16, Profile: profiles[choice%uint64(len(profiles))], Mode: modes[choice>>32%uint64(len(modes))],
	}
}

// allModes are those of the swarm.
func allModes() []uint8 {
	modes := make([]uint8, swarm.Modes)
	for i := range modes {
		modes[i] = uint8(i)
	}
	return modes
}

// loggedModes are those with a log in every life.
func loggedModes() (modes []uint8) {
	for _, m := range allModes() {
		if m != swarm.NoLog {
			modes = append(modes, m)
		}
	}
	return modes
}

// invariant has rapid look for a run that the named check ends. What other checks find counts as a
// pass, so that rapid shrinks towards one violation; the property of recovery reports it.
func invariant(t *testing.T, check string, subject sim.Subject, modes ...uint8) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t, honest(), modes...)
		res, err := sim.Execute(plan, subject, sim.Fast)
		must(t, err)
		if f := res.Failure; f != nil && (check == "" || f.Check == check) {
			t.Fatalf("%s, mode %s, profile %s: %s\ntoken %s", f.Check, swarm.ModeName(plan.Mode), plan.Profile, f.Text, plan.Token())
		}
	})
}

// watched is the swarm, observed by a watcher of its own in each run. Its checks add to seen.
func watched(rule string, seen *int) sim.Subject {
	return func() func(*sim.Life) {
		w := newWatcher(rule, seen)
		return sim.Over(w.over, func() func(*sim.Life) {
			live := swarm.Subject()
			return func(l *sim.Life) {
				w.begin(l)
				live(l)
			}
		})()
	}
}

// watch runs an invariant that a watcher checks, and fails if it had nothing to look at.
func watch(t *testing.T, rule string, modes ...uint8) {
	t.Helper()
	seen := 0
	invariant(t, rule, watched(rule, &seen), modes...)
	if !t.Failed() && seen == 0 {
		t.Fatal("in no run was there anything to check")
	}
	t.Logf("checked %d times", seen)
}

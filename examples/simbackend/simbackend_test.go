package main

import (
	"context"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// TestConformance and TestStore are what the tests of a Backend of your own look like.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(*testing.T) conformance.Subject { return subject(none) })
}

// TestStore runs aegis's own workload on the Backend, in all its modes and on disks that fail in
// every way.
func TestStore(t *testing.T) {
	over := sim.Over(func(disk backends.Backend) backends.Backend { return Over(disk, none) }, swarm.Subject)
	sim.TestWith(t, sim.Config{Seeds: 150, Modes: swarm.Modes, Profiles: []string{"all"}, Strict: true}, over)
}

// TestFaultsAreFound: each fault is caught by the case that is there for it, or by a store in the
// simulator, or by both.
func TestFaultsAreFound(t *testing.T) {
	for f := none + 1; f < faults; f++ {
		r := table[f]
		t.Run(r.name, func(t *testing.T) {
			if r.found == "" && !r.store {
				t.Fatal("nothing has to find it")
			}
			if r.found != "" {
				found := chosen(f, conform(f))
				if len(found) == 0 {
					t.Fatalf("a Backend that breaks the contract (%s) passes %s", r.does, r.found)
				}
				t.Logf("%s: %s: %s", r.does, found[0].check, found[0].says)
			}
			if !r.store {
				return
			}
			found, err := simulate(f, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if found.check == "" {
				t.Fatalf("a store on a Backend that breaks the contract (%s) lives through 1000 runs", r.does)
			}
			t.Logf("%s: %s: %s", r.does, found.check, shorten(found.says))
		})
	}
}

// TestSoundBackendPasses: without a fault nothing is found, on the disks that the faults need, too.
func TestSoundBackendPasses(t *testing.T) {
	if found := conform(none); len(found) > 0 {
		t.Errorf("the conformance suite: %v", found)
	}
	for _, profiles := range [][]string{nil, {"drops"}, {"eio"}} {
		rep, err := sim.Run(context.Background(), sim.Config{Seeds: 300, Profiles: profiles, NoShrink: true}, storeOn(none))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range rep.Failures {
			t.Errorf("profiles %v, seed %d: %v", profiles, f.Plan.Seed, f.Failure)
		}
	}
}

// TestTable: the program tells of every fault, and refuses names that it does not know.
func TestTable(t *testing.T) {
	var out strings.Builder
	if err := run(&out, "", 100); err != nil {
		t.Fatal(err)
	}
	for _, r := range table {
		if !strings.Contains(out.String(), r.name) || r.found != "" && !strings.Contains(out.String(), "by "+r.found+": ") {
			t.Errorf("the table does not tell what caught %s:\n%s", r.name, &out)
		}
	}
	if n := strings.Count(out.String(), "nothing found"); n != 1 {
		t.Errorf("%d Backends pass, want the one without a fault alone:\n%s", n, &out)
	}
	if err := run(&out, "no-such-fault", 1); err == nil {
		t.Error("a fault that is not there was taken")
	}
}

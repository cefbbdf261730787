package propertytests

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/swarm"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// The invariants of the engine, each a property over runs of the simulator.

// TestInvariantWatermarks: durable ≤ visible ≤ applied, and each of them only rises.
func TestInvariantWatermarks(t *testing.T) { watch(t, watermarksRise, allModes()...) }

// TestInvariantCommitOrder: commits reach the log in the order of their seqs, without a gap, so
// that applied < next.
func TestInvariantCommitOrder(t *testing.T) { watch(t, logOrder, loggedModes()...) }

// TestInvariantAcknowledgedIsVisible: a client that was told of its commit finds it.
func TestInvariantAcknowledgedIsVisible(t *testing.T) { watch(t, answersAreSeen, allModes()...) }

// TestInvariantLogBeforeData: when a checkpoint is written, the log is synced up to its freeze seq.
func TestInvariantLogBeforeData(t *testing.T) { watch(t, logBeforeData, loggedModes()...) }

// TestInvariantCheckpointNamesSyncedFiles: when a checkpoint is written, every table that it names
// is synced, and so is its directory entry.
func TestInvariantCheckpointNamesSyncedFiles(t *testing.T) {
	watch(t, namesSyncedFiles, allModes()...)
}

// TestInvariantLogOutlivesCheckpoint: a log segment goes, or is used again, only when a durable
// checkpoint covers what it holds.
func TestInvariantLogOutlivesCheckpoint(t *testing.T) { watch(t, logOutlives, loggedModes()...) }

// TestInvariantTablesOutliveNames: a table is removed only when neither the durable checkpoint nor
// the published View names it. That older Views keep theirs is seen by those who read in them, see
// TestInvariantRecoveredPrefix.
func TestInvariantTablesOutliveNames(t *testing.T) { watch(t, tablesOutlive, allModes()...) }

// TestInvariantRunsInOrder: tables of a run do not overlap, and runs are newest first by the seqs
// that they cover.
func TestInvariantRunsInOrder(t *testing.T) { watch(t, runsInOrder, allModes()...) }

// TestInvariantRecoveredPrefix: what is found after a crash is the state after some prefix of the
// commits that has all acknowledged Sync ones, and what clients read before fits in. Whatever else
// the swarm checks is reported here, too.
func TestInvariantRecoveredPrefix(t *testing.T) {
	invariant(t, "", swarm.Subject, allModes()...)
}

// TestInvariantMachines: the Check of each machine holds after its Turns. It recounts, among
// others, the versions that visible can see, the credit of the log, and the bytes of resident pages.
func TestInvariantMachines(t *testing.T) { invariant(t, "invariant", swarm.Subject, allModes()...) }

// TestInvariantResidency: the bytes that the cache counts are those of the pages and filters that
// hang in the tables.
func TestInvariantResidency(t *testing.T) {
	counted := 0
	invariant(t, "residency", func() func(*sim.Life) { return residency(&counted) }, swarm.Plain)
	if !t.Failed() && counted == 0 {
		t.Fatal("in no run was there anything resident")
	}
	t.Logf("checked %d times", counted)
}

// residency compares the counts of a store in which nothing moves.
func residency(counted *int) func(*sim.Life) {
	return func(l *sim.Life) {
		o := l.Options()
		o.MemoryBudget = 1 << 20
		db, err := aegis.Open("", o)
		l.Must(err)
		l.AtClose(db.Close)
		tables := map[*pages.Table]bool{} // retired ones, too: their pages count until they are evicted
		l.Observe(func(_, _ string, what messages.Message) {
			if v, ok := what.(*versions.View); ok {
				for _, r := range v.Runs {
					for _, t := range r.Tables {
						tables[t] = true
					}
				}
			}
		})
		l.Go("client", func(c *sim.Client) {
			for c.Next() {
				for n := range 1 + c.Intn(30) {
					c.Life().Excuse(db.Put(ctx, fmt.Appendf(nil, "key %d", n), make([]byte, c.Intn(500))))
				}
			}
			l.Excuse(db.Put(ctx, []byte("key 0"), nil)) // so that there is something to flush, and a new View
			if l.Excuse(db.Compact(ctx, nil)); !l.Calm() {
				return
			}
			for n := range 30 {
				if _, err := db.Get(ctx, fmt.Appendf(nil, "key %d", n)); !errors.Is(err, aegis.ErrNotFound) {
					l.Excuse(err)
				}
			}
			stats, err := db.Stats(ctx)
			l.Must(err)
			bytes := resident(tables)
			if bytes > 0 {
				*counted++
			}
			if bytes != stats.Memory.ResidentBytes {
				l.Fail("residency", "%d bytes are counted as resident, %d are", stats.Memory.ResidentBytes, bytes)
			}
		})
	}
}

// resident counts the bytes of the pages that hang in tables.
func resident(tables map[*pages.Table]bool) (bytes int64) {
	for t := range tables {
		t.Residents(func(p *pages.Page) { bytes += p.Bytes() })
	}
	return bytes
}

// TestDrawnPlansDiffer: rapid prefers small numbers; the seeds that are made of them must not.
func TestDrawnPlansDiffer(t *testing.T) {
	seeds, profiles, modes := map[uint64]bool{}, map[string]bool{}, map[uint8]bool{}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t, honest(), allModes()...)
		runs++
		seeds[p.Seed], profiles[p.Profile], modes[p.Mode] = true, true, true
		if len(p.Token()) > 60 || strings.ContainsAny(p.Token(), " \n") {
			t.Fatalf("token %q", p.Token())
		}
	})
	few := runs < 100 // as with -short
	if len(seeds) < runs*9/10 || !few && (len(profiles) < len(honest()) || len(modes) < swarm.Modes) {
		t.Errorf("%d runs drew %d seeds, %d profiles, %d modes", runs, len(seeds), len(profiles), len(modes))
	}
}

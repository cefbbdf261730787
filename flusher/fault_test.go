package flusher

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// workload is the same sequence of calls each time: flushes, merges, a drop, a bulk load, a
// Compact.
func workload(t *testing.T, d *driver) {
	t.Helper()
	w := d.world
	w.name(16, pages.Codec{Compression: pages.LZ4})
	for i := range 5 {
		w.write(60, pages.DefaultKeyspace, 120)
		w.write(20, 16, 100)
		if i == 3 {
			w.drop(16)
		}
		d.step(w.freeze())
		for len(d.jobs) > 2 {
			d.runJob()
		}
	}
	d.drain()
	if tables, err := d.tryBulk(d.m.files, 20, 60); err == nil {
		d.step(&messages.Ingest{Keyspace: 20, Tables: tables, Reply: messages.NewReply[error]()})
		d.drain()
		w.name(20, pages.Codec{})
		w.named[20] = w.seq
		d.step(w.freeze())
	}
	d.drain()
	d.step(&messages.Compact{Reply: messages.NewReply[error]()})
	d.drain()
}

// settle lets time pass until nothing is left to try again.
func (d *driver) settle() {
	d.t.Helper()
	for range 200 {
		d.drain()
		if d.alarm == 0 {
			return
		}
		d.wait()
	}
}

func newWorkload(t *testing.T, disk *disk) *driver {
	t.Helper()
	return newDriver(t, disk, newWorld(rand.New(rand.NewPCG(1, 5))), tinyLimits())
}

// calls returns how many calls the workload makes after the store is open, and their names.
func calls(t *testing.T) (first int, log []string) {
	t.Helper()
	disk := newDisk()
	d := newWorkload(t, disk)
	first = disk.calls
	workload(t, d)
	return first, disk.log
}

// sample thins out a list of positions in -short mode.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// TestErrorAtEveryCall fails one call, then some calls in a row: nothing is lost, all is tried
// again and succeeds, and no file is left over that RemoveOrphans does not find.
func TestErrorAtEveryCall(t *testing.T) {
	first, log := calls(t)
	for _, c := range []struct {
		err   error
		times int
	}{{errIO, 1}, {backends.ErrNoSpace, 1}, {backends.ErrNoSpace, 9}} {
		for n := first; n < len(log); n += stride() {
			failedAt := ""
			disk := newDisk()
			d := newWorkload(t, disk)
			disk.fault = func(call int, op, name string) error {
				if call >= n && call < n+c.times {
					if failedAt == "" {
						failedAt = op + " " + name
					}
					return c.err
				}
				return nil
			}
			where := fmt.Sprintf("%v %d times from call %d", c.err, c.times, n)
			workload(t, d)
			d.settle()
			st := d.m.Stats()
			flush := strings.HasPrefix(failedAt, "sync ") || strings.HasPrefix(failedAt, "create") || strings.HasPrefix(failedAt, "write")
			if flush && !d.bulkFailed && (st.Failures == 0 || !errors.Is(st.LastError, c.err)) {
				t.Fatalf("%s: %s failed, stats say %d failures, last %v", where, failedAt, st.Failures, st.LastError)
			}
			if strings.Contains(failedAt, checkpointPrefix) && d.covered != d.world.seq {
				t.Fatalf("%s: covered %d of %d", where, d.covered, d.world.seq)
			}
			ck, err := d.world.reload(disk.crash("none", nil), true)
			if err != nil || ck.Freeze != d.world.seq || d.covered != d.world.seq {
				t.Fatalf("%s (%s): reloaded %+v, covered %d, want %d: %v", where, failedAt, ck, d.covered, d.world.seq, err)
			}
			if len(d.runs) != 1 || st.Reclaimable != 0 {
				t.Fatalf("%s (%s): %d runs, %d reclaimable", where, failedAt, len(d.runs), st.Reclaimable)
			}
			// A file whose removal failed is the only orphan there can be.
			if lost := d.lostFiles(disk); c.times == 1 && len(lost) > 0 {
				t.Fatalf("%s (%s): nobody knows %v", where, failedAt, lost)
			}
			disk.fault = nil
			if _, err := RemoveOrphans(disk, ck); err != nil {
				t.Fatal(err)
			}
			if got := len(disk.now); got != len(d.tables())+2 {
				t.Fatalf("%s (%s): %d files for %d tables", where, failedAt, got, len(d.tables()))
			}
		}
	}
}

// TestFlushFailedIsSent: whoever waits for a checkpoint is told of each failure.
func TestFlushFailedIsSent(t *testing.T) {
	for _, what := range []string{"create table", "write table", "sync table", "syncdir", "create checkpoint", "write checkpoint", "sync checkpoint"} {
		d, disk := newTest(t, 20)
		op, name, _ := strings.Cut(what, " ")
		var sync []string
		disk.fault = func(_ int, o, n string) error {
			if o == "sync" {
				sync = append(sync, n)
			}
			if o == op && strings.HasPrefix(n, name) {
				return backends.ErrNoSpace
			}
			return nil
		}
		d.world.write(30, pages.DefaultKeyspace, 100)
		d.step(d.world.freeze())
		d.drain()
		if len(d.failures) != 1 || !errors.Is(d.failures[0], backends.ErrNoSpace) || d.covered != 0 {
			t.Fatalf("%s: failures %v, covered %d", what, d.failures, d.covered)
		}
		d.wait()
		d.drain()
		if len(d.failures) != 2 {
			t.Fatalf("%s: failures %v after a second try", what, d.failures)
		}
		slices.Sort(sync)
		if len(slices.Compact(slices.Clone(sync))) != len(sync) {
			t.Fatalf("%s: a file was synced again after a failure: %v", what, sync)
		}
		disk.fault = nil
		d.wait()
		d.drain()
		if d.covered != d.world.seq || len(d.failures) != 2 {
			t.Fatalf("%s: covered %d of %d, failures %v", what, d.covered, d.world.seq, d.failures)
		}
	}
}

// TestCrashAtEveryCall cuts the power at each call, keeping none, all or some of what was not
// synced: the old checkpoint or the new one loads, with all its tables whole.
func TestCrashAtEveryCall(t *testing.T) {
	first, log := calls(t)
	for n := first; n <= len(log); n += stride() {
		disk := newDisk()
		d := newWorkload(t, disk)
		disk.fault = func(call int, _, _ string) error {
			if call >= n {
				return errCrashed
			}
			return nil
		}
		workload(t, d)
		rng := rand.New(rand.NewPCG(uint64(n), 6))
		for _, keep := range []string{"none", "all", "some", "some", "some"} {
			image := disk.crash(keep, rng)
			c, err := d.world.reload(image, true)
			if err != nil {
				t.Fatalf("crash at call %d, keeping %s: %v", n, keep, err)
			}
			if c == nil || c.Freeze < d.covered || c.Freeze < d.released.UpTo {
				t.Fatalf("crash at call %d, keeping %s: loaded %+v, covered %d", n, keep, c, d.covered)
			}
			// The next life goes on from there, among whatever was left.
			next := &driver{t: t, world: d.world, backend: image, rng: rng, now: d.now, unverified: true}
			if err := next.open(tinyLimits()); err != nil {
				t.Fatalf("crash at call %d, keeping %s: %v", n, keep, err)
			}
			if err := next.compact(); err != nil {
				t.Fatalf("crash at call %d, keeping %s: %v", n, keep, err)
			}
			if _, err := d.world.reload(image.crash("none", nil), true); err != nil {
				t.Fatalf("crash at call %d, keeping %s, in the next life: %v", n, keep, err)
			}
		}
	}
}

// TestFailedPublicationMayBeOnTheMedium: after a publication failed its checkpoint may load, so
// its tables must be there until the next one is durable.
func TestFailedPublicationMayBeOnTheMedium(t *testing.T) {
	for n := range 100 {
		disk := newDisk()
		d := newWorkload(t, disk)
		rng := rand.New(rand.NewPCG(uint64(n), 7))
		failed := 0
		disk.fault = func(_ int, op, name string) error {
			checkpoint := strings.HasPrefix(name, checkpointPrefix)
			// Now and then the second copy fails, and the first cannot be removed.
			if checkpoint && op == "remove" && failed > 0 {
				return errIO
			}
			if failed > 0 {
				failed--
			}
			if checkpoint && op == "create" && strings.HasSuffix(name, ".b") && rng.IntN(3) == 0 {
				failed = 3
				return errIO
			}
			return nil
		}
		d.published = func() {
			for _, keep := range []string{"none", "some"} {
				if _, err := d.world.reload(disk.crash(keep, rng), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		workload(t, d)
		if _, err := d.world.reload(disk.crash("all", rng), true); err != nil {
			t.Fatal(err)
		}
		d.settle()
		if d.covered != d.world.seq {
			t.Fatalf("covered %d of %d", d.covered, d.world.seq)
		}
		if n > 40 && testing.Short() {
			return
		}
	}
}

// TestDamagedTableStopsItsMergeAlone: nothing is dropped, others go on, the error is shown.
func TestDamagedTableStopsItsMergeAlone(t *testing.T) {
	d, disk := newTest(t, 21)
	d.world.write(400, pages.DefaultKeyspace, 1000)
	d.flush()
	d.unverified = true
	victim := d.runs[0].Tables[2].Meta()
	file := disk.now[pages.TableName(victim.ID)]
	file.data[40] ^= 1
	// In a new life, without pages in memory.
	if err := d.open(tinyLimits()); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		d.world.write(40, pages.DefaultKeyspace, 1000)
		d.step(d.world.freeze())
		d.drain()
		if d.alarm > 0 {
			d.wait()
			d.drain()
		}
	}
	st := d.m.Stats()
	var bad *pages.CorruptionError
	if !errors.As(st.LastError, &bad) || bad.File != pages.TableName(victim.ID) {
		t.Fatalf("last error %v", st.LastError)
	}
	if st.Failures > 3 {
		t.Fatalf("%d failures: the damaged run is tried again and again", st.Failures)
	}
	if d.covered != d.world.seq || len(d.runs) > 12 {
		t.Fatalf("covered %d of %d, %d runs", d.covered, d.world.seq, len(d.runs))
	}
	if err := d.compact(); !errors.As(err, &bad) {
		t.Fatalf("Compact got %v", err)
	}
	file.data[40] ^= 1
	d.unverified = false
	d.verify(d.runs, d.covered)
	if err := d.compact(); err != nil || len(d.runs) != 1 {
		t.Fatalf("%d runs, %v", len(d.runs), err)
	}
	d.verify(d.runs, d.covered)
}

// TestUnpublishedMergeIsSent: writers may be held for merges whose checkpoint cannot be written.
func TestUnpublishedMergeIsSent(t *testing.T) {
	d, disk := newTest(t, 21)
	for d.m.stepping == nil {
		d.world.write(30, pages.DefaultKeyspace, 100)
		d.step(d.world.freeze())
		for d.m.stepping == nil && len(d.jobs) > 0 {
			d.runJob()
		}
	}
	disk.fault = func(_ int, op, name string) error {
		if d.m.unanswered == 0 && op == "write" && strings.HasPrefix(name, "checkpoint") {
			return backends.ErrNoSpace
		}
		return nil
	}
	d.drain()
	if !d.mergeFailed || d.m.unanswered > 0 {
		t.Fatalf("told %v, and of a merge: %v; %d flushes without an answer", d.failures, d.mergeFailed, d.m.unanswered)
	}
	disk.fault = nil
	d.wait()
	d.drain()
	if d.m.revision != d.m.publishedRevision {
		t.Fatal("not published when it could be")
	}
}

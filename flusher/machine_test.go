package flusher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// TestModel writes random keys over many generations, with jobs in random order, and compares
// every published state with the model: read directly, reloaded, and reloaded after a power cut.
func TestModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			w, disk := newWorld(rng), newDisk()
			limits := tinyLimits()
			limits.FanIn = 2 + rng.IntN(3)
			limits.MergeStep = []int64{200, 1 << 10, 8 << 10}[rng.IntN(3)]
			d := newDriver(t, disk, w, limits)
			d.published = func() {
				var b backends.Backend = disk
				if n := rng.IntN(3); n > 0 {
					b = disk.crash([]string{"none", "some"}[n-1], rng)
				}
				c, err := w.reload(b, rng.IntN(10) == 0)
				if err != nil {
					t.Fatal(err)
				}
				if c.Freeze < d.covered {
					t.Fatalf("reloaded at seq %d, covered was %d", c.Freeze, d.covered)
				}
			}
			for range 20 {
				w.write(rng.IntN(60), pages.DefaultKeyspace, 400)
				d.step(w.freeze())
				for range rng.IntN(8) {
					if len(d.jobs) > 0 {
						d.runJob()
					}
				}
			}
			d.drain()
			if d.covered != w.seq {
				t.Fatalf("covered %d, want %d", d.covered, w.seq)
			}
			if err := d.compact(); err != nil {
				t.Fatal(err)
			}
			if len(d.runs) != 1 || d.runs[0].Tier != BottomTier {
				t.Fatalf("%d runs after Compact", len(d.runs))
			}
			if st := d.m.Stats(); st.Tombstones != 0 || st.Reclaimable != 0 || !st.Settled {
				t.Fatalf("after Compact: %+v", st)
			}
			checkFiles(t, d)
		})
	}
}

// checkFiles verifies that the backend holds the tables that are named and one checkpoint.
func checkFiles(t *testing.T, d *driver) {
	t.Helper()
	c, err := Load(d.backend)
	if err != nil {
		t.Fatal(err)
	}
	n, err := RemoveOrphans(d.backend, c)
	if n != 0 || err != nil {
		t.Fatalf("%d files are not named (%v)", n, err)
	}
	if got := d.m.Stats(); got.Reclaimable != 0 {
		t.Fatalf("%d bytes reclaimable", got.Reclaimable)
	}
}

func newTest(t *testing.T, seed uint64) (*driver, *disk) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	disk := newDisk()
	return newDriver(t, disk, newWorld(rng), tinyLimits()), disk
}

// flush flushes what the world wrote and runs all jobs.
func (d *driver) flush() {
	d.t.Helper()
	d.step(d.world.freeze())
	d.drain()
}

// keys returns how many keys of a keyspace the runs hold, tombstones included.
func (d *driver) keys(id pages.KeyspaceID) (n int) {
	d.t.Helper()
	prefix := pages.AppendKeyspace(nil, id)
	for _, r := range d.runs {
		c := r.NewCursor(pages.CursorOptions{Lo: prefix, Hi: pages.PrefixEnd(prefix)})
		for ok := c.First(context.Background()); ok; ok = c.Next(context.Background()) {
			n++
		}
	}
	return n
}

func (d *driver) tables() (ids []pages.FileID) {
	for _, r := range d.runs {
		for _, t := range r.Tables {
			ids = append(ids, t.Meta().ID)
		}
	}
	return ids
}

func (d *driver) sequential(id pages.KeyspaceID, from, to int) {
	for i := from; i < to; i++ {
		d.world.put(pages.AppendKey(nil, id, fmt.Appendf(nil, "seq-%06d", i)), fmt.Sprintf("value-%050d", i))
	}
}

func TestFlushIsAnsweredInOrder(t *testing.T) {
	d, _ := newTest(t, 1)
	var upTo []pages.Seq
	d.published = func() { upTo = append(upTo, d.covered) }
	d.world.write(20, pages.DefaultKeyspace, 100)
	first := d.world.freeze()
	d.world.write(20, pages.DefaultKeyspace, 100)
	second := d.world.freeze()
	d.step(first, second)
	if len(d.jobs) != 1 {
		t.Fatalf("%d jobs after two flushes, want the older one's", len(d.jobs))
	}
	d.drain()
	if !slices.IsSorted(upTo) || upTo[len(upTo)-1] != second.UpTo || d.released.UpTo != second.UpTo || d.released.Final {
		t.Fatalf("covered %v, released %+v", upTo, d.released)
	}
}

func TestEmptyFlushMovesTheFreezeSeq(t *testing.T) {
	d, disk := newTest(t, 1)
	d.world.write(5, pages.DefaultKeyspace, 5)
	d.flush()
	runs := len(d.runs)
	d.flushed = 0
	d.step(messages.Flush{UpTo: d.world.seq})
	d.drain()
	if d.flushed != 1 || len(d.runs) != runs {
		t.Fatalf("answered %d times, %d runs", d.flushed, len(d.runs))
	}
	if c, err := Load(disk); err != nil || c.Freeze != d.world.seq || c.Clean {
		t.Fatalf("loaded %+v, %v", c, err)
	}
}

func TestFilesWaitForReclaim(t *testing.T) {
	d, disk := newTest(t, 4)
	d.hold = true
	for range 6 {
		d.world.write(80, pages.DefaultKeyspace, 200)
		d.flush()
	}
	if len(d.retired) == 0 {
		t.Fatal("no table was replaced")
	}
	for _, table := range d.retired {
		if disk.now[pages.TableName(table.Meta().ID)] == nil {
			t.Fatalf("table %d was removed before Reclaim", table.Meta().ID)
		}
	}
	reclaimable := d.m.Stats().Reclaimable
	pinned := d.retired[0]
	if reclaimable == 0 || !pinned.TryPin() {
		t.Fatalf("%d reclaimable", reclaimable)
	}
	tables := d.retired
	d.retired = nil
	d.step(messages.Reclaim{Tables: tables})
	d.drain()
	if disk.now[pages.TableName(pinned.Meta().ID)] == nil || d.m.Stats().Reclaimable != pinned.Meta().Size {
		t.Fatalf("pinned table's file: %v, %d reclaimable", disk.now[pages.TableName(pinned.Meta().ID)], d.m.Stats().Reclaimable)
	}
	pinned.Unpin()
	d.hold = false
	d.wait()
	d.drain()
	checkFiles(t, d)
}

func TestFinalFlushLeavesACleanCheckpoint(t *testing.T) {
	for seed := range uint64(30) {
		d, disk := newTest(t, seed)
		d.unverified = true
		n := d.rng.IntN(6)
		for range n {
			d.world.write(60, pages.DefaultKeyspace, 150)
			d.step(d.world.freeze())
			if len(d.jobs) > 0 && d.rng.IntN(2) == 0 {
				d.runJob()
			}
		}
		waiting := &messages.Compact{Reply: messages.NewReply[error]()}
		d.step(waiting)
		d.world.write(d.rng.IntN(2)*10, pages.DefaultKeyspace, 150)
		last := d.world.freeze()
		last.Final = true
		d.step(last)
		d.published = func() {
			if d.released.Final {
				t.Fatalf("seed %d: a checkpoint after the final one", seed)
			}
		}
		late := &messages.Ingest{Keyspace: 30, Reply: messages.NewReply[error]()}
		d.step(late)
		d.drain()
		c, err := d.world.reload(disk.crash("none", nil), true)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Clean || c.Freeze != d.world.seq || !d.released.Final || d.covered != d.world.seq {
			t.Fatalf("seed %d: %+v, released %+v", seed, c, d.released)
		}
		if err := <-late.Reply.Done(); !errors.Is(err, messages.ErrClosed) {
			t.Fatalf("a late ingest got %v", err)
		}
		if !waiting.Reply.Ready() {
			t.Fatal("a Compact was left waiting")
		}
		checkFiles(t, d)
		if err := d.m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJobsThatAreStoppedLeaveNoFiles(t *testing.T) {
	for after := range 60 {
		d, disk := newTest(t, 14)
		d.unverified = true
		for range 3 {
			d.world.write(500, pages.DefaultKeyspace, 1000)
			d.step(d.world.freeze())
		}
		left := after
		yield := func() bool { left--; return left >= 0 }
		for len(d.jobs) > 0 {
			job := d.jobs[0]
			d.jobs = d.jobs[1:]
			err := job.Run(yield)
			d.step(messages.FlusherJobDone{Job: job, Err: err})
		}
		if _, err := d.world.reload(disk, true); err != nil {
			t.Fatal(err)
		}
		if lost := d.lostFiles(disk); len(lost) > 0 {
			t.Fatalf("stopped after %d yields: nobody knows %v", after, lost)
		}
	}
}

// lostFiles returns the table files that the machine does not know of.
func (d *driver) lostFiles(disk *disk) (lost []string) {
	known := map[string]bool{}
	m := d.m
	for _, r := range m.staged.runs {
		for _, table := range r.Tables {
			known[pages.TableName(table.Meta().ID)] = true
		}
	}
	for _, table := range slices.Concat(m.leaving, m.retired, d.retired) {
		known[pages.TableName(table.Meta().ID)] = true
	}
	for _, c := range m.condemned {
		known[pages.TableName(c.id)] = true
	}
	for _, name := range sortedNames(disk.now) {
		if _, ok := pages.ParseTableName(name); ok && !known[name] {
			lost = append(lost, name)
		}
	}
	return lost
}

// TestJobsRunBesideSteps runs every job on its own goroutine, for the race detector.
func TestJobsRunBesideSteps(t *testing.T) {
	d, _ := newTest(t, 15)
	d.unverified, d.hold = true, true
	done := make(chan messages.FlusherJobDone, 8)
	var wg sync.WaitGroup
	running := 0
	start := func() {
		for _, job := range d.jobs {
			running++
			wg.Add(1)
			go func() {
				defer wg.Done()
				done <- messages.FlusherJobDone{Job: job, Err: job.Run(func() bool { return true })}
			}()
		}
		d.jobs = nil
	}
	for range 40 {
		d.world.write(100, pages.DefaultKeyspace, 300)
		d.step(d.world.freeze())
		start()
		for len(done) > 0 {
			running--
			d.step(<-done)
			start()
		}
		if len(d.retired) > 0 {
			tables := d.retired
			d.retired = nil
			d.step(messages.Reclaim{Tables: tables})
			start()
		}
	}
	for running > 0 {
		running--
		d.step(<-done)
		start()
	}
	wg.Wait()
	d.verify(d.runs, d.covered)
	if d.covered != d.world.seq {
		t.Fatalf("covered %d of %d", d.covered, d.world.seq)
	}
}

func TestTickWithoutWork(t *testing.T) {
	d, _ := newTest(t, 17)
	d.step(messages.Tick{Now: time.Unix(1, 0)})
	if len(d.jobs) != 0 || d.alarm != 0 {
		t.Fatalf("an empty store has %d jobs, alarm %v", len(d.jobs), d.alarm)
	}
}

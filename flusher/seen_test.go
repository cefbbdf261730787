package flusher

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// While txcoord takes nothing in, flusher stops after a few publications. Each acknowledgement
// lets it go on, all that it wanted to do gets done, and no table is forgotten.
func TestStarvedTxcoord(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(8, 8)))
	b := backends.NewMemory()
	d := newDriver(t, b, w, tinyLimits())
	d.unverified, d.starved = true, true
	most := uint64(0)
	for range 150 {
		w.write(300, pages.DefaultKeyspace, 2000)
		d.step(w.freeze())
		d.drain()
		unseen := d.m.unseen()
		most = max(most, unseen)
		if d.covered == w.seq {
			continue
		}
		if unseen < maxUnseen {
			t.Fatalf("%d messages are not seen, and nothing is done", unseen)
		}
		for d.m.seen < d.m.told { // some, or all of them
			d.step(messages.Seen{UpTo: d.m.seen + 1 + d.rng.Uint64N(d.m.told-d.m.seen)})
		}
		d.drain()
	}
	if most < maxUnseen || most > maxUnseen+1 {
		t.Errorf("%d messages were not seen", most)
	}
	d.starved = false
	d.step(messages.Seen{UpTo: d.m.told})
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	d.verify(d.runs, w.seq)
	s := d.m.Stats()
	if s.MergeSteps < 1000 {
		t.Errorf("only %d merge steps", s.MergeSteps)
	}
	files, err := b.List()
	if err != nil || len(files) != s.Tables+2 || s.Reclaimable != 0 {
		t.Errorf("%d files for %d tables and a checkpoint, %d bytes to reclaim, error %v", len(files), s.Tables, s.Reclaimable, err)
	}
}

// Failures that txcoord cannot be told of wait, one of each kind, and are said once it listens if
// they are still true.
func TestFailuresWaitForTxcoord(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(9, 9)))
	d := newDriver(t, backends.NewMemory(), w, tinyLimits())
	d.starved = true
	w.write(10, pages.DefaultKeyspace, 10)
	d.step(w.freeze())
	bad := errors.New("cannot write")
	fail := func() {
		d.t.Helper()
		job := d.jobs[0]
		d.jobs = nil
		d.step(messages.FlusherJobDone{Job: job, Err: bad})
	}
	for range 20 {
		fail()
		if len(d.jobs) != 0 {
			t.Fatal("tried again at once")
		}
		d.wait()
	}
	if len(d.failures) != maxUnseen {
		t.Fatalf("told of %d failures, %d may be unseen", len(d.failures), maxUnseen)
	}
	fail()
	d.step(messages.Seen{UpTo: 1})
	if len(d.failures) != maxUnseen+1 || !errors.Is(d.failures[maxUnseen], bad) {
		t.Fatalf("told of %d failures, the last is one that waited", len(d.failures))
	}
	d.wait()
	fail()
	d.wait()
	d.drain() // it works at last
	d.step(messages.Seen{UpTo: d.m.told})
	if len(d.failures) != maxUnseen+1 {
		t.Errorf("told of a failure that is over")
	}
	d.starved = false
	d.step(messages.Seen{UpTo: d.m.told})
	d.drain()
	if d.covered != w.seq {
		t.Errorf("covered %d of %d", d.covered, w.seq)
	}
}

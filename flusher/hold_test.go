package flusher

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// holdCheckpoint asks for the published checkpoint and waits for the answer.
func (d *driver) holdCheckpoint() (*messages.Hold, messages.Held) {
	d.t.Helper()
	h := &messages.Hold{Reply: messages.NewReply[messages.Held]()}
	d.step(h)
	d.drain()
	if !h.Reply.Ready() {
		d.t.Fatal("a Hold is not answered")
	}
	return h, <-h.Reply.Done()
}

// TestHold: what is held is whole however much is written and merged meanwhile; afterwards the
// log may go, and the next publication removes what stayed.
func TestHold(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(21, 21)))
	b := backends.NewMemory()
	d := newDriver(t, b, w, tinyLimits())
	write := func() {
		for range 4 {
			w.write(100, pages.DefaultKeyspace, 500)
			d.step(w.freeze())
			d.drain()
		}
	}
	write()
	first, held := d.holdCheckpoint()
	covered := d.covered
	second, again := d.holdCheckpoint()
	if held.Checkpoint != again.Checkpoint || len(held.Tables) == 0 {
		t.Fatalf("held %d, then %d; %d tables", held.Checkpoint, again.Checkpoint, len(held.Tables))
	}
	write()
	if d.covered == covered || d.released.UpTo != covered {
		t.Errorf("covered went from %d to %d, the log is released up to %d", covered, d.covered, d.released.UpTo)
	}
	if err := CheckCopies(b, held.Checkpoint); err != nil {
		t.Error(err)
	}
	c, err := LoadNumber(b, held.Checkpoint)
	if err != nil || c.Freeze != covered {
		t.Fatalf("held: %+v, %v", c, err)
	}
	d.step(messages.Unhold{Hold: first, Unpin: true})
	write()
	if d.released.UpTo != covered {
		t.Errorf("one Hold is left, and the log is released up to %d", d.released.UpTo)
	}
	runs, err := Open(b, c, pages.NewCache(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	d.verify(runs, covered)
	d.step(messages.Unhold{Hold: second, Unpin: false})
	if d.released.UpTo != d.covered {
		t.Errorf("covered %d, released %d after the last Unhold", d.covered, d.released.UpTo)
	}
	write()
	third, _ := d.holdCheckpoint()
	d.step(messages.Unhold{Hold: third, Unpin: true})
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	if files, tables := d.files(), d.m.Stats().Tables; files <= tables+2 {
		t.Errorf("%d files for %d tables, a checkpoint and what is still pinned", files, tables)
	}
	for _, table := range held.Tables {
		table.Unpin()
	}
	d.wait()
	d.drain()
	if files, tables := d.files(), d.m.Stats().Tables; files != tables+2 {
		t.Errorf("%d files for %d tables and a checkpoint", files, tables)
	}
}

// TestHoldWaitsForPublication: the files of the checkpoint before it go at its end. A client that does
// not wait for the answer leaves nothing behind.
func TestHoldWaitsForPublication(t *testing.T) {
	w := newWorld(rand.New(rand.NewPCG(22, 22)))
	b := backends.NewMemory()
	d := newDriver(t, b, w, tinyLimits())
	w.write(100, pages.DefaultKeyspace, 500)
	d.step(w.freeze())
	for !slices.ContainsFunc(d.jobs, func(j messages.FlusherJob) bool { _, ok := j.(*publishJob); return ok }) {
		d.runJob()
	}
	h, dropped := &messages.Hold{Reply: messages.NewReply[messages.Held]()}, &messages.Hold{Reply: messages.NewReply[messages.Held]()}
	d.step(h, dropped)
	if h.Reply.Ready() {
		t.Fatal("answered while a publication is under way")
	}
	d.step(messages.Unhold{Hold: dropped, Unpin: true})
	d.drain()
	if !h.Reply.Ready() || dropped.Reply.Ready() {
		t.Fatal("the wrong Hold is answered")
	}
	held := <-h.Reply.Done()
	if err := CheckCopies(b, held.Checkpoint); err != nil {
		t.Error(err)
	}
	d.step(messages.Unhold{Hold: h, Unpin: true})
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	if files, tables := d.files(), d.m.Stats().Tables; files != tables+2 {
		t.Errorf("%d files for %d tables and a checkpoint", files, tables)
	}
}

func (d *driver) files() int {
	d.t.Helper()
	files, err := d.backend.List()
	if err != nil {
		d.t.Fatal(err)
	}
	return len(files)
}

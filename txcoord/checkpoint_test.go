package txcoord

import (
	"errors"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestCheckpoint(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	if q := w.checkpoint(false); true {
		w.all()
		if q.answers != 1 || q.err != nil || w.m.stats.Freezes != 0 {
			t.Fatal("a checkpoint of nothing does something")
		}
	}
	w.put("a", 1, messages.NoSync)
	w.all()
	q := w.checkpoint(false)
	w.all()
	if len(w.flush.queue) != 0 || len(w.wal.mailbox) != 1 {
		t.Fatalf("log before data: %d flushes, %d appends", len(w.flush.queue), len(w.wal.mailbox))
	}
	w.wal.take(1, false)
	w.all()
	if len(w.flush.queue) != 1 || w.flush.queue[0].UpTo != 1 || q.answers != 0 {
		t.Fatalf("flushes %v, answers %d", w.flush.queue, q.answers)
	}
	second := w.checkpoint(false)
	w.all()
	if second.answers != 0 || w.m.stats.Freezes != 1 {
		t.Fatal("a second checkpoint of the same state freezes, or does not wait")
	}
	w.flush.publish()
	w.all()
	if q.answers != 1 || second.answers != 1 || len(w.m.frozen) != 0 || w.pub.View.Load().RunSeq != 1 {
		t.Fatalf("answers %d and %d, %d frozen, runs up to %d", q.answers, second.answers, len(w.m.frozen), w.pub.View.Load().RunSeq)
	}
	w.end(t)
}

func TestCheckpointFails(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("a", 1, messages.NoSync)
	w.all()
	q := w.checkpoint(false)
	w.all()
	w.wal.take(1, false)
	w.all()
	w.flush.failing = true
	w.flush.publish()
	w.all()
	if q.answers != 1 || q.err == nil || len(w.m.frozen) != 1 {
		t.Fatalf("answers %d, error %v, %d frozen", q.answers, q.err, len(w.m.frozen))
	}
	w.end(t) // flusher goes on by itself
	if w.pub.View.Load().RunSeq != 1 {
		t.Error("the flush did not come in the end")
	}
}

// Checkpoints that come faster than flushes share the frozen indexes there is room for.
func TestCheckpointsWaitForRoom(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	var all []*wait
	for range 10 {
		w.put("a", 1, messages.Sync)
		w.all()
		all = append(all, w.checkpoint(false))
		w.all()
		w.wal.take(9, false)
		w.all()
		if len(w.m.frozen) > w.limits.MaxFrozen {
			t.Fatalf("%d frozen indexes, at most %d may wait", len(w.m.frozen), w.limits.MaxFrozen)
		}
	}
	w.end(t)
	for i, q := range all {
		if q.err != nil || q.answers != 1 {
			t.Errorf("checkpoint %d: answers %d, error %v", i, q.answers, q.err)
		}
	}
}

// The log's size makes a checkpoint.
func TestLogSizeFreezes(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("a", 1, messages.NoSync)
	w.all()
	w.send(messages.Written{LogBytes: w.limits.LogBytes - 1})
	w.all()
	if w.m.stats.Freezes != 0 {
		t.Fatal("frozen below the limit")
	}
	w.send(messages.Written{LogBytes: w.limits.LogBytes})
	w.all()
	if w.m.stats.Freezes != 1 {
		t.Fatal("not frozen at the limit")
	}
	w.send(messages.Written{LogBytes: w.limits.LogBytes})
	w.all()
	if w.m.stats.Freezes != 1 || w.m.freezeDue {
		t.Fatal("a flush is on its way, and another freeze is due")
	}
	w.end(t)
}

// Close: what was admitted goes first, whether or not its client waits.
func TestFinalLetsHeldCommitsFinish(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.flush.debt = w.limits.MaxRuns
	w.send(messages.Flushed{Debt: w.flush.debt}) // no merge will lower it any more
	w.all()
	var held []*request
	for range 8 {
		held = append(held, w.put("a", int(w.limits.SegmentBytes)/3, messages.NoSync))
	}
	big := w.put("b", 2*int(w.limits.SegmentBytes), messages.Sync)
	final := w.checkpoint(true)
	late := w.put("c", 1, messages.NoSync)
	w.all()
	w.wantErr(t, late, messages.ErrClosed)
	if final.answers != 0 {
		t.Fatal("the last checkpoint is answered while commits are held")
	}
	w.flush.debt = 0 // nothing merges while the store closes
	w.end(t)
	for _, q := range append(held, big) {
		w.wantErr(t, q, nil)
	}
	if final.err != nil || w.flush.covered != w.m.applied || !w.flush.final {
		t.Fatalf("error %v, covered %d of %d, final %t", final.err, w.flush.covered, w.m.applied, w.flush.final)
	}
}

// Close when nothing can be flushed: what cannot go on is refused, and the caller hears why.
func TestFinalWhenFlushesFail(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	var last *request
	for len(w.m.held) == 0 {
		last = w.put("a", 500, messages.Sync)
		w.put(w.key(), 500, messages.Sync)
		w.all()
		w.wal.take(9, false)
		for w.wal.busy() {
			w.wal.prepared()
		}
		w.all()
	}
	final := w.checkpoint(true)
	w.all()
	w.flush.failing = true
	w.flush.publish()
	w.all()
	if final.answers != 1 || final.err == nil || len(w.m.held) != 0 {
		t.Fatalf("answers %d, error %v, %d held", final.answers, final.err, len(w.m.held))
	}
	if last.answers == 1 && last.result.Err != nil && !errors.Is(last.result.Err, messages.ErrClosed) {
		t.Fatalf("a held commit is refused with %v", last.result.Err)
	}
	w.quiesce()
	w.finish()
}

// Close of an empty store flushes an empty index: the checkpoint has to say that no log follows.
func TestFinalOfNothing(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	q := w.checkpoint(true)
	w.all()
	if q.answers != 0 || len(w.flush.queue) != 1 || !w.flush.queue[0].Final {
		t.Fatalf("answers %d, flushes %v", q.answers, w.flush.queue)
	}
	w.end(t)
}

// mergeAll replaces all tables.
func (w *world) mergeAll() {
	gone := w.flush.live
	w.flush.live = []*pages.Table{newTable()}
	w.flush.retired = append(w.flush.retired, gone...)
	w.send(messages.Flushed{Runs: w.flush.runs(), Retired: gone})
	w.all()
}

func (w *world) acquireNow() *openSnapshot { return w.acquireAs(false) }

// Retired tables go when no snapshot has them, also after poisoning: an older snapshot never had
// them, a newer one has what replaced them.
func TestReclaim(t *testing.T) {
	for _, poisoned := range []bool{false, true} {
		w := testWorld(t, true, nil)
		w.credit()
		if poisoned {
			w.wal.poisoned = true
			w.send(messages.Poisoned{Err: errors.New("write failed")})
			w.all()
		}
		older := w.acquireNow()
		w.flush.live = []*pages.Table{newTable(), newTable()}
		w.send(messages.Flushed{Runs: w.flush.runs()})
		w.all()
		holder := w.acquireNow()
		w.mergeAll()
		newer := w.acquireNow()
		for range 3 {
			if !w.armed || len(w.flush.retired) != 2 {
				t.Fatalf("poisoned %t: alarm %t, %d tables wait", poisoned, w.armed, len(w.flush.retired))
			}
			w.tick()
		}
		w.mergeAll()
		w.tick()
		if len(w.flush.retired) != 3 {
			t.Fatalf("poisoned %t: %d tables wait", poisoned, len(w.flush.retired))
		}
		newer.Release()
		w.open = []*openSnapshot{older, holder}
		w.tick()
		if len(w.flush.retired) != 2 {
			t.Fatalf("poisoned %t: %d tables wait for the snapshot that has 2", poisoned, len(w.flush.retired))
		}
		holder.Release()
		w.open = []*openSnapshot{older}
		w.tick()
		if len(w.flush.retired) != 0 {
			t.Fatalf("poisoned %t: %d tables wait for nobody", poisoned, len(w.flush.retired))
		}
		w.tick()
		if w.armed {
			t.Errorf("poisoned %t: an alarm for nothing", poisoned)
		}
		if len(w.m.born) != 1 {
			t.Errorf("poisoned %t: %d tables are remembered, 1 is there", poisoned, len(w.m.born))
		}
	}
}

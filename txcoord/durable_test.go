package txcoord

import (
	"context"
	"errors"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestSyncIsAnsweredWhenDurable(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	a, b := w.put("a", 1, messages.Sync), w.put("b", 1, messages.Sync)
	w.all()
	if a.answers+b.answers != 0 || w.pub.Applied.Load() != 2 || w.pub.Visible.Load() != 0 {
		t.Fatalf("answers %d and %d, applied %d, visible %d", a.answers, b.answers, w.pub.Applied.Load(), w.pub.Visible.Load())
	}
	if len(w.wal.mailbox) != 1 {
		t.Fatalf("%d appends for one Turn", len(w.wal.mailbox))
	}
	w.wal.take(1, false)
	w.all()
	w.wantErr(t, a, nil)
	w.wantErr(t, b, nil)
	if w.pub.Visible.Load() != 2 || w.pub.Durable.Load() != 2 {
		t.Fatalf("visible %d, durable %d", w.pub.Visible.Load(), w.pub.Durable.Load())
	}
}

func TestNoSyncIsAnsweredWhenApplied(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	a := w.put("a", 1, messages.NoSync)
	w.all()
	w.wantErr(t, a, nil)
	if len(w.wal.mailbox) != 0 || !w.armed {
		t.Fatalf("%d appends, alarm %t", len(w.wal.mailbox), w.armed)
	}
	w.tick()
	if got, ok := w.wal.mailbox[0].(messages.Append); !ok || !got.Sync || got.Count != 1 {
		t.Fatalf("the Tick sends %v", w.wal.mailbox)
	}
	w.wal.take(1, false)
	w.all()
	if w.armed || w.pub.Durable.Load() != 1 {
		t.Fatalf("alarm %t, durable %d", w.armed, w.pub.Durable.Load())
	}
}

// A commit that is acknowledged is visible, and so is all before it.
func TestAcknowledgedIsVisible(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("a", 1, messages.Sync)
	w.put("b", 1, messages.NoSync)
	w.put("c", 1, messages.Sync)
	w.all()
	if w.pub.Visible.Load() != 2 || w.pub.Durable.Load() != 0 {
		t.Fatalf("visible %d, durable %d", w.pub.Visible.Load(), w.pub.Durable.Load())
	}
	w.end(t)
}

// A buffer comes back with Written and is used again; huge ones and more than a few are not kept.
func TestBuffers(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("a", 1, messages.Sync)
	w.all()
	first := w.wal.mailbox[0].(messages.Append).Records
	w.wal.take(1, false)
	w.all()
	w.put("a", 1, messages.Sync)
	w.all()
	if second := w.wal.mailbox[0].(messages.Append).Records; &second[0] != &first[0] {
		t.Error("the buffer was not used again")
	}
	for range 20 {
		w.step(messages.Written{Buffer: make([]byte, 100)}, messages.Written{Buffer: make([]byte, 2<<20)})
	}
	if len(w.m.buffers) > 4 {
		t.Errorf("%d buffers are kept", len(w.m.buffers))
	}
	for _, b := range w.m.buffers {
		if cap(b) > 1<<20 {
			t.Errorf("a buffer of %d bytes is kept", cap(b))
		}
	}
}

func (w *world) waitFor(t *testing.T, upTo pages.Seq) *wait {
	t.Helper()
	q := &wait{upTo: min(upTo, w.m.applied)}
	a := &messages.Await{UpTo: upTo, Reply: messages.NewReply[error]()}
	w.waits[a.Reply] = q
	w.client(a)
	w.all()
	return q
}

func TestAwait(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	if q := w.waitFor(t, pages.MaxSeq); q.answers != 1 || q.err != nil {
		t.Fatal("an Await of nothing waits")
	}
	w.put("a", 1, messages.NoSync)
	w.put("b", 1, messages.NoSync)
	w.all()
	one, all := w.waitFor(t, 1), w.waitFor(t, pages.MaxSeq)
	if one.answers+all.answers != 0 || len(w.wal.mailbox) != 1 {
		t.Fatalf("answers %d %d, %d appends", one.answers, all.answers, len(w.wal.mailbox))
	}
	w.wal.take(9, false)
	w.all()
	if one.answers != 1 || all.answers != 1 || w.waitFor(t, 2).answers != 1 {
		t.Fatal("not answered when durable")
	}
}

// A sync that is on its way and covers an Await is not asked for again.
func TestAwaitJoinsSync(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("a", 1, messages.Sync)
	w.all()
	w.waitFor(t, 1)
	if len(w.wal.mailbox) != 1 {
		t.Fatalf("%d appends", len(w.wal.mailbox))
	}
	w.end(t)
}

// One Turn ends with a commit that is not acknowledged behind one that is, both of one key:
// what the acknowledged one wrote is what readers get.
func TestVisibleWithinAStepIsKept(t *testing.T) {
	for _, sync := range []messages.Durability{messages.Sync, messages.NoSync} {
		w := testWorld(t, true, nil)
		w.credit()
		w.submit(&messages.Commit{Snapshot: pages.MaxSeq, Durability: messages.NoSync}, []string{"key-01"}, 1)
		w.submit(&messages.Commit{Snapshot: pages.MaxSeq, Durability: sync}, []string{"key-01"}, 1)
		w.submit(&messages.Commit{Snapshot: pages.MaxSeq, Durability: messages.Sync}, []string{"key-01"}, 1)
		w.all()
		seq := pages.Seq(w.pub.Visible.Load())
		_, _, got, ok, err := w.pub.Get(context.Background(), []byte("key-01"), pages.Hash([]byte("key-01")))
		if err != nil || !ok || got != seq {
			t.Fatalf("visible is %d, the read finds %d (there: %t), error %v", seq, got, ok, err)
		}
		w.end(t)
	}
}

// Every end of an Append that is in flight can become visible.
func TestInFlightIsKept(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	for range 4 {
		w.submit(&messages.Commit{Snapshot: pages.MaxSeq}, []string{"key-01"}, 1)
		w.all()
	}
	for seq := pages.Seq(1); seq <= 4; seq++ {
		w.wal.take(1, false)
		w.all()
		_, _, got, ok, err := w.pub.Get(context.Background(), []byte("key-01"), pages.Hash([]byte("key-01")))
		if visible := pages.Seq(w.pub.Visible.Load()); err != nil || !ok || got != seq || visible != seq {
			t.Fatalf("visible is %d, the read finds %d (there: %t), error %v", visible, got, ok, err)
		}
	}
}

// A log that fails in the middle of an Append may have synced a part of it. Readers are not shown
// a state that trimming did not keep.
func TestPartOfAnAppendSynced(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	for range 3 {
		w.submit(&messages.Commit{Snapshot: pages.MaxSeq}, []string{"key-01"}, 1)
	}
	w.all()
	w.wal.poisoned, w.wal.synced = true, 2
	w.send(messages.Durable{UpTo: 2})
	w.send(messages.Poisoned{Err: errors.New("write failed")})
	w.all()
	seq := pages.Seq(w.pub.Visible.Load())
	_, _, got, ok, err := w.pub.Get(context.Background(), []byte("key-01"), pages.Hash([]byte("key-01")))
	if err != nil || ok != (seq > 0) || got != seq {
		t.Fatalf("visible is %d, the read finds %d (there: %t), error %v", seq, got, ok, err)
	}
	w.quiesce()
	w.finish()
}

func TestPoison(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	durable := w.put("a", 1, messages.Sync)
	w.quiesce()
	noSync := w.put("b", 1, messages.NoSync)
	waiting := w.put("c", 1, messages.Sync)
	held := w.put("d", 2*int(w.limits.SegmentBytes), messages.Sync)
	w.all()
	await, checkpoint := w.waitFor(t, pages.MaxSeq), w.checkpoint(false)
	w.all()
	visible := w.pub.Visible.Load()
	cause := errors.New("the first cause")
	w.wal.poisoned = true
	w.send(messages.Poisoned{Err: cause})
	w.send(messages.Poisoned{Err: errors.New("another")})
	later := w.put("e", 1, messages.NoSync)
	w.all()
	w.wantErr(t, durable, nil)
	w.wantErr(t, noSync, nil)
	for _, q := range []*request{waiting, held, later} {
		w.wantErr(t, q, messages.ErrPoisoned)
		w.wantErr(t, q, cause)
	}
	for _, q := range []*wait{await, checkpoint, w.waitFor(t, pages.MaxSeq), w.checkpoint(true), w.checkpoint(false)} {
		w.all()
		if q.answers != 1 || !errors.Is(q.err, messages.ErrPoisoned) || !errors.Is(q.err, cause) {
			t.Fatalf("answers %d, error %v", q.answers, q.err)
		}
	}
	if q := w.waitFor(t, 1); q.answers != 1 || q.err != nil {
		t.Error("an Await of what is durable fails")
	}
	w.send(messages.Durable{UpTo: 3})
	w.all()
	if got := w.pub.Visible.Load(); got != visible || w.pub.Durable.Load() != 1 {
		t.Errorf("visible goes from %d to %d, durable is %d", visible, got, w.pub.Durable.Load())
	}
	if s := w.m.figures(); !errors.Is(s.Poisoned, cause) {
		t.Errorf("stats say %v", s.Poisoned)
	}
	w.finish()
}

func TestDurableAboveApplied(t *testing.T) {
	w := testWorld(t, true, nil)
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	var out Outbox
	_ = w.m.Step([]messages.ToTxcoord{messages.Durable{UpTo: 5}}, &out)
}

// Without a log commits are answered at applied, and durable rises with flushes.
func TestWithoutLog(t *testing.T) {
	w := testWorld(t, false, nil)
	a := w.put("a", 1, messages.Sync)
	w.all()
	w.wantErr(t, a, nil)
	if w.pub.Visible.Load() != 1 || w.pub.Durable.Load() != 0 || w.armed {
		t.Fatalf("visible %d, durable %d, alarm %t", w.pub.Visible.Load(), w.pub.Durable.Load(), w.armed)
	}
	q := w.waitFor(t, pages.MaxSeq)
	if q.answers != 0 || len(w.flush.queue) != 1 {
		t.Fatalf("answers %d, %d flushes", q.answers, len(w.flush.queue))
	}
	w.flush.publish()
	w.all()
	if q.answers != 1 || q.err != nil || w.pub.Durable.Load() != 1 {
		t.Fatalf("answers %d, error %v, durable %d", q.answers, q.err, w.pub.Durable.Load())
	}
	b := w.put("b", 1, messages.NoSync)
	w.all()
	w.wantErr(t, b, nil)
	q = w.waitFor(t, pages.MaxSeq)
	w.flush.failing = true
	w.flush.publish()
	w.all()
	if q.answers != 1 || q.err == nil {
		t.Fatalf("answers %d, error %v of a flush that failed", q.answers, q.err)
	}
	w.end(t)
}

// A counter that is written again and again holds few versions, and what a snapshot sees stays.
func TestTrimming(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes = 1 << 20 })
	w.credit()
	key := []byte("key-01")
	var snaps []*openSnapshot
	for i := range 1000 {
		w.put("key-01", 8, messages.Durability(i%2))
		w.all()
		for w.wal.busy() {
			w.wal.take(9, false)
			w.wal.prepared()
			w.all()
		}
		if i == 100 || i == 700 {
			snaps = append(snaps, w.acquireAs(i == 700))
		}
	}
	if n := w.m.active.Versions(); n > 40 {
		t.Errorf("1000 writes of one key leave %d versions", n)
	}
	for _, s := range snaps {
		v, ok, err := s.Get(context.Background(), key, pages.Hash(key))
		if err != nil || !ok || v.Seq != s.Seq {
			t.Errorf("snapshot at %d reads seq %d (there: %t), error %v", s.Seq, v.Seq, ok, err)
		}
	}
	w.end(t)
}

func TestUnknownMessage(t *testing.T) {
	w := testWorld(t, true, nil)
	var out Outbox
	if err := w.m.Step([]messages.ToTxcoord{nil}, &out); err == nil {
		t.Fatal("no error")
	}
}

func TestStats(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("abc", 10, messages.Sync)
	w.put("abc", 10, messages.NoSync)
	w.all()
	r := &messages.TxcoordStatsRequest{Reply: messages.NewReply[messages.TxcoordStats]()}
	var out Outbox
	if err := w.m.Step([]messages.ToTxcoord{r}, &out); err != nil || len(out.Stats) != 1 {
		t.Fatalf("%d answers, error %v", len(out.Stats), err)
	}
	s := out.Stats[0].Stats
	if s.Commits != 2 || s.NoSync != 1 || s.UserBytes != 26 || s.Applied != 2 || s.Visible != 2 || s.Groups != 1 ||
		s.GroupCommits != 2 || s.Waiting != 1 || s.IndexEntries != 1 {
		t.Errorf("%+v", s)
	}
}

func TestOutboxReset(t *testing.T) {
	o := Outbox{
		Walwriter: []messages.ToWalwriter{messages.Append{}}, Flusher: []messages.ToFlusher{messages.Reclaim{}},
		Evictor: []messages.ToEvictor{messages.IndexBytes{}}, Commits: make([]CommitReply, 3), Replies: make([]messages.ErrorReply, 2),
		Stats: make([]StatsReply, 1), Alarm: 5, Applied: 1, Durable: 1, Visible: 1,
	}
	o.Commits[0].To = messages.NewReply[messages.CommitResult]()
	o.Reset()
	if len(o.Walwriter)+len(o.Flusher)+len(o.Evictor)+len(o.Commits)+len(o.Replies)+len(o.Stats) != 0 || o.Alarm != 0 || o.View != nil {
		t.Errorf("%+v", o)
	}
	if cap(o.Commits) != 3 || o.Commits[:1][0] != (CommitReply{}) {
		t.Error("capacity is gone, or what it held is not")
	}
}

package txcoord

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func testWorld(t *testing.T, log bool, change func(*messages.Limits)) *world {
	t.Helper()
	l := smallLimits()
	if change != nil {
		change(&l)
	}
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) }, 1, l, log)
	w.quiet = true
	return w
}

// put hands over a blind commit of one value.
func (w *world) put(key string, size int, d messages.Durability) *request {
	c := &messages.Commit{Snapshot: pages.MaxSeq, Durability: d}
	value := make([]byte, size)
	c.Batch, c.Ops = messages.AppendOp(nil, nil, pages.KindValue, pages.Hash([]byte(key)), []byte(key), value)
	return w.submit(c, nil, 0)
}

// all steps the machine over everything that waits, in one Turn.
func (w *world) all() { w.turn(len(w.inner) + len(w.outer)) }

// credit lets the log's first grant arrive.
func (w *world) credit() {
	for w.wal.busy() {
		w.wal.prepared()
	}
	w.all()
}

// wantErr checks the answer of a request.
func (w *world) wantErr(t *testing.T, q *request, want error) {
	t.Helper()
	if q.answers != 1 || !errors.Is(q.result.Err, want) {
		t.Fatalf("answers %d, error %v, want %v", q.answers, q.result.Err, want)
	}
}

func (w *world) end(t *testing.T) {
	t.Helper()
	w.quiesce()
	w.finish()
}

func TestCommitWaitsForCredit(t *testing.T) {
	w := testWorld(t, true, nil)
	q := w.put("a", 10, messages.NoSync)
	w.outer = nil
	w.step(q.c) // the first grant is late
	if q.answers != 0 || len(w.m.held) != 1 {
		t.Fatal("a commit was applied without credit")
	}
	w.all()
	w.wantErr(t, q, nil)
	w.end(t)
}

// A group that nobody waits for holds credit. A commit that needs it must not wait for the Tick.
func TestGroupLeavesWhenItsCreditIsNeeded(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.GatherBytes = 1 << 20 })
	w.credit()
	for w.m.credit >= messages.CreditFor(300) {
		w.put("a", 290, messages.NoSync)
		w.all()
	}
	last := w.put("a", 900, messages.NoSync)
	w.all()
	if len(w.m.held) != 1 {
		t.Fatal("the commit does not wait for credit")
	}
	if len(w.wal.mailbox) != 1 {
		t.Fatalf("%d appends are on their way, the group of %d commits stays", len(w.wal.mailbox), w.m.group.count)
	}
	w.wal.take(9, false)
	w.all()
	w.wantErr(t, last, nil)
	w.end(t)
}

// A commit above half a segment is reserved for once it stands alone, and later ones queue.
func TestOversize(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	first := w.put("a", 10, messages.NoSync)
	big := w.put("b", int(w.limits.SegmentBytes), messages.Sync)
	after := w.put("c", 10, messages.NoSync)
	w.all()
	if a, ok := w.wal.mailbox[0].(messages.Append); !ok || !a.Sync || len(w.wal.mailbox) != 1 {
		t.Fatalf("before a reservation the log is synced; sent: %v", w.wal.mailbox)
	}
	w.wal.take(9, false)
	w.all()
	if _, ok := w.wal.mailbox[0].(messages.Reserve); !ok {
		t.Fatalf("sent: %v", w.wal.mailbox)
	}
	w.put("d", 10, messages.NoSync)
	w.all()
	if len(w.wal.mailbox) != 1 {
		t.Fatal("reserved twice")
	}
	w.end(t)
	if first.seq != 1 || big.seq != 2 || after.seq != 3 {
		t.Fatalf("seqs %d %d %d", first.seq, big.seq, after.seq)
	}
}

// An oversize commit whose credit came, and that conflicts, leaves the credit to others.
func TestOversizeConflict(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.put("b", 1, messages.Sync)
	w.quiesce()
	c := &messages.Commit{CheckWrites: true}
	big := w.submit(c, []string{"b"}, 2*int(w.limits.SegmentBytes))
	for len(c.Batch) < int(w.limits.SegmentBytes) { // submit drew a tombstone
		delete(w.requests, c.Reply)
		w.outer = nil
		c = &messages.Commit{CheckWrites: true}
		big = w.submit(c, []string{"b"}, 2*int(w.limits.SegmentBytes))
	}
	w.quiesce()
	w.wantErr(t, big, messages.ErrConflict)
	before := w.m.stats.Oversize
	again := w.put("b", 2*int(w.limits.SegmentBytes)-100, messages.Sync)
	w.end(t)
	w.wantErr(t, again, nil)
	if w.m.stats.Oversize != before {
		t.Error("the credit of the refused commit was not used")
	}
}

func TestNoSpaceRefusesAndRelief(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.wal.full = true
	var last *request
	for range 100 {
		last = w.put("a", 200, messages.Sync)
		for w.move() {
		}
		if last.result.Err != nil {
			break
		}
	}
	w.wantErr(t, last, messages.ErrNoSpace)
	if small := w.put("a", 1, messages.Sync); w.m.credit >= messages.CreditFor(len(small.c.Batch)) {
		for w.move() {
		}
		w.wantErr(t, small, nil)
	}
	w.wal.full = false
	w.wal.tick()
	for w.move() {
	}
	again := w.put("a", 200, messages.Sync)
	w.end(t)
	w.wantErr(t, again, nil)
}

// A segment for an oversize commit could not be had once. When it can be, such a commit goes
// through, though no other one has withdrawn the NoSpace in between.
func TestOversizeAfterRelief(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	w.wal.oversize = w.limits.SegmentBytes
	big := w.put("a", int(w.limits.SegmentBytes), messages.Sync)
	for w.move() {
	}
	w.wantErr(t, big, messages.ErrNoSpace)
	w.wal.oversize = 0
	w.wal.tick()
	again := w.put("a", int(w.limits.SegmentBytes), messages.Sync)
	for w.move() {
	}
	w.wantErr(t, again, nil)
	w.end(t)
}

// NoSpace answers a reservation, and a Written withdraws it before the Turn ends.
func TestReservationRefusedInOneBatchWithCredit(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	big := w.put("a", int(w.limits.SegmentBytes), messages.Sync)
	w.all()
	w.wal.mailbox = nil
	w.wal.granted++
	w.send(messages.NoSpace{Err: messages.ErrNoSpace})
	w.send(messages.Written{Credit: 1})
	w.all()
	w.wantErr(t, big, messages.ErrNoSpace)
	w.end(t)
}

// NoSpace without a cause is ErrNoSpace; a reservation whose credit is there is not refused.
func TestNoSpaceWithoutCause(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.MaxRuns = 4 })
	w.credit()
	w.flush.debt = 4
	w.send(messages.Flushed{Debt: 4})
	big := w.put("a", int(w.limits.SegmentBytes), messages.Sync)
	w.all()
	w.wal.take(1, false)
	w.wal.prepared()
	w.all()
	if big.answers != 0 || w.m.credit < messages.CreditFor(len(big.batch)) {
		t.Fatal("the commit does not wait for merges with its credit there")
	}
	w.send(messages.NoSpace{})
	w.all()
	if big.answers != 0 {
		t.Fatal("refused in spite of its credit")
	}
	w.end(t)
	w.wantErr(t, big, nil)
}

func TestFullIndexIsFrozen(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	for i := range 100 {
		w.put(fmt.Sprintf("key-%02d", i), 200, messages.Sync)
		w.all()
		w.wal.take(9, false)
		for w.wal.busy() {
			w.wal.prepared()
		}
	}
	if len(w.m.frozen) != w.limits.MaxFrozen || len(w.m.held) == 0 {
		t.Fatalf("%d frozen, %d held", len(w.m.frozen), len(w.m.held))
	}
	before := len(w.m.held)
	w.flush.publish()
	w.all()
	if len(w.m.held) >= before {
		t.Fatal("a flush lets nobody go on")
	}
	w.end(t)
}

// An index that is full from the start, by the table that is made for its keys, holds nothing.
func TestEmptyIndexIsNotFrozen(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes = 1 })
	w.credit()
	for i := range 20 {
		w.put(fmt.Sprintf("key-%02d", i), 10, messages.Sync)
	}
	w.end(t) // checkBounds looks for empty indexes after every Step
	if w.m.stats.Freezes != 19 {
		t.Errorf("%d freezes of 20 commits", w.m.stats.Freezes)
	}
}

// Writers get a quota when runs pile up; a large commit is paid for afterwards.
func TestSlowedWriters(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes, l.ChunkBytes = 64<<10, 1<<10 })
	w.credit()
	w.flush.debt = w.limits.MaxRuns - 1
	w.send(messages.Flushed{Debt: w.flush.debt})
	w.all()
	quota := w.m.slowQuota()
	for range 4 {
		w.put("a", int(quota)-100, messages.NoSync)
	}
	ticks := 0
	for ; len(w.outer)+len(w.m.held) > 0; ticks++ {
		w.all()
		w.wal.take(9, false)
		for w.wal.busy() {
			w.wal.prepared()
		}
		w.all()
		if len(w.m.held) == 0 {
			break
		}
		if !w.armed || w.out.Alarm != 0 {
			t.Fatal("nobody rings for the writers that are slowed")
		}
		w.tick()
	}
	if ticks < 3 {
		t.Errorf("4 commits of a quota each took %d ticks", ticks)
	}
	big, small := w.put("a", int(4*quota), messages.NoSync), w.put("a", 1, messages.NoSync)
	for ticks = 0; small.answers == 0; ticks++ {
		w.all()
		w.wal.take(9, false)
		for w.wal.busy() {
			w.wal.prepared()
		}
		w.all()
		w.tick()
	}
	if big.answers != 1 || ticks < 4 {
		t.Errorf("after a commit of 4 quotas the next one waited %d ticks", ticks)
	}
	w.end(t)
}

// While flushes fail and memory is full, writers are refused; nobody waits without an end.
func TestStalled(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes, l.MaxFrozen = 1, 1 })
	w.credit()
	w.put("a", 1, messages.Sync)
	w.put("b", 1, messages.Sync)
	held := w.put("c", 1, messages.Sync)
	for len(w.inner)+len(w.outer)+len(w.wal.mailbox) > 0 {
		w.all()
		w.wal.take(9, false)
	}
	if held.answers != 0 {
		t.Fatal("not held")
	}
	w.flush.failing = true
	w.flush.publish()
	w.all()
	w.wantErr(t, held, messages.ErrStalled)
	another := w.put("d", 1, messages.Sync)
	w.all()
	w.wantErr(t, another, messages.ErrStalled)
	w.flush.failing = false
	w.flush.publish()
	again := w.put("e", 1, messages.Sync)
	w.end(t)
	w.wantErr(t, again, nil)
}

// A commit that had its space reserved is refused for another reason, and the next one that needs
// a reservation gets one.
func TestReservationEndsWithARefusal(t *testing.T) {
	w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes, l.MaxFrozen = 1, 1 })
	w.credit()
	w.put("a", 1, messages.Sync)
	w.put("b", 1, messages.Sync)
	for len(w.inner)+len(w.outer)+len(w.wal.mailbox) > 0 {
		w.all()
		w.wal.take(9, false)
	}
	big := w.put("c", int(w.limits.SegmentBytes), messages.Sync)
	for len(w.inner)+len(w.outer) > 0 || w.wal.busy() {
		w.all()
		w.wal.take(9, false)
		w.wal.prepared()
	}
	w.flush.failing = true
	w.flush.publish()
	w.all()
	w.wantErr(t, big, messages.ErrStalled)
	w.flush.failing = false
	w.flush.publish()
	again := w.put("d", 4*int(w.limits.SegmentBytes), messages.Sync)
	w.end(t)
	w.wantErr(t, again, nil)
}

// Merges that fail do not hold writers up, nor do they while no checkpoint can be written that
// says what they did.
func TestMergeFails(t *testing.T) {
	for _, merge := range []bool{true, false} {
		w := testWorld(t, true, nil)
		w.credit()
		w.flush.debt = w.limits.MaxRuns
		w.send(messages.Flushed{Debt: w.flush.debt})
		held := w.put("a", 1, messages.NoSync)
		w.all()
		if held.answers != 0 {
			t.Fatal("not held")
		}
		w.flush.failing = true
		if merge {
			w.flush.merge()
		} else {
			w.flush.publish()
		}
		w.all()
		w.wantErr(t, held, nil)
		w.end(t)
	}
}

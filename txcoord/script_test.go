package txcoord

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// scriptKeys are few, so that everything meets.
const scriptKeys = 12

func (w *world) key() string { return fmt.Sprintf("key-%02d", w.n(scriptKeys)) }

// client hands a request over.
func (w *world) client(m messages.ToTxcoord) { w.outer = append(w.outer, m) }

// submit makes a commit of these writes, and hands it over.
func (w *world) submit(c *messages.Commit, keys []string, size int) *request {
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		kind, value := pages.KindValue, fmt.Appendf(nil, "%d-%s-", len(w.requests), key)
		if w.chance(6) {
			kind, value = pages.KindTombstone, nil
		} else if len(value) < size {
			value = append(value, bytes.Repeat([]byte{'v'}, size-len(value))...)
		}
		c.Batch, c.Ops = messages.AppendOp(c.Batch, c.Ops, kind, pages.Hash([]byte(key)), []byte(key), value)
	}
	c.Reply = messages.NewReply[messages.CommitResult]()
	q := &request{c: c, batch: bytes.Clone(c.Batch), entered: w.m.applied}
	w.requests[c.Reply] = q
	w.client(c)
	return q
}

// randomCommit is any commit that a client could send.
func (w *world) randomCommit(oversize bool) {
	c := &messages.Commit{Snapshot: pages.MaxSeq, Durability: messages.Durability(w.n(2))}
	if !w.chance(3) {
		w.reads(c)
	}
	keys := []string{w.key()}
	for range w.n(3) {
		keys = append(keys, w.key())
	}
	size := w.n(100)
	switch n := w.n(8); {
	case w.large && n > 3:
		size = w.n(60 << 10)
	case n == 0:
		size = w.n(w.limits.ChunkBytes * 2) // adopted
	case n == 1:
		if oversize {
			keys, size = keys[:1], int(w.limits.SegmentBytes/2)+w.n(int(w.limits.SegmentBytes))
		}
	}
	w.submit(c, keys, size)
}

// reads gives a commit a snapshot and a read set.
func (w *world) reads(c *messages.Commit) {
	switch {
	case w.chance(4):
		c.Snapshot = pages.Seq(w.n(int(w.model.applied()) + 1)) // of a transaction that let go of it
	case w.chance(2):
		c.Snapshot = w.acquire().Seq
	default:
		c.Snapshot = pages.Seq(w.pub.Applied.Load())
	}
	c.CheckWrites = w.chance(2)
	for range w.n(3) {
		key := []byte(w.key())
		c.Points = append(c.Points, messages.Point{Hash: pages.Hash(key), Key: key})
	}
	if !w.chance(3) {
		return
	}
	bounds := []string{w.key(), w.key(), w.key(), w.key()}
	slices.Sort(bounds)
	c.Ranges = []messages.Range{{Lo: []byte(bounds[0]), Hi: []byte(bounds[1])}, {Lo: []byte(bounds[2]), Hi: []byte(bounds[3])}}
	if w.chance(3) {
		c.Ranges[1].Hi = nil
	}
	c.RangesUpTo = c.Snapshot
	if w.chance(2) { // validated by the client as far as that goes
		upTo := pages.Seq(w.pub.Applied.Load())
		for _, r := range c.Ranges {
			if w.model.writtenIn(r, c.Snapshot) {
				upTo = c.Snapshot
			}
		}
		c.RangesUpTo = max(c.Snapshot, upTo)
	}
}

func (w *world) await() {
	upTo := pages.MaxSeq
	if w.chance(2) {
		upTo = pages.Seq(w.n(int(w.model.applied()) + 1))
	}
	q := &wait{upTo: min(upTo, pages.Seq(w.pub.Applied.Load()))}
	a := &messages.Await{UpTo: upTo, Reply: messages.NewReply[error]()}
	w.waits[a.Reply] = q
	w.client(a)
}

func (w *world) checkpoint(final bool) *wait {
	q := &wait{checkpoint: true, final: final, upTo: pages.Seq(w.pub.Applied.Load())}
	c := &messages.Checkpoint{Final: final, Reply: messages.NewReply[error]()}
	w.waits[c.Reply] = q
	w.client(c)
	return q
}

// faults say what may go wrong in a script.
type faults struct{ poison, space, oversize, debt bool }

// act does one thing.
func (w *world) act(f faults) {
	switch w.n(22) {
	case 0, 1, 2, 3, 4, 5:
		w.randomCommit(f.oversize)
	case 6, 7, 8, 9, 10:
		w.turn(1 + w.n(w.limits.TurnLimit))
	case 11, 12, 13:
		if w.wal != nil {
			w.wal.take(1+w.n(4), f.poison && w.chance(8))
		}
	case 14, 15:
		if w.wal != nil && w.wal.busy() {
			w.wal.prepared()
		}
	case 16:
		if w.armed {
			w.tick()
		}
	case 17, 18:
		if len(w.flush.queue) > 0 {
			w.flush.publish()
		}
	case 19:
		if !f.debt || w.chance(4) {
			w.flush.merge()
		}
	case 20:
		w.waiting(f)
	case 21:
		if f.space {
			w.space()
		}
	}
	w.between()
}

func (w *world) waiting(f faults) {
	switch w.n(4) {
	case 0, 1:
		w.await()
	case 2:
		w.checkpoint(false)
	case 3:
		w.flush.failing = f.space && w.chance(2)
	}
}

// space fills the medium up, or frees it.
func (w *world) space() {
	if w.wal == nil {
		return
	}
	w.wal.full, w.wal.oversize = w.chance(2), 0
	if w.chance(3) {
		w.wal.oversize = w.limits.SegmentBytes
	}
	if w.wal.failed != nil && w.chance(2) {
		w.wal.tick()
	}
}

// script runs one random conversation.
func script(fail func(string, ...any), seed uint64, steps int, total map[string]int) {
	seed *= 0x9E3779B97F4A7C15
	w := newWorld(fail, seed, smallLimits(), true)
	l := w.limits
	l.TurnLimit, l.MaxFrozen, l.RetainIndexes, l.GatherBytes = 1+w.n(5), 1+w.n(2), 1+w.n(2), 1+w.n(3000)
	l.IndexBytes = int64(1<<10 + w.n(8<<10))
	large := w.chance(4)
	if large {
		l.SegmentBytes, l.FirstSegment, l.LogBytes = 256<<10, 256<<10, 1<<20
	}
	log := !w.chance(5)
	f := faults{poison: w.chance(4), space: w.chance(2), oversize: w.chance(2), debt: w.chance(3)}
	w = newWorld(fail, seed, l, log)
	w.large = large
	for range steps {
		w.act(f)
	}
	if w.chance(2) {
		w.checkpoint(true)
	}
	w.quiesce()
	w.finish()
	if total != nil {
		w.addCounts(total)
	}
}

func (w *world) addCounts(total map[string]int) {
	for what, n := range w.counts {
		total[what] += n
	}
	s := w.m.figures()
	for what, n := range map[string]uint64{
		"commits": s.Commits, "oversize": s.Oversize, "held for credit": s.HeldForCredit, "held for flush": s.HeldForFlush,
		"freezes": s.Freezes, "groups": s.Groups, "rejected": s.Rejected,
	} {
		total[what] += int(n)
	}
	if s.Poisoned != nil {
		total["poisoned"]++
	}
}

// TestScripts runs random conversations. Length and seed are rapid's, the rest follows.
func TestScripts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		script(t.Fatalf, rapid.Uint64().Draw(t, "seed"), 500-rapid.IntRange(0, 499).Draw(t, "fewer steps"), nil)
	})
}

// TestScriptsMeetEverything runs the same conversations each time, and wants every rare path in
// them.
func TestScriptsMeetEverything(t *testing.T) {
	total := make(map[string]int)
	for seed := range uint64(300) {
		script(func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d: "+format, append([]any{seed}, args...)...)
		}, seed, 300, total)
	}
	for _, what := range []string{
		"commits", "conflict", "refused", "oversize", "oversize granted", "held for credit", "held for flush", "freezes", "groups",
		"rejected", "no space", "flush", "flush failed", "reclaimed", "poisoned", "slowed", "stopped by runs",
		"merge failed", "stalled", "pinned", "ended",
	} {
		if total[what] == 0 {
			t.Errorf("no script met: %s", what)
		}
	}
	t.Log(total)
}

package history

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// Order: real time and sessions. What was answered to a client is there for whoever begins later.

// shows notes what each answer shows to have been committed.
func (c *Checker) shows() {
	for i := range c.txs {
		t := &c.txs[i]
		c.seen[i] = 0
		switch {
		case !t.Acked || t.End == NeverEnded:
		case c.seqs[i] != 0 && t.Outcome == Committed:
			c.seen[i] = c.seqs[i]
		case t.Level == ReadOnly && t.Snapshot != NoSeq:
			c.seen[i] = t.Snapshot
		}
	}
	c.rank()
}

// rank fills newest from seen.
func (c *Checker) rank() {
	best := int32(-1)
	for i, s := range c.seen {
		if s > 0 && (best < 0 || s > c.seen[best]) {
			best = int32(i)
		}
		c.newest[i] = best
	}
}

// before returns the transaction that had ended before step and shows most, or -1.
func (c *Checker) before(step int64) int32 {
	n := sort.Search(len(c.txs), func(i int) bool { return c.txs[i].End >= step })
	if n == 0 {
		return -1
	}
	return c.newest[n-1]
}

// shownBefore is the highest seq that somebody had been shown when a transaction began.
func (c *Checker) shownBefore(i int32) uint64 {
	if best := c.before(c.txs[i].Begin); best >= 0 {
		return c.seen[best]
	}
	return 0
}

// real checks real time and sessions. It runs after the reads were compared.
func (c *Checker) real() {
	for i := range c.txs {
		if t := &c.txs[i]; t.Waited && t.Acked && t.End != NeverEnded {
			c.seen[i] = max(c.seen[i], c.reads[i])
		}
	}
	c.rank()
	if c.sessions == nil {
		c.sessions = map[int]int32{}
	}
	clear(c.sessions)
	for i := range c.txs {
		if c.full() {
			return
		}
		c.realTime(int32(i))
		c.session(int32(i))
	}
}

// realTime checks one transaction against those that had ended when it began, and against those
// that began after it had ended.
func (c *Checker) realTime(i int32) {
	t := &c.txs[i]
	if best := c.before(t.Begin); best >= 0 {
		shown := c.seen[best]
		switch {
		case c.seqs[i] != 0 && c.seqs[i] <= shown:
			c.late(i, best, -1, c.seqs[i])
		case t.Level == ReadCommitted:
			for j := range t.Ops {
				if op := &t.Ops[j]; op.Kind != Put && op.Kind != Delete && op.At < shown {
					c.late(i, best, int32(j), op.At)
					break
				}
			}
		case t.Snapshot < shown:
			c.late(i, best, -1, t.Snapshot)
		}
	}
	if t.Level != ReadCommitted && t.Snapshot != NoSeq {
		c.future(i, t.Snapshot)
		return
	}
	for j := range t.Ops {
		if op := &t.Ops[j]; t.Level == ReadCommitted && op.Kind != Put && op.Kind != Delete && op.At != NoSeq {
			c.future(i, op.At)
		}
	}
}

// future checks that no commit up to a seq that was read began after the reader had ended.
func (c *Checker) future(i int32, at uint64) {
	n := sort.Search(len(c.order), func(n int) bool { return c.seqs[c.order[n]] > at })
	if n == 0 || c.latest[n-1] <= c.txs[i].End {
		return
	}
	for _, w := range c.order[:n] {
		if c.txs[w].Begin > c.txs[i].End {
			c.fromTheFuture(i, w, at)
			return
		}
	}
}

// session checks that a client's snapshots never go back. Read-only ones are left out: they may be
// older, as they see only what is acknowledged.
func (c *Checker) session(i int32) {
	t := &c.txs[i]
	if t.Level > Snapshot || t.Snapshot == NoSeq {
		return
	}
	last, ok := c.sessions[t.Client]
	if ok && c.txs[last].End <= t.Begin && c.txs[last].Snapshot > t.Snapshot {
		c.wentBack(i, last)
	}
	if !ok || c.txs[last].Snapshot <= t.Snapshot {
		c.sessions[t.Client] = i
	}
}

// span is a commit as window sees it: the highest seq of those that began up to a step.
type span struct {
	begin int64
	seq   uint64
}

// window calls f for the seqs of all states that a transaction may have seen by the time when it
// ran, the newest first, until f returns false.
func (c *Checker) window(i int32, f func(at uint64) bool) {
	if len(c.spans) == 0 {
		for _, w := range c.order {
			c.spans = append(c.spans, span{c.txs[w].Begin, c.seqs[w]})
		}
		slices.SortFunc(c.spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
		for n := 1; n < len(c.spans); n++ {
			c.spans[n].seq = max(c.spans[n].seq, c.spans[n-1].seq)
		}
	}
	low, high := c.shownBefore(i), uint64(0)
	end := c.txs[i].End
	if n := sort.Search(len(c.spans), func(n int) bool { return c.spans[n].begin > end }); n > 0 {
		high = c.spans[n-1].seq
	}
	if own := c.seqs[i]; own != 0 {
		high = min(high, own-1)
	}
	n := sort.Search(len(c.order), func(n int) bool { return c.seqs[c.order[n]] > high })
	for last := uint64(math.MaxUint64); n > 0; n-- {
		at := c.seqs[c.order[n-1]]
		if at <= low {
			break
		}
		if at != last && !f(at) {
			return
		}
		last = at
	}
	f(low)
}

package txcoord

import (
	"bytes"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// The recent-writes log is the version index itself: it knows the newest seq of every key
// written since the last flush, and keeps its entries in commit order. Flushed indexes are
// retained while a transaction that began before them is open, a bounded number of them;
// floor is what the rest covers. Every writer feeds it, because every writer goes through the
// index.

// conflict reports whether something the transaction depends on was committed after its
// snapshot. A transaction from below the floor cannot be judged and has to try again.
func (m *Machine) conflict(c *messages.Commit) bool {
	if c.Snapshot >= m.applied || (!c.CheckWrites && len(c.Points) == 0 && len(c.Ranges) == 0) {
		return false
	}
	if c.Snapshot < m.floor {
		return true
	}
	if conflictIn(m.active, c, m.applied) {
		return true
	}
	for _, list := range [2][]frozen{m.frozen, m.retained} {
		for _, f := range list {
			if f.upTo <= c.Snapshot {
				return false
			}
			if conflictIn(f.index, c, m.applied) {
				return true
			}
		}
	}
	return false
}

// conflictIn judges against one index.
func conflictIn(x *versions.Index, c *messages.Commit, applied pages.Seq) bool {
	for i := range c.Points {
		if p := &c.Points[i]; x.NewestSeq(p.Hash, p.Key) > c.Snapshot {
			return true
		}
	}
	if c.CheckWrites {
		for i := range c.Ops {
			if op := &c.Ops[i]; x.NewestSeq(op.Hash, op.Key(c.Batch)) > c.Snapshot {
				return true
			}
		}
	}
	return len(c.Ranges) > 0 && RangeWritten(x, c.Ranges, max(c.Snapshot, c.RangesUpTo), applied)
}

// RangeWritten reports whether a key inside one of the ranges was written in x with after <
// seq ≤ upTo. Ranges are sorted by Lo and do not overlap. Clients use it to validate long read
// sets themselves, up to a published seq.
func RangeWritten(x *versions.Index, ranges []messages.Range, after, upTo pages.Seq) bool {
	hit := false
	x.Since(after, upTo, func(key []byte, _ pages.Seq) bool {
		hit = inRanges(ranges, key)
		return !hit
	})
	return hit
}

// inRanges finds the last range that begins at or before key, by binary search.
func inRanges(ranges []messages.Range, key []byte) bool {
	lo, hi := 0, len(ranges)
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(ranges[mid].Lo, key) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return false
	}
	r := ranges[lo-1]
	return r.Hi == nil || bytes.Compare(key, r.Hi) < 0
}

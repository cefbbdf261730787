package history

import "slices"

// Replay: what a transaction read is compared with the model's versions at the seqs at which its
// level has it read.

// replay checks all that transaction i read, and notes in reads what that rests on.
func (c *Checker) replay(i int32) {
	t := &c.txs[i]
	switch {
	case t.Level == ReadCommitted:
		c.eachAtItsOwn(i)
	case t.Level == Serializable && t.Outcome != Refused && c.seqs[i] != 0:
		ok := t.Snapshot == NoSeq || c.compare(i, t.Snapshot, true)
		if ok && t.Snapshot != c.seqs[i]-1 {
			c.compare(i, c.seqs[i]-1, true)
		}
	case t.Snapshot != NoSeq:
		c.compare(i, t.Snapshot, true)
	default:
		c.somewhere(i)
	}
	if c.seqs[i] == 0 || t.Level == ReadCommitted || t.Snapshot == NoSeq {
		return
	}
	if t.Snapshot >= c.seqs[i] {
		c.aheadOfItself(i)
	} else if t.Level == Snapshot {
		c.firstWins(i)
	}
}

// compare checks the reads of a transaction against the state at a seq with its own writes on
// top.
func (c *Checker) compare(i int32, at uint64, report bool) bool {
	t, ids := &c.txs[i], c.ops[c.first[i]:]
	c.stamp++
	high, ok := uint64(0), true
	for j := range t.Ops {
		op := &t.Ops[j]
		fits, by := c.opFits(op, ids[j], at)
		if !fits {
			ok = false
			if report {
				c.badRead(i, int32(j), at)
			}
			break
		}
		high = max(high, by)
		c.note(op, int32(j), ids[j])
	}
	c.reads[i] = high
	return ok
}

// opFits reports whether an operation's answer is that of the state at a seq, and the seq of what
// the answer rests on. Writes fit always.
func (c *Checker) opFits(op *Op, id int32, at uint64) (ok bool, by uint64) {
	switch op.Kind {
	case Get:
		value, found, by := c.present(id, at)
		return found == op.Found && (!found || value == op.Value), by
	case Scan:
		return c.scanFits(op, id, at)
	case OpenSpace, CreateSpace, DropSpace:
		exists, by := c.existing(id, at)
		return exists == op.Found, by
	}
	return true, 0
}

// scanFits walks over the range as the scan should have.
func (c *Checker) scanFits(op *Op, sp int32, at uint64) (ok bool, by uint64) {
	n := 0
	_, by = c.existing(sp, at)
	c.walk(op, sp, func(id int32) bool {
		if op.Stopped && n == len(op.Pairs) || op.Limit > 0 && n == op.Limit {
			return false
		}
		value, found, seq := c.present(id, at)
		by = max(by, seq)
		if !found {
			return true
		}
		if n == len(op.Pairs) || op.Pairs[n].Key != c.keys[id].name || op.Pairs[n].Value != value {
			n = -1
			return false
		}
		n++
		return true
	})
	return n == len(op.Pairs), by
}

// walk calls f for every key that is in a scan's range, in the scan's direction, until it returns
// false.
func (c *Checker) walk(op *Op, sp int32, f func(id int32) bool) {
	members := c.sort(sp)
	lo := c.lowerBound(members, op.Key)
	hi := len(members)
	if op.Hi != "" {
		hi = c.lowerBound(members, op.Hi)
	}
	if op.Reverse {
		for i := hi - 1; i >= lo; i-- {
			if !f(members[i]) {
				return
			}
		}
		return
	}
	for i := lo; i < hi; i++ {
		if !f(members[i]) {
			return
		}
	}
}

// lowerBound is the place of the first member that is not below name.
func (c *Checker) lowerBound(members []int32, name string) int {
	if name == "" {
		return 0
	}
	lo, hi := 0, len(members)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if c.keys[members[mid]].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// eachAtItsOwn checks a ReadCommitted transaction, each operation at its own seq.
func (c *Checker) eachAtItsOwn(i int32) {
	t, ids := &c.txs[i], c.ops[c.first[i]:]
	c.stamp++
	high, last := uint64(0), uint64(0)
	for j := range t.Ops {
		op, id := &t.Ops[j], ids[j]
		switch op.Kind {
		case Put, Delete:
			c.note(op, int32(j), id)
			continue
		}
		if op.At == NoSeq {
			if !c.opFitsSomewhere(i, op, id) {
				c.badRead(i, int32(j), NoSeq)
				return
			}
		} else {
			if op.At < last {
				c.backwards(i, int32(j), last)
				return
			}
			last = op.At
			if !c.stale(op, id) {
				fits, by := c.opFits(op, id, op.At)
				if !fits {
					c.badRead(i, int32(j), op.At)
					return
				}
				high = max(high, by)
			}
		}
		c.note(op, int32(j), id)
	}
	c.reads[i] = high
}

// stale reports whether a ReadCommitted transaction reads a keyspace by a handle whose incarnation
// is gone: what is found there is not defined, and its commit conflicts.
func (c *Checker) stale(op *Op, id int32) bool {
	sp := id
	switch op.Kind {
	case Get:
		sp = c.keys[id].space
	case Scan:
	default:
		return false
	}
	s := &c.spaces[sp]
	if sp == 0 || s.own == c.stamp || len(s.events) == 1 {
		return false
	}
	seq := s.event(op.At).seq
	if s.first != c.stamp {
		s.first, s.firstSeq = c.stamp, seq
	}
	return s.firstSeq != seq
}

// opFitsSomewhere looks for a state that a ReadCommitted operation may have seen. Where a keyspace
// came or went since the transaction began, what its handle finds is not defined, as in stale.
func (c *Checker) opFitsSomewhere(i int32, op *Op, id int32) bool {
	sp := int32(0)
	switch op.Kind {
	case Get:
		sp = c.keys[id].space
	case Scan:
		sp = id
	}
	if s := &c.spaces[sp]; s.own != c.stamp && s.events[len(s.events)-1].seq > c.shownBefore(i) {
		return true
	}
	ok := false
	c.window(i, func(at uint64) bool {
		ok, _ = c.opFits(op, id, at)
		return !ok
	})
	return ok
}

// somewhere looks for one state that a transaction with an unknown snapshot may have seen.
func (c *Checker) somewhere(i int32) {
	ok := false
	c.window(i, func(at uint64) bool {
		ok = c.compare(i, at, false)
		return !ok
	})
	if !ok {
		c.nowhere(i)
	}
	c.reads[i] = 0 // the state is not certain
}

// replacesSpace reports whether the keyspace that operation j writes to is one that the transaction
// has created before, or drops after.
func replacesSpace(ops []Op, j int) bool {
	return slices.ContainsFunc(ops[:j], func(op Op) bool { return op.Kind == CreateSpace && !op.Found && op.Space == ops[j].Space }) ||
		slices.ContainsFunc(ops[j:], func(op Op) bool { return op.Kind == DropSpace && op.Found && op.Space == ops[j].Space })
}

// firstWins checks that nothing that a Snapshot transaction wrote was written by another one
// between its snapshot and its commit.
func (c *Checker) firstWins(i int32) {
	t, ids, seq := &c.txs[i], c.ops[c.first[i]:], c.seqs[i]
	for j := range t.Ops {
		switch op := &t.Ops[j]; op.Kind {
		case Put, Delete:
			if replacesSpace(t.Ops, j) {
				continue // what it wrote there is nobody's loss
			}
			k := &c.keys[ids[j]]
			if v := k.find(seq - 1); v != nil && v.seq > t.Snapshot {
				c.secondWriter(i, op, v.tx, v.seq)
				return
			}
			if e := c.spaces[k.space].event(seq - 1); e.seq > t.Snapshot {
				c.secondWriter(i, op, e.tx, e.seq)
				return
			}
		case CreateSpace, DropSpace:
			if e := c.spaces[ids[j]].event(seq - 1); e.seq > t.Snapshot {
				c.secondWriter(i, op, e.tx, e.seq)
				return
			}
		}
	}
}

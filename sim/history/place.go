package history

import "slices"

// Placement: a commit whose seq nobody knows may stand anywhere in the life's order, or nowhere if
// its outcome is unknown. The first arrangement that breaks no promise is taken.

// placer is the state of that search.
type placer struct {
	loose    []int32 // the transactions to place
	suspects []suspect
	must     []bool // of loose: it was seen, or is committed
	idle     []bool // of loose: nobody can have seen it
	work     int    // evaluations that may still be made
	short    bool   // the search ended before it had seen everything
	best     int    // the fewest breaches
	bestSeqs []uint64
	bestSubs []int32
}

// suspect is a value that a loose transaction writes.
type suspect struct {
	key   int32
	n     int32 // which of loose
	value string
	seen  bool // somebody has read it, or it is in the recovered state
	again bool // somebody else writes the same
}

// Bounds of the search, in evaluations, and the operations that it may cost.
const (
	minEvaluations = 64
	maxEvaluations = 5000
	searchOps      = 8 << 20
)

// settle evaluates the present life and reports, with every commit in its place.
func (c *Checker) settle() {
	if len(c.loose) > 0 {
		c.suspect()
		c.work = min(max(searchOps/(len(c.ops)+1), minEvaluations), maxEvaluations)
		c.best = maxReports
		c.bestSeqs, c.bestSubs = append(c.bestSeqs[:0], c.seqs...), append(c.bestSubs[:0], c.subs...)
		c.try(0)
		copy(c.seqs, c.bestSeqs)
		copy(c.subs, c.bestSubs)
		c.short = c.best > 0 && (c.work == 0 || len(c.loose) > 1 || c.adrift())
	}
	c.evaluate(true, maxReports)
	if c.short && len(c.found) > 0 {
		c.found = []Violation{c.undecided()}
	}
}

// adrift reports whether a transaction to place, of unknown outcome, does not say what it read at
// either. One place in each gap is then not all there is to try.
func (c *Checker) adrift() bool {
	return slices.ContainsFunc(c.loose, func(i int32) bool { return c.txs[i].Outcome == Unknown && c.txs[i].Snapshot == NoSeq })
}

// try places the n-th and all later ones, and reports whether nothing is broken then.
func (c *Checker) try(n int) bool {
	if c.work == 0 {
		return false
	}
	if n == len(c.loose) {
		c.work--
		if failed := c.evaluate(false, c.best); failed < c.best {
			c.best = failed
			copy(c.bestSeqs, c.seqs)
			copy(c.bestSubs, c.subs)
		}
		return c.best == 0
	}
	i := c.loose[n]
	if !c.must[n] && c.try(n+1) {
		return true
	}
	if c.idle[n] {
		return false
	}
	for _, seq := range c.places(i) {
		c.seqs[i], c.subs[i] = seq, int32(n+1)
		if c.try(n + 1) {
			return true
		}
		if c.taken(n, seq) {
			c.subs[i] = -int32(n + 1)
			if c.try(n + 1) {
				return true
			}
		}
	}
	c.seqs[i], c.subs[i] = 0, 0
	return false
}

// taken reports whether one of the first n loose transactions stands at seq.
func (c *Checker) taken(n int, seq uint64) bool {
	return slices.ContainsFunc(c.loose[:n], func(i int32) bool { return c.seqs[i] == seq })
}

// places returns the seqs at which a loose transaction may stand, the last first: one in each gap
// between commits and moments that somebody read at.
func (c *Checker) places(i int32) []uint64 {
	low := uint64(0)
	t := &c.txs[i]
	if t.Snapshot != NoSeq && t.Level != ReadCommitted {
		low = t.Snapshot
	}
	var used, places []uint64
	add := func(seq uint64) {
		if seq != NoSeq && seq >= low {
			places = append(places, seq+1)
		}
	}
	add(low)
	for j := range c.txs {
		o := &c.txs[j]
		if o.Seq != 0 && c.seqs[j] == o.Seq {
			used = append(used, o.Seq)
			add(o.Seq)
			if o.End < t.Begin && o.Acked {
				low = max(low, o.Seq)
			}
		}
		add(o.Snapshot)
		if o.Level == ReadCommitted {
			for k := range o.Ops {
				add(o.Ops[k].At)
			}
		}
	}
	slices.Sort(used)
	slices.Sort(places)
	places = slices.DeleteFunc(slices.Compact(places), func(seq uint64) bool {
		_, ok := slices.BinarySearch(used, seq)
		return ok || seq <= low
	})
	slices.Reverse(places)
	return places
}

// suspect finds out which loose transactions were seen for certain, and which cannot have been.
func (c *Checker) suspect() {
	n := len(c.loose)
	c.suspects, c.must, c.idle = c.suspects[:0], sized(c.must, n), sized(c.idle, n)
	for i := range c.keys {
		c.keys[i].suspect = false
	}
	for n, i := range c.loose {
		c.idle[n] = true
		c.stamp++
		ids := c.ops[c.first[i]:]
		for j := range c.txs[i].Ops {
			op := &c.txs[i].Ops[j]
			c.note(op, int32(j), ids[j])
			c.idle[n] = c.idle[n] && (op.Kind == Get || op.Kind == Put || op.Kind == Scan || op.Kind == OpenSpace)
		}
		for j := range c.txs[i].Ops {
			op := &c.txs[i].Ops[j]
			if op.Kind != Put {
				continue
			}
			if k := &c.keys[ids[j]]; k.own == c.stamp && k.ownOp == int32(j) {
				k.suspect = true
				c.suspects = append(c.suspects, suspect{key: ids[j], n: int32(n), value: op.Value})
			}
		}
	}
	c.watch()
	for _, s := range c.suspects {
		if s.seen || s.again {
			c.idle[s.n] = false
		}
		if s.seen && !s.again {
			c.must[s.n] = true
		}
	}
	for n, i := range c.loose {
		c.must[n] = c.must[n] || c.txs[i].Outcome == Committed
		c.idle[n] = c.idle[n] && !c.must[n]
	}
}

// watch looks for the suspects' values in everything that was read or written.
func (c *Checker) watch() {
	for i := range c.txs {
		for j, id := range c.ops[c.first[i]:][:len(c.txs[i].Ops)] {
			switch op := &c.txs[i].Ops[j]; op.Kind {
			case Get:
				if op.Found {
					c.sight(id, op.Value, int32(i), false)
				}
			case Put:
				c.sight(id, op.Value, int32(i), true)
			case Scan:
				for _, p := range op.Pairs {
					c.sight(c.find(id, p.Key), p.Value, int32(i), false)
				}
			}
		}
	}
	for _, b := range c.life.Base {
		for _, p := range b.Pairs {
			c.sight(c.find(c.space(b.Name), p.Key), p.Value, -1, true)
		}
	}
	if c.next == nil {
		return
	}
	for _, b := range c.next.Base {
		sp := c.space(b.Name)
		c.fill()
		for _, p := range b.Pairs {
			c.sight(c.find(sp, p.Key), p.Value, -1, false)
		}
	}
}

// sight notes that transaction i reads or writes a value.
func (c *Checker) sight(id int32, value string, i int32, written bool) {
	if id < 0 || !c.keys[id].suspect {
		return
	}
	for n := range c.suspects {
		s := &c.suspects[n]
		if s.key != id || s.value != value || c.loose[s.n] == i {
			continue
		}
		if written {
			s.again = true
		} else {
			s.seen = true
		}
	}
}

package history

import (
	"cmp"
	"math"
	"slices"
)

// maxReports bounds the violations that are told of one life.
const maxReports = 20

// Checker checks one history after the other. The zero value is ready; it keeps its memory.
type Checker struct {
	index
	life  *Life
	txs   []Tx     // of the life, in the order in which they ended
	ops   []int32  // number of the key, or for scans and keyspace operations of the space, of each operation
	first []int32  // where a transaction's operations begin in ops
	seqs  []uint64 // place of each transaction's commit, 0 if it has none: Tx.Seq, or where it was put
	subs  []int32  // orders transactions that were put at the same seq

	order   []int32  // the commits, ascending by seq
	effects []effect // what they did to keys
	ends    []int32  // where the effects of each commit in order end
	latest  []int64  // for each place in order: when the last of the commits up to it began

	seen   []uint64 // what a transaction's answer shows to have been committed
	newest []int32  // for each transaction: which of those that ended up to it shows most
	reads  []uint64 // the highest seq that a transaction has read
	spans  []span   // for windows, built when they are needed

	sessions map[int]int32 // the last read-write transaction of a client

	next  *Life // the one that recovered from this life; nil: nobody has looked
	floor floor // what must be left
	placer
	reporting bool
	failed    int // breaches that were met
	enough    int // where to stop counting
	found     []Violation
	lying     bool // some life may lose what earlier ones have left
	lines     []line
}

// effect is one version that a commit made, or for a negative key, what became of the space ^key.
type effect struct{ key, version int32 }

// floor is the seq up to which everything must survive, and why.
type floor struct {
	seq uint64
	tx  int32 // to whom it was promised, -1 if to nobody in particular
	why promise
}

type promise uint8

const (
	nothing promise = iota
	syncAcked
	readDurable
	checkpointed
	closedCleanly
)

// line is a life as part of the time line that led to the present state.
type line struct {
	life *Life
	seqs []uint64 // see Checker.seqs
	subs []int32
	upTo uint64 // how far the line follows it
}

// Check checks a history with a new Checker.
func Check(h *History) Result {
	var c Checker
	return c.Check(h)
}

// Check looks for breaches of what was promised: by replay, by order and by recovery. The result
// does not alias the Checker, only the history's strings.
func (c *Checker) Check(h *History) Result {
	var r Result
	c.reset()
	c.lines = c.lines[:0]
	c.lying = slices.ContainsFunc(h.Lives, lies)
	base := -1 // the life whose commits the store may hold
	for i, l := range h.Lives {
		if i > 0 && !l.Known {
			if slices.ContainsFunc(l.Txs, wrote) {
				r.Violations = append(r.Violations, Violation{Check: "undecided", Life: l.Number,
					Text: "transactions wrote, but the state that the life began with was not recorded"})
			}
			continue
		}
		if base >= 0 && h.Lives[base].End != Running {
			cut, bad := c.recovered(l)
			r.Cuts = append(r.Cuts, cut)
			r.Violations = append(r.Violations, bad...)
		}
		base = i
		c.load(l, nextKnown(h, i))
		c.settle()
		r.Violations = append(r.Violations, c.found...)
	}
	return r
}

// nextKnown is the life that shows what is left of the i-th one, or nil.
func nextKnown(h *History, i int) *Life {
	if h.Lives[i].End == Running {
		return nil
	}
	for _, l := range h.Lives[i+1:] {
		if l.Known {
			return l
		}
		if slices.ContainsFunc(l.Txs, wrote) {
			return nil
		}
	}
	return nil
}

// wrote reports whether a transaction may have changed something.
func wrote(t Tx) bool { return t.Outcome != Refused && t.writes() }

func (t *Tx) writes() bool {
	for i := range t.Ops {
		switch op := &t.Ops[i]; op.Kind {
		case Put, Delete:
			return true
		case CreateSpace, DropSpace:
			if op.Found == (op.Kind == DropSpace) {
				return true
			}
		}
	}
	return false
}

// load makes a life the present one: its base, its transactions, and the numbers of their keys.
func (c *Checker) load(l, next *Life) {
	c.life, c.txs, c.next = l, l.Txs, next
	byEnd := func(a, b Tx) int { return cmp.Compare(a.End, b.End) }
	if !slices.IsSortedFunc(c.txs, byEnd) {
		c.txs = slices.Clone(c.txs)
		slices.SortStableFunc(c.txs, byEnd)
	}
	c.index.begin(l.Base)
	n := len(c.txs)
	c.ops, c.first = c.ops[:0], c.first[:0]
	c.seqs, c.subs = sized(c.seqs, n), sized(c.subs, n)
	c.seen, c.reads, c.newest = sized(c.seen, n), sized(c.reads, n), sized(c.newest, n)
	c.loose, c.short, c.found, c.spans = c.loose[:0], false, nil, c.spans[:0]
	for i := range c.txs {
		t := &c.txs[i]
		c.first = append(c.first, int32(len(c.ops)))
		for j := range t.Ops {
			op := &t.Ops[j]
			id := int32(0)
			if op.Space != "" {
				id = c.space(op.Space)
			}
			if op.Kind <= Delete {
				id = c.key(id, op.Key)
			}
			c.ops = append(c.ops, id)
		}
		switch {
		case t.Outcome == Refused || !t.writes():
		case t.Seq != 0:
			c.seqs[i] = t.Seq
		default:
			c.loose = append(c.loose, int32(i))
		}
	}
	c.fill()
}

// sized returns n zero values, in s if they fit.
func sized[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// evaluate builds the model with the commits where seqs has them, and counts the breaches: to the
// end if it reports, else until there are enough.
func (c *Checker) evaluate(report bool, enough int) int {
	c.reporting, c.failed, c.enough, c.found = report, 0, enough, nil
	c.rewind()
	c.build()
	c.spans = c.spans[:0]
	c.shows()
	for i := range c.txs {
		if c.full() {
			return c.failed
		}
		c.replay(int32(i))
	}
	c.real()
	c.raise()
	if c.next != nil && !report && !c.full() {
		if p := c.cut(c.next.Base, math.MaxUint64); !p.fits {
			c.failed++
		}
	}
	return c.failed
}

// full reports whether nothing more needs to be found.
func (c *Checker) full() bool { return c.failed >= c.enough }

// build makes the versions.
func (c *Checker) build() {
	c.order = c.order[:0]
	for i, seq := range c.seqs {
		if seq != 0 {
			c.order = append(c.order, int32(i))
		}
	}
	bySeq := func(a, b int32) int {
		if d := cmp.Compare(c.seqs[a], c.seqs[b]); d != 0 {
			return d
		}
		return cmp.Compare(c.subs[a], c.subs[b])
	}
	if !slices.IsSortedFunc(c.order, bySeq) {
		slices.SortStableFunc(c.order, bySeq)
	}
	c.effects, c.ends, c.latest = c.effects[:0], c.ends[:0], c.latest[:0]
	late := int64(math.MinInt64)
	for n, i := range c.order {
		if n > 0 && c.seqs[c.order[n-1]] == c.seqs[i] && c.txs[i].Seq != 0 && c.txs[c.order[n-1]].Seq != 0 {
			c.sameSeq(c.order[n-1], i)
		}
		late = max(late, c.txs[i].Begin)
		c.latest = append(c.latest, late)
		c.apply(i)
		c.ends = append(c.ends, int32(len(c.effects)))
	}
}

// apply adds the versions that one commit made.
func (c *Checker) apply(i int32) {
	t, ids, seq := &c.txs[i], c.ops[c.first[i]:], c.seqs[i]
	c.stamp++
	spaces := false
	for j := range t.Ops {
		op := &t.Ops[j]
		switch op.Kind {
		case Put, Delete:
			if sp := c.keys[ids[j]].space; sp != 0 {
				if ok, _ := c.existing(sp, seq-1); !ok {
					c.noSpace(i, op)
				}
			}
			c.note(op, int32(j), ids[j])
		case CreateSpace, DropSpace:
			spaces = true
			c.note(op, int32(j), ids[j])
		}
	}
	if spaces {
		c.installSpaces(i, ids[:len(t.Ops)], seq)
	}
	for j := range t.Ops {
		switch t.Ops[j].Kind {
		case Put, Delete:
			c.install(i, int32(j), ids[j], seq)
		}
	}
}

// install adds a version, if the operation is the transaction's last word on the key.
func (c *Checker) install(i, j, id int32, seq uint64) {
	k := &c.keys[id]
	s := &c.spaces[k.space]
	if k.ownOp != j || s.own == c.stamp && s.ownOp > j {
		return
	}
	c.effects = append(c.effects, effect{id, int32(len(k.versions))})
	k.versions = append(k.versions, version{seq, i, k.ownDead, k.ownValue})
}

// installSpaces adds the last thing that a commit did to each keyspace.
func (c *Checker) installSpaces(i int32, ids []int32, seq uint64) {
	for j, id := range ids {
		switch c.txs[i].Ops[j].Kind {
		case CreateSpace, DropSpace:
			if s := &c.spaces[id]; s.own == c.stamp && s.ownOp == int32(j) {
				c.effects = append(c.effects, effect{^id, int32(len(s.events))})
				s.events = append(s.events, spaceEvent{seq, i, s.ownExists})
			}
		}
	}
}

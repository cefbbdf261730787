package history

import "slices"

// Recovery: the state that a life begins with is that after a prefix of the commits of the life
// before it.

// lies reports whether a life may end with any older state.
func lies(l *Life) bool { return l.Rules == Lying && l.End == PowerCut }

// raise finds the floor: the seq up to which the present life's commits must survive.
func (c *Checker) raise() {
	c.floor = floor{tx: -1}
	switch {
	case c.life.End == Running || lies(c.life):
		return
	case c.life.End == Closed:
		for i := range c.txs {
			if c.txs[i].Outcome == Committed {
				c.promise(c.seqs[i], int32(i), closedCleanly)
			}
		}
		return
	}
	c.promise(c.life.Synced, -1, checkpointed)
	if c.life.Rules == NoLog {
		return
	}
	unsynced := uint64(NoSeq) // the first commit that was answered before it was durable
	if c.life.Unsynced != 0 {
		unsynced = c.life.Unsynced
	}
	for i := range c.txs {
		if seq := c.seqs[i]; c.txs[i].NoSync && seq != 0 {
			unsynced = min(unsynced, seq)
		}
	}
	for i := range c.txs {
		t := &c.txs[i]
		if t.Outcome == Committed && t.Acked && !t.NoSync {
			c.promise(c.seqs[i], int32(i), syncAcked)
		}
		if t.Waited && t.Acked || t.Level == ReadOnly && t.Snapshot < unsynced {
			c.promise(c.reads[i], int32(i), readDurable)
		}
	}
}

// promise raises the floor to seq.
func (c *Checker) promise(seq uint64, tx int32, why promise) {
	if seq > c.floor.seq {
		c.floor = floor{seq, tx, why}
	}
}

// prefix is a number of commits, compared with a recovered state.
type prefix struct {
	fits  bool   // a prefix that reaches the floor is the state exactly
	seq   uint64 // the last commit of that prefix, or else of the one that comes closest
	diffs int    // keys and spaces that differ
	short bool   // a prefix is the state exactly, but it ends at ended, below the floor
	ended uint64
}

// cut looks for the longest prefix up to a ceiling that is the state.
func (c *Checker) cut(state State, ceiling uint64) prefix {
	diffs := c.want(state)
	p := prefix{diffs: -1}
	c.judge(&p, -1, diffs)
	from := int32(0)
	for n, i := range c.order {
		if c.seqs[i] > ceiling {
			break
		}
		for _, e := range c.effects[from:c.ends[n]] {
			if e.key < 0 {
				diffs += c.turn(^e.key, c.spaces[^e.key].events[e.version].exists)
				continue
			}
			k := &c.keys[e.key]
			diffs += k.step(e.version)
		}
		from = c.ends[n]
		c.judge(&p, n, diffs)
	}
	return p
}

// judge takes note of the prefix that ends with the n-th commit. It reaches up to the next one.
func (c *Checker) judge(p *prefix, n, diffs int) {
	seq := uint64(0)
	if n >= 0 {
		seq = c.seqs[c.order[n]]
	}
	switch {
	case n+1 < len(c.order) && c.seqs[c.order[n+1]] <= c.floor.seq:
		if diffs == 0 {
			p.short, p.ended = true, seq
		}
	case diffs == 0:
		p.fits, p.seq, p.diffs = true, seq, 0
	case p.diffs < 0 || diffs <= p.diffs:
		p.seq, p.diffs = seq, diffs
	}
}

// want notes the state that is looked for, and returns how many keys and spaces of the life's base
// differ from it.
func (c *Checker) want(state State) (diffs int) {
	for i := range c.keys {
		k := &c.keys[i]
		k.wanted, k.current = false, -1
		if k.touched {
			k.current = 0
		}
	}
	for i := range c.spaces {
		s := &c.spaces[i]
		s.wanted, s.exists = i == 0, s.events[0].exists
	}
	for _, w := range state {
		sp := c.space(w.Name)
		c.fill()
		c.spaces[sp].wanted = true
		for _, p := range w.Pairs {
			id := c.key(sp, p.Key)
			k := &c.keys[id]
			if len(k.versions) == 0 {
				k.current = -1
			}
			k.wanted, k.want = true, p.Value
		}
	}
	for i := range c.keys {
		if !c.keys[i].right() {
			diffs++
		}
	}
	for i := range c.spaces {
		if s := &c.spaces[i]; s.exists != s.wanted {
			diffs++
		}
	}
	return diffs
}

// right reports whether the key is as it should be.
func (k *key) right() bool {
	if k.current < 0 || k.versions[k.current].dead {
		return !k.wanted
	}
	return k.wanted && k.versions[k.current].value == k.want
}

// step makes a version the current one, and returns by how much the number of differences grows.
func (k *key) step(version int32) int {
	before := k.right()
	k.current = version
	switch after := k.right(); {
	case before && !after:
		return 1
	case after && !before:
		return -1
	}
	return 0
}

// turn begins or ends an incarnation of a space, which empties it.
func (c *Checker) turn(sp int32, exists bool) (grows int) {
	s := &c.spaces[sp]
	if s.exists != exists {
		if exists == s.wanted {
			grows--
		} else {
			grows++
		}
		s.exists = exists
	}
	for _, id := range s.members {
		grows += c.keys[id].step(-1)
	}
	return grows
}

// recovered checks the base of a life against the present one, which came before it.
func (c *Checker) recovered(l *Life) (Cut, []Violation) {
	p := c.cut(l.Base, NoSeq)
	cut := Cut{Life: l.Number, Of: c.life.Number, Seq: p.seq, Found: p.fits}
	if c.lying {
		c.lines = append(c.lines, line{c.life, slices.Clone(c.seqs), slices.Clone(c.subs), p.seq})
	}
	switch {
	case p.fits:
		return cut, nil
	case lies(c.life):
		if c.older(l.Base, &cut) {
			return cut, nil
		}
	}
	if c.short {
		return cut, []Violation{c.undecided()}
	}
	return cut, []Violation{c.lost(l, p)}
}

// older looks for a prefix in the lives that led to the present one, and goes back to it. When
// there is none, the present life is loaded again.
func (c *Checker) older(state State, cut *Cut) bool {
	present := c.lines[len(c.lines)-1]
	short, floor := c.short, c.floor
	for n := len(c.lines) - 2; n >= 0; n-- {
		c.again(c.lines[n])
		c.floor = floorless
		if p := c.cut(state, c.lines[n].upTo); p.fits {
			cut.Of, cut.Seq, cut.Found = c.life.Number, p.seq, true
			c.lines[n].upTo = p.seq
			c.lines = c.lines[:n+1]
			return true
		}
	}
	c.again(present)
	c.short, c.floor = short, floor
	return false
}

// floorless is where nothing was promised.
var floorless = floor{tx: -1}

// again loads a life whose commits have their places.
func (c *Checker) again(l line) {
	c.load(l.life, nil)
	copy(c.seqs, l.seqs)
	copy(c.subs, l.subs)
	c.reporting = false
	c.build()
}

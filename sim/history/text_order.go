package history

import (
	"fmt"
	"slices"
	"strings"
)

// late: transaction i began after another one had ended, but its commit (j < 0 and seq its own),
// its snapshot or its operation j at seq does not come after what that one showed.
func (c *Checker) late(i, other, j int32, seq uint64) {
	c.fail("order", []int32{i, other}, func() string {
		t, o := &c.txs[i], &c.txs[other]
		what := "reads at"
		if j < 0 && seq != 0 && seq == c.seqs[i] {
			what = "committed at"
		}
		showed := "had been acknowledged with"
		if c.seqs[other] == 0 {
			showed = "had seen"
		}
		return fmt.Sprintf("%s began at step %d and %s seq %d, but %s %s seq %d at step %d",
			who(t), t.Begin, what, seq, who(o), showed, c.seen[other], o.End)
	})
}

func (c *Checker) fromTheFuture(i, writer int32, at uint64) {
	c.fail("order", []int32{i, writer}, func() string {
		t, w := &c.txs[i], &c.txs[writer]
		return fmt.Sprintf("%s read at seq %d and had ended at step %d, but %s, seq %d, began only at step %d",
			who(t), at, t.End, who(w), c.seqs[writer], w.Begin)
	})
}

func (c *Checker) wentBack(i, last int32) {
	c.fail("order", []int32{i, last}, func() string {
		return fmt.Sprintf("%s reads at snapshot %d, although the same client had read at snapshot %d in T%d",
			who(&c.txs[i]), c.txs[i].Snapshot, c.txs[last].Snapshot, c.txs[last].ID)
	})
}

// lost tells that a life's base is none of the states that it may be.
func (c *Checker) lost(l *Life, p prefix) Violation {
	involved := []int32{c.floor.tx}
	var text strings.Builder
	fmt.Fprintf(&text, "after the %s of life %d, life %d began with ", c.life.End, c.life.Number, l.Number)
	if p.short {
		fmt.Fprintf(&text, "the state of seq %d, but %s", p.ended, c.promised())
		if first := c.firstAfter(p.ended); first >= 0 && first != c.floor.tx {
			fmt.Fprintf(&text, "; the first commit that is lost is %s, seq %d", who(&c.txs[first]), c.seqs[first])
			involved = append(involved, first)
		}
		return c.violation("recovery", involved, text.String())
	}
	text.WriteString("no state that the commits had gone through")
	if c.floor.seq > 0 {
		fmt.Fprintf(&text, " from seq %d on (%s)", c.floor.seq, c.promised())
	}
	fmt.Fprintf(&text, "; the closest is that of seq %d: ", p.seq)
	told := 0
	for _, id := range c.differing(l.Base, p.seq) {
		if told == 3 {
			break
		}
		if told > 0 {
			text.WriteString("; ")
		}
		told++
		c.difference(&text, id, p.seq, &involved)
	}
	if more := p.diffs - told; more > 0 {
		fmt.Fprintf(&text, "; and %d more", more)
	}
	return c.violation("recovery", involved, text.String())
}

// promised says why the floor is where it is.
func (c *Checker) promised() string {
	var t *Tx
	if c.floor.tx >= 0 {
		t = &c.txs[c.floor.tx]
	}
	switch c.floor.why {
	case syncAcked:
		return fmt.Sprintf("%s was acknowledged as synced at seq %d", who(t), c.floor.seq)
	case readDurable:
		return fmt.Sprintf("%s had read what was committed at seq %d, and was answered", who(t), c.floor.seq)
	case checkpointed:
		return fmt.Sprintf("all up to seq %d had been acknowledged as durable", c.floor.seq)
	case closedCleanly:
		return fmt.Sprintf("the store had been closed with %s at seq %d", who(t), c.floor.seq)
	}
	return "nothing was promised"
}

// firstAfter returns the first commit after seq, or -1.
func (c *Checker) firstAfter(seq uint64) int32 {
	for _, i := range c.order {
		if c.seqs[i] > seq {
			return i
		}
	}
	return -1
}

// differing lists the keys that differ between a recovered state and the model at a seq, by
// keyspace and name. Keyspaces come as ^number, before their keys.
func (c *Checker) differing(state State, at uint64) []int32 {
	c.want(state)
	c.stamp++
	var list []int32
	for sp := range c.spaces {
		s := &c.spaces[sp]
		if s.event(at).exists != s.wanted {
			list = append(list, ^int32(sp))
		}
		for _, id := range slices.Clone(c.sort(int32(sp))) {
			k := &c.keys[id]
			if value, ok, _ := c.present(id, at); ok != k.wanted || ok && value != k.want {
				list = append(list, id)
			}
		}
	}
	return list
}

// difference tells one of them.
func (c *Checker) difference(text *strings.Builder, id int32, at uint64, involved *[]int32) {
	if id < 0 {
		s := &c.spaces[^id]
		e := s.event(at)
		fmt.Fprintf(text, "%s exists: %t, should be %t", spaceName(s.name), s.wanted, e.exists)
		if e.tx >= 0 {
			fmt.Fprintf(text, " since %s at seq %d", who(&c.txs[e.tx]), e.seq)
			*involved = append(*involved, e.tx)
		}
		return
	}
	k := &c.keys[id]
	value, ok, _ := c.present(id, at)
	author, tx := c.author(id, at)
	*involved = append(*involved, tx)
	fmt.Fprintf(text, "%s is %s, should be %s, %s", c.keyName(id), has(k.want, k.wanted), has(value, ok), author)
	if k.wanted {
		origin, tx := c.origin(id, k.want)
		*involved = append(*involved, tx)
		fmt.Fprintf(text, " (%s)", origin)
	}
}

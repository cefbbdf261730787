package history

import (
	"fmt"
	"strconv"
	"strings"
)

// Texts: a breach as a person tells it. Nothing here runs unless something is broken.

// maxShown bounds how much of a key or a value is shown, in bytes.
const maxShown = 48

// quoted shows a value.
func quoted(s string) string {
	if len(s) > maxShown {
		return fmt.Sprintf("%q… (%d bytes)", s[:maxShown], len(s))
	}
	return strconv.Quote(s)
}

// plain shows a key: as it is, if it can be read.
func plain(s string) string {
	if q := quoted(s); q != `"`+s+`"` || s == "" || strings.ContainsAny(s, " ,=/[]()") {
		return q
	}
	return s
}

func spaceName(s string) string {
	if s == "" {
		return "the default keyspace"
	}
	return "keyspace " + plain(s)
}

// keyName shows a key with its keyspace.
func (c *Checker) keyName(id int32) string {
	k := &c.keys[id]
	if sp := c.spaces[k.space].name; sp != "" {
		return plain(sp) + "/" + plain(k.name)
	}
	return plain(k.name)
}

// who names a transaction.
func who(t *Tx) string { return fmt.Sprintf("T%d (client %d)", t.ID, t.Client) }

// fail counts a breach, and tells of it if somebody listens. involved are transactions; negative
// ones are left out.
func (c *Checker) fail(check string, involved []int32, text func() string) {
	c.failed++
	if c.reporting && len(c.found) < maxReports {
		c.found = append(c.found, c.violation(check, involved, text()))
	}
}

func (c *Checker) violation(check string, involved []int32, text string) Violation {
	v := Violation{Check: check, Life: c.life.Number, Text: text}
	for _, i := range involved {
		if i >= 0 {
			v.Txs = append(v.Txs, c.txs[i].ID)
		}
	}
	return v
}

func (c *Checker) undecided() Violation {
	return c.violation("undecided", c.loose, fmt.Sprintf(
		"%d commits have no seq, and the search for their places was given up", len(c.loose)))
}

// moment says at which moment a transaction reads when it reads at a seq.
func (c *Checker) moment(i int32, at uint64) string {
	switch t := &c.txs[i]; {
	case at == NoSeq:
		return "at any moment while it ran"
	case t.Level == ReadCommitted:
		return fmt.Sprintf("at seq %d", at)
	case t.Snapshot != at && c.seqs[i]-1 == at:
		return fmt.Sprintf("just before its own commit at seq %d", c.seqs[i])
	case t.Snapshot == at:
		return fmt.Sprintf("at its snapshot, seq %d", at)
	default:
		return fmt.Sprintf("at seq %d", at)
	}
}

// author says who made a key what it is at a seq, for the transaction at work.
func (c *Checker) author(id int32, at uint64) (text string, tx int32) {
	k := &c.keys[id]
	s := &c.spaces[k.space]
	if k.own == c.stamp || s.own == c.stamp {
		return "which is its own doing", -1
	}
	v, e := k.find(at), s.event(at)
	switch {
	case v == nil || !e.exists || v.seq < e.seq:
		if e.tx < 0 {
			return "as nobody had written it", -1
		}
		what := "dropped"
		if e.exists {
			what = "created"
		}
		return fmt.Sprintf("as %s %s its keyspace at seq %d", who(&c.txs[e.tx]), what, e.seq), e.tx
	case v.tx < 0:
		return "as when the life began", -1
	case v.dead:
		return fmt.Sprintf("as %s deleted it at seq %d", who(&c.txs[v.tx]), v.seq), v.tx
	}
	return fmt.Sprintf("which %s wrote at seq %d", who(&c.txs[v.tx]), v.seq), v.tx
}

// origin says who wrote a value at all. tx is -1 if nobody did in this life.
func (c *Checker) origin(id int32, value string) (text string, tx int32) {
	for i := range c.txs {
		t := &c.txs[i]
		for j, other := range c.ops[c.first[i]:][:len(t.Ops)] {
			if op := &t.Ops[j]; op.Kind != Put || other != id || op.Value != value {
				continue
			}
			switch {
			case t.Outcome == Refused:
				return fmt.Sprintf("%s wrote that, and was refused", who(t)), int32(i)
			case c.seqs[i] == 0:
				return fmt.Sprintf("%s wrote that, with unknown outcome", who(t)), int32(i)
			}
			return fmt.Sprintf("%s wrote that, seq %d", who(t), c.seqs[i]), int32(i)
		}
	}
	if k := &c.keys[id]; k.touched && k.versions[0].value == value {
		return "that is from when the life began", -1
	}
	return "nobody has written that in this life", -1
}

// has tells the model's value.
func has(value string, ok bool) string {
	if ok {
		return quoted(value)
	}
	return "not there"
}

// badRead: operation j of transaction i saw what it should not have, at a seq, or at NoSeq.
func (c *Checker) badRead(i, j int32, at uint64) {
	if !c.reporting {
		c.failed++
		return
	}
	t := &c.txs[i]
	op, id := &t.Ops[j], c.ops[c.first[i]+j]
	involved := []int32{i}
	var text string
	switch op.Kind {
	case Scan:
		text = c.badScan(i, op, id, at, &involved)
	case Get:
		text = fmt.Sprintf("read %s = %s", c.keyName(id), has(op.Value, op.Found)) + c.against(id, at, op.Value, op.Found, &involved)
	default:
		exists, _ := c.existing(id, at)
		verb := map[OpKind]string{OpenSpace: "opened", CreateSpace: "created", DropSpace: "dropped"}[op.Kind]
		text = fmt.Sprintf("%s %s and was told that it exists: %t, but there it is %t", verb, spaceName(op.Space), op.Found, exists)
	}
	text = fmt.Sprintf("%s, %s, %s, %s", who(t), t.Level, c.moment(i, at), text)
	c.fail("replay", involved, func() string { return text })
}

// against continues a sentence about what was read of a key with what the model has.
func (c *Checker) against(id int32, at uint64, value string, found bool, involved *[]int32) string {
	text := ""
	if at != NoSeq {
		model, ok, _ := c.present(id, at)
		author, tx := c.author(id, at)
		*involved = append(*involved, tx)
		text = fmt.Sprintf(", but there it is %s, %s", has(model, ok), author)
	} else {
		text = ", which it never was then"
	}
	if found {
		origin, tx := c.origin(id, value)
		*involved = append(*involved, tx)
		text += "; " + origin
	}
	return text
}

// badScan finds the first pair that differs.
func (c *Checker) badScan(i int32, op *Op, sp int32, at uint64, involved *[]int32) string {
	dir := ""
	if op.Reverse {
		dir = " backwards"
	}
	hi := "the end"
	if op.Hi != "" {
		hi = plain(op.Hi)
	}
	text := fmt.Sprintf("scanned %s from %s to %s%s", spaceName(op.Space), plain(op.Key), hi, dir)
	if at == NoSeq {
		return text + fmt.Sprintf(" and got %d pairs, which fit no state", len(op.Pairs))
	}
	n, missed := 0, int32(-1)
	c.walk(op, sp, func(id int32) bool {
		value, found, _ := c.present(id, at)
		if !found {
			return true
		}
		if n == len(op.Pairs) || op.Pairs[n].Key != c.keys[id].name || op.Pairs[n].Value != value {
			missed = id
			return false
		}
		n++
		return op.Limit == 0 || n < op.Limit
	})
	if n == len(op.Pairs) {
		return text + fmt.Sprintf(" and missed %s", c.keyName(missed)) + c.against(missed, at, "", false, involved)
	}
	got := op.Pairs[n]
	id := c.find(sp, got.Key)
	text += fmt.Sprintf(" and got %s = %s in place %d", plain(got.Key), quoted(got.Value), n+1)
	switch {
	case op.Limit > 0 && n >= op.Limit:
		return text + fmt.Sprintf(", beyond its limit of %d", op.Limit)
	case id < 0:
		return text + ", a key that nobody has written"
	case missed >= 0 && id != missed:
		if _, ok, _ := c.present(id, at); ok {
			return text + fmt.Sprintf(", where %s should be", c.keyName(missed)) + c.against(missed, at, "", false, involved)
		}
	}
	return text + c.against(id, at, got.Value, true, involved)
}

// nowhere: no state fits a transaction whose snapshot is unknown.
func (c *Checker) nowhere(i int32) {
	c.fail("replay", []int32{i}, func() string {
		return fmt.Sprintf("%s, %s: no single state that was there while it ran has all that it read", who(&c.txs[i]), c.txs[i].Level)
	})
}

func (c *Checker) sameSeq(a, b int32) {
	c.fail("replay", []int32{a, b}, func() string {
		return fmt.Sprintf("%s and %s both committed at seq %d", who(&c.txs[a]), who(&c.txs[b]), c.seqs[a])
	})
}

func (c *Checker) noSpace(i int32, op *Op) {
	c.fail("replay", []int32{i}, func() string {
		return fmt.Sprintf("%s committed at seq %d and wrote %s in %s, which does not exist there",
			who(&c.txs[i]), c.seqs[i], plain(op.Key), spaceName(op.Space))
	})
}

func (c *Checker) aheadOfItself(i int32) {
	c.fail("replay", []int32{i}, func() string {
		return fmt.Sprintf("%s has snapshot %d, but commits at seq %d", who(&c.txs[i]), c.txs[i].Snapshot, c.seqs[i])
	})
}

func (c *Checker) secondWriter(i int32, op *Op, other int32, seq uint64) {
	c.fail("replay", []int32{i, other}, func() string {
		what := spaceName(op.Space)
		if op.Kind <= Delete {
			what = plain(op.Key) + " in " + what
		}
		return fmt.Sprintf("lost update: %s read at snapshot %d and committed %s at seq %d, although %s had committed to it at seq %d",
			who(&c.txs[i]), c.txs[i].Snapshot, what, c.seqs[i], who(&c.txs[other]), seq)
	})
}

func (c *Checker) backwards(i, j int32, last uint64) {
	c.fail("order", []int32{i}, func() string {
		return fmt.Sprintf("%s read at seq %d, after it had read at seq %d", who(&c.txs[i]), c.txs[i].Ops[j].At, last)
	})
}

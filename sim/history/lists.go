package history

import (
	"fmt"
	"slices"
	"strings"
)

// A list is the value of a key in a list-append history: its elements with a blank between them. To
// append is to read the list and to put it back with one more element. Elements of a key are
// unique.

// AppendList returns a list with one more element, which has no blank.
func AppendList(list, element string) string {
	if list == "" {
		return element
	}
	return list + " " + element
}

// lastOf splits a list before its last element.
func lastOf(list string) (rest, element string) {
	if i := strings.LastIndexByte(list, ' '); i >= 0 {
		return list[:i], list[i+1:]
	}
	return "", list
}

func showList(list string) string {
	if len(list) > 2*maxShown {
		list = list[:maxShown/2] + " … " + list[len(list)-maxShown:]
	}
	return "[" + list + "]"
}

// listVersion is one value that a list had. The version without a writer is what the life began
// with.
type listVersion struct {
	key    int32
	writer int32 // -1 for what the life began with
	final  bool  // the writer put nothing after it
	list   string
	rest   string  // what the writer appended to
	parent int32   // the version of rest, -1 if nobody has written that
	later  []int32 // final versions of committed transactions that were appended to this one
}

type listName struct {
	key  int32
	list string
}

// lists are all versions of one life's keys.
type lists struct {
	c        *Checker // for the numbers of keys
	versions []listVersion
	byName   map[listName]int32
	roots    []int32 // by key: what the life began with
	ignored  []bool  // by key: it was deleted, or its keyspace is not constant
	counted  []bool  // by transaction: it is committed, or it was seen though nobody knows
}

// readLists collects the versions, and finds out which transactions count.
func (x *lists) readLists() {
	c := x.c
	x.byName = make(map[listName]int32, len(c.keys))
	x.roots, x.ignored = make([]int32, len(c.keys)), make([]bool, len(c.keys))
	x.counted = make([]bool, len(c.txs))
	for id := range c.keys {
		list := ""
		if k := &c.keys[id]; k.touched {
			list = k.versions[0].value
		}
		x.roots[id] = x.add(listVersion{key: int32(id), writer: -1, final: true, list: list, parent: -1})
	}
	for i := range c.txs {
		x.collect(int32(i))
	}
	for i := range c.txs {
		if c.txs[i].Outcome == Committed {
			x.count(int32(i))
		}
	}
	if c.next != nil {
		for _, b := range c.next.Base {
			for _, p := range b.Pairs {
				if id := c.find(c.space(b.Name), p.Key); id >= 0 {
					x.saw(id, p.Value)
				}
			}
		}
		c.fill()
	}
	for n := range x.versions {
		v := &x.versions[n]
		if v.writer < 0 || !v.final || !x.counted[v.writer] {
			continue
		}
		if v.parent = x.find(v.key, v.rest); v.parent >= 0 {
			p := &x.versions[v.parent]
			p.later = append(p.later, int32(n))
		}
	}
}

func (x *lists) add(v listVersion) int32 {
	n := int32(len(x.versions))
	x.versions = append(x.versions, v)
	x.byName[listName{v.key, v.list}] = n
	return n
}

// find returns the version of a key with this content, or -1.
func (x *lists) find(key int32, list string) int32 {
	if n, ok := x.byName[listName{key, list}]; ok {
		return n
	}
	return -1
}

// collect adds the versions that one transaction put.
func (x *lists) collect(i int32) {
	c := x.c
	t := &c.txs[i]
	var mine []int32
	for j, id := range c.ops[c.first[i]:][:len(t.Ops)] {
		switch op := &t.Ops[j]; op.Kind {
		case Delete:
			x.ignored[id] = true
		case CreateSpace, DropSpace:
			for _, k := range c.spaces[id].members {
				x.ignored[k] = true
			}
		case Put:
			rest, _ := lastOf(op.Value)
			at := slices.IndexFunc(mine, func(m int32) bool { return x.versions[m].key == id })
			if at >= 0 {
				v := &x.versions[mine[at]]
				v.final, rest = false, v.rest
			}
			n := x.add(listVersion{key: id, writer: i, final: true, list: op.Value, rest: rest})
			if at >= 0 {
				mine[at] = n
			} else {
				mine = append(mine, n)
			}
		}
	}
}

// count makes a transaction one that has happened, and with it those of unknown outcome whose
// lists it saw.
func (x *lists) count(i int32) {
	c := x.c
	if x.counted[i] {
		return
	}
	x.counted[i] = true
	t := &c.txs[i]
	for j, id := range c.ops[c.first[i]:][:len(t.Ops)] {
		switch op := &t.Ops[j]; op.Kind {
		case Get:
			x.saw(id, op.Value)
		case Scan:
			for _, p := range op.Pairs {
				x.saw(c.find(id, p.Key), p.Value)
			}
		}
	}
}

// saw counts the writer of a list that was seen.
func (x *lists) saw(key int32, list string) {
	if key < 0 {
		return
	}
	if n := x.find(key, list); n >= 0 {
		if w := x.versions[n].writer; w >= 0 && x.c.txs[w].Outcome == Unknown {
			x.count(w)
		}
	}
}

// G1 and lost updates: what needs no cycle to be seen.

// badList reports a read of version n that must not be: of a list that nobody wrote (n < 0), of a
// refused transaction's, or of one that its writer overwrote itself. It returns false if the read
// is in order.
func (x *lists) badList(i, key, n int32, list string) bool {
	c := x.c
	reader := fmt.Sprintf("%s read %s = %s", who(&c.txs[i]), c.keyName(key), showList(list))
	if n < 0 {
		x.report(Invented, []int32{i}, reader+", which nobody has written")
		return true
	}
	v := &x.versions[n]
	switch {
	case v.writer < 0:
		return false
	case c.txs[v.writer].Outcome == Refused:
		x.report(G1a, []int32{i, v.writer}, reader+", whose writer "+who(&c.txs[v.writer])+" was refused")
	case !v.final:
		x.report(G1b, []int32{i, v.writer}, reader+", but "+who(&c.txs[v.writer])+" appended more in the same transaction")
	default:
		return false
	}
	return true
}

// report adds a violation.
func (x *lists) report(a Anomaly, involved []int32, text string) {
	v := x.c.violation("cycle", involved, string(a)+": "+text)
	v.Anomaly = a
	x.c.found = append(x.c.found, v)
}

// lostUpdates reports lists that two transactions appended to without seeing each other, where
// both had asked for more than ReadCommitted.
func (x *lists) lostUpdates(level func(i int32) Level) {
	c := x.c
	for n := range x.versions {
		v := &x.versions[n]
		last := int32(-1)
		for _, m := range v.later {
			if x.ignored[v.key] || level(x.versions[m].writer) == ReadCommitted {
				continue
			}
			if last >= 0 {
				a, b := &x.versions[last], &x.versions[m]
				_, e := lastOf(a.list)
				_, f := lastOf(b.list)
				x.report(LostUpdate, []int32{a.writer, b.writer}, fmt.Sprintf("%s appended %s and %s appended %s to the same list %s = %s",
					who(&c.txs[a.writer]), e, who(&c.txs[b.writer]), f, c.keyName(v.key), showList(v.list)))
			}
			last = m
		}
	}
}

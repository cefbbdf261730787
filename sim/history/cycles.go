package history

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Anomaly names what Cycles finds, after Adya.
type Anomaly string

// The anomalies. A real-time cycle needs, besides, that one transaction had ended before another
// one began.
const (
	Invented     Anomaly = "invented" // a list that nobody has written
	G0           Anomaly = "G0"       // dirty writes: a cycle of overwrites
	G1a          Anomaly = "G1a"      // a read of what was refused
	G1b          Anomaly = "G1b"      // a read of what its writer overwrote itself
	G1c          Anomaly = "G1c"      // a cycle of overwrites and reads
	LostUpdate   Anomaly = "lost update"
	GSingle      Anomaly = "G-single"      // read skew: a cycle with one read of something older
	GNonadjacent Anomaly = "G-nonadjacent" // long fork: more of those, never two in a row
	G2Item       Anomaly = "G2-item"       // write skew
	G2           Anomaly = "G2"            // the same with a phantom: a scan had found nothing there
)

// Allows reports whether transactions of a level may show an anomaly among each other.
func (l Level) Allows(a Anomaly) bool {
	switch l {
	case Snapshot:
		return a == G2Item || a == G2
	case ReadCommitted:
		return slices.Contains([]Anomaly{LostUpdate, GSingle, GNonadjacent, G2Item, G2}, a)
	}
	return false
}

// Cycles checks a list-append history, in which every key holds a list (see AppendList), without a
// look at any seq. A transaction is one event or several: a Serializable or ReadOnly one happens at
// once, a Snapshot one reads and later commits, each read of a ReadCommitted one is an event. The
// lists and the real time tell which event comes before which. A cycle of events is an anomaly that
// the levels do not allow. Lists that were deleted or stand in a keyspace that was created or
// dropped are left out.
func Cycles(h *History) []Violation {
	return cycles(h, func(t *Tx) Level { return t.Level })
}

// CyclesAs is Cycles, as if every transaction had asked for the same level. It shows which anomalies
// a history has that its own levels allow.
func CyclesAs(h *History, level Level) []Violation {
	return cycles(h, func(*Tx) Level { return level })
}

func cycles(h *History, level func(*Tx) Level) []Violation {
	var all []Violation
	var c Checker
	c.reset()
	for i, l := range h.Lives {
		if i > 0 && !l.Known {
			continue
		}
		c.load(l, nextKnown(h, i))
		e := events{lists: lists{c: &c}, level: func(i int32) Level { return level(&c.txs[i]) }}
		e.check()
		all = append(all, c.found...)
	}
	return all
}

// searchEdges bounds the search for short cycles in one life.
const searchEdges = 20 << 20

// events is the graph of one life.
type events struct {
	lists
	graph
	level  func(i int32) Level
	commit []int32 // the event of each transaction's commit, or its only one; -1: it does not count
	reads  []int32 // of a Snapshot transaction: its snapshot; else as commit
	tx     []int32 // the transaction of each event, -1 for a moment of time
	each   []int32 // of the ReadCommitted transaction at work: the events of its reads
}

func (x *events) check() {
	x.readLists()
	x.lostUpdates(x.level)
	n := len(x.c.txs)
	x.commit, x.reads = make([]int32, n), make([]int32, n)
	for i := range x.c.txs {
		x.commit[i], x.reads[i] = -1, -1
		if !x.counted[i] {
			continue
		}
		x.commit[i] = x.event(int32(i))
		x.reads[i] = x.commit[i]
		if x.level(int32(i)) == Snapshot {
			x.reads[i] = x.event(int32(i))
			x.graph.add(edge{from: x.reads[i], to: x.commit[i], kind: own})
		}
	}
	moments := x.moments()
	for i := range x.c.txs {
		if x.counted[i] {
			x.depend(int32(i), moments)
		}
	}
	for n := range x.versions {
		v := &x.versions[n]
		for _, m := range v.later {
			if v.writer >= 0 && !x.ignored[v.key] && x.counted[v.writer] {
				x.graph.add(edge{from: x.commit[v.writer], to: x.commit[x.versions[m].writer], kind: ww, version: int32(n), next: m})
			}
		}
	}
	x.seal()
	x.search()
}

func (x *events) event(tx int32) int32 {
	x.tx = append(x.tx, tx)
	return x.node()
}

// moment is the end of a transaction whose answer shows what it did.
type moment struct {
	end   int64
	event int32
}

// moments makes a chain of events from the ends of transactions, so that real time takes few edges.
func (x *events) moments() []moment {
	var list []moment
	for i := range x.c.txs {
		t := &x.c.txs[i]
		if x.commit[i] < 0 || !t.Acked || t.End == NeverEnded {
			continue
		}
		from := x.commit[i]
		if !t.writes() && t.Level != ReadOnly {
			if !t.Waited || t.Level == ReadCommitted {
				continue // what it saw may not have been answered to anybody yet
			}
			from = x.reads[i]
		}
		m := moment{t.End, x.event(-1)}
		x.graph.add(edge{from: from, to: m.event, kind: time})
		if n := len(list); n > 0 {
			x.graph.add(edge{from: list[n-1].event, to: m.event, kind: time})
		}
		list = append(list, m)
	}
	return list
}

// depend adds the edges to and from what a transaction read, and from those that had ended.
func (x *events) depend(i int32, moments []moment) {
	c := x.c
	t := &c.txs[i]
	ids := c.ops[c.first[i]:]
	x.each = x.each[:0]
	for j := range t.Ops {
		op := &t.Ops[j]
		if op.Kind != Get && op.Kind != Scan {
			continue
		}
		event := x.reads[i]
		if x.level(i) == ReadCommitted {
			event = x.event(i)
			x.each = append(x.each, event)
			x.graph.add(edge{from: event, to: x.commit[i], kind: own})
		}
		if op.Kind == Get {
			x.read(i, event, ids[j], op.Value, false)
		} else {
			x.scan(i, event, op, ids[j])
		}
	}
	n := sort.Search(len(moments), func(n int) bool { return moments[n].end >= t.Begin })
	if n == 0 {
		return
	}
	from := moments[n-1].event
	x.graph.add(edge{from: from, to: x.reads[i], kind: time})
	for _, event := range x.each {
		x.graph.add(edge{from: from, to: event, kind: time})
	}
}

// read adds the edges of one list that was read.
func (x *events) read(i, event, key int32, list string, predicate bool) {
	if x.ignored[key] {
		return
	}
	n := x.lists.find(key, list)
	if n >= 0 && x.versions[n].writer == i {
		return // its own
	}
	if x.badList(i, key, n, list) {
		return
	}
	v := &x.versions[n]
	if v.writer >= 0 && x.commit[v.writer] >= 0 {
		x.graph.add(edge{from: x.commit[v.writer], to: event, kind: wr, version: n})
	}
	sibling := false // it appended to this version itself
	for _, m := range v.later {
		sibling = sibling || x.versions[m].writer == i
	}
	for _, m := range v.later {
		w := x.versions[m].writer
		lost := sibling && x.level(i) != ReadCommitted && x.level(w) != ReadCommitted // told already
		if w != i && !lost {
			x.graph.add(edge{from: event, to: x.commit[w], kind: rw, predicate: predicate, version: n, next: m})
		}
	}
}

// scan adds the edges of all lists that a scan saw, and of those that it found missing.
func (x *events) scan(i, event int32, op *Op, sp int32) {
	n := 0
	x.c.walk(op, sp, func(id int32) bool {
		if n == len(op.Pairs) && (op.Stopped || op.Limit > 0 && n == op.Limit) {
			return false
		}
		if n < len(op.Pairs) && op.Pairs[n].Key == x.c.keys[id].name {
			x.read(i, event, id, op.Pairs[n].Value, false)
			n++
		} else {
			x.read(i, event, id, "", true)
		}
		return true
	})
	if n < len(op.Pairs) {
		x.report(Invented, []int32{i}, fmt.Sprintf("%s scanned %s and got %s, which nobody has written there, or not in this order",
			who(&x.c.txs[i]), spaceName(op.Space), plain(op.Pairs[n].Key)))
	}
}

// search reports one cycle for each component, the worst first: of the edges of a mask, then of
// those of the next one.
func (x *events) search() {
	x.work = searchEdges
	told := make([]bool, x.nodes)
	for _, mask := range []dependency{ww, ww | wr, ww | wr | rw, ww | wr | rw | time} {
		for _, component := range x.components(mask | own) {
			if slices.ContainsFunc(component, func(n int32) bool { return told[n] }) {
				continue
			}
			if cycle := x.shortest(component, mask|own); cycle != nil {
				for _, n := range component {
					told[n] = true
				}
				x.tell(cycle)
			}
		}
	}
}

// tell reports a cycle.
func (x *events) tell(cycle []int32) {
	var involved []int32
	var parts []string
	ended := int32(-1) // the transaction whose end began a way through time
	// A way through time is told as one: begin where it does not go through the start.
	for x.tx[x.edges[cycle[0]].from] < 0 {
		cycle = append(slices.Clone(cycle[1:]), cycle[0])
	}
	for _, i := range cycle {
		e := &x.edges[i]
		from, to := x.tx[e.from], x.tx[e.to]
		if from >= 0 {
			involved, ended = append(involved, from), from
		}
		switch {
		case e.kind == own || to < 0:
		case e.kind == time:
			a, b := &x.c.txs[ended], &x.c.txs[to]
			parts = append(parts, fmt.Sprintf("%s had ended at step %d or before, when %s began at step %d", who(a), b.Begin-1, who(b), b.Begin))
		default:
			parts = append(parts, x.sentence(e, &x.c.txs[from], &x.c.txs[to]))
		}
	}
	slices.Sort(involved)
	a, realTime := x.classify(cycle)
	if realTime {
		parts[0] = "against real time, " + parts[0]
	}
	x.report(a, slices.Compact(involved), strings.Join(parts, "; "))
}

// sentence tells one dependency.
func (x *events) sentence(e *edge, from, to *Tx) string {
	v := &x.versions[e.version]
	name := x.c.keyName(v.key)
	switch _, element := lastOf(v.list); e.kind {
	case wr:
		return fmt.Sprintf("%s appended %s to %s, which %s read as %s", who(from), element, name, who(to), showList(v.list))
	case ww:
		_, next := lastOf(x.versions[e.next].list)
		return fmt.Sprintf("%s appended %s to %s, and %s appended %s after it", who(from), element, name, who(to), next)
	}
	_, next := lastOf(x.versions[e.next].list)
	if e.predicate {
		return fmt.Sprintf("%s scanned and found no %s, but %s appended %s to it", who(from), name, who(to), next)
	}
	return fmt.Sprintf("%s read %s = %s, but %s appended %s to it", who(from), name, showList(v.list), who(to), next)
}

// classify names a cycle.
func (x *events) classify(cycle []int32) (a Anomaly, realTime bool) {
	var kinds []dependency // without own ones
	reads, olds, predicate := 0, 0, false
	for _, i := range cycle {
		e := &x.edges[i]
		if e.kind != own {
			kinds = append(kinds, e.kind)
		}
		realTime = realTime || e.kind == time
		predicate = predicate || e.predicate
		switch e.kind {
		case wr:
			reads++
		case rw:
			olds++
		}
	}
	adjacent := false
	for n, k := range kinds {
		adjacent = adjacent || k == rw && kinds[(n+1)%len(kinds)] == rw
	}
	switch {
	case olds == 0 && reads == 0:
		return G0, realTime
	case olds == 0:
		return G1c, realTime
	case olds == 1:
		return GSingle, realTime
	case !adjacent:
		return GNonadjacent, realTime
	case predicate:
		return G2, realTime
	}
	return G2Item, realTime
}

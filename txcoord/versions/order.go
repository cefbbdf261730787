package versions

import (
	"bytes"
	"slices"
	"sort"

	"github.com/aegis-storage/aegis/pages"
)

// order is an immutable stack of sorted arrays over the entries up to tail, largest first.
// All heads are taken after the prefix that all its keys share.
type order struct {
	prefix []byte
	tail   entryRef // the last entry it covers; 0: none
	levels []level
}

// level is a sorted array of entries with their heads.
type level struct {
	heads []uint64
	refs  []entryRef
}

// A level that is not this many times as large as the one above it is merged with it. A larger
// factor means fewer levels for cursors to merge, and more merging for those who extend.
const levelRatio = 4

const levelBytes = 12 // per entry

func (o *order) bytes() int64 {
	n := 0
	for _, l := range o.levels {
		n += len(l.refs)
	}
	return int64(n) * levelBytes
}

// Order sorts all entries into one array. Worth it for a frozen index; OrderPart does it in
// steps.
func (x *Index) Order() {
	for !x.OrderPart(1 << 30) {
	}
}

// OrderPart sorts at most limit unsorted entries into the order, or does the last merge, and
// reports whether the order is complete and one array.
func (x *Index) OrderPart(limit int) (done bool) {
	o := x.order.Load()
	tail := entryRef(x.tail.Load())
	if o.tail < tail {
		n := x.extended(o, x.stepTo(o.tail, tail, limit))
		x.order.CompareAndSwap(o, n) // on failure somebody else did this piece
		return false
	}
	if len(o.levels) <= 1 {
		return true
	}
	n := &order{prefix: o.prefix, tail: o.tail}
	all := slices.Clone(o.levels)
	for len(all) > 1 {
		last := len(all) - 1
		all[last-1] = x.merged(all[last-1], all[last], len(o.prefix))
		all = all[:last]
	}
	n.levels = all
	return x.order.CompareAndSwap(o, n) && entryRef(x.tail.Load()) == n.tail
}

// orderFor returns an order with every entry whose first version is at or below at.
func (x *Index) orderFor(at pages.Seq) *order {
	tail := entryRef(x.tail.Load())
	for {
		o := x.order.Load()
		// The entries after o.tail have rising seqs: if the next is above at, so are all.
		if o.tail >= tail || x.entry(x.next(o.tail)).seq > at {
			return o
		}
		// Losing the swap means that somebody else extended the order, most likely as far.
		if n := x.extended(o, tail); x.order.CompareAndSwap(o, n) {
			return n
		}
	}
}

// next returns the reference after r, which must not be the newest.
func (x *Index) next(r entryRef) entryRef {
	if r == 0 || r.off()+1 == len(x.entries.get(r.slab()).recs) {
		return entryRef((r.slab() + 1) << entryBits)
	}
	return r + 1
}

// stepTo returns the reference at most limit after from, and not after tail.
func (x *Index) stepTo(from, tail entryRef, limit int) entryRef {
	for from < tail && limit > 0 {
		from = x.next(from)
		if from.slab() == tail.slab() {
			return min(tail, from+entryRef(limit-1))
		}
		step := min(limit, len(x.entries.get(from.slab()).recs)-from.off())
		from += entryRef(step - 1)
		limit -= step
	}
	return from
}

// extended returns o with the entries after o.tail up to tail as well.
func (x *Index) extended(o *order, tail entryRef) *order {
	refs := x.between(o.tail, tail)
	prefix := o.prefix
	if len(o.levels) == 0 {
		prefix = x.keyAt(refs[0])
	}
	for _, r := range refs {
		prefix = prefix[:commonLen(prefix, x.keyAt(r))]
		if len(prefix) == 0 {
			break
		}
	}
	items := make([]item, 2*len(refs))
	for i, r := range refs {
		items[i] = item{headAt(x.keyAt(r), len(prefix)), r}
	}
	x.sortItems(items[:len(refs)], items[len(refs):], len(prefix))
	top := level{make([]uint64, len(refs)), refs}
	for i, it := range items[:len(refs)] {
		top.heads[i], top.refs[i] = it.head, it.ref
	}
	n := &order{prefix: prefix, tail: tail, levels: make([]level, 0, len(o.levels)+1)}
	for _, l := range o.levels {
		n.levels = append(n.levels, l.rehead(o.prefix, len(prefix)))
	}
	for len(n.levels) > 0 {
		last := len(n.levels) - 1
		if len(n.levels[last].refs) >= levelRatio*len(top.refs) {
			break
		}
		top = x.merged(n.levels[last], top, len(prefix))
		n.levels = n.levels[:last]
	}
	n.levels = append(n.levels, top)
	return n
}

// between lists the entries after from up to tail.
func (x *Index) between(from, tail entryRef) []entryRef {
	n := x.rank(tail)
	if from != 0 {
		n -= x.rank(from)
	} else {
		n++
	}
	refs := make([]entryRef, n)
	for i := range refs {
		from = x.next(from)
		refs[i] = from
	}
	return refs
}

// rank is the number of entries before r.
func (x *Index) rank(r entryRef) int { return x.entries.get(r.slab()).base + r.off() }

// rehead returns l with its heads taken after only the first n bytes of prefix. The keys are
// not needed: a new head is the end of the prefix followed by the old head.
func (l level) rehead(prefix []byte, n int) level {
	d := len(prefix) - n
	if d == 0 {
		return l
	}
	heads := make([]uint64, len(l.heads))
	lead := headAt(prefix, n)
	for i, h := range l.heads {
		if d < 8 {
			heads[i] = lead | h>>(8*d)
		} else {
			heads[i] = lead
		}
	}
	return level{heads, l.refs}
}

// merged merges two levels whose heads are taken at depth.
func (x *Index) merged(a, b level, depth int) level {
	n := len(a.refs) + len(b.refs)
	m := level{make([]uint64, 0, n), make([]entryRef, 0, n)}
	i, j := 0, 0
	for i < len(a.refs) && j < len(b.refs) {
		if x.less(a.heads[i], a.refs[i], b.heads[j], b.refs[j], depth) {
			m.heads, m.refs = append(m.heads, a.heads[i]), append(m.refs, a.refs[i])
			i++
		} else {
			m.heads, m.refs = append(m.heads, b.heads[j]), append(m.refs, b.refs[j])
			j++
		}
	}
	m.heads, m.refs = append(m.heads, a.heads[i:]...), append(m.refs, a.refs[i:]...)
	m.heads, m.refs = append(m.heads, b.heads[j:]...), append(m.refs, b.refs[j:]...)
	return m
}

func (x *Index) less(ha uint64, a entryRef, hb uint64, b entryRef, depth int) bool {
	if ha != hb {
		return ha < hb
	}
	return bytes.Compare(x.keyAt(a)[depth:], x.keyAt(b)[depth:]) < 0
}

// search returns the position in l of the first key at or above key.
func (x *Index) search(l level, prefix, key []byte) int {
	if c := bytes.Compare(key[:min(len(key), len(prefix))], prefix); c != 0 {
		if c < 0 {
			return 0
		}
		return len(l.refs)
	}
	depth := len(prefix)
	head := headAt(key, depth)
	from, _ := slices.BinarySearch(l.heads, head)
	run := 0
	for run < 8 && from+run < len(l.heads) && l.heads[from+run] == head {
		run++
	}
	if run == 8 {
		run = sort.Search(len(l.heads)-from, func(i int) bool { return l.heads[from+i] > head })
	}
	return from + sort.Search(run, func(i int) bool {
		return bytes.Compare(x.keyAt(l.refs[from+i])[depth:], key[depth:]) >= 0
	})
}

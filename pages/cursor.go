package pages

import (
	"context"
)

// CursorOptions say what a cursor covers and how it treats the cache.
type CursorOptions struct {
	Lo, Hi []byte // keys k with Lo ≤ k < Hi; nil: open. Kept, not copied
	// NoCache is for merges: pages in memory are used, but those that are not are read ahead in
	// large pieces and shared with nobody; residency and clock stamps stay as they are.
	NoCache bool
	// ScanCold loads pages as usual but gives leaves no clock stamp, so that one long scan does not
	// push out what others use.
	ScanCold bool
}

// Cursor is a position in a run, or none. It begins without one; First, Last and the seeks give
// it one, also after an error. Next and Prev move it; at either end it loses its position, and
// stays without until the next First, Last or seek. Tombstones are entries like others.
//
// A Cursor is for one goroutine. Key and Value alias immutable pages: they stay valid for ever,
// also after the cursor has moved on. Moving within a page allocates nothing.
type Cursor struct {
	leaf       *leaf // nil: no position
	i          int
	begin, end int // the entries of leaf that lie within the bounds

	key, value []byte
	kind       Kind

	run     *Run
	lo, hi  []byte
	noCache bool
	cold    bool
	table   int
	path    []step  // inner pages from the root down
	path0   [3]step // where path begins
	ahead   readAhead
	coming  *leaf // the next leaf
	ask     int   // from where on it was not asked for yet; zero: all of it was
	err     error
}

// askEvery is how many entries of a leaf lie between two parts of the next one that are asked for: all
// of it at once would keep the loop's own lines waiting.
const askEvery = 4

// step is one inner page on the way to a leaf, and the child taken.
type step struct {
	page *Page
	i    int
}

// NewCursor returns a cursor over the keys of r within o's bounds that are not consumed.
func (r *Run) NewCursor(o CursorOptions) *Cursor {
	c := &Cursor{run: r, lo: o.Lo, hi: o.Hi, noCache: o.NoCache, cold: o.ScanCold || o.NoCache}
	c.path = c.path0[:0]
	if r.Consumed != nil && string(r.Consumed) >= string(o.Lo) {
		// The first key after a key is the key with a zero byte behind it.
		c.lo = append(append(make([]byte, 0, len(r.Consumed)+1), r.Consumed...), 0)
	}
	return c
}

// Key returns the key at the cursor; nil without a position.
func (c *Cursor) Key() []byte { return c.key }

// Value returns the value at the cursor; nil without a position, empty for a tombstone.
func (c *Cursor) Value() []byte { return c.value }

// Kind returns what the entry at the cursor is; 0 without a position.
func (c *Cursor) Kind() Kind { return c.kind }

// Err returns the error that ended the last movement, if one did: a *CorruptionError, a failed
// read, ErrTableGone or the context's error.
func (c *Cursor) Err() error { return c.err }

// First goes to the first entry.
func (c *Cursor) First(ctx context.Context) bool { return c.SeekGE(ctx, c.lo) }

// Last goes to the last entry.
func (c *Cursor) Last(ctx context.Context) bool {
	if c.hi != nil {
		return c.SeekLT(ctx, c.hi)
	}
	c.reset()
	return c.intoTable(ctx, len(c.run.Tables)-1, backward)
}

// SeekGE goes to the first entry whose key is ≥ key.
func (c *Cursor) SeekGE(ctx context.Context, key []byte) bool {
	c.reset()
	if string(key) < string(c.lo) {
		key = c.lo
	}
	i := c.run.find(key)
	if !c.beginsBelowHi(i) || !c.descendTo(ctx, i, key) {
		return false
	}
	c.i = c.leaf.seek(key)
	if c.i < c.end {
		return c.read()
	}
	return c.turn(ctx, forward)
}

// SeekLT goes to the last entry whose key is < key.
func (c *Cursor) SeekLT(ctx context.Context, key []byte) bool {
	c.reset()
	if c.hi != nil && string(c.hi) < string(key) {
		key = c.hi
	}
	i := c.run.findBelow(key)
	if !c.endsAboveLo(i) || !c.descendTo(ctx, i, key) {
		return false
	}
	c.i = c.leaf.seek(key) - 1
	if c.i >= c.begin {
		return c.read()
	}
	return c.turn(ctx, backward)
}

// Next goes to the next entry.
func (c *Cursor) Next(ctx context.Context) bool {
	if c.leaf == nil {
		return false
	}
	if c.i++; c.i < c.end {
		if c.i%askEvery == 0 && c.ask > 0 {
			c.ask = c.coming.ask(c.ask)
		}
		c.key, c.value, c.kind = c.leaf.entry(c.i)
		return true
	}
	return c.turn(ctx, forward)
}

// Prev goes to the entry before.
func (c *Cursor) Prev(ctx context.Context) bool {
	if c.leaf == nil {
		return false
	}
	if c.i--; c.i >= c.begin {
		c.key, c.value, c.kind = c.leaf.entry(c.i)
		return true
	}
	return c.turn(ctx, backward)
}

func (c *Cursor) read() bool {
	c.key, c.value, c.kind = c.leaf.entry(c.i)
	return true
}

// reset takes the position and the error away.
func (c *Cursor) reset() {
	c.err = nil
	c.lose()
}

// lose takes the position away.
func (c *Cursor) lose() bool {
	c.leaf, c.key, c.value, c.kind = nil, nil, nil, 0
	c.path = c.path[:0]
	return false
}

func (c *Cursor) fail(err error) bool {
	c.err = err
	return c.lose()
}

type direction int

const (
	forward  direction = 1
	backward direction = -1
)

// turn goes to the leaf next to the current one, and to its nearest entry.
func (c *Cursor) turn(ctx context.Context, d direction) bool {
	for len(c.path) > 0 {
		s := &c.path[len(c.path)-1]
		if i := s.i + int(d); i >= 0 && i < len(s.page.inner.refs) {
			if c.boundBetween(s, d) {
				return c.lose()
			}
			s.i = i
			return c.intoChild(ctx, s.page, i, d)
		}
		c.path = c.path[:len(c.path)-1]
	}
	return c.intoTable(ctx, c.table+int(d), d)
}

// boundBetween reports whether a bound of the cursor lies before all that comes after s in
// direction d, as far as the separator there can tell.
func (c *Cursor) boundBetween(s *step, d direction) bool {
	if d == forward {
		return c.hi != nil && string(s.page.inner.sep(s.i+1)) >= string(c.hi)
	}
	return string(s.page.inner.sep(s.i)) <= string(c.lo)
}

func (c *Cursor) beginsBelowHi(i int) bool {
	return i < len(c.run.Tables) && (c.hi == nil || string(c.run.Tables[i].meta.Min) < string(c.hi))
}

func (c *Cursor) endsAboveLo(i int) bool {
	return i >= 0 && string(c.run.Tables[i].meta.Max) >= string(c.lo)
}

// intoTable goes to the end of table i that direction d meets first.
func (c *Cursor) intoTable(ctx context.Context, i int, d direction) bool {
	if d == forward && !c.beginsBelowHi(i) || d == backward && !c.endsAboveLo(i) {
		return c.lose()
	}
	c.table = i
	c.path = c.path[:0]
	p, err := c.page(ctx, c.run.Tables[i].rootPlace())
	if err != nil {
		return c.fail(err)
	}
	return c.intoEdge(ctx, p, d)
}

func (c *Cursor) intoChild(ctx context.Context, parent *Page, i int, d direction) bool {
	if l := c.residentLeaf(parent, i, d); l != nil {
		return c.intoLeaf(l, d)
	}
	p, err := c.page(ctx, childPlace(parent, i))
	if err != nil {
		return c.fail(err)
	}
	return c.intoEdge(ctx, p, d)
}

// residentLeaf returns child i of p if it is a leaf in memory, and asks for the beginning of the
// leaf behind it, so that it is at hand when the cursor comes there.
func (c *Cursor) residentLeaf(p *Page, i int, d direction) *leaf {
	leaves := p.inner.leaves
	if leaves == nil {
		return nil
	}
	l := leaves[i].Load()
	if l == nil {
		return nil
	}
	c.run.Tables[c.table].cache.hits.Add()
	if j := i + int(d); j >= 0 && j < len(leaves) {
		if next := leaves[j].Load(); next != nil {
			c.coming, c.ask = next, next.ask(0)
		}
	}
	return l
}

// intoEdge descends from p along the edge that direction d meets first.
func (c *Cursor) intoEdge(ctx context.Context, p *Page, d direction) bool {
	for p.kind == kindInner {
		i := 0
		if d == backward {
			i = len(p.inner.refs) - 1
		}
		c.path = append(c.path, step{p, i})
		if l := c.residentLeaf(p, i, d); l != nil {
			return c.intoLeaf(l, d)
		}
		var err error
		if p, err = c.page(ctx, childPlace(p, i)); err != nil {
			return c.fail(err)
		}
	}
	return c.intoLeaf(p.leaf, d)
}

// intoLeaf goes to the entry of l that direction d meets first.
func (c *Cursor) intoLeaf(l *leaf, d direction) bool {
	c.enter(l)
	if c.begin >= c.end {
		return c.lose()
	}
	c.i = c.begin
	if d == backward {
		c.i = c.end - 1
	}
	return c.read()
}

// descendTo goes to the leaf of table i where key belongs.
func (c *Cursor) descendTo(ctx context.Context, i int, key []byte) bool {
	c.table = i
	p, err := c.page(ctx, c.run.Tables[i].rootPlace())
	for err == nil && p.kind == kindInner {
		i := p.inner.search(key)
		c.path = append(c.path, step{p, i})
		if l := c.residentLeaf(p, i, forward); l != nil {
			c.enter(l)
			return true
		}
		p, err = c.page(ctx, childPlace(p, i))
	}
	if err != nil {
		return c.fail(err)
	}
	c.enter(p.leaf)
	return true
}

// enter makes l, the child at the end of the path, the current leaf and finds which of its entries
// are within the bounds. Where the separators around it tell, its keys are not looked at.
func (c *Cursor) enter(l *leaf) {
	c.leaf, c.begin, c.end = l, 0, int(l.count)
	if !c.cold {
		l.touch()
	}
	var s step
	if n := len(c.path); n > 0 {
		s = c.path[n-1]
	}
	above := c.lo == nil || s.i > 0 && string(s.page.inner.sep(s.i)) >= string(c.lo)
	if !above && string(l.key(0)) < string(c.lo) {
		c.begin = l.seek(c.lo)
	}
	below := c.hi == nil || s.page != nil && s.i+1 < len(s.page.inner.refs) && string(s.page.inner.sep(s.i+1)) <= string(c.hi)
	if !below && string(l.key(c.end-1)) >= string(c.hi) {
		c.end = l.seek(c.hi)
	}
}

// page gets a page in the manner of the cursor.
func (c *Cursor) page(ctx context.Context, w place) (*Page, error) {
	t := c.run.Tables[c.table]
	p := w.resident()
	if p != nil {
		if w.kind == kindLeaf {
			t.cache.hits.Add()
		}
		return p, nil
	}
	if !c.noCache {
		return t.page(ctx, w)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !t.TryPin() {
		return nil, ErrTableGone
	}
	if w.kind != kindLeaf {
		return t.loadOutside(w, nil)
	}
	return t.loadOutside(w, &c.ahead)
}

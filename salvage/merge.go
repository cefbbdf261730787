package salvage

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// table is a table file and what is known of it.
type table struct {
	name string
	meta *pages.TableMeta // nil: neither a checkpoint nor a footer tells
	dead []byte           // keys at or below went into a merge whose tables are there; nil: none

	retired bool  // the checkpoint names what it was merged into: it serves where that is lost
	foreign error // the file is not the table
}

// run is a sorted sequence of tables, as in a checkpoint. Without one each table is a run.
type run struct {
	tables   []table
	consumed []byte
}

// hole is a range of internal keys that a run has lost.
type hole struct {
	Lost
	rank   int
	lo, hi []byte // nil: open
}

// merge reads runs, newest first, as one sequence of keys: the newest sound entry of each.
// It holds a leaf, and the inner pages of a table, for each run.
type merge struct {
	ctx      context.Context
	from     backends.Backend
	progress func(bytes int64)
	cursors  cursors
	all      []*cursor
	holes    []*hole
	unlisted int64
	tables   int // that were opened and read
	err      error

	key, value []byte
	kind       pages.Kind
	held       bool // the entry was not taken yet
}

func newMerge(ctx context.Context, from backends.Backend, runs []run, progress func(int64)) *merge {
	m := &merge{ctx: ctx, from: from, progress: progress}
	for i, r := range runs {
		c := &cursor{merge: m, rank: i, tables: r.tables, consumed: r.consumed}
		m.all = append(m.all, c)
		if c.toTable() {
			m.cursors = append(m.cursors, c)
		}
	}
	heap.Init(&m.cursors)
	return m
}

// close gives the files back.
func (m *merge) close() {
	for _, c := range m.all {
		c.closeFile()
	}
}

// next moves to the next entry that is not deleted. The slices stay valid.
func (m *merge) next() bool {
	for !m.held {
		if m.err = m.ctx.Err(); m.err != nil || len(m.cursors) == 0 {
			return false
		}
		top := m.cursors[0]
		if !top.opened {
			top.open()
			m.settle()
			continue
		}
		m.key, m.value, m.kind = top.key, top.value, top.kind
		deleted := m.superseded(top)
		if deleted && top.tables[0].retired {
			top.advance()
			m.settle()
			continue
		}
		for len(m.cursors) > 0 && bytes.Equal(m.cursors[0].key, m.key) {
			if m.cursors[0].opened {
				m.cursors[0].advance()
			} else {
				m.cursors[0].open()
			}
			m.settle()
		}
		if m.kind == pages.KindTombstone || deleted {
			continue
		}
		m.older(top.rank)
		m.held = true
	}
	return true
}

// take marks the entry as used.
func (m *merge) take() { m.held = false }

// settle restores the heap after its top has moved.
func (m *merge) settle() {
	if m.cursors[0].key == nil {
		heap.Pop(&m.cursors)
		return
	}
	heap.Fix(&m.cursors, 0)
}

// older counts the entry in the holes of newer runs that it lies in.
func (m *merge) older(rank int) {
	for _, c := range m.all[:rank] {
		for len(c.recent) > 0 && c.recent[0].hi != nil && bytes.Compare(c.recent[0].hi, m.key) <= 0 {
			c.recent = c.recent[1:]
		}
		if len(c.recent) > 0 && bytes.Compare(c.recent[0].lo, m.key) <= 0 {
			c.recent[0].Older++
		}
	}
}

// superseded reports whether a merge has dealt with the top one's entry, and what it made of it can be
// read.
func (m *merge) superseded(top *cursor) bool {
	t := &top.tables[0]
	if t.dead == nil || bytes.Compare(m.key, t.dead) > 0 {
		return false
	}
	return !slices.ContainsFunc(m.all[:top.rank], func(c *cursor) bool {
		h := c.lacks(m.key)
		return h != nil && (!t.retired || h.SeqLo <= uint64(t.meta.SeqLo) && uint64(t.meta.SeqHi) <= h.SeqHi)
	})
}

// cursor is a place in a run.
type cursor struct {
	*merge
	rank     int
	tables   []table // the first is the present one
	consumed []byte

	opened bool
	file   backends.File
	rest   *pages.Remains
	piece  pages.Piece
	at     int
	recent []*hole // those that keys to come may lie in

	key, value []byte // nil: the end. Before the table is opened: its lowest key
	kind       pages.Kind
}

// toTable stands before the present table; false: there is none.
func (c *cursor) toTable() bool {
	c.opened, c.key, c.value = false, nil, nil
	if len(c.tables) == 0 {
		return false
	}
	c.key = []byte{}
	if m := c.tables[0].meta; m != nil {
		c.key = m.Min
	}
	return true
}

func (c *cursor) closeFile() {
	if c.file != nil {
		_ = c.file.Close() // it was only read
		c.file = nil
	}
}

// open opens the present table and goes to its first entry.
func (c *cursor) open() {
	c.opened = true
	t := &c.tables[0]
	var f backends.File
	var size int64
	err := t.foreign
	if err == nil {
		f, err = c.from.Open(t.name)
	}
	if err == nil {
		c.file = f
		size, err = f.Size()
	}
	if err != nil {
		c.lose(pages.Piece{Lost: missing(t.name, err)})
	} else {
		c.merge.tables++
		c.rest = pages.NewRemains(f, size, t.meta, t.name)
	}
	c.advance()
}

// missing is why a file cannot be read at all.
func missing(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &pages.CorruptionError{File: name, What: "the file is missing"}
	}
	return err
}

// advance goes to the next entry that is not consumed, of this table or of the next.
func (c *cursor) advance() {
	for {
		for c.at < c.piece.Len() {
			c.key, c.value, c.kind = c.piece.Entry(c.at)
			c.at++
			if c.consumed == nil || bytes.Compare(c.key, c.consumed) > 0 {
				return
			}
		}
		if c.rest != nil && c.ctx.Err() == nil {
			if p, ok := c.rest.Next(); ok {
				c.enter(p)
				continue
			}
		}
		if m := c.tables[0].meta; m != nil {
			c.progress(m.Size)
		}
		c.closeFile()
		c.rest, c.piece, c.at = nil, pages.Piece{}, 0
		c.tables = c.tables[1:]
		c.toTable()
		return
	}
}

// enter takes a piece in, and notes what is lost or unproven.
func (c *cursor) enter(p pages.Piece) {
	if c.tables[0].retired && p.Unproven {
		return
	}
	c.piece, c.at = p, 0
	if p.Lost != nil || p.Unproven {
		c.lose(p)
	}
}

// lose notes a piece: its keys, as far as they are known, are lost or unproven.
func (c *cursor) lose(p pages.Piece) {
	t := &c.tables[0]
	if t.retired {
		return // it is not missed
	}
	h := &hole{rank: c.rank, lo: p.Lo, hi: p.Hi}
	h.Kind, h.File, h.Offset = Entries, t.name, p.Offset
	if m := t.meta; m != nil {
		h.SeqLo, h.SeqHi = uint64(m.SeqLo), uint64(m.SeqHi)
		if h.lo == nil {
			h.lo = m.Min
		}
		if h.hi == nil {
			h.hi = pages.KeyAfter(m.Max)
		}
	}
	if c.consumed != nil && bytes.Compare(h.lo, c.consumed) <= 0 {
		h.lo = pages.KeyAfter(c.consumed)
	}
	if h.hi != nil && bytes.Compare(h.lo, h.hi) >= 0 {
		return
	}
	if p.Lost == nil {
		h.Kind, h.Why = Unproven, "the page with their checksum is damaged"
	} else {
		h.Why = why(p.Lost, &h.Offset)
		if n := len(c.recent); n > 0 && c.recent[n-1].File == h.File && bytes.Equal(c.recent[n-1].hi, h.lo) {
			c.recent[n-1].hi = h.hi // the next page is damaged too
			return
		}
		c.recent = append(slices.DeleteFunc(c.recent, func(old *hole) bool {
			return old.hi != nil && bytes.Compare(old.hi, c.merge.key) <= 0 // no key to come lies there
		}), h)
	}
	c.keep(h)
}

// why is an error without its place, which is given by itself.
func why(err error, offset *int64) string {
	var bad *pages.CorruptionError
	if errors.As(err, &bad) {
		*offset = bad.Offset
		return bad.What
	}
	return err.Error()
}

// keep appends a hole, joined with the one before if they are of one page.
func (m *merge) keep(h *hole) {
	for i := len(m.holes) - 1; i >= 0 && i >= len(m.holes)-len(m.all)-1; i-- {
		p := m.holes[i]
		if p.File == h.File && p.Kind == h.Kind && p.Kind == Unproven && bytes.Equal(p.hi, h.lo) {
			p.hi = h.hi
			return
		}
	}
	if len(m.holes) == maxLost {
		m.unlisted++
		return
	}
	m.holes = append(m.holes, h)
}

// lacks returns the hole in which the run may have had the key, or nil.
func (c *cursor) lacks(key []byte) *hole {
	for _, h := range c.recent {
		if bytes.Compare(h.lo, key) <= 0 && (h.hi == nil || bytes.Compare(key, h.hi) < 0) {
			return h
		}
	}
	return nil
}

// cursors is a heap: on top is the lowest key, of the newest run that has it. A table that is not
// opened yet comes first: its lowest key may be lost.
type cursors []*cursor

func (h cursors) Len() int      { return len(h) }
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h cursors) Less(i, j int) bool {
	a, b := h[i], h[j]
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	if a.opened != b.opened {
		return !a.opened
	}
	return a.rank < b.rank
}

// Push implements heap.Interface.
func (h *cursors) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop implements heap.Interface.
func (h *cursors) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}

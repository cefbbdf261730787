package pages

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
)

// File is what a table reads from.
type File interface {
	io.ReaderAt
	io.Closer
}

// Table is one table file, shared by all its readers: a tree of pages that are loaded when they
// are needed and forgotten when the evictor says so. Safe for concurrent use.
type Table struct {
	root   atomic.Pointer[Page] // nil: not resident, like every slot
	filter atomic.Pointer[Page]
	cache  *Cache
	meta   TableMeta

	open   func() (File, error)
	file   atomic.Pointer[File]
	state  atomic.Int64 // pins, and tableRetired
	wasted atomic.Int64 // stored bytes loaded for keys that were not there; see mayHave
}

// tableRetired is the bit of Table.state that says that there are no new pins.
const tableRetired = 1 << 62

// NewTable returns the table that m describes. open is called at the first load, perhaps more
// than once when two loads come first together (the second handle is closed); the handle that
// stays is closed when the table is retired and its last pin is gone.
func NewTable(m TableMeta, open func() (File, error), c *Cache) *Table {
	return &Table{meta: m, open: open, cache: c}
}

// Meta returns the table's meta, which must not be changed.
func (t *Table) Meta() *TableMeta { return &t.meta }

func (t *Table) name() string { return TableName(t.meta.ID) }

// TryPin keeps the file open and in place until Unpin. It fails once the table is retired.
func (t *Table) TryPin() bool {
	for {
		s := t.state.Load()
		if s&tableRetired != 0 {
			return false
		}
		if t.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// Unpin undoes a TryPin that succeeded.
func (t *Table) Unpin() {
	s := t.state.Add(-1)
	if s < 0 {
		panic(fmt.Sprintf("pages: unpin of %s, which has no pins", t.name()))
	}
	if s == tableRetired {
		t.closeFile()
	}
}

// Retire ends the table: no load begins any more (ErrTableGone), and when the loads under way
// have ended the file is closed. Pages in memory stay usable until they are evicted. Call it when
// no registered reader's View names the table, or when the store closes. Calling it again does
// nothing.
func (t *Table) Retire() {
	if t.state.Or(tableRetired)&^tableRetired == 0 {
		t.closeFile()
	}
}

// Retired reports whether the table is retired and has no pins: its file may be removed.
func (t *Table) Retired() bool { return t.state.Load() == tableRetired }

// closeFile closes the handle if there is one. A handle that fails to close has only been read.
func (t *Table) closeFile() {
	if f := t.file.Swap(nil); f != nil {
		_ = (*f).Close()
	}
}

// handle returns the open file. The caller has a pin.
func (t *Table) handle() (File, error) {
	if f := t.file.Load(); f != nil {
		return *f, nil
	}
	f, err := t.open()
	if err != nil {
		return nil, fmt.Errorf("pages: open %s: %w", t.name(), err)
	}
	if t.file.CompareAndSwap(nil, &f) {
		return f, nil
	}
	_ = f.Close()
	return *t.file.Load(), nil
}

// Get looks key up; hash is its Hash. ok is false if the table has no entry for it; a tombstone
// is an entry. value aliases an immutable page, for ever, with its capacity clipped. Errors: a
// *CorruptionError, a failed read, ErrTableGone, or the context's error when it ended before a
// load began or while another reader's was waited for.
func (t *Table) Get(ctx context.Context, key []byte, hash uint64) (value []byte, kind Kind, ok bool, err error) {
	p := t.root.Load()
	var l *leaf
	for p != nil && p.kind == kindInner {
		in := p.inner
		i := in.search(key)
		if in.leaves != nil {
			l = in.leaves[i].Load()
			break
		}
		p = in.slots[i].Load()
	}
	if l == nil {
		if p == nil || p.kind != kindLeaf {
			return t.getCold(ctx, key, hash)
		}
		l = p.leaf
	}
	l.touch()
	value, kind, ok = l.find(key, hash)
	// Last: an atomic addition before the search would keep its cache misses from overlapping.
	t.cache.hits.Add()
	return value, kind, ok, nil
}

// getFiltered is Get for a table that most likely does not have the key: a filter in memory is
// asked before the tree is.
func (t *Table) getFiltered(ctx context.Context, key []byte, hash uint64) (value []byte, kind Kind, ok bool, err error) {
	if p := t.filter.Load(); p != nil && p.kind == kindFilter {
		p.touch()
		if !p.filter.has(hash) {
			t.cache.filterSkips.Add(1)
			return nil, 0, false, nil
		}
	}
	return t.Get(ctx, key, hash)
}

// getCold is Get when some page on the way is not resident.
func (t *Table) getCold(ctx context.Context, key []byte, hash uint64) (value []byte, kind Kind, ok bool, err error) {
	if may, err := t.mayHave(ctx, hash); err != nil || !may {
		return nil, 0, false, err
	}
	w := t.rootPlace()
	for {
		if w.kind == kindLeaf && w.ref.Length <= glanceBytes && w.slot.Load() == nil && t.cache.glances() {
			return t.glance(ctx, w, key)
		}
		p, err := t.page(ctx, w)
		if err != nil {
			return nil, 0, false, err
		}
		p.touch()
		if p.kind == kindLeaf {
			value, kind, ok = p.leaf.find(key, hash)
			if !ok {
				t.wasted.Add(int64(w.ref.Length))
			}
			return value, kind, ok, nil
		}
		w = childPlace(p, p.inner.search(key))
	}
}

// A filter is worth its room where keys are asked for that are not there. One this small costs
// no more than a few leaves, so it is read at once; a larger one when lookups in vain have loaded
// a quarter of its size. So what the filters of a store cost is bounded by what they save, and a
// table whose lookups all succeed never loads its own.
const (
	smallFilterBytes = 32 << 10
	wastedPart       = 4
)

// mayHave asks the filter, and loads it if that is worthwhile. Without one the answer is true.
func (t *Table) mayHave(ctx context.Context, hash uint64) (bool, error) {
	if t.meta.FilterKind != BlockedBloom {
		return true, nil
	}
	w := t.filterPlace()
	p := w.resident()
	if p == nil {
		length := int64(w.ref.Length)
		if length > smallFilterBytes && t.wasted.Load() < length/wastedPart {
			return true, nil
		}
		var err error
		if p, err = t.page(ctx, w); err != nil {
			return false, err
		}
		t.wasted.Store(0)
	}
	p.touch()
	if p.filter.has(hash) {
		return true, nil
	}
	t.cache.filterSkips.Add(1)
	return false, nil
}

// Residents calls f for every page of the table in memory, parents before children: what a
// check of the residency counts needs. Pages that come and go meanwhile may be missed.
func (t *Table) Residents(f func(*Page)) {
	for _, w := range [...]place{t.filterPlace(), t.rootPlace()} {
		if p := w.resident(); p != nil {
			p.walk(f)
		}
	}
}

func (p *Page) walk(f func(*Page)) {
	f(p)
	if p.kind != kindInner {
		return
	}
	for i := range p.inner.slots {
		w := childPlace(p, i)
		if child := w.resident(); child != nil {
			child.walk(f)
		}
	}
}

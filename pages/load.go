package pages

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// place says which page is wanted and where it belongs.
type place struct {
	slot   *atomic.Pointer[Page]
	parent *Page // nil: the slot is the table's own
	index  int   // which child of the parent
	ref    Ref
	kind   pageKind
	level  uint8
}

func (t *Table) rootPlace() place {
	kind := kindInner
	if t.meta.Levels == 0 {
		kind = kindLeaf
	}
	return place{slot: &t.root, ref: t.meta.Root, kind: kind, level: t.meta.Levels}
}

func (t *Table) filterPlace() place {
	return place{slot: &t.filter, ref: t.meta.Filter, kind: kindFilter}
}

// childPlace is where child i of the inner page p belongs.
func childPlace(p *Page, i int) place {
	kind := kindInner
	if p.level == 1 {
		kind = kindLeaf
	}
	return place{slot: &p.inner.slots[i], parent: p, index: i, ref: p.inner.refs[i], kind: kind, level: p.level - 1}
}

// resident returns the page in the slot, or nil.
func (w *place) resident() *Page {
	if p := w.slot.Load(); p != nil && p.kind != kindLoading {
		return p
	}
	return nil
}

// flight is a load under way; its holder sits in the slot meanwhile. page and err are written
// before done, by the loader alone.
type flight struct {
	holder Page
	done   atomic.Bool
	page   *Page
	err    error
	gate   gate
}

// errAbandoned ends the flight of a loader that panicked or exited in mid-load. Those who waited
// for it load the page themselves.
var errAbandoned = errors.New("pages: load was abandoned")

// page returns the page of w, loaded if need be.
func (t *Table) page(ctx context.Context, w place) (*Page, error) {
	for {
		p := w.slot.Load()
		if p != nil && p.kind != kindLoading {
			return p, nil
		}
		if p != nil {
			f := p.flight
			if err := f.gate.wait(ctx, t.cache.park, "", "a page that another reader loads", f.done.Load); err != nil {
				return nil, fmt.Errorf("pages: wait for a load: %w", err)
			}
			if f.err != errAbandoned {
				return f.page, f.err
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("pages: before a load: %w", err)
		}
		if err := t.cache.awaitRoom(ctx); err != nil {
			return nil, fmt.Errorf("pages: wait for room in memory: %w", err)
		}
		if !t.TryPin() {
			return nil, ErrTableGone
		}
		if w.parent != nil && !w.parent.adopt() {
			return t.loadOutside(w, nil)
		}
		f := &flight{err: errAbandoned}
		f.holder.kind, f.holder.flight = kindLoading, f
		if w.slot.CompareAndSwap(nil, &f.holder) {
			return t.load(ctx, w, f)
		}
		if w.parent != nil {
			w.parent.kids.Add(-1) // another reader was faster
		}
		t.Unpin()
	}
}

// load fills a slot that the caller has claimed. From here on the load is everybody's: it does
// not end with ctx, and it lands even if this goroutine does not come back from the read.
func (t *Table) load(ctx context.Context, w place, f *flight) (*Page, error) {
	defer t.land(w, f)
	t.cache.park.Park(ctx, nil)
	if c := t.cache; c.now != nil {
		start := c.now()
		f.page, f.err = t.read(w, nil)
		c.took(c.now().Sub(start))
	} else {
		f.page, f.err = t.read(w, nil)
	}
	t.cache.park.Park(ctx, nil)
	return f.page, f.err
}

// loadOutside loads a page that goes into no slot and is not counted: for cursors that share
// nothing, and for readers whose inner page was evicted while they stood on it. Such a page
// takes no children either. It ends the caller's pin.
func (t *Table) loadOutside(w place, ahead *readAhead) (*Page, error) {
	defer t.Unpin()
	t.cache.loads.Add(1)
	p, err := t.read(w, ahead)
	if err != nil {
		t.cache.failedLoads.Add(1)
		return nil, err
	}
	t.cache.loadedBytes.Add(int64(w.ref.Length))
	p.kids.Store(evicted)
	return p, nil
}

// land ends a flight: the page goes into the slot, or the slot is empty again.
func (t *Table) land(w place, f *flight) {
	c := t.cache
	defer t.Unpin()
	c.loads.Add(1)
	if f.err != nil {
		f.page = nil
		c.failedLoads.Add(1)
		w.slot.CompareAndSwap(&f.holder, nil)
		if w.parent != nil {
			w.parent.kids.Add(-1)
		}
		f.done.Store(true)
		f.gate.open()
		return
	}
	p := f.page
	p.home, p.parent, p.index = w.slot, w.parent, w.index
	// Counted first: nobody can evict the page before it is in the slot.
	c.resident.Add(p.size)
	c.loadedBytes.Add(int64(w.ref.Length))
	if p.kind == kindLeaf && p.parent != nil {
		// Before the slot, as Evict clears it after the slot: so no leaf stays in leaves whose
		// page has left.
		p.parent.inner.leaves[p.index].Store(p.leaf)
	}
	w.slot.CompareAndSwap(&f.holder, p)
	f.done.Store(true)
	f.gate.open()
	c.published(p)
}

// scratch is what a load needs for a moment.
type scratch struct{ stored, raw []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.stored) <= maxKeptScratch && cap(s.raw) <= maxKeptScratch {
		scratches.Put(s)
	}
}

// read reads, checks and decodes a page. The caller has a pin.
func (t *Table) read(w place, ahead *readAhead) (*Page, error) {
	f, err := t.handle()
	if err != nil {
		return nil, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	var stored []byte
	if ahead != nil {
		stored, err = ahead.read(t, f, w.ref)
	} else {
		s.stored, err = readFull(f, t.name(), s.stored, w.ref)
		stored = s.stored
	}
	if err != nil {
		return nil, err
	}
	return t.decode(stored, w, s)
}

// decode checks stored bytes against the parent's checksum and decodes them.
func (t *Table) decode(stored []byte, w place, s *scratch) (*Page, error) {
	if err := t.match(stored, w.ref); err != nil {
		return nil, err
	}
	p, err := decodePage(stored, w.kind, w.level, w.ref.Offset, s)
	if err != nil {
		return nil, t.corrupt(w.ref, err)
	}
	p.table = t
	return p, nil
}

// match checks stored bytes against the parent's checksum.
func (t *Table) match(stored []byte, ref Ref) error {
	if crc := checksum(stored); crc != ref.CRC {
		return t.corrupt(ref, fmt.Errorf("page checksum %#08x, its parent has %#08x", crc, ref.CRC))
	}
	return nil
}

func (t *Table) corrupt(ref Ref, err error) error {
	damage := &CorruptionError{File: t.name(), Offset: ref.Offset, What: err.Error()}
	if t.cache.damaged != nil {
		t.cache.damaged(damage)
	}
	return damage
}

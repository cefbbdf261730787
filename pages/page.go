package pages

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Page is one decoded page: a leaf, an inner page or a filter. What was decoded never changes;
// what changes is where the page sits (home, kids) and its clock stamp.
type Page struct {
	kind   pageKind
	level  uint8
	inner  *inner
	leaf   *leaf
	filter *filter

	used   atomic.Uint32 // clock stamp of what is no leaf: a reader was here
	kids   atomic.Int32  // inner: taken child slots; negative: evicted, take no more
	size   int64
	table  *Table
	parent *Page                 // nil: the slot is the table's own
	index  int                   // which child of the parent this is
	home   *atomic.Pointer[Page] // the slot that the page sits in
	next   *Page                 // link of the list of fresh pages
	flight *flight               // kindLoading
}

// What a decoded page takes beside its arrays, in bytes.
const (
	pageOverhead  = int64(unsafe.Sizeof(Page{}))
	innerOverhead = int64(unsafe.Sizeof(inner{}))
)

// evicted is what kids of an inner page holds once the page has left its slot.
const evicted = -1 << 30

// Bytes returns what the page counts for in Cache.Resident.
func (p *Page) Bytes() int64 { return p.size }

// Linked reports whether the page is in the slot that it was loaded for. A page that is not, and is
// counted all the same, is one that no reader finds.
func (p *Page) Linked() bool { return p.home.Load() == p }

// Gone reports whether the page's table was retired: nobody will look for the page again.
func (p *Page) Gone() bool { return p.table.state.Load()&tableRetired != 0 }

// Referenced reports whether a reader used the page since the last call, and forgets it: the
// clock algorithm's reference bit.
func (p *Page) Referenced() bool {
	used := &p.used
	if p.kind == kindLeaf {
		used = &p.leaf.used
	}
	return used.Load() != 0 && used.Swap(0) != 0
}

// touch sets the reference bit; it writes only when the bit is not set, so that readers of a
// hot page do not take its cache line from each other.
func (p *Page) touch() {
	if p.kind == kindLeaf {
		p.leaf.touch()
	} else if p.used.Load() == 0 {
		p.used.Store(1)
	}
}

// Evict takes the page out of its slot and returns the bytes that no longer count as resident.
// ok is false if the page has left before, or is an inner page that has children in memory
// (evict those first). Readers that hold the page go on using it. Safe for concurrent use.
func (p *Page) Evict() (bytes int64, ok bool) {
	if p.kind == kindInner && !p.kids.CompareAndSwap(0, evicted) {
		return 0, false
	}
	if !p.home.CompareAndSwap(p, nil) {
		return 0, false
	}
	if p.parent != nil {
		if p.kind == kindLeaf {
			// After the slot: see land. If another load has been faster, its leaf stays.
			p.parent.inner.leaves[p.index].CompareAndSwap(p.leaf, nil)
		}
		p.parent.kids.Add(-1)
	}
	p.table.cache.evicted(p)
	return p.size, true
}

// adopt claims a slot of the inner page p for a child; false: p itself was evicted.
func (p *Page) adopt() bool {
	if p.kids.Add(1) > 0 {
		return true
	}
	p.kids.Add(-1)
	return false
}

// decodePage decodes stored bytes whose checksum was compared before. The children of an inner
// page must lie before limit in the file.
func decodePage(stored []byte, kind pageKind, level uint8, limit int64, s *scratch) (*Page, error) {
	h, payload, err := pageHeader(stored, kind, level)
	if err != nil {
		return nil, err
	}
	if kind == kindLeaf && h.count == 1 {
		return decodeSingle(h, payload)
	}
	if payload, err = s.unpack(h, payload); err != nil {
		return nil, err
	}
	switch kind {
	case kindLeaf:
		return decodeLeaf(h, payload)
	case kindInner:
		return decodeInner(h, payload, limit)
	default:
		return decodeFilter(h, payload)
	}
}

// pageHeader splits stored, which must be a page of the kind and the level.
func pageHeader(stored []byte, kind pageKind, level uint8) (header, []byte, error) {
	h, payload, err := parseHeader(stored)
	if err == nil && (h.kind != kind || kind != kindFilter && h.level != level) {
		err = fmt.Errorf("page of kind %d at level %d, want kind %d at level %d", h.kind, h.level, kind, level)
	}
	return h, payload, err
}

// unpack returns the payload as it was before compression: itself, or in s.raw.
func (s *scratch) unpack(h header, payload []byte) ([]byte, error) {
	if h.compression == None {
		if int64(h.rawLen) != int64(len(payload)) {
			return nil, fmt.Errorf("page says %d raw bytes, has %d", h.rawLen, len(payload))
		}
		return payload, nil
	}
	var err error
	s.raw, err = Decompress(s.raw[:0], payload, h.compression, int(h.rawLen))
	return s.raw, err
}

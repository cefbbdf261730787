package disk

import (
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

const (
	pageBytes = 1 << 9
	nodePages = 16
	nodeBytes = pageBytes * nodePages
	// maxFileBytes bounds the table that one write far out asks for.
	maxFileBytes = 1 << 34
)

type page = [pageBytes]byte

// token stands for the one content that may change a page or a table in place.
type token struct {
	small [4]*node // room for the table of a small file
}

// node is a stretch of a file. Pages that are nil read as zeros.
type node struct {
	pages [nodePages]*page
	owner *token        // who may change the node
	owned uint16        // of owner: which pages may be changed too
	hash  atomic.Uint64 // of the pages; 0: not known
}

// content is the bytes of a file. Copies that snapshot makes share all that neither side has
// changed since.
//
// Invariants:
//
//  1. Bytes at and beyond size are zeros.
//  2. Whatever token does not own is never changed again, by anyone.
type content struct {
	size  int64
	root  []*node // nil entries, and those beyond the end, read as zeros
	token *token  // nil: owns nothing
}

// snapshot returns a copy. Both sides copy what they change from now on.
func (c *content) snapshot() content {
	c.token = nil
	return *c
}

// read fills p with the bytes at off; beyond the end it reads zeros.
func (c *content) read(p []byte, off int64) {
	for len(p) > 0 {
		index, within := int(off/nodeBytes), int(off%nodeBytes)
		k := min(len(p), nodeBytes-within)
		if index < len(c.root) && c.root[index] != nil {
			c.root[index].read(p[:k], within)
		} else {
			clear(p[:k])
		}
		p, off = p[k:], off+int64(k)
	}
}

func (n *node) read(p []byte, within int) {
	for len(p) > 0 {
		at := within % pageBytes
		k := min(len(p), pageBytes-at)
		if pg := n.pages[within/pageBytes]; pg != nil {
			copy(p[:k], pg[at:])
		} else {
			clear(p[:k])
		}
		p, within = p[k:], within+k
	}
}

// write puts p at off and extends the size where needed. Nobody may change p afterwards if keep is
// set: whole pages of it become pages of the file.
func (c *content) write(p []byte, off int64, keep bool) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	c.own(int((end-1)/nodeBytes) + 1)
	c.size = max(c.size, end)
	for len(p) > 0 {
		within := int(off % nodeBytes)
		k := min(len(p), nodeBytes-within)
		c.ownNode(int(off/nodeBytes)).write(p[:k], within, keep)
		p, off = p[k:], off+int64(k)
	}
}

func (n *node) write(p []byte, within int, keep bool) {
	for len(p) > 0 {
		index, at := within/pageBytes, within%pageBytes
		k := min(len(p), pageBytes-at)
		if k == pageBytes && keep {
			n.pages[index] = (*page)(p)
			n.owned &^= 1 << index
		} else {
			copy(n.ownPage(index)[at:], p[:k])
		}
		p, within = p[k:], within+k
	}
}

// zero is write for count zeros, which take no memory.
func (c *content) zero(off, count int64) {
	end := off + count
	c.own(int((end-1)/nodeBytes) + 1)
	c.size = max(c.size, end)
	for off < end {
		index, within := int(off/nodeBytes), int(off%nodeBytes)
		k := min(int(end-off), nodeBytes-within)
		switch {
		case k == nodeBytes:
			c.root[index] = nil
		case c.root[index] != nil:
			c.ownNode(index).zero(within, within+k)
		}
		off += int64(k)
	}
}

// zero zeroes what lies from within up to end, in an owned node.
func (n *node) zero(within, end int) {
	for within < end {
		index, at := within/pageBytes, within%pageBytes
		k := min(end-within, pageBytes-at)
		switch {
		case k == pageBytes:
			n.pages[index] = nil
			n.owned &^= 1 << index
		case n.pages[index] != nil:
			clear(n.ownPage(index)[at : at+k])
		}
		within += k
	}
}

// own makes the table of nodes the content's own, with room for count of them.
func (c *content) own(count int) {
	if c.token == nil {
		c.token = &token{}
		room := c.token.small[:0]
		if most := max(count, len(c.root)); most > cap(room) {
			room = make([]*node, 0, most)
		}
		c.root = append(room, c.root...)
	}
	for len(c.root) < count {
		if cap(c.root) < count {
			c.root = append(make([]*node, 0, max(count, 2*len(c.root))), c.root...)
		}
		c.root = c.root[:count]
	}
}

// ownNode returns a node that may be changed. The table is owned and has it.
func (c *content) ownNode(index int) *node {
	n := c.root[index]
	switch {
	case n == nil:
		n = &node{owner: c.token}
	case n.owner != c.token:
		n = &node{owner: c.token, pages: n.pages}
	default:
		n.hash.Store(0)
		return n
	}
	c.root[index] = n
	return n
}

// ownPage returns a page of an owned node that may be changed.
func (n *node) ownPage(index int) *page {
	pg := n.pages[index]
	if pg != nil && n.owned&(1<<index) != 0 {
		return pg
	}
	fresh := new(page)
	if pg != nil {
		*fresh = *pg
	}
	n.pages[index] = fresh
	n.owned |= 1 << index
	return fresh
}

// truncate sets the size.
func (c *content) truncate(size int64) {
	old := c.size
	c.size = size
	if size >= old {
		return
	}
	count := int((size + nodeBytes - 1) / nodeBytes)
	if count < len(c.root) {
		c.own(count)
		clear(c.root[count:])
		c.root = c.root[:count]
	}
	if within := int(size % nodeBytes); within > 0 && count <= len(c.root) && c.root[count-1] != nil {
		c.own(count)
		c.ownNode(count-1).zero(within, nodeBytes)
	}
}

var (
	zeroPageHash = xxhash.Sum64(make([]byte, pageBytes))
	zeroNodeHash = new(node).sum()
)

// hash is equal for equal bytes and sizes, however they came to be.
func (c *content) hash() uint64 {
	h := mix(uint64(c.size))
	for i := range int((c.size + nodeBytes - 1) / nodeBytes) {
		if i < len(c.root) && c.root[i] != nil {
			h = mix(h ^ c.root[i].sum())
		} else {
			h = mix(h ^ zeroNodeHash)
		}
	}
	return h
}

func (n *node) sum() uint64 {
	if h := n.hash.Load(); h != 0 {
		return h
	}
	h := uint64(1)
	for _, pg := range n.pages {
		if pg != nil {
			h = mix(h ^ xxhash.Sum64(pg[:]))
		} else {
			h = mix(h ^ zeroPageHash)
		}
	}
	h |= 1
	n.hash.Store(h)
	return h
}

// mix is the step of splitmix64.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

package evictor

import "github.com/aegis-storage/aegis/pages"

// ring is the clock: a queue of pages in a circular buffer. The hand is at the head; a page
// that stays goes to the tail. The buffer is a power of two and shrinks with its contents.
type ring struct {
	slots []*pages.Page
	head  int
	count int
	bytes int64 // of all pages in it
}

const minRing = 64

func (r *ring) len() int { return r.count }

// at returns the page i places after the hand.
func (r *ring) at(i int) *pages.Page { return r.slots[(r.head+i)&(len(r.slots)-1)] }

// push puts a page at the tail.
func (r *ring) push(p *pages.Page) {
	if r.count == len(r.slots) {
		r.resize(max(minRing, 2*len(r.slots)))
	}
	r.slots[(r.head+r.count)&(len(r.slots)-1)] = p
	r.count++
	r.bytes += p.Bytes()
}

// pop takes the page at the hand; the ring is not empty.
func (r *ring) pop() *pages.Page {
	p := r.slots[r.head]
	r.slots[r.head] = nil
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.count--
	r.bytes -= p.Bytes()
	// An eighth, not a half: a page that is popped and pushed back must not resize each time.
	if len(r.slots) > minRing && r.count < len(r.slots)/8 {
		r.resize(len(r.slots) / 2)
	}
	return p
}

func (r *ring) resize(size int) {
	slots := make([]*pages.Page, size)
	n := copy(slots, r.slots[r.head:min(r.head+r.count, len(r.slots))])
	copy(slots[n:], r.slots[:r.count-n])
	r.slots, r.head = slots, 0
}

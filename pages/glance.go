package pages

import (
	"context"
	"errors"
	"fmt"
)

// With a cache that is full, a leaf that is loaded for one key pushes out another one, and most likely
// goes before it is asked for again. So most such lookups only glance at the leaf: they search it as it
// is stored, in a buffer that the next lookup uses again, and leave the cache alone. One in admitEvery
// loads it as usual: leaves that are asked for often come in soon. (Admission by chance is from
// Einziger, Friedman and Manes, "TinyLFU", 2017, without the sketch.)
const (
	admitEvery  = 8
	fullPart    = 8        // full: less than one part in so many of the target is free, which the evictor leaves
	glanceBytes = 64 << 10 // a stored leaf above this is loaded as usual
)

// glances reports whether the next leaf of a lookup is to be glanced at. While the evictor is behind
// every one is, so that lookups never have to wait for it.
func (c *Cache) glances() bool {
	target, resident := c.target.Load(), c.resident.Load()
	switch {
	case target <= 0 || resident <= target-target/fullPart:
		return false
	case resident > target:
		return true
	default:
		return c.turn.Add(1)%admitEvery != 0
	}
}

// glance looks key up in a leaf that is not in memory, and leaves it so. The value is a copy.
func (t *Table) glance(ctx context.Context, w place, key []byte) (value []byte, kind Kind, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, false, fmt.Errorf("pages: before a load: %w", err)
	}
	if !t.TryPin() {
		return nil, 0, false, ErrTableGone
	}
	defer t.Unpin()
	c := t.cache
	c.loads.Add(1)
	c.park.Park(ctx, nil)
	if c.now != nil {
		start := c.now()
		value, kind, ok, err = t.search(w, key)
		c.took(c.now().Sub(start))
	} else {
		value, kind, ok, err = t.search(w, key)
	}
	c.park.Park(ctx, nil)
	if err != nil {
		c.failedLoads.Add(1)
		return nil, 0, false, err
	}
	c.loadedBytes.Add(int64(w.ref.Length))
	if !ok {
		t.wasted.Add(int64(w.ref.Length))
	}
	return value, kind, ok, nil
}

// search reads and checks a stored leaf, and looks key up in it. The caller has a pin.
func (t *Table) search(w place, key []byte) (value []byte, kind Kind, ok bool, err error) {
	f, err := t.handle()
	if err != nil {
		return nil, 0, false, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if s.stored, err = readFull(f, t.name(), s.stored, w.ref); err != nil {
		return nil, 0, false, err
	}
	if err := t.match(s.stored, w.ref); err != nil {
		return nil, 0, false, err
	}
	found, kind, ok, err := s.search(w, key)
	if err != nil {
		return nil, 0, false, t.corrupt(w.ref, err)
	}
	if ok {
		value = append(make([]byte, 0, len(found)), found...)
	}
	return value, kind, ok, nil
}

// search looks key up in the stored leaf.
func (s *scratch) search(w place, key []byte) (value []byte, kind Kind, ok bool, err error) {
	h, payload, err := pageHeader(s.stored, w.kind, w.level)
	if err != nil {
		return nil, 0, false, err
	}
	if payload, err = s.unpack(h, payload); err != nil {
		return nil, 0, false, err
	}
	return searchLeaf(payload, int(h.count), key)
}

// errLeafLengths: the numbers of a stored entry lead out of the leaf.
var errLeafLengths = errors.New("leaf has an entry whose lengths do not fit")

// searchLeaf looks key up in the payload of a leaf of n entries, as it is stored; value aliases it. No
// key is put together: while the entries pass, it is enough to know how much of key the last one had
// in common with it.
func searchLeaf(payload []byte, n int, key []byte) (value []byte, kind Kind, ok bool, err error) {
	if len(payload) < leafPayloadHead {
		return nil, 0, false, errors.New("leaf is shorter than its head")
	}
	body, common := payload[leafPayloadHead:], 0
	for range n {
		shared, n1 := uvarint(body)
		suffix, n2 := uvarint(body[n1:])
		length, n3 := uvarint(body[n1+n2:])
		body = body[n1+n2+n3:]
		tail := int64(suffix) + int64(length>>1)
		if n1 == 0 || n2 == 0 || n3 == 0 || tail > int64(len(body)) || length&1 == 1 && length != 1 {
			return nil, 0, false, errLeafLengths
		}
		switch {
		case int64(shared) > int64(common): // still below key, by the byte in which the last one was
		case int(shared) < common: // above key: the last one had more in common with it
			return nil, 0, false, nil
		default:
			rest, stored := key[common:], body[:suffix]
			more := sharedPrefix(rest, stored)
			switch {
			case more == len(rest) && more == len(stored):
				return body[suffix:tail:tail], KindValue + Kind(length&1), true, nil
			case more == len(rest) || more < len(stored) && stored[more] > rest[more]:
				return nil, 0, false, nil
			}
			common += more
		}
		body = body[tail:]
	}
	return nil, 0, false, nil
}

package versions

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/pages"
)

// Check recounts everything and verifies the invariants of the package that concern an index.
// It belongs to the writer: no Put may run beside it.
func (x *Index) Check() error {
	c := checker{x: x, chunkRefs: make([]int32, x.chunks.used), slabRefs: make([]int32, x.versions.used)}
	if x.held != 0 {
		c.chunkRefs[x.held]++
	}
	return errors.Join(c.entries(), c.table(), c.storage(), c.order(x.order.Load()))
}

type checker struct {
	x         *Index
	chunkRefs []int32 // recounted references by chunk
	slabRefs  []int32 // recounted references by version slab
	versions  int
	bare      int
}

// entries walks all entries in append order with their chains.
func (c *checker) entries() error {
	x, n, last := c.x, 0, pages.Seq(0)
	for ref, tail := entryRef(0), entryRef(x.tail.Load()); ref < tail; n++ {
		ref = x.next(ref)
		e := x.entry(ref)
		if e.seq < last || e.seq <= x.floor || e.seq > x.last {
			return fmt.Errorf("versions: entry %d at seq %d after %d, floor %d, last %d", n, e.seq, last, x.floor, x.last)
		}
		last = e.seq
		c.chunkRefs[e.key.chunk()]++
		if err := c.chain(ref, e); err != nil {
			return fmt.Errorf("versions: entry %d, key %q: %w", n, x.keyOf(e), err)
		}
	}
	if n != x.Len() || n != x.keys || c.versions != x.Versions() || c.bare != int(x.bare.Load()) {
		return fmt.Errorf("versions: %d keys, %d versions, %d bare: counted as %d (%d entered), %d, %d",
			n, c.versions, c.bare, x.Len(), x.keys, x.Versions(), x.bare.Load())
	}
	return nil
}

// chain walks one chain from its head.
func (c *checker) chain(of entryRef, e *entry) error {
	if e.kind() == noVersion {
		c.bare++
	}
	above := pages.MaxSeq
	l := link(e.head.Load())
	for ; !l.end() && l.ref() != 0; l = link(c.x.version(l.ref()).prev.Load()) {
		v := c.x.version(l.ref())
		if v == nil {
			return fmt.Errorf("version %x is linked, its slab dropped", l.ref())
		}
		if v.entry() != of || v.seq > above || v.seq > c.x.last || v.seq < e.seq {
			return fmt.Errorf("version of %d (not %d) at seq %d below %d", v.entry(), of, v.seq, above)
		}
		above = v.seq
		c.versions++
		c.slabRefs[l.ref().slab()]++
		if v.value != 0 {
			c.chunkRefs[v.value.chunk()]++
		}
		if _, there := c.x.valueOf(v); !there {
			return fmt.Errorf("value at seq %d: chunk %d dropped", v.seq, v.value.chunk())
		}
	}
	switch {
	case l.end():
		if above == pages.MaxSeq || !l.cut() && e.kind() != noVersion {
			return fmt.Errorf("chain ends above its first version, which nobody cut")
		}
	case e.kind() == noVersion || e.seq > above:
		return fmt.Errorf("first version of kind %d at seq %d below %d", e.kind(), e.seq, above)
	default:
		c.versions++
	}
	return nil
}

// table verifies that every entry is found by its key's hash, and nothing else is.
func (c *checker) table() error {
	x, n := c.x, 0
	t := x.table.Load()
	for i := range t.slots {
		s := &t.slots[i]
		tag := s.tag.Load()
		if tag == 0 {
			continue
		}
		n++
		ref := entryRef(tag)
		key := x.keyAt(ref)
		if found, _, _ := x.find(t, tag, key); found != ref || s.key != x.entry(ref).key {
			return fmt.Errorf("versions: key %q is in slot %d as entry %d at %x, found as %d", key, i, ref, s.key, found)
		}
	}
	if n != x.keys || n >= t.limit {
		return fmt.Errorf("versions: %d slots of %d used by %d keys", n, len(t.slots), x.keys)
	}
	return nil
}

// storage compares the reference counts, the directories and the bytes with what was counted.
func (c *checker) storage() error {
	x := c.x
	sum := x.table.Load().bytes()
	for no := uint64(1); no < x.entries.used; no++ {
		sum += int64(len(x.entries.get(no).recs) * entryBytes)
	}
	for no := uint64(1); no < x.versions.used; no++ {
		s, want := x.versions.get(no), c.slabRefs[no]
		if x.versions.live[no] != want || (s != nil) != (want > 0) {
			return fmt.Errorf("versions: version slab %d: %d references, %d counted, there: %t", no, want, x.versions.live[no], s != nil)
		}
		if s != nil {
			sum += int64(len(s.recs) * versionBytes)
		}
	}
	for no := uint64(1); no < x.chunks.used; no++ {
		b, want := x.chunks.get(no), c.chunkRefs[no]
		if x.chunks.live[no] != want || (b != nil) != (want > 0 || no == x.firsts.no || no == x.laters.no) {
			return fmt.Errorf("versions: chunk %d: %d references, %d counted, there: %t", no, want, x.chunks.live[no], b != nil)
		}
		if b != nil {
			sum += int64(len(b.b))
		}
	}
	if sum != x.bytes.Load() {
		return fmt.Errorf("versions: %d bytes, counted as %d", sum, x.bytes.Load())
	}
	return nil
}

// order verifies invariant 6.
func (c *checker) order(o *order) error {
	x := c.x
	seen := make(map[entryRef]bool)
	for i, l := range o.levels {
		for j, r := range l.refs {
			key := x.keyAt(r)
			if r == 0 || r > o.tail || seen[r] {
				return fmt.Errorf("versions: level %d has entry %d, tail %d, seen before: %t", i, r, o.tail, seen[r])
			}
			seen[r] = true
			if !bytes.HasPrefix(key, o.prefix) || l.heads[j] != headAt(key, len(o.prefix)) {
				return fmt.Errorf("versions: level %d: head %x of key %q after prefix %q", i, l.heads[j], key, o.prefix)
			}
			if j > 0 && bytes.Compare(x.keyAt(l.refs[j-1]), key) >= 0 {
				return fmt.Errorf("versions: level %d: key %q after %q", i, key, x.keyAt(l.refs[j-1]))
			}
		}
	}
	want := 0
	if o.tail != 0 {
		want = x.rank(o.tail) + 1
	}
	if len(seen) != want {
		return fmt.Errorf("versions: the order has %d of %d entries", len(seen), want)
	}
	return nil
}

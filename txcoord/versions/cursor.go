package versions

import (
	"bytes"

	"github.com/aegis-storage/aegis/pages"
)

// Cursor walks the keys of an index in order, both ways, and shows the newest version of each at
// or below its seq; tombstones are shown, keys without such a version are not. It sees a fixed
// state. It starts before the first key: Next goes to the first, and past either end Next and
// Prev come back. One goroutine at a time.
type Cursor struct {
	x       *Index
	at      pages.Seq
	prefix  []byte
	levels  []cursorLevel
	on      int // level of the current key; -1: before the first or after the last
	trimmed bool
	key     []byte
	version Version
	sink    uint64 // keeps the loads of reading ahead from being optimised away
	room    [4]cursorLevel
}

// cursorLevel is a level cut to the cursor's bounds. pos is the position of the first key that
// is not below the current one, so on the current key's level it is that key, and both
// directions can go on from it.
type cursorLevel struct {
	level
	pos  int
	warm warmth
}

// warmth is how far ahead a level's entries and keys have been read into the processor's cache.
// In key order they lie anywhere in memory, and one after the other each would cost the latency
// of two cache misses; read in a batch, the misses overlap.
type warmth struct {
	lo, hi int // positions read ahead
	batch  int // size of the last batch
}

const warmBatch = 16

// grow returns the size of the next batch. They begin small: a short scan shall not pay for what
// it does not show.
func (w *warmth) grow() int {
	w.batch = min(2*w.batch+2, warmBatch)
	return w.batch
}

// moveTo sets the position for a walk that begins there.
func (l *cursorLevel) moveTo(pos int) { l.pos, l.warm = pos, warmth{lo: pos, hi: pos} }

// NewCursor returns a cursor over the keys k with lo ≤ k < hi; nil is open.
func (x *Index) NewCursor(at pages.Seq, lo, hi []byte) *Cursor {
	o := x.orderFor(at)
	c := &Cursor{x: x, at: at, prefix: o.prefix, on: -1}
	if c.levels = c.room[:0]; len(o.levels) > len(c.room) {
		c.levels = make([]cursorLevel, 0, len(o.levels))
	}
	for _, l := range o.levels {
		from, to := 0, len(l.refs)
		if lo != nil {
			from = x.search(l, o.prefix, lo)
		}
		if hi != nil {
			to = x.search(l, o.prefix, hi)
		}
		if from < to {
			c.levels = append(c.levels, cursorLevel{level: level{l.heads[from:to], l.refs[from:to]}})
		}
	}
	return c
}

// First goes to the first key.
func (c *Cursor) First() bool {
	for i := range c.levels {
		c.levels[i].moveTo(0)
	}
	return c.forward()
}

// Last goes to the last key.
func (c *Cursor) Last() bool {
	for i := range c.levels {
		c.levels[i].moveTo(len(c.levels[i].refs))
	}
	return c.backward()
}

// SeekGE goes to the first key at or above key.
func (c *Cursor) SeekGE(key []byte) bool {
	c.seek(key)
	return c.forward()
}

// SeekLT goes to the last key below key.
func (c *Cursor) SeekLT(key []byte) bool {
	c.seek(key)
	return c.backward()
}

func (c *Cursor) seek(key []byte) {
	for i := range c.levels {
		c.levels[i].moveTo(c.x.search(c.levels[i].level, c.prefix, key))
	}
}

// Next goes to the next key up.
func (c *Cursor) Next() bool {
	if c.on >= 0 {
		l := &c.levels[c.on]
		if l.pos++; l.pos >= l.warm.hi {
			l.warm.lo, l.warm.hi = l.pos, l.pos+l.warm.grow()
			c.readAhead(l)
		}
	}
	return c.forward()
}

// Prev goes to the next key down.
func (c *Cursor) Prev() bool { return c.backward() }

// forward goes to the lowest key at the positions that has a version.
func (c *Cursor) forward() bool {
	for {
		c.on = c.lowest()
		if c.on < 0 {
			c.key, c.version = nil, Version{}
			return false
		}
		l := &c.levels[c.on]
		if c.show(l.refs[l.pos]) {
			return true
		}
		l.pos++
	}
}

// backward goes to the highest key before the positions that has a version.
func (c *Cursor) backward() bool {
	for {
		c.on = c.highest()
		if c.on < 0 {
			c.key, c.version = nil, Version{}
			return false
		}
		l := &c.levels[c.on]
		if l.pos--; l.pos < l.warm.lo {
			l.warm.lo, l.warm.hi = l.pos+1-l.warm.grow(), l.pos+1
			c.readAhead(l)
		}
		if c.show(l.refs[l.pos]) {
			return true
		}
	}
}

func (c *Cursor) lowest() int {
	best := -1
	for i := range c.levels {
		l := &c.levels[i]
		if l.pos < len(l.refs) && (best < 0 || c.below(l, l.pos, &c.levels[best], c.levels[best].pos)) {
			best = i
		}
	}
	return best
}

func (c *Cursor) highest() int {
	best := -1
	for i := range c.levels {
		l := &c.levels[i]
		if l.pos > 0 && (best < 0 || c.below(&c.levels[best], c.levels[best].pos-1, l, l.pos-1)) {
			best = i
		}
	}
	return best
}

func (c *Cursor) below(a *cursorLevel, i int, b *cursorLevel, j int) bool {
	if a.heads[i] != b.heads[j] {
		return a.heads[i] < b.heads[j]
	}
	return bytes.Compare(c.x.keyAt(a.refs[i]), c.x.keyAt(b.refs[j])) < 0
}

// show makes the entry current if it has a version to show.
func (c *Cursor) show(r entryRef) bool {
	e := c.x.entry(r)
	if e.head.Load() == 0 && e.seq <= c.at {
		// The most common case by far: a key that was written once. Its value follows its key.
		b := c.x.chunks.get(e.key.chunk()).b
		from := e.key.off()
		to := from + e.keyLen()
		c.key = b[from:to:to]
		c.version = Version{Seq: e.seq, Kind: e.kind()}
		if c.version.Kind == pages.KindValue {
			from = to + e.gap()
			to = from + e.valLen()
			c.version.Value = b[from:to:to]
		}
		return true
	}
	v, ok, trimmed := c.x.newest(e, c.at)
	c.trimmed = c.trimmed || trimmed
	if ok {
		c.key, c.version = c.x.keyOf(e), v
	}
	return ok
}

// readAhead touches the entries and keys in the level's warm range.
func (c *Cursor) readAhead(l *cursorLevel) {
	var at [warmBatch]dataRef
	refs := l.refs[min(max(l.warm.lo, 0), len(l.refs)):min(l.warm.hi, len(l.refs))]
	for i, r := range refs {
		at[i] = c.x.entry(r).key
	}
	for i := range refs {
		if b := c.x.chunks.get(at[i].chunk()).b; at[i].off() < len(b) {
			c.sink += uint64(b[at[i].off()])
		}
	}
}

// Valid says whether the cursor is on a key.
func (c *Cursor) Valid() bool { return c.on >= 0 }

// Key is the current key, nil if there is none. Like Value it aliases memory that is never
// written again, with its capacity clipped.
func (c *Cursor) Key() []byte { return c.key }

// Value is the current value, nil for a tombstone.
func (c *Cursor) Value() []byte { return c.version.Value }

// Kind says whether the current version is a value or a tombstone.
func (c *Cursor) Kind() pages.Kind { return c.version.Kind }

// Seq is the current version's seq.
func (c *Cursor) Seq() pages.Seq { return c.version.Seq }

// Trimmed says whether some walk so far ended where versions were trimmed. What the cursor
// showed then holds only if its seq was protected all the time, as a Snapshot's is.
func (c *Cursor) Trimmed() bool { return c.trimmed }

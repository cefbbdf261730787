package aegis

import (
	"bytes"

	"github.com/google/btree"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// writeSet is what a transaction has written: already encoded as the batch that its commit hands
// over, and found by hash. Only a loop over own writes needs them in order, so the first one
// builds a tree of them.
//
// Invariants:
//
//  1. The bytes of a batch are appended to, never changed: slices of it stay as they are.
//  2. Of the ops with the same key one counts, the last; it alone is found.
type writeSet struct {
	c       *messages.Commit // nil before the first write, and when it was handed over
	slots   []uint32         // open addressing by hash: 1 + the op's number; nil while they are few
	live    int              // ops that count
	garbage int              // bytes of the batch that are of other ops
	tree    *btree.BTreeG[write]
}

// write is one of the transaction's own writes, in the tree. Its slices are the batch's.
type write struct {
	key, value []byte // key: internal
	kind       pages.Kind
}

const (
	writesDegree = 32
	fewWrites    = 8   // looked through one by one
	firstSlots   = 64  // a power of two
	firstBatch   = 512 // bytes
	// replaced is the kind of an op that does not count.
	replaced pages.Kind = 0
)

// find returns the number of the op that counts for a key, or -1, and the slot where the search
// ended.
func (w *writeSet) find(hash uint64, key []byte) (op int, slot uint32) {
	if w.c == nil {
		return -1, 0
	}
	if w.slots == nil {
		for i := range w.c.Ops {
			if w.is(i, hash, key) && w.c.Ops[i].Kind != replaced {
				return i, 0
			}
		}
		return -1, 0
	}
	mask := uint32(len(w.slots) - 1)
	for slot = uint32(hash>>32) & mask; w.slots[slot] != 0; slot = (slot + 1) & mask {
		if i := int(w.slots[slot] - 1); w.is(i, hash, key) {
			if w.c.Ops[i].Kind == replaced {
				return -1, slot
			}
			return i, slot
		}
	}
	return -1, slot
}

func (w *writeSet) is(i int, hash uint64, key []byte) bool {
	op := &w.c.Ops[i]
	return op.Hash == hash && bytes.Equal(op.Key(w.c.Batch), key)
}

// put adds a write, in place of an earlier one to the same key. It copies key and value, and
// returns the bytes of key and value of the earlier one, or -1.
func (w *writeSet) put(hash uint64, key, value []byte, kind pages.Kind) (before int) {
	i, slot := w.find(hash, key)
	if before = -1; i >= 0 {
		before = int(w.c.Ops[i].KeyLen + w.c.Ops[i].ValLen)
		w.drop(i)
	}
	c := w.c
	c.Batch = roomFor(c.Batch, len(key)+len(value)+messages.MaxOpHead)
	c.Batch, c.Ops = messages.AppendOp(c.Batch, c.Ops, kind, hash, key, value)
	w.live++
	n := len(c.Ops)
	if w.tree != nil {
		w.tree.ReplaceOrInsert(w.write(n - 1))
	}
	switch {
	case 2*n > len(w.slots) && (n > fewWrites || w.slots != nil):
		w.index()
	case w.slots != nil:
		w.slots[slot] = uint32(n)
	}
	if w.garbage > len(c.Batch)/2 && w.garbage > keepBatch {
		w.compact()
	}
	return before
}

// roomFor returns b with room for n more bytes. It doubles, so that what it grows to is copied
// once on the whole.
func roomFor(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	grown := make([]byte, len(b), max(2*cap(b), len(b)+n, firstBatch))
	copy(grown, b)
	return grown
}

// drop makes an op not count.
func (w *writeSet) drop(i int) {
	op := &w.c.Ops[i]
	w.garbage += op.Bytes()
	op.Kind = replaced
	w.live--
}

// index makes the table anew, of twice the size that it needs.
func (w *writeSet) index() {
	size := max(firstSlots, 2*len(w.slots))
	for size < 4*len(w.c.Ops) {
		size *= 2
	}
	w.slots = make([]uint32, size)
	mask := uint32(size - 1)
	for i := range w.c.Ops {
		if w.c.Ops[i].Kind == replaced {
			continue
		}
		slot := uint32(w.c.Ops[i].Hash>>32) & mask
		for w.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		w.slots[slot] = uint32(i + 1)
	}
}

// compact leaves only what counts in the batch. What was given out of the old one stays as it is.
func (w *writeSet) compact() {
	c := w.c
	batch, ops := make([]byte, 0, len(c.Batch)-w.garbage), make([]messages.Op, 0, w.live)
	for i := range c.Ops {
		if op := &c.Ops[i]; op.Kind != replaced {
			batch, ops = messages.AppendOp(batch, ops, op.Kind, op.Hash, op.Key(c.Batch), op.Value(c.Batch))
		}
	}
	c.Batch, c.Ops, c.Kept = batch, ops, false
	w.garbage = 0
	if w.slots != nil {
		w.index()
	}
}

// get returns the transaction's own write to a key.
func (w *writeSet) get(hash uint64, key []byte) (own write, ok bool) {
	i, _ := w.find(hash, key)
	if i < 0 {
		return own, false
	}
	w.c.Kept = true
	return w.write(i), true
}

func (w *writeSet) has(hash uint64, key []byte) bool {
	i, _ := w.find(hash, key)
	return i >= 0
}

// write returns an op as a write.
func (w *writeSet) write(i int) write {
	op := &w.c.Ops[i]
	key, value := op.Key(w.c.Batch), op.Value(w.c.Batch)
	return write{key[:len(key):len(key)], value[:len(value):len(value)], op.Kind}
}

// ordered returns the writes as a tree, which the caller clones.
func (w *writeSet) ordered() *btree.BTreeG[write] {
	if w.tree == nil {
		w.tree = btree.NewG(writesDegree, func(a, b write) bool { return bytes.Compare(a.key, b.key) < 0 })
		for i := range w.c.Ops {
			if w.c.Ops[i].Kind != replaced {
				w.tree.ReplaceOrInsert(w.write(i))
			}
		}
	}
	w.c.Kept = true
	return w.tree
}

// forget drops all writes to keys that begin with prefix.
func (w *writeSet) forget(prefix []byte) {
	if w.c == nil {
		return
	}
	for i := range w.c.Ops {
		op := &w.c.Ops[i]
		if op.Kind == replaced || !bytes.HasPrefix(op.Key(w.c.Batch), prefix) {
			continue
		}
		if w.tree != nil {
			w.tree.Delete(w.write(i))
		}
		w.drop(i)
	}
}

// handOver returns the request with the whole batch; the set is empty then. Nil: nothing counts.
func (w *writeSet) handOver() *messages.Commit {
	if w.live == 0 {
		return nil
	}
	if w.garbage > 0 {
		w.compact()
	}
	c := w.c
	w.c, w.live = nil, 0
	return c
}

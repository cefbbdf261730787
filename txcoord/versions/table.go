package versions

import "sync/atomic"

// table is an open-addressing hash table with linear probing. The place of a slot rises with the
// upper half of the key's hash, so a larger table is made from the slots alone, in one
// sequential pass over both. Entries are never removed. A full table is not changed but
// replaced: a reader that still probes the old one misses only keys that were put after it
// loaded the table, all of a seq above the one it reads at.
type table struct {
	slots []slot
	limit int // keys; one more, and the table grows
}

// slot is written once: key first, then tag.
type slot struct {
	tag atomic.Uint64 // [upper half of the hash u32][entry u32]; 0: empty
	// Where the key is, as in its entry: so the loads of the entry and of the key do not wait
	// for each other, and a lookup waits for memory twice instead of three times.
	key dataRef
}

const (
	minSlots  = 64
	slotBytes = 16
	// A table is presized to be two thirds full, and grows when it is three quarters full: linear
	// probing then looks at 2.5 neighbouring slots for a hit and 8.5 for a miss.
	presizeNum, presizeDen = 3, 2
	limitNum, limitDen     = 3, 4
)

func newTable(expect int) *table {
	return sizedTable(max(expect/presizeDen*presizeNum, minSlots))
}

func sizedTable(slots int) *table {
	return &table{slots: make([]slot, slots), limit: slots / limitDen * limitNum}
}

func (t *table) bytes() int64 { return int64(len(t.slots)) * slotBytes }

// place is where the search for a hash begins.
func (t *table) place(hash uint64) int { return int(hash >> 32 * uint64(len(t.slots)) >> 32) }

// grown returns a table of twice the size with the same slots.
func (t *table) grown() *table {
	g := sizedTable(2 * len(t.slots))
	for i := range t.slots {
		s := &t.slots[i]
		tag := s.tag.Load()
		if tag == 0 {
			continue
		}
		at := g.place(tag)
		for g.slots[at].tag.Load() != 0 {
			if at++; at == len(g.slots) {
				at = 0
			}
		}
		g.slots[at].key = s.key
		g.slots[at].tag.Store(tag)
	}
	return g
}

// find looks for key. If it is absent, place is the empty slot that ended the search.
func (x *Index) find(t *table, hash uint64, key []byte) (ref entryRef, e *entry, place int) {
	for at := t.place(hash); ; {
		s := &t.slots[at]
		tag := s.tag.Load()
		if tag == 0 {
			return 0, nil, at
		}
		if tag>>32 == hash>>32 && x.begins(s.key, key) {
			if e := x.entry(entryRef(tag)); e.keyLen() == len(key) {
				return entryRef(tag), e, at
			}
		}
		if at++; at == len(t.slots) {
			at = 0
		}
	}
}

// Warm asks for the slots where lookups of these hashes begin, all at once: the lookups that follow
// would wait for memory one after the other.
func (x *Index) Warm(hashes []uint64) {
	t := x.table.Load()
	for _, h := range hashes {
		t.slots[t.place(h)].tag.Load()
	}
}

// begins says whether the bytes at r begin with key.
func (x *Index) begins(r dataRef, key []byte) bool {
	b := x.chunks.get(r.chunk()).b
	from, to := r.off(), r.off()+len(key)
	return to <= len(b) && string(b[from:to]) == string(key)
}

// enter makes the entry findable: the last store of a Put of a new key.
func (x *Index) enter(t *table, place int, hash uint64, ref entryRef, key dataRef) {
	s := &t.slots[place]
	s.key = key
	s.tag.Store(hash>>32<<32 | uint64(ref))
	if x.keys++; x.keys >= t.limit {
		g := t.grown()
		x.bytes.Add(g.bytes() - t.bytes())
		x.table.Store(g)
	}
}

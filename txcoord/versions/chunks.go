package versions

import (
	"fmt"
	"sync/atomic"
)

// directory maps small numbers to slabs or chunks. Numbers start at 1 and are never reused, so
// a stale reference finds the right thing or nothing. One writer adds and drops; readers get.
type directory[T any] struct {
	slots atomic.Pointer[[]atomic.Pointer[T]]
	// The fields below are the writer's own.
	used uint64  // numbers given out, the unused number 0 included
	live []int32 // references held to each number; apart from T so that counting does not disturb readers
}

func (d *directory[T]) init() {
	d.slots.Store(&[]atomic.Pointer[T]{{}})
	d.used, d.live = 1, make([]int32, 1, 8)
}

// get returns number no, or nil if it was dropped.
func (d *directory[T]) get(no uint64) *T { return (*d.slots.Load())[no].Load() }

// add gives v the next number.
func (d *directory[T]) add(v *T) uint64 {
	no := d.used
	old := *d.slots.Load()
	if no == uint64(len(old)) {
		// A reader that still holds the old array may miss later drops. That keeps memory alive
		// for the length of its walk and is harmless: dropped records are never written again.
		grown := make([]atomic.Pointer[T], max(8, 2*no))
		for i := range old {
			grown[i].Store(old[i].Load())
		}
		d.slots.Store(&grown)
		old = grown
	}
	old[no].Store(v)
	d.used++
	d.live = append(d.live, 0)
	return no
}

func (d *directory[T]) drop(no uint64) { (*d.slots.Load())[no].Store(nil) }

// slab is an array of records that is filled front to back, once.
type slab[T any] struct {
	recs []T
	base int // records in the slabs before it
}

// chunk is a piece of memory for keys and values.
type chunk struct{ b []byte }

// Sizes in bytes unless named otherwise. Chunks and slabs start small and double up to their
// maximum, so that an almost empty index is small.
const (
	defaultChunkBytes = 256 << 10
	minChunkBytes     = 128
	firstChunkBytes   = 1 << 10

	entryBits      = 13 // of a reference: position in an entry slab
	versionBits    = 10 // of a reference: position in a version slab
	firstSlabLen   = 16 // records
	maxEntrySlab   = 1<<(32-entryBits) - 1
	entryBytes     = 32
	versionBytes   = 32
	ownChunkShare  = 4       // what needs more than this part of a chunk gets a chunk of its own
	inlineValueMax = 1 << 10 // a larger first value is kept apart from its key, so that it can be trimmed
)

// arena is where the next bytes go. Keys with their first values, which live as long as the
// index, and the values of later versions, most of which die young, have an arena each: mixed,
// one new key per chunk would keep the values of a hot counter alive.
type arena struct {
	no   uint64 // chunk being filled; 0: none yet
	b    []byte
	off  int
	next int // size of the next chunk
	max  int
}

func (a *arena) init(maxBytes int) { a.max, a.next = maxBytes, min(firstChunkBytes, maxBytes) }

// reserve finds room for n bytes in a's chunk, or in one of their own, and holds one reference
// to that chunk for them.
func (x *Index) reserve(a *arena, n int) (ref dataRef, dst []byte) {
	if n > len(a.b)-a.off {
		if n > a.max/ownChunkShare {
			b := make([]byte, n)
			no := x.addChunk(b)
			x.chunks.live[no]++
			return makeDataRef(no, 0), b
		}
		x.refill(a, n)
	}
	off := a.off
	a.off += n
	x.chunks.live[a.no]++
	return makeDataRef(a.no, off), a.b[off:a.off]
}

func (x *Index) refill(a *arena, n int) {
	full := a.no
	a.b = make([]byte, max(a.next, n))
	a.no, a.off = x.addChunk(a.b), 0
	a.next = min(2*a.next, a.max)
	if full != 0 && x.chunks.live[full] == 0 {
		x.dropChunk(full)
	}
}

func (x *Index) addChunk(b []byte) uint64 {
	x.bytes.Add(int64(len(b)))
	return x.chunks.add(&chunk{b})
}

// releaseChunk gives back one reference. The chunk goes with the last one unless more bytes
// may still be referred to in it.
func (x *Index) releaseChunk(no uint64) {
	x.chunks.live[no]--
	if x.chunks.live[no] == 0 && no != x.firsts.no && no != x.laters.no {
		x.dropChunk(no)
	}
}

func (x *Index) dropChunk(no uint64) {
	x.bytes.Add(-int64(len(x.chunks.get(no).b)))
	x.chunks.drop(no)
}

// newEntry returns the next free entry. The caller fills it, then stores x.tail.
func (x *Index) newEntry() (ref entryRef, e *entry) {
	off := uint64(x.tailOff)
	if x.entryFill == nil || x.tailOff == len(x.entryFill.recs) {
		size, base := firstSlabLen, 0
		if f := x.entryFill; f != nil {
			size, base = min(2*len(f.recs), x.entrySlabLen), f.base+len(f.recs)
		}
		x.entryFill = &slab[entry]{make([]entry, size), base}
		x.bytes.Add(int64(size * entryBytes))
		x.tailSlab, x.tailOff, off = x.entries.add(x.entryFill), 0, 0
		if x.tailSlab > maxEntrySlab {
			panic(fmt.Sprintf("versions: entry slab %d, the limit is %d", x.tailSlab, maxEntrySlab))
		}
	}
	x.tailOff++
	return entryRef(x.tailSlab<<entryBits | off), &x.entryFill.recs[off]
}

// newVersion returns the next free version record and holds a reference to its slab.
func (x *Index) newVersion() (ref versionRef, v *version) {
	if x.versionFill == nil || x.versionOff == len(x.versionFill.recs) {
		// The full slab is never empty of linked versions: it has the one put last.
		size, base := firstSlabLen, 0
		if f := x.versionFill; f != nil {
			size, base = min(2*len(f.recs), x.versionSlabLen), f.base+len(f.recs)
		}
		x.versionFill = &slab[version]{make([]version, size), base}
		x.bytes.Add(int64(size * versionBytes))
		x.versionSlab, x.versionOff = x.versions.add(x.versionFill), 0
	}
	off := x.versionOff
	x.versionOff++
	x.versions.live[x.versionSlab]++
	return versionRef(x.versionSlab<<versionBits | uint64(off)), &x.versionFill.recs[off]
}

// releaseVersion gives back an unlinked version: its value and its place in the slab. The slab
// goes with the last one. That is never the slab being filled: the version put last is linked.
func (x *Index) releaseVersion(ref versionRef, v *version) {
	if v.value != 0 {
		x.releaseChunk(v.value.chunk())
	}
	no := ref.slab()
	x.versions.live[no]--
	if x.versions.live[no] == 0 {
		x.bytes.Add(-int64(len(x.versions.get(no).recs) * versionBytes))
		x.versions.drop(no)
	}
}

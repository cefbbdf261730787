package versions

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/aegis-storage/aegis/pages"
)

// Version is one version of a key. Value aliases memory that is never written again and that
// the collector keeps as long as the slice is held; its capacity is clipped. It is nil for a
// tombstone.
type Version struct {
	Value []byte
	Seq   pages.Seq
	Kind  pages.Kind
}

// IndexOptions size an Index. The zero value is usable.
type IndexOptions struct {
	// ChunkBytes is the largest chunk and the largest slab, in bytes; default 256 KiB, at least
	// 128. What needs more than a quarter of it gets a chunk of its own.
	ChunkBytes int
	// ExpectKeys presizes the hash table, so that this many keys go in without a rehash.
	ExpectKeys int
}

// Index holds all versions above its floor: the memory part of a View. Put, PutAdopted, Adopt,
// Freeze and Check belong to the one writer; everything else may be called by anybody at any
// time and never waits.
type Index struct {
	floor    pages.Seq
	table    atomic.Pointer[table]
	entries  directory[slab[entry]]
	versions directory[slab[version]]
	chunks   directory[chunk]
	order    atomic.Pointer[order]

	_ [64]byte // what follows is stored by every Put

	tail        atomic.Uint64 // reference of the newest published entry, 0: none
	versionTail atomic.Uint64 // reference of the newest published version, 0: none
	bytes       atomic.Int64  // allocated for table, slabs and chunks
	bare        atomic.Int64  // entries without a version of their own
	unlinked    atomic.Int64  // versions that trimming took out
	frozen      atomic.Uint64 // freeze seq + 1; 0: not frozen

	// The fields below are the writer's own.
	keys           int
	last           pages.Seq // newest seq put
	firsts         arena     // keys with their first values
	laters         arena     // values of later versions
	held           uint64    // adopted chunk that the current commit may still refer to
	heldBy         pages.Seq // that commit; 0 until it is known
	entryFill      *slab[entry]
	tailSlab       uint64
	tailOff        int
	versionFill    *slab[version]
	versionSlab    uint64
	versionOff     int
	entrySlabLen   int
	versionSlabLen int
}

// NewIndex makes an empty index. floor is the last seq before it: all it will hold lies above.
func NewIndex(floor pages.Seq, o IndexOptions) *Index {
	if o.ChunkBytes == 0 {
		o.ChunkBytes = defaultChunkBytes
	}
	o.ChunkBytes = max(o.ChunkBytes, minChunkBytes)
	x := &Index{floor: floor, last: floor}
	x.entries.init()
	x.versions.init()
	x.chunks.init()
	x.firsts.init(o.ChunkBytes)
	// Smaller pieces for what dies young: one long-lived version keeps less garbage alive.
	x.laters.init(max(o.ChunkBytes/4, minChunkBytes))
	x.entrySlabLen = slabLen(o.ChunkBytes/entryBytes, entryBits)
	x.versionSlabLen = slabLen(o.ChunkBytes/4/versionBytes, versionBits)
	t := newTable(o.ExpectKeys)
	x.table.Store(t)
	x.bytes.Store(t.bytes())
	x.order.Store(&order{})
	return x
}

// slabLen rounds n down to a power of two of at most the given number of bits.
func slabLen(n, maxBits int) int {
	return max(1<<min(bits.Len(uint(n))-1, maxBits), firstSlabLen)
}

// Floor is the seq below all that the index holds.
func (x *Index) Floor() pages.Seq { return x.floor }

// Freeze ends the index at seq: nothing is put any more.
func (x *Index) Freeze(seq pages.Seq) {
	if seq < x.last {
		panic(fmt.Sprintf("versions: freeze at %d after put at %d", seq, x.last))
	}
	x.releaseHeld()
	x.frozen.Store(uint64(seq) + 1)
}

// Frozen returns the freeze seq, and whether there is one.
func (x *Index) Frozen() (pages.Seq, bool) {
	if f := x.frozen.Load(); f != 0 {
		return pages.Seq(f - 1), true
	}
	return 0, false
}

// Bytes is the memory the index holds, allocated but unused parts included.
func (x *Index) Bytes() int64 { return x.bytes.Load() + x.order.Load().bytes() }

// Len is the number of distinct keys.
func (x *Index) Len() int {
	t := entryRef(x.tail.Load())
	if t == 0 {
		return 0
	}
	return x.entries.get(t.slab()).base + t.off() + 1
}

// Versions is the number of versions in all chains.
func (x *Index) Versions() int {
	made := 0
	for t := versionRef(x.versionTail.Load()); t != 0; t = versionRef(x.versionTail.Load()) {
		// The newest version is linked, so its slab is there, unless the tail has moved on.
		if s := x.versions.get(t.slab()); s != nil {
			made = s.base + t.off() + 1
			break
		}
	}
	return x.Len() + made - int(x.bare.Load()) - int(x.unlinked.Load())
}

// Get returns the newest version of key at or below the seq at; a tombstone is a version.
// trimmed means that trimming took out versions just where the walk ended, so the answer (or
// the absence of one) holds only if at was protected: the caller registered at as a snapshot,
// or finds TrimHorizon ≤ at when it looks after this call. Without trimmed it holds as it is.
func (x *Index) Get(hash uint64, key []byte, at pages.Seq) (v Version, ok, trimmed bool) {
	_, e, _ := x.find(x.table.Load(), hash, key)
	if e == nil {
		return Version{}, false, false
	}
	return x.newest(e, at)
}

// NewestSeq is the seq of key's newest version, 0 if the index does not have the key.
func (x *Index) NewestSeq(hash uint64, key []byte) pages.Seq {
	_, e, _ := x.find(x.table.Load(), hash, key)
	if e == nil {
		return 0
	}
	v, _, _ := x.newest(e, pages.MaxSeq)
	return v.Seq
}

func (x *Index) entry(r entryRef) *entry { return &x.entries.get(r.slab()).recs[r.off()] }

// version returns nil for a version whose slab was dropped.
func (x *Index) version(r versionRef) *version {
	s := x.versions.get(r.slab())
	if s == nil {
		return nil
	}
	return &s.recs[r.off()]
}

// keyOf returns e's key; its chunk is never dropped.
func (x *Index) keyOf(e *entry) []byte {
	from := e.key.off()
	to := from + e.keyLen()
	return x.chunks.get(e.key.chunk()).b[from:to:to]
}

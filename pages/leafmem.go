package pages

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// leaf is a leaf in memory: one block without pointers, which begins with this struct.
//
//	 0      4       8        12     16     20                20+4n     20+8n
//	┌──────┬───────┬────────┬──────┬──────┬─────────────────┬─────────┬─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─
//	│ used │ count │ prefix │ size │ room │ slots           │ heads   │ entries
//	│ u32  │ n u32 │ u32    │ u32  │ u32  │ n × (tag ∥ pos) │ n × u32 │
//	└──────┴───────┴────────┴──────┴──────┴─────────────────┴─────────┴─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─
//
//	entry, at pos:
//	┌────────────┬─────────────────────────┬─────┬───────┐
//	│ keyLen u16 │ valLen<<1|tombstone u32 │ key │ value │
//	└────────────┴─────────────────────────┴─────┴───────┘
//
// The layout is for lookups in pages that are in no processor cache, where time is the number
// of misses that wait for one another. A slot holds one byte of the key's Hash and 24 bits of
// position: a lookup reads the slots front to back, all their lines at once, and then goes
// straight to the one entry that matches. (A binary search waits for a line at every probe.)
// The parent points to the block itself, not to its Page. heads are the four bytes of each key after what
// all keys of the page begin with, big endian: ordered searches compare them, and keys only
// where heads are equal.
//
// This file holds the only unsafe code of the read path. A block is allocated as []uint64, so
// it is aligned; size is its length in bytes; and everything beyond the three array headers
// made here goes through ordinary, checked slices.
type leaf struct {
	used   atomic.Uint32 // clock stamp
	count  uint32
	prefix uint32 // length of what all keys begin with
	size   uint32 // bytes of the block that are in use
	room   uint32 // bytes of the block as the allocator rounded them up: what the page costs
}

const (
	leafHead  = int(unsafe.Sizeof(leaf{}))
	perEntry  = 8 // slot and head
	entryHead = 6
	posBits   = 24
	posMask   = 1<<posBits - 1
	cacheLine = 64  // bytes
	maxTagged = 256 // with more entries than this a binary search is faster than the slots
)

// newLeaf allocates a block for count entries that take entryBytes.
func newLeaf(count, entryBytes int) *leaf {
	size := leafHead + count*perEntry + entryBytes
	words := append([]uint64(nil), make([]uint64, (size+7)/8)...) // with the capacity of the size class
	l := (*leaf)(unsafe.Pointer(unsafe.SliceData(words)))
	l.count, l.size, l.room = uint32(count), uint32(size), uint32(8*cap(words))
	return l
}

// mem is the whole block.
func (l *leaf) mem() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(l)), l.size)
}

func (l *leaf) slots() []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(l), leafHead)), l.count)
}

func (l *leaf) heads() []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Add(unsafe.Pointer(l), leafHead+4*int(l.count))), l.count)
}

// firstPos is where the entries begin.
func (l *leaf) firstPos() int { return leafHead + int(l.count)*perEntry }

func slot(tag byte, pos int) uint32 { return uint32(tag)<<posBits | uint32(pos) }

// tag is the byte of a key's hash that slots keep.
func tag(hash uint64) byte { return byte(hash >> 48) }

// touch sets the reference bit; it writes only when the bit is not set, so that readers of a
// hot leaf do not take its cache line from each other.
func (l *leaf) touch() {
	if l.used.Load() == 0 {
		l.used.Store(1)
	}
}

// key returns the key of entry i.
func (l *leaf) key(i int) []byte {
	b := l.mem()[l.slots()[i]&posMask:]
	end := entryHead + int(binary.LittleEndian.Uint16(b))
	return b[entryHead:end:end]
}

// entry returns entry i.
func (l *leaf) entry(i int) (key, value []byte, kind Kind) {
	return l.at(l.slots()[i] & posMask)
}

// at returns the entry at pos.
func (l *leaf) at(pos uint32) (key, value []byte, kind Kind) {
	b := l.mem()[pos:]
	keyEnd := entryHead + int(binary.LittleEndian.Uint16(b))
	length := binary.LittleEndian.Uint32(b[2:])
	valEnd := keyEnd + int(length>>1)
	return b[entryHead:keyEnd:keyEnd], b[keyEnd:valEnd:valEnd], KindValue + Kind(length&1)
}

// askBytes are asked for at once: of most leaves, header, slots and heads; about eight entries.
const askBytes = 512

// ask asks the processor for the part of the leaf from the byte at on, and returns where the next one
// begins; zero: that was all. The first part is asked for without a look at the leaf, which would wait.
func (l *leaf) ask(at int) (next int) {
	if at > 0 && at+askBytes >= int(l.size) {
		if n := int(l.size) - at; n > 0 {
			prefetch(l, at, (n+cacheLine-1)/cacheLine)
		}
		return 0
	}
	prefetch(l, at, askBytes/cacheLine)
	return at + askBytes
}

// find looks key up.
func (l *leaf) find(key []byte, hash uint64) (value []byte, kind Kind, ok bool) {
	if l.count > maxTagged {
		return l.findOrdered(key)
	}
	want := slot(tag(hash), 0)
	for _, s := range l.slots() {
		if (s^want)>>posBits == 0 {
			if k, v, kind := l.at(s & posMask); string(k) == string(key) {
				return v, kind, true
			}
		}
	}
	return nil, 0, false
}

func (l *leaf) findOrdered(key []byte) (value []byte, kind Kind, ok bool) {
	i := l.seek(key)
	if i == int(l.count) {
		return nil, 0, false
	}
	k, v, kind := l.entry(i)
	if string(k) != string(key) {
		return nil, 0, false
	}
	return v, kind, true
}

// seek returns the index of the first entry whose key is ≥ key; count if there is none.
func (l *leaf) seek(key []byte) int {
	n, prefix := int(l.count), int(l.prefix)
	if prefix > 0 {
		common := l.key(0)[:prefix]
		if len(key) < prefix || string(key[:prefix]) != string(common) {
			if string(key) < string(common) {
				return 0
			}
			return n
		}
		key = key[prefix:]
	}
	head, heads := head4(key), l.heads()
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if at := heads[mid]; at < head || at == head && string(l.key(mid)[prefix:]) < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// head4 is the first four bytes of b as a number, short ones padded with zeros.
func head4(b []byte) uint32 {
	if len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	var pad [4]byte
	copy(pad[:], b)
	return binary.BigEndian.Uint32(pad[:])
}

// index fills tags, heads and the common prefix; positions and entries are there.
func (l *leaf) index() {
	n := int(l.count)
	l.prefix = uint32(sharedPrefix(l.key(0), l.key(n-1)))
	slots, heads := l.slots(), l.heads()
	for i := range slots {
		key := l.key(i)
		heads[i] = head4(key[l.prefix:])
		if n <= maxTagged {
			slots[i] |= slot(tag(Hash(key)), 0)
		}
	}
}

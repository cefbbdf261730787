package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A stored page is a header and a payload. All numbers are little endian.
//
//	 0      4         5      6             7       8        12        16           20
//	┌───────┬─────────┬──────┬─────────────┬───────┬────────┬─────────┬────────────┬─────────┐
//	│ magic │ version │ kind │ compression │ level │ count  │ raw len │ stored len │ payload │
//	│ u32   │ u8      │ u8   │ u8          │ u8    │ u32    │ u32     │ u32        │         │
//	└───────┴─────────┴──────┴─────────────┴───────┴────────┴─────────┴────────────┴─────────┘
//
// raw len is the payload's length before compression, stored len as stored. level is the height
// above the leaves (a filter: its number of probes). count is the number of entries, children
// or filter blocks. There is no checksum here: the parent's Ref has it.
const (
	pageMagic     = 0x67504541 // "AEPg"
	formatVersion = 1
	headerBytes   = 20
)

// Limits of what is stored. Users' limits are the root package's; these are the format's.
const (
	// MaxUserKeyBytes is the longest user key; an internal key adds MaxKeyPrefix at most.
	MaxUserKeyBytes = 32 << 10
	// MaxValueBytes is the longest value.
	MaxValueBytes = 256 << 20

	maxKeyBytes    = MaxUserKeyBytes + MaxKeyPrefix
	maxPageTarget  = 1 << 20                          // largest LeafBytes and InnerBytes
	maxSharedBytes = 2*maxPageTarget + 2*maxKeyBytes  // raw payload of a page of many entries
	maxPageBytes   = MaxValueBytes + maxKeyBytes + 64 // raw payload of a page of one entry
	maxFilterBytes = 64 << 20                         // raw payload of a filter
	maxLevels      = 40                               // inner levels; fan-out is two at least
)

type pageKind uint8

const (
	kindLeaf    pageKind = 1
	kindInner   pageKind = 2
	kindFilter  pageKind = 3
	kindProps   pageKind = 4
	kindLoading pageKind = 0xFF // in memory only: the placeholder of a load in flight
)

// Ref refers to a stored page; its parent holds it.
type Ref struct {
	Offset int64  // of the header's first byte in the file
	Length uint32 // bytes stored, header included
	CRC    uint32 // CRC-32C of those bytes
}

// IsZero reports whether r refers to nothing.
func (r Ref) IsZero() bool { return r.Length == 0 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// header is the decoded head of a stored page.
type header struct {
	kind        pageKind
	compression Compression
	level       uint8
	count       uint32
	rawLen      uint32
	storedLen   uint32
}

func (h header) appendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, pageMagic)
	dst = append(dst, formatVersion, byte(h.kind), byte(h.compression), h.level)
	dst = binary.LittleEndian.AppendUint32(dst, h.count)
	dst = binary.LittleEndian.AppendUint32(dst, h.rawLen)
	return binary.LittleEndian.AppendUint32(dst, h.storedLen)
}

// parseHeader splits stored into header and payload, and checks the header against itself and
// against the limits of its kind, so that what follows may allocate by it.
func parseHeader(stored []byte) (header, []byte, error) {
	if len(stored) < headerBytes {
		return header{}, nil, fmt.Errorf("page of %d bytes is shorter than its header", len(stored))
	}
	if m := binary.LittleEndian.Uint32(stored); m != pageMagic {
		return header{}, nil, fmt.Errorf("page magic %#x, want %#x", m, pageMagic)
	}
	if stored[4] != formatVersion {
		return header{}, nil, fmt.Errorf("page format version %d, this code reads %d", stored[4], formatVersion)
	}
	h := header{
		kind:        pageKind(stored[5]),
		compression: Compression(stored[6]),
		level:       stored[7],
		count:       binary.LittleEndian.Uint32(stored[8:]),
		rawLen:      binary.LittleEndian.Uint32(stored[12:]),
		storedLen:   binary.LittleEndian.Uint32(stored[16:]),
	}
	payload := stored[headerBytes:]
	if int64(h.storedLen) != int64(len(payload)) {
		return header{}, nil, fmt.Errorf("page says %d stored bytes, has %d", h.storedLen, len(payload))
	}
	return h, payload, h.check()
}

// check bounds the header's numbers by the limits of its kind.
func (h header) check() error {
	limit := uint32(maxSharedBytes)
	switch h.kind {
	case kindLeaf:
		if h.level != 0 {
			return fmt.Errorf("leaf at level %d", h.level)
		}
		if h.count == 1 {
			limit = maxPageBytes
		}
	case kindInner:
		if h.level == 0 || h.level > maxLevels {
			return fmt.Errorf("inner page at level %d", h.level)
		}
	case kindFilter:
		limit = maxFilterBytes
	case kindProps:
	default:
		return fmt.Errorf("unknown page kind %d", h.kind)
	}
	if h.count == 0 {
		return errors.New("page without entries")
	}
	if h.rawLen > limit {
		return fmt.Errorf("page says %d raw bytes, limit %d", h.rawLen, limit)
	}
	if h.count > h.rawLen {
		return fmt.Errorf("page says %d entries in %d raw bytes", h.count, h.rawLen)
	}
	return nil
}

// appendPage appends the stored form of a payload to dst.
func appendPage(dst, payload []byte, h header, c Codec) []byte {
	start := len(dst)
	h.rawLen = uint32(len(payload))
	dst = h.appendTo(dst)
	dst, h.compression = Compress(dst, payload, c)
	h.storedLen = uint32(len(dst) - start - headerBytes)
	h.appendTo(dst[start:start])
	return dst
}

// uvarint is binary.Uvarint for values below 2³², with a fast path for one byte. n is zero when
// b does not begin with one.
func uvarint(b []byte) (v uint32, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), 1
	}
	v64, n := binary.Uvarint(b)
	if n <= 0 || v64 > 1<<32-1 {
		return 0, 0
	}
	return uint32(v64), n
}

// sharedPrefix returns how many leading bytes a and b have in common.
func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if binary.LittleEndian.Uint64(a[i:]) != binary.LittleEndian.Uint64(b[i:]) {
			break
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// separator appends to dst the shortest key s with a < s ≤ b; a < b.
func separator(dst, a, b []byte) []byte {
	return append(dst, b[:sharedPrefix(a, b)+1]...)
}

// ascends reports whether a key that shares the first shared bytes with prev and goes on with
// suffix is above prev: the order check of the decoders, without comparing whole keys.
func ascends(prev []byte, shared int, suffix []byte) bool {
	if len(suffix) == 0 {
		return false
	}
	return shared == len(prev) || suffix[0] > prev[shared]
}

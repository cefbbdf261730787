package pages

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A filter is a blocked Bloom filter over the 64-bit hashes of a table's keys (Putze, Sanders,
// Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007): one hash picks a block of 64
// bytes, one cache line, and the probes are bits of that block. Payload, never compressed:
//
//	┌──────────┬──────────┬─ ─ ─
//	│ block 0  │ block 1  │        count blocks of 8 × u64
//	└──────────┴──────────┴─ ─ ─
//
// The header's level is the number of probes. The upper half of the hash picks the block, by
// multiplication; the lower half, multiplied on with each probe, gives the bits (nine at a
// time from the top).
const (
	blockBytes      = 64
	blockBits       = blockBytes * 8
	probeMultiplier = 0x9E3779B1 // 2³² divided by the golden ratio, odd
	maxProbes       = 16
	maxFilterBits   = 32 // bits per key
)

// FilterKind says how a table's filter is built.
type FilterKind uint8

// The kinds of filter; the numbers are part of the table format.
const (
	NoFilter     FilterKind = 0
	BlockedBloom FilterKind = 1
)

type block [8]uint64

type filter struct {
	blocks []block
	probes int
}

// newFilter sizes a filter for keys hashes. A blocked filter wants a little less than the
// ln 2 × bits probes of a plain one, because the blocks fill unevenly.
func newFilter(keys, bitsPerKey int) *filter {
	bitsPerKey = min(bitsPerKey, maxFilterBits)
	n := (int64(keys)*int64(bitsPerKey) + blockBits - 1) / blockBits
	n = min(max(n, 1), maxFilterBytes/blockBytes)
	probes := int(math.Round(float64(bitsPerKey) * 0.6))
	return &filter{blocks: make([]block, n), probes: min(max(probes, 1), maxProbes)}
}

func (f *filter) block(hash uint64) *block {
	return &f.blocks[(hash>>32)*uint64(len(f.blocks))>>32]
}

func (f *filter) add(hash uint64) {
	b, h := f.block(hash), uint32(hash)
	for range f.probes {
		h *= probeMultiplier
		b[h>>29] |= 1 << (h >> 23 & 63)
	}
}

// has reports whether hash may have been added; false is certain.
func (f *filter) has(hash uint64) bool {
	b, h := f.block(hash), uint32(hash)
	for range f.probes {
		h *= probeMultiplier
		if b[h>>29]>>(h>>23&63)&1 == 0 {
			return false
		}
	}
	return true
}

func (f *filter) appendTo(dst []byte) []byte {
	for i := range f.blocks {
		for _, w := range f.blocks[i] {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
	}
	return dst
}

func decodeFilter(h header, payload []byte) (*Page, error) {
	n := int64(h.count)
	if int64(len(payload)) != n*blockBytes {
		return nil, fmt.Errorf("filter says %d blocks, has %d bytes", n, len(payload))
	}
	if h.level == 0 || h.level > maxProbes {
		return nil, fmt.Errorf("filter says %d probes", h.level)
	}
	f := &filter{blocks: make([]block, n), probes: int(h.level)}
	for i := range f.blocks {
		for j := range f.blocks[i] {
			f.blocks[i][j] = binary.LittleEndian.Uint64(payload[i*blockBytes+j*8:])
		}
	}
	return &Page{kind: kindFilter, filter: f, size: n*blockBytes + pageOverhead}, nil
}

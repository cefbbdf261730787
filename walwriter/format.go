package walwriter

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"strconv"

	"github.com/aegis-storage/aegis/pages"
)

// A segment file, offsets in bytes:
//
//	0        64            4096     4160          8192                          size
//	[ header ][ zeros …    ][ header ][ zeros …    ][ group ][ group ] … [ zeros or stale ]
//
// The two header copies are equal and lie in different 4 KiB blocks, so that one damaged
// block does not lose the segment. The whole file is written and synced before its header is:
// a file that is shorter than its header says was damaged.
//
// The header, little endian:
//
//	 0          8             12        16         20         24       32
//	[ magic u64 ][ version u32 ][ crc u32 ][ number u32 ][ epoch u32 ][ base u64 ]
//	 32                   40                  48         56          60
//	[ syncedThrough u64   ][ bodyThrough u64  ][ size u64 ][ chain u32 ][ align u32 ]
//
// crc is CRC-32C of the 64 bytes with crc as zero. base is the seq of the segment's first
// record, chain the checksum of the record before it. bodyThrough is the last seq that was in
// the segment, and synced, before the header was written (a resumed segment), or base-1.
// Every group starts at a multiple of align.
//
// Every version of the format keeps the first 16 bytes, and what crc covers: so a header of another
// version is told from a damaged one.
const (
	segmentMagic    = 0x4c41_5753_4947_4541 // "AEGISWAL"
	formatVersion   = 1
	headerBytes     = 64
	headerCopyAt    = 4096
	dataStart       = 8192
	blockBytes      = 4096 // file sizes are multiples of it
	minAlign        = 8    // group headers are searched at multiples of it
	maxAlign        = 1 << 20
	maxSegmentBytes = 1 << 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headerOffsets are those of the two copies of a segment's header.
var headerOffsets = [...]int{0, headerCopyAt}

// segmentHeader is the decoded header of a segment.
type segmentHeader struct {
	number, epoch uint32
	base          pages.Seq
	syncedThrough pages.Seq
	bodyThrough   pages.Seq
	size          int64
	chain         uint32
	align         uint32
}

// appendTo appends the 64 bytes of the header to dst.
func (h *segmentHeader) appendTo(dst []byte) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, segmentMagic)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.number)
	dst = binary.LittleEndian.AppendUint32(dst, h.epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.base))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.syncedThrough))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.bodyThrough))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.size))
	dst = binary.LittleEndian.AppendUint32(dst, h.chain)
	dst = binary.LittleEndian.AppendUint32(dst, h.align)
	crc := crc32.Checksum(dst[at:], castagnoli)
	binary.LittleEndian.PutUint32(dst[at+12:], crc)
	return dst
}

// headerVersion returns the format version of a header copy that is whole, and 0 for anything else.
func headerVersion(b []byte) uint32 {
	if len(b) < headerBytes || binary.LittleEndian.Uint64(b) != segmentMagic {
		return 0
	}
	var zero [4]byte
	crc := crc32.Checksum(b[:12], castagnoli)
	crc = crc32.Update(crc, castagnoli, zero[:])
	crc = crc32.Update(crc, castagnoli, b[16:headerBytes])
	if crc != binary.LittleEndian.Uint32(b[12:]) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[8:])
}

// otherVersion returns the format version of a header copy that is whole and that this code does not
// read, and 0 for anything else.
func otherVersion(b []byte) uint32 {
	if v := headerVersion(b); v != formatVersion {
		return v
	}
	return 0
}

// decodeSegmentHeader reads one copy of a header. ok is false for anything that is not a
// whole header of a version that this code reads.
func decodeSegmentHeader(b []byte) (h segmentHeader, ok bool) {
	if headerVersion(b) != formatVersion {
		return h, false
	}
	h = segmentHeader{
		number:        binary.LittleEndian.Uint32(b[16:]),
		epoch:         binary.LittleEndian.Uint32(b[20:]),
		base:          pages.Seq(binary.LittleEndian.Uint64(b[24:])),
		syncedThrough: pages.Seq(binary.LittleEndian.Uint64(b[32:])),
		bodyThrough:   pages.Seq(binary.LittleEndian.Uint64(b[40:])),
		size:          int64(binary.LittleEndian.Uint64(b[48:])),
		chain:         binary.LittleEndian.Uint32(b[56:]),
		align:         binary.LittleEndian.Uint32(b[60:]),
	}
	return h, h.plausible()
}

// plausible bounds what a header with a good checksum may say, so that no arithmetic on it
// can overflow.
func (h *segmentHeader) plausible() bool {
	return h.base > 0 && h.base < math.MaxInt64 &&
		h.syncedThrough < h.base && h.bodyThrough < math.MaxInt64 && h.bodyThrough >= h.base-1 &&
		h.size >= dataStart && h.size <= maxSegmentBytes &&
		h.align >= minAlign && h.align <= maxAlign && h.align%minAlign == 0
}

// newer orders headers as recovery reads them.
func (h *segmentHeader) newer(than *segmentHeader) bool {
	if h.epoch != than.epoch {
		return h.epoch > than.epoch
	}
	return h.number > than.number
}

// salt is the chain value that a segment's first record is checked against: the checksum of
// the record before it, mixed with what makes this use of the file unique.
func salt(chain, number, epoch uint32) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], number)
	binary.LittleEndian.PutUint32(b[4:], epoch)
	return crc32.Update(chain, castagnoli, b[:])
}

// fileName returns the name of the log file in a slot.
func fileName(slot uint32) string {
	var name [len(filePrefix) + 8]byte
	return string(appendFileName(name[:0], slot))
}

const filePrefix = "wal-"

func appendFileName(dst []byte, slot uint32) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, filePrefix...)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[slot>>shift&15])
	}
	return dst
}

// parseFileName is the inverse of fileName; ok is false for names that are not ours.
func parseFileName(name string) (slot uint32, ok bool) {
	if len(name) != len(filePrefix)+8 || name[:len(filePrefix)] != filePrefix {
		return 0, false
	}
	n, err := strconv.ParseUint(name[len(filePrefix):], 16, 32)
	var same [len(filePrefix) + 8]byte
	if err != nil || string(appendFileName(same[:0], uint32(n))) != name {
		return 0, false
	}
	return uint32(n), true
}

// alignUp rounds n up to a multiple of align.
func alignUp(n, align int64) int64 { return (n + align - 1) / align * align }

package walwriter

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/klauspost/compress/s2"
	"github.com/pierrec/lz4/v4"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// A group is what one Turn writes: a header and records without gaps.
//
//	 0          4         8                12          16                 24          28         32
//	[ magic u32 ][ crc u32 ][ body length u32 ][ chain u32 ][ syncedThrough u64 ][ number u32 ][ epoch u32 ]
//	[ record ][ record ] …                                            body length bytes
//
// crc is CRC-32C of bytes 8 to 32. It does not cover the body, so that the header of a group
// still asserts what came before it when its own body is torn. chain is the chain value before
// the group's first record. number and epoch are the segment's. A group without a body closes
// the one before it.
//
// A record, as messages.AppendRecord lays it out:
//
//	 0        4        8                16        17         20
//	[ crc u32 ][len u32][ seq u64        ][flags u8][ zero u24 ][ payload, len bytes ]
//
// crc is CRC-32C of everything after it, seeded with the predecessor's crc. The payload is the
// commit's batch or, with flagS2, that as an S2 block, which says its raw length. A record with
// flagLZ4 is only read: [raw length u32][LZ4 block].
const (
	groupMagic       = 0x5047_4541 // "AEGP"
	groupHeaderBytes = 32

	flagLZ4 = 1
	flagS2  = 2

	// groupLimit bounds the write buffer: a longer Turn is written as several groups.
	groupLimit = 1 << 20
	// compressMax is the largest payload that is compressed. What is larger would hold a Step too
	// long, and is written from where it lies.
	compressMax = 8 << 20
	// compressMin is the smallest payload that is compressed, whatever the limits say.
	compressMin = 64
	// maxLZ4Ratio is above what an LZ4 block can expand to, per byte.
	maxLZ4Ratio = 256
)

// The group header and the padding behind the body fit what txcoord charges for them.
var _ [messages.GroupOverhead - groupHeaderBytes - (minAlign - 1)]struct{}

// groupHeader is the decoded header of a group.
type groupHeader struct {
	bodyBytes     uint32
	chain         uint32
	syncedThrough pages.Seq
	number, epoch uint32
}

// put writes the header over the first 32 bytes of b.
func (h *groupHeader) put(b []byte) {
	_ = b[groupHeaderBytes-1]
	binary.LittleEndian.PutUint32(b, groupMagic)
	binary.LittleEndian.PutUint32(b[8:], h.bodyBytes)
	binary.LittleEndian.PutUint32(b[12:], h.chain)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.syncedThrough))
	binary.LittleEndian.PutUint32(b[24:], h.number)
	binary.LittleEndian.PutUint32(b[28:], h.epoch)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:groupHeaderBytes], castagnoli))
}

// decodeGroupHeader reads a group header; ok is false if b does not start with one.
func decodeGroupHeader(b []byte) (h groupHeader, ok bool) {
	if len(b) < groupHeaderBytes || binary.LittleEndian.Uint32(b) != groupMagic ||
		binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:groupHeaderBytes], castagnoli) {
		return h, false
	}
	h = groupHeader{
		bodyBytes:     binary.LittleEndian.Uint32(b[8:]),
		chain:         binary.LittleEndian.Uint32(b[12:]),
		syncedThrough: pages.Seq(binary.LittleEndian.Uint64(b[16:])),
		number:        binary.LittleEndian.Uint32(b[24:]),
		epoch:         binary.LittleEndian.Uint32(b[28:]),
	}
	return h, h.syncedThrough < math.MaxInt64
}

// record is a decoded record; payload aliases the group's body.
type record struct {
	crc     uint32
	seq     pages.Seq
	flags   uint8
	zero    uint32
	payload []byte
}

// recordBytes is the length of the record at the start of b, which is known to be whole.
func recordBytes(b []byte) int {
	return messages.RecordOverhead + int(binary.LittleEndian.Uint32(b[4:]))
}

// decodeRecord reads the record at the start of body. ok is false if it is not whole, or its
// checksum does not follow chain.
func decodeRecord(body []byte, chain uint32) (r record, n int, ok bool) {
	if len(body) < messages.RecordOverhead {
		return r, 0, false
	}
	length := binary.LittleEndian.Uint32(body[4:])
	if int64(length) > int64(len(body)-messages.RecordOverhead) {
		return r, 0, false
	}
	n = messages.RecordOverhead + int(length)
	r.crc = binary.LittleEndian.Uint32(body)
	if crc32.Update(chain, castagnoli, body[4:n]) != r.crc {
		return r, 0, false
	}
	r.seq = pages.Seq(binary.LittleEndian.Uint64(body[8:]))
	r.flags = body[16]
	r.zero = binary.LittleEndian.Uint32(body[16:]) >> 8
	r.payload = body[messages.RecordOverhead:n:n]
	return r, n, true
}

// batch returns the record's batch. It aliases the payload, or what room gave for so many bytes.
// what names a damage that the checksum did not show.
func (r *record) batch(room func(n int) []byte) (batch []byte, what string) {
	switch {
	case r.zero != 0 || r.flags > flagS2:
		return nil, "record with flags that this version does not know"
	case r.flags == 0:
		return r.payload, ""
	}
	raw, ok := r.rawBytes()
	if !ok || raw <= 0 || raw > compressMax { // also: LZ4's decoder dereferences an empty destination
		return nil, "compressed record with an impossible length"
	}
	if batch = room(raw); !r.expand(batch) {
		return nil, "compressed record that does not decompress"
	}
	return batch, ""
}

// rawBytes is how long the payload says that the batch is.
func (r *record) rawBytes() (n int, ok bool) {
	if r.flags == flagS2 {
		n, err := s2.DecodedLen(r.payload)
		return n, err == nil
	}
	if len(r.payload) < 4 {
		return 0, false
	}
	n = int(binary.LittleEndian.Uint32(r.payload))
	return n, n/maxLZ4Ratio < len(r.payload)-4
}

// expand decompresses the payload into batch, which it must fill.
func (r *record) expand(batch []byte) bool {
	if r.flags == flagS2 {
		out, err := s2.Decode(batch, r.payload)
		return err == nil && len(out) == len(batch)
	}
	n, err := lz4.UncompressBlock(r.payload[4:], batch)
	return err == nil && n == len(batch)
}

// encoder builds one group at a time in a buffer that it keeps.
//
// Invariants:
//  1. chain is the chain value after the last record that was added.
//  2. buf is empty, or holds room for a group header followed by whole records.
type encoder struct {
	buf           []byte
	chain         uint32
	first         uint32 // chain before the group's first record
	compressAbove int
	raw, stored   uint64 // payload bytes before and after compression, of compressed records
}

// add appends a record as messages.AppendRecord made it, compressed if that pays.
func (e *encoder) add(rec []byte) {
	payload := len(rec) - messages.RecordOverhead
	if payload <= max(e.compressAbove, compressMin) || payload > compressMax {
		e.addStored(rec)
		return
	}
	if len(e.buf) == 0 {
		e.open()
	}
	at := len(e.buf)
	if !e.compress(rec) {
		e.buf = append(e.buf, rec...)
	}
	e.seal(at)
}

// addStored appends a record as it is: one that is not to be compressed, or one that was read
// from a log.
func (e *encoder) addStored(rec []byte) {
	if len(e.buf) == 0 {
		e.open()
	}
	at := len(e.buf)
	e.buf = append(e.buf, rec...)
	e.seal(at)
}

// seal chains the record that begins at offset at and ends the buffer.
func (e *encoder) seal(at int) {
	e.chain = crc32.Update(e.chain, castagnoli, e.buf[at+4:])
	binary.LittleEndian.PutUint32(e.buf[at:], e.chain)
}

// open starts a group.
func (e *encoder) open() {
	e.first = e.chain
	e.buf = append(e.buf, make([]byte, groupHeaderBytes)...)
}

// compress appends rec with its payload compressed, or reports that this does not pay. S2 is for
// the log alone: of the algorithms at hand it is the one that costs a commit least, with the ratio
// of LZ4.
func (e *encoder) compress(rec []byte) bool {
	at, payload := len(e.buf), rec[messages.RecordOverhead:]
	e.buf = append(e.buf, rec[:messages.RecordOverhead]...)
	body := len(e.buf)
	if most := s2.MaxEncodedLen(len(payload)); cap(e.buf) < body+most {
		e.buf = append(make([]byte, 0, body+most+body/4), e.buf...)
	}
	n := len(s2.Encode(e.buf[body:cap(e.buf)], payload))
	if n >= len(payload) {
		e.buf = e.buf[:at]
		return false
	}
	e.buf = e.buf[:body+n]
	binary.LittleEndian.PutUint32(e.buf[at+4:], uint32(n))
	e.buf[at+16] = flagS2
	e.raw += uint64(len(payload))
	e.stored += uint64(n)
	return true
}

// inPlace fills in the checksum of a record where it lies, as the only one of a group whose
// header is left in the buffer.
func (e *encoder) inPlace(rec []byte) {
	e.open()
	e.chain = crc32.Update(e.chain, castagnoli, rec[4:])
	binary.LittleEndian.PutUint32(rec, e.chain)
}

// finish fills in the header of the group and returns the bytes to write: the header and what
// add appended. They are valid until reset.
func (e *encoder) finish(s *segment, syncedThrough pages.Seq, bodyBytes int) []byte {
	h := groupHeader{
		bodyBytes: uint32(bodyBytes), chain: e.first, syncedThrough: syncedThrough,
		number: s.number, epoch: s.epoch,
	}
	h.put(e.buf)
	return e.buf
}

// bodyBytes is the length of what add appended.
func (e *encoder) bodyBytes() int { return max(0, len(e.buf)-groupHeaderBytes) }

// reset makes the buffer empty, and lets go of one that a large record has grown.
func (e *encoder) reset() {
	if cap(e.buf) > 2*groupLimit {
		e.buf = nil
	}
	e.buf = e.buf[:0]
}

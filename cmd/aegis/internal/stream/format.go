package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/aegis-storage/aegis"
)

const (
	magic       = "AEGISDMP"
	version     = 1
	headerBytes = 16
	frameBytes  = 20 // of a frame, without its payload

	idBytes = 8 // of a block's id

	kindKeyspace = 1
	kindEntries  = 2
	kindBlock    = 3
	kindEnd      = 4

	// targetBytes is how long the payload of an entries frame becomes before the next one begins.
	targetBytes = 64 << 10
	// maxPayload bounds a payload: one entry of the largest size fits.
	maxPayload = aegis.MaxValueBytes + aegis.MaxKeyBytes + targetBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Magic are the bytes that a stream begins with.
func Magic() []byte { return []byte(magic) }

// Keyspace says which keyspace the entries after it belong to.
type Keyspace struct {
	Name             string
	Compression      aegis.Compression
	CompressionLevel int // of zstd; 0: the default one
}

// Block is a stored block.
type Block struct {
	ID     aegis.BlockID
	Stored []byte // as aegis.Tx.StoredBlocks gives it: compressed, with a version and a checksum of its own
}

// Sums are what a stream holds.
type Sums struct {
	Keyspaces, Entries, Blocks uint64
}

// Error is what is wrong with a stream, and where: the offset of the header or frame in bytes.
type Error struct {
	Offset int64
	What   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("the stream is damaged at offset %d: %s", e.Offset, e.What)
}

func appendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendFrameHead appends the head of a frame, whose crc follows the one of the frame before.
func appendFrameHead(dst []byte, kind uint8, number uint64, payload []byte, before uint32) (head []byte, crc uint32) {
	start := len(dst)
	dst = append(dst, kind, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint64(dst, number)
	crc = crc32.Update(crc32.Update(before, castagnoli, dst[start:]), castagnoli, payload)
	return binary.LittleEndian.AppendUint32(dst, crc), crc
}

func plausibleCompression(c uint8) bool {
	return c >= uint8(aegis.NoCompression) && c <= uint8(aegis.Zstd)
}

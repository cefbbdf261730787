package pages

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// minGain is the part of a payload (one in minGain) that compression has to save; with less,
// reading would pay for decompression and get nothing.
const minGain = 16

// maxLZ4Ratio is what LZ4 can make of one byte at most: each length byte stands for 255.
const maxLZ4Ratio = 255

var lz4Pool = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// Compress appends the compressed form of src to dst and says what it used: None, with src
// copied as it is, when the compressor would not save a sixteenth. Safe for concurrent use.
func Compress(dst, src []byte, c Codec) (out []byte, used Compression) {
	limit := len(src) - len(src)/minGain
	if len(src) < minGain {
		return append(dst, src...), None
	}
	start := len(dst)
	switch c.Compression {
	case LZ4:
		dst = slices.Grow(dst, limit)
		z := lz4Pool.Get().(*lz4.Compressor)
		n, err := z.CompressBlock(src, dst[start:start+limit])
		lz4Pool.Put(z)
		if err == nil && n > 0 {
			return dst[:start+n], LZ4
		}
	case Zstd:
		z, pool := zstdEncoder(c.Level)
		dst = z.EncodeAll(src, dst)
		pool.Put(z)
		if len(dst)-start <= limit {
			return dst, Zstd
		}
	}
	return append(dst[:start], src...), None
}

// Decompress appends to dst the rawLen bytes that src was compressed from. It allocates at most
// rawLen bytes, and refuses a rawLen that src cannot stand for before it does. Safe for
// concurrent use.
func Decompress(dst, src []byte, c Compression, rawLen int) ([]byte, error) {
	if err := plausible(src, c, rawLen); err != nil {
		return dst, err
	}
	start := len(dst)
	switch c {
	case None:
		return append(dst, src...), nil
	case LZ4:
		dst = grow(dst, rawLen)
		n, err := lz4.UncompressBlock(src, dst[start:start+rawLen])
		if err != nil {
			return dst, fmt.Errorf("pages: lz4: %w", err)
		}
		if n != rawLen {
			return dst, fmt.Errorf("pages: lz4 gave %d bytes, want %d", n, rawLen)
		}
		return dst[:start+rawLen], nil
	default:
		return unzstd(dst, src, rawLen)
	}
}

// plausible reports, before anything is allocated, whether src can stand for rawLen bytes. A
// zstd frame must say itself that it does.
func plausible(src []byte, c Compression, rawLen int) error {
	if rawLen < 0 || rawLen > maxPageBytes {
		return fmt.Errorf("pages: raw length %d is out of range", rawLen)
	}
	switch c {
	case None:
		if len(src) != rawLen {
			return fmt.Errorf("pages: %d raw bytes stored, want %d", len(src), rawLen)
		}
	case LZ4:
		if rawLen == 0 || rawLen/maxLZ4Ratio > len(src) { // the decoder panics at an empty destination
			return fmt.Errorf("pages: %d lz4 bytes cannot hold %d", len(src), rawLen)
		}
	case Zstd:
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return fmt.Errorf("pages: zstd: %w", err)
		}
		if h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(rawLen) {
			return fmt.Errorf("pages: zstd frame says %d bytes, want %d", h.FrameContentSize, rawLen)
		}
	default:
		return fmt.Errorf("pages: unknown compression %d", uint8(c))
	}
	return nil
}

// unzstd decodes one frame into exactly rawLen bytes of room.
func unzstd(dst, src []byte, rawLen int) ([]byte, error) {
	start := len(dst)
	dst = grow(dst, rawLen)
	z, ok := zstdDecoders.Get().(*zstd.Decoder)
	if !ok {
		return dst, errors.New("pages: no zstd decoder")
	}
	out, err := z.DecodeAll(src, dst[start:start:start+rawLen])
	zstdDecoders.Put(z)
	if err != nil {
		return dst, fmt.Errorf("pages: zstd: %w", err)
	}
	if len(out) != rawLen {
		return dst, fmt.Errorf("pages: zstd gave %d bytes, want %d", len(out), rawLen)
	}
	return dst[:start+rawLen], nil
}

// The zstd coders are pooled and used by one goroutine at a time: with a concurrency of one and
// no stream they start no goroutines, and may be dropped without Close.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxPageBytes),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil
	}
	return d
}}

var zstdEncoderPools [zstd.SpeedBestCompression + 1]sync.Pool

// zstdEncoder takes an encoder of a level; the caller puts it back into the pool.
func zstdEncoder(level int8) (*zstd.Encoder, *sync.Pool) {
	l := min(max(zstd.EncoderLevel(level), zstd.SpeedFastest), zstd.SpeedBestCompression)
	pool := &zstdEncoderPools[l]
	if z, ok := pool.Get().(*zstd.Encoder); ok {
		return z, pool
	}
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(l),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true), // the frame always says its length
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("pages: zstd encoder of level %v: %v", l, err))
	}
	return z, pool
}

// grow returns b with its length unchanged and room for n more bytes, and no more: what is
// allocated here was bounded by the caller.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	out := make([]byte, len(b), len(b)+n)
	copy(out, b)
	return out
}

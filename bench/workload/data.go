package workload

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	// KeyBytes is the length of every key.
	KeyBytes = 16
	// LeastValueBytes is the length of the shortest value: it says its version and nothing else.
	LeastValueBytes = 8
)

// AppendKey appends the key of an index. Different indexes have different keys, and their order is
// random; all bytes of a key are, as those of a hash or a UUID.
func AppendKey(dst []byte, index int) []byte {
	first := mix(uint64(index) + golden)
	dst = binary.BigEndian.AppendUint64(dst, first)
	return binary.BigEndian.AppendUint64(dst, mix(first+golden))
}

// AppendValue appends the value of size bytes that key has in a version:
//
//	0        8                  size/2           size
//	| version | random, of both  | a byte, of key |
//
// The version is masked by key. A value of less than 16 bytes has no random part but its version.
func AppendValue(dst, key []byte, version uint64, size int) []byte {
	seed := binary.BigEndian.Uint64(key)
	dst = binary.LittleEndian.AppendUint64(dst, version^mix(seed))
	end := len(dst) + size - LeastValueBytes
	random := Random{mix(seed + mix(version+golden))}
	for n := size/2 - LeastValueBytes; n > 0; n -= 8 {
		word := random.Next()
		if n >= 8 {
			dst = binary.LittleEndian.AppendUint64(dst, word)
			continue
		}
		for range n {
			dst = append(dst, byte(word))
			word >>= 8
		}
	}
	fill := byte('a' + seed%26)
	for len(dst) < end {
		dst = append(dst, fill)
	}
	return dst
}

// versionOf returns the version that a value says it is.
func versionOf(key, value []byte) uint64 {
	return binary.LittleEndian.Uint64(value) ^ mix(binary.BigEndian.Uint64(key))
}

// checkValue returns an error if value is none that key can have. It uses scratch as a buffer and
// returns it.
func checkValue(key, value []byte, size int, scratch []byte) ([]byte, error) {
	if len(key) != KeyBytes || len(value) != size {
		return scratch, fmt.Errorf("wrong value: %d bytes of key %x, want %d bytes", len(value), key, size)
	}
	version := versionOf(key, value)
	scratch = AppendValue(scratch[:0], key, version, size)
	if !bytes.Equal(value, scratch) {
		return scratch, fmt.Errorf("wrong value of key %x: %x, want for version %d %x", key, value, version, scratch)
	}
	return scratch, nil
}

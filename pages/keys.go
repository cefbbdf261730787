package pages

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// An internal key is the keyspace's id and the user's key:
//
//	id < 0xF0    [id u8][key …]
//	id ≥ 0xF0    [0xF0][id u32 big endian][key …]
//
// Bytewise order of internal keys is order by (id, key), so one index and one run hold all
// keyspaces, and a keyspace is one contiguous range.
const wideKeyspace = 0xF0

// MaxKeyPrefix is the most that the keyspace adds to a user's key, in bytes.
const MaxKeyPrefix = 5

// AppendKey appends the internal key of key in keyspace ks to dst.
func AppendKey(dst []byte, ks KeyspaceID, key []byte) []byte {
	return append(AppendKeyspace(dst, ks), key...)
}

// AppendKeyspace appends the prefix that all internal keys of ks share.
func AppendKeyspace(dst []byte, ks KeyspaceID) []byte {
	if ks < wideKeyspace {
		return append(dst, byte(ks))
	}
	return binary.BigEndian.AppendUint32(append(dst, wideKeyspace), uint32(ks))
}

// SplitKey is the inverse of AppendKey; key aliases internal.
func SplitKey(internal []byte) (ks KeyspaceID, key []byte, err error) {
	switch {
	case len(internal) >= 1 && internal[0] < wideKeyspace:
		return KeyspaceID(internal[0]), internal[1:], nil
	case len(internal) >= MaxKeyPrefix && internal[0] == wideKeyspace:
		return KeyspaceID(binary.BigEndian.Uint32(internal[1:])), internal[MaxKeyPrefix:], nil
	}
	return 0, nil, fmt.Errorf("pages: %d bytes are no internal key", len(internal))
}

// PrefixEnd returns the first key after all keys that begin with prefix, or nil if there is
// none (the prefix is empty or all 0xFF): nil as an upper bound means "to the end".
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// Hash is the 64-bit hash of an internal key that the version index, the conflict check and
// the table filters share. It is part of the table format (XXH64, seed 0).
func Hash(internal []byte) uint64 { return xxhash.Sum64(internal) }

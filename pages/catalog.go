package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Compression names a page compressor. The numbers are part of the table format.
type Compression uint8

// The compressors. A page that does not shrink is stored raw whatever is asked for.
const (
	None Compression = 0
	LZ4  Compression = 1
	Zstd Compression = 2
)

// String returns the name that configuration files use.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("Compression(%d)", uint8(c))
}

// Codec is a compressor and its level. Level counts for Zstd only: 1 (fastest) to 4 (best), the
// levels of klauspost/compress; 0 means 1.
type Codec struct {
	Compression Compression
	Level       int8
}

// The catalog is keyspace 0. Its user keys:
//
//	"id"          → next free KeyspaceID, u32 big endian
//	"ks/" name    → CatalogEntry
//	"drop/" id    → empty; the keyspace with this id (u32 big endian) was dropped
//	"blocks"      → u64 big endian: what the ids of blocks keep above (the root package's)
//
// The catalog sorts before all data, so a flush meets it first.
const (
	catalogNextID = "id"
	catalogName   = "ks/"
	catalogDrop   = "drop/"
)

// loadedFlag is CatalogEntry.Loaded, in the byte of the compression.
const loadedFlag = 0x80

var namePrefix = NameKey("")

// IsNameKey reports whether internal is the key of a catalog entry.
func IsNameKey(internal []byte) bool { return bytes.HasPrefix(internal, namePrefix) }

// CatalogEntry is what the catalog keeps of a named keyspace.
//
//	[id u32 big endian][compression u8, 0x80 if loaded][level i8]
type CatalogEntry struct {
	ID    KeyspaceID
	Codec Codec
	// Loaded: a bulk load put the keyspace's first tables into a checkpoint before this entry was
	// committed. A store that has the entry and no such checkpoint has lost them.
	Loaded bool
}

// NextIDKey is the internal key of the id counter.
func NextIDKey() []byte { return AppendKey(nil, CatalogKeyspace, []byte(catalogNextID)) }

// NameKey is the internal key of the catalog entry of a keyspace's name.
func NameKey(name string) []byte {
	return AppendKey(nil, CatalogKeyspace, []byte(catalogName+name))
}

// DropKey is the internal key of the mark that keyspace id was dropped.
func DropKey(id KeyspaceID) []byte {
	return AppendKey(nil, CatalogKeyspace, binary.BigEndian.AppendUint32([]byte(catalogDrop), uint32(id)))
}

// ParseName returns the keyspace's name if internal is a NameKey.
func ParseName(internal []byte) (name string, ok bool) {
	prefix := NameKey("")
	if len(internal) <= len(prefix) || string(internal[:len(prefix)]) != string(prefix) {
		return "", false
	}
	return string(internal[len(prefix):]), true
}

// ParseDrop returns the dropped id if internal is a DropKey.
func ParseDrop(internal []byte) (id KeyspaceID, ok bool) {
	prefix := AppendKey(nil, CatalogKeyspace, []byte(catalogDrop))
	if len(internal) != len(prefix)+4 || string(internal[:len(prefix)]) != string(prefix) {
		return 0, false
	}
	return KeyspaceID(binary.BigEndian.Uint32(internal[len(prefix):])), true
}

// AppendEntry appends e's encoding to dst.
func (e CatalogEntry) AppendEntry(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.ID))
	compression := byte(e.Codec.Compression)
	if e.Loaded {
		compression |= loadedFlag
	}
	return append(dst, compression, byte(e.Codec.Level))
}

// DecodeCatalogEntry is the inverse of AppendEntry.
func DecodeCatalogEntry(b []byte) (CatalogEntry, error) {
	if len(b) != 6 || b[4]&^loadedFlag > byte(Zstd) {
		return CatalogEntry{}, fmt.Errorf("pages: %d bytes are no catalog entry", len(b))
	}
	return CatalogEntry{
		ID:     KeyspaceID(binary.BigEndian.Uint32(b)),
		Codec:  Codec{Compression: Compression(b[4] &^ loadedFlag), Level: int8(b[5])},
		Loaded: b[4]&loadedFlag != 0,
	}, nil
}

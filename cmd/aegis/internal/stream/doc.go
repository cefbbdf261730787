// Package stream is the format that aegis dump writes and aegis load reads: all keyspaces of a store
// with their options and entries, and its blocks, as of one moment, front to back.
//
// A stream is a header and frames. All numbers are little endian; "v" is an unsigned varint.
//
//	header, 16 bytes:
//	 0                8             12            16
//	[ "AEGISDMP"     ][ version u32 ][ crc u32    ]
//
//	frame:
//	 0        1          4              8              16         20
//	[ kind u8 ][ zero u24 ][ length u32   ][ number u64   ][ crc u32 ][ payload, length bytes ]
//
// The header's crc is CRC-32C of the 12 bytes before it; a frame's is that of the 16 bytes before it
// and of the payload, seeded with the crc of the frame before (the first frame: with the header's).
// Frames are numbered 1, 2, 3, …. So a frame that was changed, left out, doubled or moved is noticed,
// and the error names the offset of the frame.
//
//	kind 1, keyspace: [ compression u8 ][ level u8 ][ name ]
//	kind 2, entries:  repeated [ key length v ][ value length v ][ key ][ value ]
//	kind 3, block:    [ id u64 ][ the block as stores keep it: see blocks.go of package aegis ]
//	kind 4, end:      [ keyspaces u64 ][ entries u64 ][ blocks u64 ]
//
// Entries belong to the keyspace of the last frame of kind 1, and ascend by key. A keyspace comes
// once; the default one, called "default", is always there and comes first. Compression is 1 for
// none, 2 for lz4, 3 for zstd; level is 0 but for zstd. The end frame has the sums, and nothing
// follows it: a stream without it was cut short.
//
// A [Writer] writes a stream, a [Reader] reads one. The Reader allocates no more than it has read,
// so that no input makes it exceed the memory that its bytes take.
package stream

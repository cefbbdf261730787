package messages

import (
	"encoding/binary"

	"github.com/aegis-storage/aegis/pages"
)

// A log record, as txcoord hands it to walwriter inside Append.Records:
//
//	 0        4        8                16    17       20
//	[ crc u32 ][len u32][ seq u64        ][flags][ zero ][ payload, len bytes ]
//
// little endian. txcoord leaves crc, flags and zero empty; walwriter fills them when it copies
// the record into its write buffer (the checksum is chained, and a large payload is
// compressed there).
const RecordOverhead = 20

// GroupOverhead is what walwriter adds to a group of records, in bytes. txcoord charges it to
// each commit, as each may become a group by itself.
const GroupOverhead = 40

// CreditFor returns the log bytes that a commit with a batch of n bytes is charged.
func CreditFor(n int) int64 { return int64(n) + RecordOverhead + GroupOverhead }

// AppendRecord appends the record of commit seq to dst.
func AppendRecord(dst []byte, seq pages.Seq, batch []byte) []byte {
	var head [RecordOverhead]byte
	binary.LittleEndian.PutUint32(head[4:], uint32(len(batch)))
	binary.LittleEndian.PutUint64(head[8:], uint64(seq))
	return append(append(dst, head[:]...), batch...)
}

package messages

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/aegis-storage/aegis/pages"
)

// A batch is what one transaction writes, each key once, in any order:
//
//	repeated: [kind u8][key length uvarint][value length uvarint, values only][key][value]
//
// Keys are internal keys. The batch is the payload of the commit's log record, and small
// batches are copied from, large ones adopted as, chunks of the version index.

// Op is one write of a batch: where its key and value lie in the batch's bytes.
type Op struct {
	Hash             uint64 // pages.Hash of the key
	KeyOff, KeyLen   uint32 // bytes
	ValueOff, ValLen uint32 // bytes
	Kind             pages.Kind
}

// Key returns the op's internal key; it aliases batch.
func (o *Op) Key(batch []byte) []byte { return batch[o.KeyOff : o.KeyOff+o.KeyLen] }

// Value returns the op's value; it aliases batch.
func (o *Op) Value(batch []byte) []byte { return batch[o.ValueOff : o.ValueOff+o.ValLen] }

// Bytes returns how many bytes of the batch the op takes.
func (o *Op) Bytes() int {
	n := 1 + uvarintBytes(o.KeyLen) + int(o.KeyLen)
	if o.Kind == pages.KindValue {
		n += uvarintBytes(o.ValLen) + int(o.ValLen)
	}
	return n
}

func uvarintBytes(v uint32) int { return (bits.Len32(v|1) + 6) / 7 }

// MaxOpHead bounds what an op takes beside its key and value, in bytes.
const MaxOpHead = 1 + 2*binary.MaxVarintLen32

// MaxBatchBytes bounds the encoding of one transaction.
const MaxBatchBytes = 1 << 30

// AppendOp appends one write to the batch and to ops. The caller keeps the batch within
// MaxBatchBytes.
func AppendOp(batch []byte, ops []Op, kind pages.Kind, hash uint64, key, value []byte) ([]byte, []Op) {
	batch = append(batch, byte(kind))
	batch = binary.AppendUvarint(batch, uint64(len(key)))
	if kind == pages.KindValue {
		batch = binary.AppendUvarint(batch, uint64(len(value)))
	}
	op := Op{Hash: hash, Kind: kind, KeyOff: uint32(len(batch)), KeyLen: uint32(len(key)), ValLen: uint32(len(value))}
	batch = append(batch, key...)
	op.ValueOff = uint32(len(batch))
	return append(batch, value...), append(ops, op)
}

// DecodeBatch appends the ops of an encoded batch to ops. It is used on what was read from a
// log, so it checks everything but that each key comes once.
func DecodeBatch(batch []byte, ops []Op) ([]Op, error) {
	if len(batch) > math.MaxInt32 {
		return ops, fmt.Errorf("messages: batch of %d bytes", len(batch))
	}
	for off := 0; off < len(batch); {
		op, next, err := decodeOp(batch, off)
		if err != nil {
			return ops, err
		}
		ops, off = append(ops, op), next
	}
	return ops, nil
}

func decodeOp(batch []byte, off int) (Op, int, error) {
	kind := pages.Kind(batch[off])
	if kind != pages.KindValue && kind != pages.KindTombstone {
		return Op{}, 0, fmt.Errorf("messages: unknown kind %d at byte %d of a batch", kind, off)
	}
	at := off + 1
	keyLen, n := binary.Uvarint(batch[at:])
	if n <= 0 || keyLen == 0 || keyLen > uint64(len(batch)) {
		return Op{}, 0, fmt.Errorf("messages: bad key length at byte %d of a batch", at)
	}
	at += n
	var valLen uint64
	if kind == pages.KindValue {
		if valLen, n = binary.Uvarint(batch[at:]); n <= 0 {
			return Op{}, 0, fmt.Errorf("messages: bad value length at byte %d of a batch", at)
		}
		at += n
	}
	left := uint64(len(batch) - at)
	if keyLen > left || valLen > left-keyLen {
		return Op{}, 0, fmt.Errorf("messages: write of %d+%d bytes at byte %d of a batch of %d", keyLen, valLen, off, len(batch))
	}
	op := Op{Kind: kind, KeyOff: uint32(at), KeyLen: uint32(keyLen), ValueOff: uint32(at) + uint32(keyLen), ValLen: uint32(valLen)}
	op.Hash = pages.Hash(op.Key(batch))
	return op, at + int(keyLen+valLen), nil
}

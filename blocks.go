package aegis

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// BlockID names a stored block. It is never given out twice in the life of a store.
type BlockID uint64

// Block is a piece of data that is stored compressed under an id of its own, with a checksum
// over the data as it was before compression.
type Block struct {
	data        []byte
	compression Compression // that is asked for
	level       int
	stored      Compression // that the last write, or the read, found; DefaultCompression: none yet
	storedBytes int
}

// NewBlock returns a block that holds data (not copied), to be compressed with LZ4.
func NewBlock(data []byte) *Block { return &Block{data: data, compression: LZ4} }

// WithCompression chooses LZ4, Zstd or NoCompression, and returns the block.
func (b *Block) WithCompression(c Compression) *Block {
	b.compression = c
	return b
}

// WithLevel chooses the level of Zstd, 1 (fastest) to 4 (smallest), and returns the block.
func (b *Block) WithLevel(level int) *Block {
	b.level = level
	return b
}

// Data returns the block's data. It must not be written to.
func (b *Block) Data() []byte { return b.data }

// Size returns the bytes of data before compression.
func (b *Block) Size() int { return len(b.data) }

// StoredSize returns the bytes of data after compression, once the block was written or read;
// before that it is zero.
func (b *Block) StoredSize() int { return b.storedBytes }

// Compression returns how the block is stored: NoCompression where the data did not shrink. Before
// the block was written it is what was asked for.
func (b *Block) Compression() Compression { return cmp.Or(b.stored, b.compression) }

// A stored block is a value in keyspace 1 under its id, u64 big endian:
//
//	[version u8 = 1][compression u8][CRC-32C of the data u32 LE][size of the data u32 LE][stored data …]
const (
	blockVersion  = 1
	blockOverhead = 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blockIDs gives out ids: the epoch, which no two opens of a store share, and a counter.
type blockIDs struct {
	epoch uint64
	next  atomic.Uint64
	above atomic.Uint64 // added to epoch: above every epoch of a copied block; see Tx.CopyBlock
	known atomic.Bool   // above was read
}

const blockCounterBits = 32

// take returns a fresh id; four billion are there in one open of a store.
func (b *blockIDs) take() (BlockID, error) {
	n := b.next.Add(1)
	if n>>blockCounterBits != 0 {
		return 0, fmt.Errorf("aegis: %d blocks were written since the store was opened, reopen it", n-1)
	}
	return BlockID((b.epoch+b.above.Load())<<blockCounterBits | n), nil
}

func blockKey(id BlockID) []byte {
	return pages.AppendKey(nil, pages.BlocksKeyspace, binary.BigEndian.AppendUint64(nil, uint64(id)))
}

// encode compresses the block into its stored form.
func (b *Block) encode() ([]byte, error) {
	if len(b.data) > MaxValueBytes-blockOverhead {
		return nil, fmt.Errorf("%w: block of %d bytes, at most %d", ErrTooLarge, len(b.data), MaxValueBytes-blockOverhead)
	}
	codec, err := b.compression.codec(b.level)
	if err != nil {
		return nil, err
	}
	head := make([]byte, blockOverhead, blockOverhead+len(b.data))
	stored, used := pages.Compress(nil, b.data, codec)
	head[0], head[1] = blockVersion, byte(used)
	binary.LittleEndian.PutUint32(head[2:], crc32.Checksum(b.data, castagnoli))
	binary.LittleEndian.PutUint32(head[6:], uint32(len(b.data)))
	b.stored, b.storedBytes = compressionOf(pages.Codec{Compression: used}), len(stored)
	return append(head, stored...), nil
}

// decodeBlock is the inverse of encode. It checks everything, as a block may have been damaged
// before it came into a page.
func decodeBlock(id BlockID, v []byte) (*Block, error) {
	damaged := func(what string) error {
		return &CorruptionError{File: fmt.Sprintf("block %d", id), What: what}
	}
	if len(v) < blockOverhead || v[0] != blockVersion || v[1] > byte(pages.Zstd) {
		return nil, damaged("not a stored block")
	}
	size := binary.LittleEndian.Uint32(v[6:])
	if size > MaxValueBytes || (size == 0 && v[1] != byte(pages.None)) { // nothing does not shrink
		return nil, damaged(fmt.Sprintf("size of %d bytes", size))
	}
	stored := v[blockOverhead:]
	data, err := pages.Decompress(nil, stored, pages.Compression(v[1]), int(size))
	if err != nil {
		return nil, damaged(err.Error())
	}
	if crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(v[2:]) {
		return nil, damaged("checksum of the data does not match")
	}
	used := compressionOf(pages.Codec{Compression: pages.Compression(v[1])})
	return &Block{data: data, compression: used, stored: used, storedBytes: len(stored)}, nil
}

// WriteBlock stores the block as part of the transaction and returns its id. The block's
// StoredSize and Compression then tell how it is stored.
func (tx *Tx) WriteBlock(b *Block) (BlockID, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	if tx.readOnly {
		return 0, ErrReadOnly
	}
	v, err := b.encode()
	if err != nil {
		return 0, err
	}
	id, err := tx.db.nextBlock(tx.ctx)
	if err != nil {
		return 0, err
	}
	return id, tx.set(blockKey(id), v, pages.KindValue)
}

// ReadBlock returns a block, or ErrNotFound. Damage gives a *CorruptionError.
func (tx *Tx) ReadBlock(id BlockID) (*Block, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	v, err := tx.get(blockKey(id))
	if err != nil {
		return nil, err
	}
	return decodeBlock(id, v)
}

// DeleteBlock removes a block as part of the transaction. ErrNotFound if it is not there.
func (tx *Tx) DeleteBlock(id BlockID) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if tx.readOnly {
		return ErrReadOnly
	}
	key := blockKey(id)
	if _, err := tx.get(key); err != nil {
		return err
	}
	return tx.set(key, nil, pages.KindTombstone)
}

// WriteBlock stores the block as a transaction of its own. See Tx.WriteBlock.
func (db *DB) WriteBlock(ctx context.Context, b *Block) (BlockID, error) {
	if err := db.enterWrite(); err != nil {
		return 0, err
	}
	defer db.leave()
	v, err := b.encode()
	if err != nil {
		return 0, err
	}
	id, err := db.nextBlock(ctx)
	if err != nil {
		return 0, err
	}
	key := blockKey(id)
	c := db.request()
	c.Batch, c.Ops = messages.AppendOp(c.Batch, c.Ops, pages.KindValue, pages.Hash(key), key, v)
	c.Snapshot, c.Durability = pages.MaxSeq, db.opts.Durability
	r, abandoned := db.graph.Commit(ctx, c)
	db.recycle(c, abandoned)
	return id, r.Err
}

// ReadBlock returns a block, or ErrNotFound. Damage gives a *CorruptionError.
func (db *DB) ReadBlock(ctx context.Context, id BlockID) (b *Block, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		b, err = tx.ReadBlock(id)
		return err
	})
	return b, err
}

// DeleteBlock removes a block as a transaction of its own. ErrNotFound if it is not there.
func (db *DB) DeleteBlock(ctx context.Context, id BlockID) error {
	err := db.Update(ctx, func(tx *Tx) error { return tx.DeleteBlock(id) })
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("block %d: %w", id, ErrNotFound)
	}
	return err
}

package aegis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/pages"
)

// The catalog's key "blocks" holds, as u64 big endian, a number of epochs that block ids keep
// above: those of the copied blocks. The epoch of an open, which grows with every open, is added
// to it, so no id is given out that a copied block has or that was given out before.
const catalogBlocks = "blocks"

func blocksAboveKey() []byte {
	return pages.AppendKey(nil, pages.CatalogKeyspace, []byte(catalogBlocks))
}

// maxCopiedEpoch bounds the epoch of a copied block, so that the sum has room in an id.
const maxCopiedEpoch = 1 << 31

// nextBlock takes a fresh id.
func (db *DB) nextBlock(ctx context.Context) (BlockID, error) {
	if err := db.learnBlocks(ctx); err != nil {
		return 0, err
	}
	return db.blocks.take()
}

// learnBlocks reads the catalog's number, once in an open.
func (db *DB) learnBlocks(ctx context.Context) error {
	for !db.blocks.known.Load() {
		err := db.View(ctx, func(tx *Tx) error {
			above, err := tx.blocksAbove()
			if err == nil {
				db.blocks.raise(above)
				db.blocks.known.Store(true)
			}
			return err
		})
		if err != nil && !errors.Is(err, ErrSnapshotTooOld) {
			return err
		}
	}
	return nil
}

// keepBlocksAbove sees to it, durably, that ids are given out from above epoch only. It is a
// transaction of its own: one that writes a copied block may come to nothing, and ids that were
// given out above the block's would then not be above anything after the next open.
func (db *DB) keepBlocksAbove(ctx context.Context, epoch uint64) error {
	if err := db.learnBlocks(ctx); err != nil || db.blocks.above.Load() >= epoch {
		return err
	}
	err := db.UpdateWith(ctx, TxOptions{Durability: WithDurability(Sync)}, func(tx *Tx) error {
		above, err := tx.blocksAbove()
		if err != nil || above >= epoch {
			return err
		}
		return tx.set(blocksAboveKey(), binary.BigEndian.AppendUint64(nil, epoch), pages.KindValue)
	})
	if err == nil {
		db.blocks.raise(epoch)
	}
	return err
}

// raise makes above at least n.
func (b *blockIDs) raise(n uint64) {
	for {
		was := b.above.Load()
		if was >= n || b.above.CompareAndSwap(was, n) {
			return
		}
	}
}

// blocksAbove reads the catalog's number.
func (tx *Tx) blocksAbove() (uint64, error) {
	v, err := tx.get(blocksAboveKey())
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(v) != 8 {
		err = tx.fail(fmt.Errorf("aegis: the catalog's mark of copied blocks has %d bytes, not 8", len(v)))
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// CopyBlock stores, as part of the transaction, a block of another store under the id that it has
// there. stored is the block as stores keep it in their files (package salvage reads it from
// there); it is copied. What is not a whole block, or has an id that no store gives out, gives a
// *CorruptionError and is not written. A block that has the id already is replaced. The
// store itself never gives out the id of a copied block.
func (tx *Tx) CopyBlock(id BlockID, stored []byte) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if tx.readOnly {
		return ErrReadOnly
	}
	if _, err := decodeBlock(id, stored); err != nil {
		return err
	}
	epoch := uint64(id) >> blockCounterBits
	if epoch >= maxCopiedEpoch {
		return &CorruptionError{File: fmt.Sprintf("block %d", id), What: "an id that no store gives out"}
	}
	if err := tx.db.keepBlocksAbove(tx.ctx, epoch); err != nil {
		return err
	}
	return tx.set(blockKey(id), stored, pages.KindValue)
}

package aegis

import (
	"encoding/binary"
	"iter"

	"github.com/aegis-storage/aegis/pages"
)

// StoredBlocks iterates over all blocks, ascending by id. Each comes as stores keep it in their files:
// what CopyBlock takes, and ReadBlock decodes. The slices stay valid for ever and must not be written
// to. The package's comment tells what iterators promise and how they report errors.
func (tx *Tx) StoredBlocks() iter.Seq2[BlockID, []byte] {
	return func(yield func(BlockID, []byte) bool) {
		blocks := Keyspace{tx: tx, id: pages.BlocksKeyspace, name: "blocks"}
		for key, stored := range blocks.Range(nil, nil) {
			if len(key) != 8 {
				tx.fail(&CorruptionError{File: "blocks", What: "a key that is no block's id"})
				return
			}
			if !yield(BlockID(binary.BigEndian.Uint64(key)), stored) {
				return
			}
		}
	}
}

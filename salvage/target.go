package salvage

import (
	"context"
	"errors"

	"github.com/aegis-storage/aegis"
)

// opKind says what an op does to the new store.
type opKind uint8

const (
	opPut opKind = iota
	opDelete
	opCopyBlock
	opDeleteBlock
	opCreate
)

// op is one write to the new store. Its slices are not changed until it is done.
type op struct {
	kind       opKind
	keyspace   string
	key, value []byte
	id         aegis.BlockID
	options    aegis.KeyspaceOptions
}

// batchBytes and batchOps end a batch.
const (
	batchBytes = 1 << 20
	batchOps   = 4 << 10
)

// target gathers writes into transactions: about as much as batchBytes, and whole commits.
type target struct {
	ctx   context.Context
	to    *aegis.DB
	ops   []op
	bytes int
	// refused is told of a block that is not one.
	refused func(id aegis.BlockID, err error)
}

// add appends a write.
func (t *target) add(o op) {
	t.ops = append(t.ops, o)
	t.bytes += len(o.key) + len(o.value)
}

// full reports whether the batch should be committed at the next boundary.
func (t *target) full() bool { return t.bytes >= batchBytes || len(t.ops) >= batchOps }

// flush commits what was gathered. It is durable when Run ends.
func (t *target) flush() error {
	if len(t.ops) == 0 {
		return nil
	}
	refused := map[aegis.BlockID]error{}
	o := aegis.TxOptions{Isolation: aegis.Snapshot, Durability: aegis.WithDurability(aegis.NoSync)}
	err := t.to.UpdateWith(t.ctx, o, func(tx *aegis.Tx) error {
		spaces := map[string]*aegis.Keyspace{}
		clear(refused)
		for i := range t.ops {
			if err := t.ops[i].do(tx, spaces, refused); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return written(err)
	}
	for i := range t.ops {
		if err := refused[t.ops[i].id]; err != nil && t.ops[i].kind == opCopyBlock {
			t.refused(t.ops[i].id, err)
		}
	}
	clear(t.ops)
	t.ops, t.bytes = t.ops[:0], 0
	return nil
}

// do does the write as part of a transaction.
func (o *op) do(tx *aegis.Tx, spaces map[string]*aegis.Keyspace, refused map[aegis.BlockID]error) (err error) {
	switch o.kind {
	case opCopyBlock:
		err := tx.CopyBlock(o.id, o.value)
		var bad *aegis.CorruptionError
		if errors.As(err, &bad) && tx.Err() == nil {
			refused[o.id], err = err, nil
		}
		return err
	case opDeleteBlock:
		if err := tx.DeleteBlock(o.id); !errors.Is(err, aegis.ErrNotFound) {
			return err
		}
		return nil
	case opCreate:
		spaces[o.keyspace], err = tx.CreateKeyspace(o.keyspace, o.options)
		return err
	}
	k := spaces[o.keyspace]
	if k == nil {
		if k, err = tx.Keyspace(o.keyspace); err != nil {
			return err
		}
		spaces[o.keyspace] = k
	}
	if o.kind == opDelete {
		return k.Delete(o.key)
	}
	return k.Put(o.key, o.value)
}

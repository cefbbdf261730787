package aegis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Isolation is what a transaction is protected from.
type Isolation uint8

// The isolation levels of read-write transactions. A read-only transaction reads one snapshot
// at every level.
const (
	// Serializable (the default): the outcome is that of some order of the transactions, one after
	// the other. All keys and ranges that were read are validated at Commit, so there is no write
	// skew and there are no phantoms.
	Serializable Isolation = iota
	// Snapshot: reads are from one moment, and the first committer wins on written keys. Write skew
	// is possible.
	Snapshot
	// ReadCommitted: each read sees what is committed at that time; the last committer wins. Commit
	// conflicts only over keyspaces that were dropped or created meanwhile.
	ReadCommitted
)

// TxOptions choose how one transaction runs. The zero value is read-write and serializable,
// with the store's durability.
type TxOptions struct {
	ReadOnly  bool
	Isolation Isolation
	// Durability of the commit; nil: that of Options.
	Durability *Durability
}

// WithDurability is for TxOptions.Durability: &d of a constant.
func WithDurability(d Durability) *Durability { return &d }

// Tx is a transaction. It is for one goroutine at a time. End it with Commit or Rollback;
// after that its methods return ErrTxDone.
type Tx struct {
	db         *DB
	ctx        context.Context
	isolation  Isolation
	durability Durability
	readOnly   bool
	done       bool
	err        error // the first failure of an iterator or a read
	snap       *versions.Snapshot
	begun      time.Time
	seq        uint64    // of its commit
	fresh      pages.Seq // of the last snapshot that a single read took; zero: none

	def     Keyspace // the default keyspace
	writes  writeSet
	written int // encoded bytes, roughly
	arena   arena
	key     []byte             // the internal key of the present operation
	key0    [shortKey]byte     // where key begins
	created []pages.KeyspaceID // by this transaction
	dropped []pages.KeyspaceID // likewise
	points  []messages.Point   // what was read, and catalog entries relied on
	ranges  []messages.Range
	maxRead pages.Seq // highest seq that a read returned or met as a tombstone
}

// shortKey is for how long an internal key the transaction has room in itself, in bytes.
const shortKey = 40

// Begin starts a transaction. ctx bounds every wait of it, Commit included; when it has ended
// already, Begin returns its error. A read-only transaction sees all that was acknowledged
// before Begin; so does a read-write one, and it may see commits that are being synced.
func (db *DB) Begin(ctx context.Context, o TxOptions) (*Tx, error) {
	if db.closed() {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Isolation > ReadCommitted {
		return nil, fmt.Errorf("aegis: TxOptions.Isolation is %d, allowed are Serializable, Snapshot and ReadCommitted", o.Isolation)
	}
	if db.opts.ReadOnly && !o.ReadOnly {
		return nil, ErrReadOnly
	}
	tx := &Tx{db: db, ctx: ctx, readOnly: o.ReadOnly, isolation: o.Isolation, durability: db.opts.Durability}
	if o.Durability != nil {
		tx.durability = *o.Durability
	}
	if tx.durability > NoSync {
		return nil, fmt.Errorf("aegis: TxOptions.Durability is %d, allowed are Sync and NoSync", tx.durability)
	}
	tx.key = tx.key0[:0]
	tx.def = Keyspace{tx: tx, id: pages.DefaultKeyspace, name: DefaultKeyspaceName}
	tx.acquire()
	return tx, nil
}

// acquire takes the transaction's snapshot.
func (tx *Tx) acquire() {
	tx.db.rt.Park(tx.ctx, nil)
	tx.begun = tx.db.rt.Now()
	tx.snap = tx.db.pub.Acquire(!tx.readOnly, tx.begun)
	if tx.db.opts.Observer.SnapshotOrigins {
		tx.snap.SetOrigin(callers())
	}
}

// usable is checked by every operation.
func (tx *Tx) usable() error {
	if tx.done {
		if errors.Is(tx.err, ErrSnapshotTooOld) {
			return tx.err // it was not the caller who ended it
		}
		return ErrTxDone
	}
	if tx.db.closed() {
		return ErrClosed
	}
	if tx.tooOld() {
		tx.end()
		return tx.fail(ErrSnapshotTooOld)
	}
	return nil
}

// tooOld reports whether txcoord ended the snapshot's protection, or MaxSnapshotAge has passed:
// by the clock, as txcoord looks at that only from time to time.
func (tx *Tx) tooOld() bool {
	age := tx.db.opts.MaxSnapshotAge
	return tx.snap.Expired() || age > 0 && tx.db.rt.Now().Sub(tx.begun) > age
}

// end releases what the transaction holds.
func (tx *Tx) end() {
	if !tx.done {
		tx.done = true
		tx.snap.Release()
		if c := tx.writes.c; c != nil {
			tx.writes = writeSet{}
			tx.db.recycle(c, false)
		}
	}
}

// Err returns the first failure of an iterator or a read of this transaction. While it is not nil,
// Commit refuses with it.
func (tx *Tx) Err() error { return tx.err }

// fail keeps the first failure.
func (tx *Tx) fail(err error) error {
	switch {
	case tx.db.closed():
		err = ErrClosed
	case errors.Is(err, versions.ErrTooOld):
		err = ErrSnapshotTooOld
	}
	if tx.err == nil {
		tx.err = err
	}
	return err
}

// Rollback ends the transaction and drops its writes. After Commit it does nothing, so that it
// can be deferred. It always returns nil.
func (tx *Tx) Rollback() error {
	tx.end()
	return nil
}

// Get returns the value of key in the default keyspace, or ErrNotFound. The transaction's own
// writes are seen. The slice stays valid for ever and must not be written to.
func (tx *Tx) Get(key []byte) ([]byte, error) { return tx.def.Get(key) }

// Put sets key in the default keyspace. An empty value is a value. Both slices are copied.
func (tx *Tx) Put(key, value []byte) error { return tx.def.Put(key, value) }

// Delete removes key from the default keyspace. Removing what is not there is not an error.
func (tx *Tx) Delete(key []byte) error { return tx.def.Delete(key) }

// arena holds copies of what the caller passed in. Its memory is not reused while anything
// points into it. Its blocks double, so that a small transaction takes little.
type arena struct {
	free  []byte
	block int // bytes of the present block
}

const (
	firstArenaBlock = 128
	arenaBlock      = 16 << 10
)

// copyOf returns a copy of a and b, one after the other, with its capacity clipped.
func (a *arena) copyOf(parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > cap(a.free)-len(a.free) {
		if n > arenaBlock/4 {
			return join(make([]byte, 0, n), parts)
		}
		a.block = min(max(2*a.block, firstArenaBlock, 2*n), arenaBlock)
		a.free = make([]byte, 0, a.block)
	}
	start := len(a.free)
	a.free = join(a.free, parts)
	return a.free[start:len(a.free):len(a.free)]
}

func join(dst []byte, parts [][]byte) []byte {
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

package aegis

import (
	"context"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Commit makes the transaction's writes visible, all or none, and durable as its Durability
// says, and ends the transaction. ErrConflict means that nothing was applied. Without writes
// it ends the transaction, and returns once what was read is durable (with NoSync at once).
func (tx *Tx) Commit() error {
	if o := tx.db.opts.Observer; o.Span != nil {
		return o.spanned(tx.ctx, SpanCommit, tx.commit)
	}
	return tx.commit(tx.ctx)
}

func (tx *Tx) commit(ctx context.Context) error {
	c, err := tx.prepare()
	if err != nil || c == nil {
		return err
	}
	defer tx.db.leave()
	defer tx.end()
	watch := tx.db.latency.startCommit(tx.durability)
	r, abandoned := tx.db.graph.Commit(ctx, c)
	tx.db.latency.stop(watch, &tx.db.latency.commit)
	tx.db.recycle(c, abandoned)
	tx.seq = uint64(r.Seq)
	return r.Err
}

// Pending is a commit that was handed over and is not waited for yet.
type Pending struct {
	db   *DB
	c    *messages.Commit
	done bool
	seq  pages.Seq
	err  error
}

// CommitAsync hands the writes over and ends the transaction without waiting. The commits of a
// store are applied, and become durable, in the order in which they are handed over. An error
// means that nothing was handed over. Wait tells how it ended; a Pending that nobody waits for
// is committed all the same.
func (tx *Tx) CommitAsync() (*Pending, error) {
	c, err := tx.prepare()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return &Pending{done: true}, nil
	}
	defer tx.db.leave()
	defer tx.end()
	if err := tx.db.graph.Enqueue(tx.ctx, c); err != nil {
		tx.db.recycle(c, false)
		return nil, err
	}
	return &Pending{db: tx.db, c: c}, nil
}

// Wait returns when the commit is durable as its Durability says, or why it failed. When ctx
// ends first it returns ErrOutcomeUnknown, and may be called again. It is for one goroutine at
// a time.
func (p *Pending) Wait(ctx context.Context) error {
	if p.done {
		return p.err
	}
	r, abandoned := p.db.graph.AwaitCommit(ctx, p.c)
	if abandoned && ctx.Err() != nil {
		return r.Err
	}
	p.done, p.seq, p.err = true, r.Seq, r.Err
	p.db.recycle(p.c, abandoned)
	p.c = nil
	return p.err
}

// prepare checks the transaction and encodes it. A nil request means that there is nothing to
// commit and the transaction has ended; otherwise the caller has entered the graph.
func (tx *Tx) prepare() (*messages.Commit, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	if tx.err != nil {
		tx.end()
		return nil, tx.err
	}
	if tx.writes.live == 0 {
		tx.end()
		return nil, tx.settleReads()
	}
	if err := tx.db.enterWrite(); err != nil {
		tx.end()
		return nil, err
	}
	c := tx.writes.handOver()
	c.Snapshot, c.Durability = tx.snap.Seq, tx.durability
	c.CheckWrites = tx.isolation != ReadCommitted
	c.Points = tx.points
	if err := tx.validateRanges(c); err != nil {
		tx.db.recycle(c, false)
		tx.db.leave()
		tx.end()
		return nil, err
	}
	return c, nil
}

// settleReads waits until all that the transaction read is durable, so that nobody outside
// takes a value for durable that a crash can take back.
func (tx *Tx) settleReads() error {
	if tx.readOnly || tx.durability == NoSync || tx.db.opts.DisableWAL || tx.maxRead <= pages.Seq(tx.db.pub.Durable.Load()) {
		return nil
	}
	if err := tx.db.enter(); err != nil {
		return err
	}
	defer tx.db.leave()
	return tx.db.awaitDurable(tx.ctx, tx.maxRead)
}

// longRanges is how many commits may have passed since the snapshot before a client validates
// its ranges itself, instead of leaving all of that to the coordinator.
const longRanges = 64

// validateRanges sorts and joins the ranges that were read, and checks those of an old snapshot
// against what is published, so that the coordinator is left with the rest.
func (tx *Tx) validateRanges(c *messages.Commit) error {
	if len(tx.ranges) == 0 {
		return nil
	}
	c.Ranges = joinRanges(tx.ranges)
	c.RangesUpTo = tx.snap.Seq
	applied := pages.Seq(tx.db.pub.Applied.Load())
	if applied < tx.snap.Seq+longRanges {
		return nil
	}
	v := tx.db.pub.View.Load()
	if v.RunSeq > tx.snap.Seq {
		return nil // an index that matters was flushed: the coordinator may still have it
	}
	for _, x := range append([]*versions.Index{v.Active}, v.Frozen...) {
		if txcoord.RangeWritten(x, c.Ranges, tx.snap.Seq, applied) {
			return ErrConflict
		}
	}
	c.RangesUpTo = applied
	return nil
}

// request takes an empty commit request.
func (db *DB) request() *messages.Commit {
	if c, ok := db.commits.Get().(*messages.Commit); ok {
		return c
	}
	return &messages.Commit{Reply: messages.NewReply[messages.CommitResult]()}
}

// keepBatch bounds the buffers that a recycled request keeps, in bytes.
const keepBatch = 128 << 10

// recycle takes a request back. One whose reply was abandoned is left to the collector, and a
// batch that the index adopted stays the index's.
func (db *DB) recycle(c *messages.Commit, abandoned bool) {
	if abandoned {
		return
	}
	batch, ops := c.Batch[:0], c.Ops[:0]
	if c.Adopted || c.Kept || cap(batch) > keepBatch {
		batch = nil
	}
	if cap(ops) > keepBatch/32 {
		ops = nil
	}
	*c = messages.Commit{Batch: batch, Ops: ops, Reply: c.Reply}
	db.commits.Put(c)
}

// put commits one write without a transaction around it: a blind write conflicts with nothing.
func (db *DB) put(ctx context.Context, key, value []byte, kind pages.Kind) error {
	if o := db.opts.Observer; o.Span != nil {
		return o.spanned(ctx, SpanCommit, func(ctx context.Context) error { return db.putOne(ctx, key, value, kind) })
	}
	return db.putOne(ctx, key, value, kind)
}

func (db *DB) putOne(ctx context.Context, key, value []byte, kind pages.Kind) error {
	if err := db.enterWrite(); err != nil {
		return err
	}
	defer db.leave()
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > MaxValueBytes {
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(value), MaxValueBytes)
	}
	var buf [keyBuffer]byte
	internal := pages.AppendKey(buf[:0], pages.DefaultKeyspace, key)
	c := db.request()
	c.Batch, c.Ops = messages.AppendOp(c.Batch, c.Ops, kind, pages.Hash(internal), internal, value)
	c.Snapshot, c.Durability = pages.MaxSeq, db.opts.Durability
	watch := db.latency.startCommit(c.Durability)
	r, abandoned := db.graph.Commit(ctx, c)
	db.latency.stop(watch, &db.latency.commit)
	db.recycle(c, abandoned)
	return r.Err
}

// Put sets key in the default keyspace, as a transaction of its own. Both slices are copied.
func (db *DB) Put(ctx context.Context, key, value []byte) error {
	return db.put(ctx, key, value, pages.KindValue)
}

// Delete removes key from the default keyspace, as a transaction of its own. Removing what is not
// there is not an error.
func (db *DB) Delete(ctx context.Context, key []byte) error {
	return db.put(ctx, key, nil, pages.KindTombstone)
}

// Get returns the newest acknowledged value of key in the default keyspace, or ErrNotFound. The
// slice stays valid for ever and must not be written to. ctx bounds the wait for a page that
// is not in memory.
func (db *DB) Get(ctx context.Context, key []byte) ([]byte, error) {
	if db.closed() {
		return nil, ErrClosed
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var buf [keyBuffer]byte
	internal := pages.AppendKey(buf[:0], pages.DefaultKeyspace, key)
	watch := db.latency.startGet()
	db.rt.Park(ctx, nil)
	value, kind, _, ok, err := db.pub.Get(ctx, internal, pages.Hash(internal))
	db.latency.stop(watch, &db.latency.get)
	if err != nil {
		if db.closed() {
			return nil, ErrClosed
		}
		return nil, err
	}
	if !ok || kind == pages.KindTombstone {
		return nil, ErrNotFound
	}
	return value, nil
}

// View runs fn in a read-only transaction. It returns fn's error, or the transaction's if an
// iterator failed.
func (db *DB) View(ctx context.Context, fn func(tx *Tx) error) error {
	if o := db.opts.Observer; o.Span != nil {
		return o.spanned(ctx, SpanView, func(ctx context.Context) error { return db.view(ctx, fn) })
	}
	return db.view(ctx, fn)
}

func (db *DB) view(ctx context.Context, fn func(tx *Tx) error) error {
	tx, err := db.Begin(ctx, TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.end()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.err
}

// Update runs fn in a serializable read-write transaction and commits it; fn must not commit or
// roll back. On a conflict it runs fn again from the start, so fn must have no effects outside
// the transaction that cannot be repeated. When fn returns an error nothing is committed and
// Update returns that error. It returns only once all that fn read and wrote is durable,
// unless the store's durability is NoSync. When ctx ends it returns the context's error.
func (db *DB) Update(ctx context.Context, fn func(tx *Tx) error) error {
	return db.UpdateWith(ctx, TxOptions{}, fn)
}

// UpdateWith is Update with options of the transaction; ReadOnly is refused.
func (db *DB) UpdateWith(ctx context.Context, o TxOptions, fn func(tx *Tx) error) error {
	if o.ReadOnly {
		return fmt.Errorf("aegis: UpdateWith is for read-write transactions: %w", ErrReadOnly)
	}
	if s := db.opts.Observer; s.Span != nil {
		return s.spanned(ctx, SpanUpdate, func(ctx context.Context) error { return db.update(ctx, o, fn) })
	}
	return db.update(ctx, o, fn)
}

func (db *DB) update(ctx context.Context, o TxOptions, fn func(tx *Tx) error) error {
	for {
		final, err := db.updateOnce(ctx, o, fn)
		if final || !errors.Is(err, ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (last attempt: %w)", ctx.Err(), err)
		}
	}
}

// updateOnce is one attempt. It is final unless Commit was reached: an ErrConflict that fn itself
// returns may be of something else, and is no reason to run fn again.
func (db *DB) updateOnce(ctx context.Context, o TxOptions, fn func(tx *Tx) error) (final bool, err error) {
	tx, err := db.Begin(ctx, o)
	if err != nil {
		return true, err
	}
	defer tx.end()
	if err := fn(tx); err != nil {
		tx.end()
		if wait := tx.settleReads(); wait != nil {
			return true, errors.Join(err, wait)
		}
		return true, err
	}
	return false, tx.Commit()
}

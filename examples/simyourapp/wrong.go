package main

import (
	"context"
	"time"

	"github.com/aegis-storage/aegis"
)

// Three mistakes that programs make. Each passes every ordinary test: one needs a crash to show,
// one a power cut, one another worker at the wrong moment.

// TransferInSteps is Transfer in two transactions: a crash between them takes money out of the
// world.
func (b *Bank) TransferInSteps(ctx context.Context, t Transfer) error {
	err := b.db.Update(ctx, func(tx *aegis.Tx) error { return add(tx, t.From, -t.Cents) })
	if err != nil {
		return err
	}
	return b.db.Update(ctx, func(tx *aegis.Tx) error {
		if err := add(tx, t.To, t.Cents); err != nil {
			return err
		}
		return tx.Put(receipt(t.ID), nil)
	})
}

// DoneEarly is Done that answers before the commit is durable: after a power cut the job, which the
// worker takes for finished, is handed out again.
func (q *Queue) DoneEarly(ctx context.Context, job Job) error {
	early := aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}
	return q.db.UpdateWith(ctx, early, func(tx *aegis.Tx) error { return finish(tx, job) })
}

// TakeInSteps is Take that looks for a job first, and writes its lease in a second transaction: two
// workers that look at the same time get the same job.
func (q *Queue) TakeInSteps(ctx context.Context, lease time.Duration) (job Job, err error) {
	err = q.db.View(ctx, func(tx *aegis.Tx) error {
		job, err = q.free(tx)
		return err
	})
	if err != nil {
		return job, err
	}
	return job, q.db.Update(ctx, func(tx *aegis.Tx) error { return put(tx, q.lease(&job, lease)) })
}

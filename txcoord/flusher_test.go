package txcoord

import (
	"errors"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// fakeFlusher plays flusher: flushes end in order, each with a table that holds no key of the
// script's; merges replace tables.
type fakeFlusher struct {
	w       *world
	queue   []messages.Flush
	sent    pages.Seq // last Flush received
	covered pages.Seq
	debt    int
	failing bool
	final   bool // the final checkpoint is published
	live    []*pages.Table
	retired []*pages.Table // not reclaimed yet
	no      uint64         // of the last message to txcoord
	seen    uint64         // acknowledged
}

// newTable is a table that no read of a script needs to open.
func newTable() *pages.Table {
	return pages.NewTable(pages.TableMeta{Min: []byte("~"), Max: []byte("~")}, nil, nil)
}

// runs are the live tables, one in a run.
func (f *fakeFlusher) runs() (runs []*pages.Run) {
	for _, t := range slices.Backward(f.live) {
		runs = append(runs, &pages.Run{Tables: []*pages.Table{t}})
	}
	return runs
}

// has reports whether the View has the table.
func has(v *versions.View, t *pages.Table) bool {
	return slices.ContainsFunc(v.Runs, func(r *pages.Run) bool { return slices.Contains(r.Tables, t) })
}

func (f *fakeFlusher) receive(msg messages.ToFlusher) {
	switch msg := msg.(type) {
	case messages.Flush:
		if msg.UpTo < f.sent || msg.UpTo == f.sent && !msg.Final {
			f.w.fatalf("flush up to %d after %d", msg.UpTo, f.sent)
		}
		if f.w.wal != nil && msg.UpTo > f.w.wal.synced {
			f.w.fatalf("flush up to %d, synced is %d", msg.UpTo, f.w.wal.synced)
		}
		f.w.must(f.w.model.checkIndex(f.w, msg))
		msg.Index.Order()
		f.sent = msg.UpTo
		f.queue = append(f.queue, msg)
	case messages.Reclaim:
		f.reclaim(msg.Tables)
	case messages.Seen:
		if msg.UpTo <= f.seen || msg.UpTo > f.no {
			f.w.fatalf("seen up to %d after %d, sent are %d", msg.UpTo, f.seen, f.no)
		}
		f.seen = msg.UpTo
	}
}

// number is the next message's.
func (f *fakeFlusher) number() uint64 {
	f.no++
	return f.no
}

// reclaim checks that neither the View of today nor an open snapshot has the tables.
func (f *fakeFlusher) reclaim(tables []*pages.Table) {
	for _, t := range tables {
		at := slices.Index(f.retired, t)
		if at < 0 || has(f.w.pub.View.Load(), t) {
			f.w.fatalf("a table is reclaimed that was not retired")
		}
		for _, s := range f.w.open {
			if !s.Expired() && has(s.view, t) {
				f.w.fatalf("a table is reclaimed under a snapshot of view %d", s.view.Epoch)
			}
		}
		f.retired = slices.Delete(f.retired, at, at+1)
		f.w.count("reclaimed")
	}
}

// publish ends the oldest flush: published, or failed and tried again later.
func (f *fakeFlusher) publish() {
	if f.failing {
		f.w.count("flush failed")
		f.w.send(messages.FlushFailed{No: f.number(), Err: errors.New("cannot write")})
		return
	}
	msg := f.queue[0]
	f.queue = f.queue[1:]
	f.covered = msg.UpTo
	f.debt++
	f.final = f.final || msg.Final
	f.live = append(f.live, newTable())
	if f.w.wal != nil {
		f.w.wal.live = 0
		for _, batch := range f.w.model.batches[f.covered:f.w.wal.last] {
			f.w.wal.live += messages.CreditFor(len(batch))
		}
	}
	f.w.count("flush")
	f.w.send(messages.Flushed{No: f.number(), Runs: f.runs(), Covered: f.covered, Debt: f.debt, Final: f.final})
}

// merge lowers the debt and retires tables.
func (f *fakeFlusher) merge() {
	if f.failing {
		f.w.count("merge failed")
		f.w.send(messages.FlushFailed{No: f.number(), Err: errors.New("cannot merge"), Merge: true})
		return
	}
	f.debt = max(0, f.debt-1-f.w.n(3))
	gone := slices.Clone(f.live[f.w.n(len(f.live)+1):])
	f.live = append(slices.Clone(f.live[:len(f.live)-len(gone)]), newTable())
	f.retired = append(f.retired, gone...)
	f.w.send(messages.Flushed{No: f.number(), Runs: f.runs(), Covered: f.covered, Debt: f.debt, Retired: gone, Final: f.final})
}

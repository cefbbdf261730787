package aegis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/walwriter"
)

// Verify reads all that is stored, past the cache: every page of every table, both copies of
// the checkpoint and the log. It returns nil if all of it is sound, and otherwise every fault
// that was found, joined: *CorruptionErrors that name file and offset, and errors of reading.
// The store goes on meanwhile; ErrSnapshotTooOld is one of the errors if it went on so far that the
// tables could not be kept for Verify. When ctx ends, its error is joined with the faults that were
// found until then. Tables are read side by side, on every processor. progress (nil:
// nobody) is told bytes, by one goroutine at a time; it must not call back into the store.
func (db *DB) Verify(ctx context.Context, progress func(Progress)) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	if progress == nil {
		progress = func(Progress) {}
	}
	errs := db.verifyTables(ctx, progress)
	if err := ctx.Err(); err != nil {
		errs = slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, err) })
		return errors.Join(append(errs, err)...)
	}
	progress(Progress{Stage: "log"})
	return errors.Join(append(errs, db.verifyLog(ctx))...)
}

// verifyTables returns what is wrong with the tables of the present View, in their order.
func (db *DB) verifyTables(ctx context.Context, progress func(Progress)) (errs []error) {
	snap := db.pub.Acquire(false, db.rt.Now())
	defer snap.Release()
	view := snap.View()
	if view == nil {
		return []error{ErrSnapshotTooOld}
	}
	errs = verifyRuns(ctx, db.rt, view.Runs, progress)
	if snap.Expired() {
		errs = append(errs, ErrSnapshotTooOld) // its tables went before they were read
	}
	return errs
}

// verifyRuns returns what is wrong with runs and their tables, in their order.
func verifyRuns(ctx context.Context, rt Runtime, runs []*pages.Run, progress func(Progress)) (errs []error) {
	var tables []*pages.Table
	p := Progress{Stage: "tables", Unit: "bytes"}
	for i, r := range runs {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("aegis: run %d: %w", i, err))
		}
		for _, t := range r.Tables {
			tables = append(tables, t)
			p.Total += t.Meta().Size
		}
	}
	var told sync.Mutex
	found := make([][]error, len(tables))
	rt.Parallel(len(tables), func(i int) {
		found[i] = tables[i].Verify(ctx, func(n int64) {
			told.Lock()
			defer told.Unlock()
			p.Done += n
			progress(p)
		})
	})
	return append(errs, slices.Concat(found...)...)
}

// verifyLog reads the checkpoint's copies and replays the log into nothing. The flusher keeps both
// meanwhile. The engine goes on writing to the log: what only looks like a fault because of that
// does not look the same twice.
func (db *DB) verifyLog(ctx context.Context) error {
	c, unhold, err := db.checkCheckpoint(ctx)
	defer unhold()
	if err != nil || !c.Log || c.Clean {
		return err
	}
	var last error
	for range verifyAttempts {
		err := db.replayNothing(ctx, c)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if last != nil && last.Error() == err.Error() {
			return err
		}
		last = err
	}
	return last
}

// verifyAttempts bounds how often a log is read that looks different each time.
const verifyAttempts = 100

// checkCheckpoint checks the published checkpoint, and returns it. It stays, with its log, until unhold.
func (db *DB) checkCheckpoint(ctx context.Context) (c *flusher.Checkpoint, unhold func(), err error) {
	if db.opts.ReadOnly {
		c, err = flusher.CheckNewest(db.backend)
		return c, func() {}, err
	}
	held, release, err := db.graph.Hold(ctx)
	if err != nil {
		return nil, func() {}, err
	}
	unhold = func() { release(true) }
	if err := flusher.CheckCopies(db.backend, held.Checkpoint); err != nil {
		return nil, unhold, err
	}
	c, err = flusher.LoadNumber(db.backend, held.Checkpoint)
	return c, unhold, err
}

// replayNothing reads the log above a checkpoint.
func (db *DB) replayNothing(ctx context.Context, c *flusher.Checkpoint) error {
	from := walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch}
	log, err := walwriter.Recover(db.backend, from, func(pages.Seq, []byte) error { return ctx.Err() }, func(int64, int64) {})
	if err != nil {
		return err
	}
	return errors.Join(append(log.Copies(), log.Close())...)
}

package aegis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
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
// tables could not be kept for Verify. Tables are read side by side, on every processor. progress (nil:
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
		return err
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

// verifyLog reads the checkpoint's copies and replays the log into nothing, which the engine goes
// on writing, recycling and removing meanwhile. What only looks like a fault because of that does
// not look the same twice.
func (db *DB) verifyLog(ctx context.Context) error {
	var last error
	for range verifyAttempts {
		err := db.verifyLogOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if last != nil && last.Error() == err.Error() && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		last = err
	}
	return last
}

// verifyAttempts bounds how often a log is read that looks different each time.
const verifyAttempts = 100

func (db *DB) verifyLogOnce(ctx context.Context) error {
	c, err := flusher.Load(db.backend)
	if err == nil && c == nil { // a directory that is read while files come and go may show neither
		err = fmt.Errorf("aegis: no checkpoint: %w", fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	published, err := db.publishedCheckpoint(ctx)
	if err == nil && c.Number <= published { // else it is being written, or a write of it has failed
		err = flusher.CheckCopies(db.backend, c.Number)
	}
	if err != nil || !c.Log || c.Clean {
		return err
	}
	from := walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch}
	log, err := walwriter.Recover(db.backend, from, func(pages.Seq, []byte) error { return ctx.Err() }, func(int64, int64) {})
	if err != nil {
		return err
	}
	return log.Close()
}

// publishedCheckpoint returns the number up to which checkpoints are whole if they are there.
func (db *DB) publishedCheckpoint(ctx context.Context) (uint64, error) {
	if db.opts.ReadOnly {
		return math.MaxUint64, nil
	}
	s, err := db.graph.Stats(ctx)
	return s.Flusher.CheckpointNumber, err
}

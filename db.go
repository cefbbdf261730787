package aegis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Limits of what can be stored.
const (
	MaxKeyBytes         = 32 << 10               // a key
	MaxValueBytes       = 256 << 20              // a value
	MaxTransactionBytes = messages.MaxBatchBytes // all keys and values that one transaction writes, encoded
)

// DB is an open store. All its methods are safe for concurrent use.
type DB struct {
	opts    Options
	dir     string
	codec   pages.Codec
	backend backends.Backend
	release func() error // gives the lock back
	rt      Runtime
	graph   *actors.Graph // nil when read-only
	pub     *versions.Published
	cache   *pages.Cache
	files   *flusher.FileIDs
	blocks  blockIDs
	events  *events
	watcher *watcher

	commits *sync.Pool // *messages.Commit; apart, as a pool in use keeps what it lies in alive until the second collection
	latency latencies
	opened  time.Time
	reopen  RecoveryStats

	gate     *actors.Gate // of calls that use the graph
	closeErr error
	closing  atomic.Bool
	over     *actors.Latch // closeErr is known
}

// enter admits a call that uses the graph. Every nil is followed by one leave.
func (db *DB) enter() error {
	if !db.gate.Enter() {
		return ErrClosed
	}
	return nil
}

func (db *DB) leave() { db.gate.Leave() }

func (db *DB) closed() bool { return db.gate.IsShut() }

// enterWrite is enter for calls that write.
func (db *DB) enterWrite() error {
	if db.opts.ReadOnly {
		return ErrReadOnly
	}
	return db.enter()
}

// Close takes a last checkpoint, so that the next Open has nothing to replay, and releases the
// store. Calls under way finish first; later ones get ErrClosed, open transactions too. When
// the checkpoint cannot be written Close says why; nothing is lost then, the log is still there.
// Close can be called again and returns the same.
func (db *DB) Close() error {
	if db.closing.Swap(true) {
		db.over.Wait(db.rt)
		return db.closeErr
	}
	db.closeErr = db.shutdown()
	db.over.Open()
	return db.closeErr
}

func (db *DB) shutdown() error {
	db.gate.Shut(db.rt)
	var errs []error
	if db.graph != nil {
		if !db.opts.ReadOnly {
			db.opts.Observer.Progress(Progress{Stage: "checkpoint"})
			req := &messages.Checkpoint{Final: true, Reply: messages.NewReply[error]()}
			if err := db.graph.Checkpoint(context.Background(), req); err != nil {
				errs = append(errs, fmt.Errorf("aegis: last checkpoint: %w", err))
			}
		}
		errs = append(errs, db.graph.Stop())
	}
	for _, r := range db.pub.View.Load().Runs {
		for _, t := range r.Tables {
			t.Retire()
		}
	}
	if !db.opts.ReadOnly && errors.Join(errs...) == nil {
		errs = append(errs, db.removeRetired())
	}
	errs = append(errs, db.release())
	err := errors.Join(errs...)
	level, fields := slog.LevelInfo, []slog.Attr{slog.Duration("uptime", db.rt.Now().Sub(db.opened))}
	if err != nil {
		level, fields = slog.LevelError, append(fields, slog.String("error", err.Error()))
	}
	db.events.emit(level, EventClose, fields...)
	db.events.drain(closePatience)
	return err
}

// removeRetired removes the tables that the last checkpoint does not name: those that open
// transactions, which are over now, still held.
func (db *DB) removeRetired() error {
	c, err := flusher.Load(db.backend)
	if err != nil || c == nil || !c.Clean {
		return err
	}
	if _, err := flusher.RemoveOrphans(db.backend, c); err != nil {
		return fmt.Errorf("aegis: close: %w", err)
	}
	return nil
}

// Sync returns once everything that was committed before the call is durable.
func (db *DB) Sync(ctx context.Context) error {
	if err := db.enterWrite(); err != nil {
		return err
	}
	defer db.leave()
	return db.awaitDurable(ctx, pages.MaxSeq)
}

// awaitDurable waits for durable to reach seq; the caller has entered.
func (db *DB) awaitDurable(ctx context.Context, seq pages.Seq) error {
	if seq <= pages.Seq(db.pub.Durable.Load()) {
		return nil
	}
	return db.graph.Await(ctx, &messages.Await{UpTo: seq, Reply: messages.NewReply[error]()})
}

// Checkpoint returns once everything that was committed before the call is in tables, and the
// log that held it is free for reuse. The engine takes checkpoints by itself; call it before
// copying a store's files, or to shorten the next recovery.
func (db *DB) Checkpoint(ctx context.Context) error {
	if err := db.enterWrite(); err != nil {
		return err
	}
	defer db.leave()
	return db.graph.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()})
}

// Compact flushes and then merges all tables into one run, which drops every overwritten and
// deleted entry that no open transaction sees. The engine merges by itself; Compact forces the
// best layout now, whatever it costs. progress (nil: nobody) is told bytes, from one goroutine
// at a time. When ctx ends Compact returns, and the merging goes on.
func (db *DB) Compact(ctx context.Context, progress func(Progress)) error {
	if err := db.Checkpoint(ctx); err != nil {
		return err
	}
	if err := db.enterWrite(); err != nil {
		return err
	}
	defer db.leave()
	c := &messages.Compact{Reply: messages.NewReply[error]()}
	if progress != nil {
		c.Progress = func(done, total int64) {
			progress(Progress{Stage: "compact", Done: done, Total: total, Unit: "bytes"})
		}
	}
	return db.graph.Compact(ctx, c)
}

// String returns the effective configuration.
func (db *DB) String() string { return db.opts.String() }

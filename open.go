package aegis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/evictor"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
	"github.com/aegis-storage/aegis/walwriter"
)

// RecoveryStats tell what Open had to do.
type RecoveryStats struct {
	Clean     bool          // the store was closed properly, nothing was replayed
	Records   int64         // commits replayed from the log
	Bytes     int64         // log bytes read
	TornBytes int64         // bytes of an unfinished group that were cut at the log's end
	Orphans   int           // files of unfinished jobs that were removed
	Took      time.Duration // the whole of Open
}

// Open opens the store in dir, and makes one if the directory is empty or missing. nil Options
// are durable local files; with Options.Backend dir is not used. It fails at once with ErrLocked
// if another process has the store, with ErrNotAegis if the directory holds something else, and
// with a *CorruptionError if the store is damaged in a way that would lose data silently.
func Open(dir string, options *Options) (*DB, error) {
	opts, err := options.effective()
	if err != nil {
		return nil, err
	}
	codec, err := opts.Compression.codec(opts.CompressionLevel)
	if err != nil {
		return nil, err
	}
	if opts.Runtime == nil {
		opts.Runtime = actors.Goroutines{}
	}
	backend := opts.Backend
	if backend == nil {
		if backend, err = backends.NewLocal(dir, opts.ReadOnly); err != nil {
			return nil, fmt.Errorf("aegis: open %s: %w", dir, err)
		}
	}
	if err := refuseForeign(backend); err != nil { // before the lock, which makes a file
		return nil, fmt.Errorf("aegis: open %s: %w", dir, err)
	}
	release, err := backend.Lock(!opts.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("aegis: open %s: %w", dir, err)
	}
	db := &DB{
		opts: opts, dir: dir, codec: codec, backend: backend, release: release,
		rt: opts.Runtime, events: newEvents(opts.Runtime, dir, opts.Logger), pub: &versions.Published{}, gate: actors.NewGate(), over: actors.NewLatch(),
		latency: latencies{rt: opts.Runtime}, commits: new(sync.Pool),
	}
	db.watcher = newWatcher(db)
	if err := db.open(); err != nil {
		db.events.drain(closePatience)
		return nil, errors.Join(fmt.Errorf("aegis: open %s: %w", dir, spaceError(err)), release())
	}
	return db, nil
}

// open recovers the state and starts the actors.
func (db *DB) open() error {
	start := db.rt.Now()
	recovered := db.watcher.beginSpan(SpanRecovery)
	r, err := db.restart()
	if recovered != nil {
		recovered(err)
	}
	if err != nil {
		return err
	}
	db.reopen = RecoveryStats{
		Clean: r.checkpoint.Clean, Records: r.log.Records(), Bytes: r.log.Bytes(),
		TornBytes: r.log.TornBytes(), Orphans: r.orphans, Took: db.rt.Now().Sub(start),
	}
	db.opened = start
	if s := &db.reopen; !s.Clean {
		db.events.emit(slog.LevelInfo, EventRecovery, slog.Int64("records", s.Records), slog.Int64("bytes", s.Bytes),
			slog.Int64("torn_bytes", s.TornBytes), slog.Int("orphans", s.Orphans))
	}
	db.events.emit(slog.LevelInfo, EventOpen, slog.Bool("clean", db.reopen.Clean), slog.Bool("read_only", db.opts.ReadOnly),
		slog.Uint64("seq", uint64(r.last)), slog.Duration("took", db.reopen.Took))
	return db.dropUnpublished(r.checkpoint.Pending)
}

// restart recovers the state and starts the actors on it.
func (db *DB) restart() (*recovered, error) {
	r, err := db.recover()
	if err != nil {
		return nil, err
	}
	if db.opts.DisableWAL && !db.opts.ReadOnly && (!r.checkpoint.Clean || r.log.Records() > 0) {
		if err := db.absorbLog(); err != nil {
			return nil, err
		}
		if r, err = db.recover(); err != nil {
			return nil, err
		}
	}
	return r, db.start(r)
}

// recovered is the state that the backend holds.
type recovered struct {
	checkpoint *flusher.Checkpoint
	runs       []*pages.Run
	log        *walwriter.Recovered
	active     *versions.Index
	last       pages.Seq
	orphans    int
	lostLoad   error // a bulk load whose tables are gone
	first      bool  // the checkpoint was published by this Open, as the first of a new store
}

// recover reads the newest checkpoint and replays the log behind it, in memory. It changes
// nothing on the backend, except that it makes the first checkpoint of a new store.
func (db *DB) recover() (*recovered, error) {
	c, first, err := db.loadCheckpoint()
	if err != nil {
		return nil, err
	}
	db.cache = pages.NewCache(db.rt, db.pagesLoaded)
	db.cache.TimeLoads(db.rt.Now, db.latency.load.record)
	db.cache.OnDamage(db.watcher.damage)
	r := &recovered{checkpoint: c, last: c.Freeze, first: first}
	if r.runs, err = flusher.Open(db.backend, c, db.cache); err != nil {
		return nil, err
	}
	limits := db.opts.Limits
	r.active = versions.NewIndex(c.Freeze, versions.IndexOptions{ChunkBytes: limits.ChunkBytes})
	from := walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch, Clean: c.Clean || !c.Log}
	log, err := walwriter.NewReplay(db.backend, from, func(done, total int64) {
		db.opts.Observer.Progress(Progress{Stage: "recovery", Done: done, Total: total, Unit: "bytes"})
	})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if err := r.replay(log, db.rt, limits.ChunkBytes); err != nil {
		return nil, err
	}
	r.log = log.Recovered()
	return r, nil
}

// loadCheckpoint returns the newest checkpoint. In an empty directory it publishes the first
// one: empty, clean, of epoch 1. From then on the directory is a store's.
func (db *DB) loadCheckpoint() (c *flusher.Checkpoint, first bool, err error) {
	if c, err = flusher.Load(db.backend); c != nil {
		return c, false, nil
	}
	if err := refuseUnfinished(db.backend, err); err != nil {
		return nil, false, err
	}
	files, err := db.backend.List()
	if err != nil {
		return nil, false, err
	}
	for _, f := range files {
		switch {
		case !isOurs(f.Name):
			return nil, false, fmt.Errorf("%w (found %q)", ErrNotAegis, f.Name)
		case !strings.HasPrefix(f.Name, "checkpoint-"): // such a one is torn, of an Open that a crash ended
			return nil, false, &CorruptionError{File: f.Name, What: "a store's file, but the store's checkpoint is missing"}
		}
	}
	if db.opts.ReadOnly {
		return nil, false, ErrNoStore
	}
	// An attempt before this one may have left files that it removed again, but not for good: beside
	// what this one leaves they would look like a store that has lost its checkpoint.
	if err := db.backend.SyncDir(); err != nil {
		return nil, false, err
	}
	c = &flusher.Checkpoint{Number: 1, Epoch: 1, NextFile: 1, Clean: true, Log: true}
	return c, true, flusher.Publish(db.backend, c)
}

// refuseForeign answers ErrNotAegis for a directory in which nothing is a store's.
func refuseForeign(b backends.Backend) error {
	files, err := b.List()
	if err != nil {
		return err
	}
	for _, f := range files {
		if isOurs(f.Name) {
			return nil
		}
	}
	if len(files) > 0 {
		return fmt.Errorf("%w (found %q)", ErrNotAegis, files[0].Name)
	}
	return nil
}

// storeFile matches the names of a store's files.
var storeFile = regexp.MustCompile(`^(checkpoint-[0-9a-f]{16}\.[ab]|table-[0-9a-f]{16}|wal-[0-9a-f]{8}|` + unfinishedName + `)$`)

// isOurs reports whether a file could be a store's, by its name.
func isOurs(name string) bool { return storeFile.MatchString(name) }

// start rewrites what recovery could not be sure of, publishes a checkpoint of the new epoch,
// and starts the actors. Until here nothing that was read has been answered to anybody.
func (db *DB) start(r *recovered) (err error) {
	if db.opts.ReadOnly {
		db.startReading(r)
		return nil
	}
	limits := *db.opts.Limits
	c := *r.checkpoint
	c.Number++
	c.Epoch = max(c.Epoch, r.log.Epoch()) + 1
	c.Clean, c.Log = false, !db.opts.DisableWAL
	if c.Store == (flusher.StoreID{}) {
		c.Store = newStoreID(db.rt.Now(), db.dir, c.Store)
	}
	var m actors.Machines
	if c.Log {
		if err := db.makeDurable(r); err != nil {
			return err
		}
		if m.Walwriter, err = r.log.Start(walwriter.Config{Backend: db.backend, Limits: limits, Epoch: c.Epoch}); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, m.Walwriter.Close())
			}
		}()
	}
	if err = flusher.Publish(db.backend, &c); err != nil {
		return err
	}
	if err = removeMark(db.backend); err != nil {
		return err
	}
	if !c.Log { // only now does a checkpoint say that there is none
		if err := walwriter.RemoveAll(db.backend); err != nil {
			return err
		}
	}
	if r.orphans, err = flusher.RemoveOrphans(db.backend, &c); err != nil {
		return err
	}
	db.blocks.epoch = c.Epoch
	db.files = flusher.NewFileIDs(c.NextFile)
	m.Txcoord = txcoord.New(txcoord.Config{
		Limits: limits, Published: db.pub, Active: r.active, Runs: r.runs, RunSeq: c.Freeze, Last: r.last, Log: c.Log,
		MaxSnapshotAge: db.opts.MaxSnapshotAge,
	})
	m.Flusher = flusher.New(flusher.Config{
		Backend: db.backend, Limits: limits, Cache: db.cache, Checkpoint: &c, Runs: r.runs, Codec: db.codec, Files: db.files,
	})
	m.Evictor = db.newEvictor()
	db.graph = actors.New(db.rt, limits, db.pub, m, db.failed)
	db.graph.Observe(db.watcher)
	db.graph.Start()
	return nil
}

// makeDurable publishes the recovered checkpoint once more, as it is. What recovery read may be in
// the system's cache only, when the process before this one was killed. A log segment that builds on
// it must not outlive it.
func (db *DB) makeDurable(r *recovered) error {
	if r.first {
		return nil
	}
	same := *r.checkpoint
	same.Number++
	err := flusher.Publish(db.backend, &same)
	if !errors.Is(err, backends.ErrNoSpace) {
		return err
	}
	if err := r.log.MakeRoom(); err != nil {
		return err
	}
	return flusher.Publish(db.backend, &same)
}

// startReading publishes the one View that a read-only store has; only the evictor runs.
func (db *DB) startReading(r *recovered) {
	limits := *db.opts.Limits
	txcoord.New(txcoord.Config{
		Limits: limits, Published: db.pub, Active: r.active, Runs: r.runs, RunSeq: r.checkpoint.Freeze, Last: r.last, Log: true,
	})
	db.graph = actors.New(db.rt, limits, db.pub, actors.Machines{Evictor: db.newEvictor()}, db.failed)
	db.graph.Start()
}

func (db *DB) newEvictor() *evictor.Machine {
	return evictor.New(evictor.Config{Cache: db.cache, Budget: db.opts.MemoryBudget, LiveRatio: db.rt.LiveRatio})
}

// pagesLoaded is the cache's wake-up. Nothing is loaded before the graph is there.
func (db *DB) pagesLoaded() { db.graph.PagesLoaded() }

// failed is told of a machine that broke an invariant.
func (db *DB) failed(err error) { db.watcher.Poisoned(err) }

// absorbLog brings what a log holds into tables, for a store that goes on without one: it opens
// with the log and closes cleanly.
func (db *DB) absorbLog() error {
	opts := db.opts
	opts.DisableWAL = false
	with := db.twin(opts)
	// The cache of r wakes db, which has no graph yet.
	r, err := with.recover()
	if err != nil {
		return err
	}
	if err := with.start(r); err != nil {
		return err
	}
	return with.Close()
}

// twin returns another DB over the same backend, whose state is its own. It holds no lock, and tells no
// events.
func (db *DB) twin(opts Options) *DB {
	d := &DB{
		opts: opts, dir: db.dir, codec: db.codec, backend: db.backend, release: func() error { return nil },
		rt: db.rt, events: newEvents(db.rt, db.dir, nil), pub: &versions.Published{}, gate: actors.NewGate(), over: actors.NewLatch(),
		cache: db.cache, latency: latencies{rt: db.rt}, commits: new(sync.Pool),
	}
	d.watcher = newWatcher(d)
	return d
}

// dropUnpublished drops the keyspaces of bulk loads that a crash ended between the checkpoint
// that named their tables and the commit that would have named the keyspace. The commits that took
// their ids may be lost, though the checkpoint is not: the counter is taken beyond them once more.
func (db *DB) dropUnpublished(pending []pages.KeyspaceID) error {
	if len(pending) == 0 || db.opts.ReadOnly {
		return nil
	}
	drop := func(tx *Tx) error {
		named, err := tx.keyspaceIDs()
		if err != nil {
			return err
		}
		for _, id := range pending {
			if named[id] {
				continue
			}
			if err := tx.set(pages.DropKey(id), nil, pages.KindValue); err != nil {
				return err
			}
			if err := tx.skipKeyspaceID(id); err != nil {
				return err
			}
		}
		return nil
	}
	err := db.Update(context.Background(), drop)
	for errors.Is(err, ErrSnapshotTooOld) { // a MaxSnapshotAge that a busy machine reaches here must not keep a store shut
		err = db.Update(context.Background(), drop)
	}
	return err
}

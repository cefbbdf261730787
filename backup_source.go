package aegis

import (
	"context"
	"errors"
	"io/fs"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// backupSource flushes what is committed, and pins the tables of a published checkpoint that covers
// it. The caller has entered.
func (db *DB) backupSource(ctx context.Context) (*backupSource, error) {
	if db.opts.ReadOnly {
		return db.readOnlySource()
	}
	if err := db.graph.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()}); err != nil {
		return nil, err
	}
	for {
		src, err := db.pinCheckpoint(ctx)
		if src != nil || err != nil {
			return src, err
		}
	}
}

// pinCheckpoint pins the tables of the checkpoint that is published now. It answers nil if another
// one was published meanwhile. A table is pinned through the View, as its readers do; the View
// and the checkpoint are those of one moment if the one has all tables of the other:
//
//	backup                          flusher, txcoord
//	n = published
//	                                publish n+1, View without table 7
//	pin the tables of the View
//	read checkpoint n: table 7 is not pinned, or the file is gone: again
//
// A View that is behind is not met twice: the second question of the flusher's figures is answered
// after txcoord has taken in what it was told before the first.
func (db *DB) pinCheckpoint(ctx context.Context) (*backupSource, error) {
	number, err := db.publishedCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	var pinned []*pages.Table
	unpin := func() {
		for _, t := range pinned {
			t.Unpin()
		}
	}
	for _, r := range db.pub.View.Load().Runs {
		for _, t := range r.Tables {
			if !t.TryPin() {
				unpin()
				return nil, nil // the View is an old one
			}
			pinned = append(pinned, t)
		}
	}
	c, err := flusher.LoadNumber(db.backend, number)
	if err == nil && !allPinned(pinned, c) {
		err = fs.ErrNotExist
	}
	var runs []*pages.Run
	if err == nil {
		runs, err = flusher.Open(db.backend, c, pages.NewCache(db.rt, nil))
	}
	if err != nil {
		unpin()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	src := newBackupSource(c, runs, db.backend)
	retire := src.release
	src.release = func() {
		retire()
		unpin()
	}
	return src, nil
}

// allPinned reports whether every table that c names is among those that are pinned.
func allPinned(pinned []*pages.Table, c *flusher.Checkpoint) bool {
	ids := make(map[pages.FileID]bool, len(pinned))
	for _, t := range pinned {
		ids[t.Meta().ID] = true
	}
	for _, m := range checkpointTables(c) {
		if !ids[m.ID] {
			return false
		}
	}
	return true
}

// newBackupSource makes a source of tables that nobody else reads: those that the store's readers
// have refuse every read once they are retired, pinned or not.
func newBackupSource(c *flusher.Checkpoint, runs []*pages.Run, stored backends.Backend) *backupSource {
	s := &backupSource{checkpoint: c, tables: map[pages.FileID]*pages.Table{}, stored: stored}
	for _, r := range runs {
		for _, t := range r.Tables {
			s.tables[t.Meta().ID] = t
		}
	}
	s.release = func() {
		for _, r := range runs {
			for _, t := range r.Tables {
				t.Retire() // closes its file
			}
		}
	}
	return s
}

// readOnlySource is the state that a store has which nobody writes: its checkpoint, and what the
// log holds above it, as tables in memory.
func (db *DB) readOnlySource() (*backupSource, error) {
	own := db.twin(db.opts)
	own.graph = db.graph
	r, err := own.recover()
	if err != nil {
		return nil, err
	}
	c, runs, built := r.checkpoint, r.runs, backends.NewMemory()
	if r.last > c.Freeze {
		c, runs, err = flusher.Absorb(flusher.Config{
			Backend: built, Limits: *db.opts.Limits, Cache: own.cache, Checkpoint: c, Runs: runs, Codec: db.codec,
		}, r.active, r.last)
		if err != nil {
			return nil, err
		}
	}
	src := newBackupSource(c, runs, db.backend)
	src.built, src.firstBuilt = built, r.checkpoint.NextFile
	return src, nil
}

package aegis

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// backupSource is a state of the store whose table files stay until release is called.
type backupSource struct {
	checkpoint *flusher.Checkpoint
	tables     map[pages.FileID]*pages.Table // those of the checkpoint
	stored     backends.Backend
	built      backends.Backend // has the tables from firstBuilt on
	firstBuilt pages.FileID
	release    func()
}

// backend returns where a table's file is.
func (s *backupSource) backend(id pages.FileID) backends.Backend {
	if s.built != nil && id >= s.firstBuilt {
		return s.built
	}
	return s.stored
}

// read reads a table's file piece by piece into buf and has each taken.
func (s *backupSource) read(ctx context.Context, id pages.FileID, buf []byte, take func(off int64, n int) error) (err error) {
	name, size := pages.TableName(id), s.tables[id].Meta().Size
	f, err := s.backend(id).Open(name)
	if err != nil {
		return fmt.Errorf("aegis: backup: open %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(size-off, int64(len(buf))))
		if got, err := f.ReadAt(buf[:n], off); got < n {
			return fmt.Errorf("aegis: backup: read %s at %d: %w", name, off, errors.Join(err, io.ErrUnexpectedEOF))
		}
		if err := take(off, n); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// backupSource flushes what is committed, and pins the tables of a published checkpoint that covers
// it. The caller has entered.
func (db *DB) backupSource(ctx context.Context) (*backupSource, error) {
	if db.opts.ReadOnly {
		return db.readOnlySource()
	}
	if err := db.graph.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()}); err != nil {
		return nil, err
	}
	return db.pinCheckpoint(ctx)
}

// pinCheckpoint pins the tables of the checkpoint that is published now.
func (db *DB) pinCheckpoint(ctx context.Context) (*backupSource, error) {
	held, unhold, err := db.graph.Hold(ctx)
	if err != nil {
		return nil, err
	}
	c, err := flusher.LoadNumber(db.backend, held.Checkpoint)
	var runs []*pages.Run
	if err == nil {
		runs, err = flusher.Open(db.backend, c, pages.NewCache(db.rt, nil))
	}
	unhold(err != nil)
	if err != nil {
		return nil, err
	}
	src := newBackupSource(c, runs, db.backend)
	retire := src.release
	src.release = func() {
		retire()
		for _, t := range held.Tables {
			t.Unpin()
		}
	}
	return src, nil
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

package aegis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// RestoreOptions configure Restore. nil is the zero value.
type RestoreOptions struct {
	// Backend gets the store's files. Default: nil: files in the directory given to Restore.
	Backend backends.Backend

	// Progress is told how far Restore is, by one goroutine at a time: the stages "restore" and
	// "tables", in bytes. Default: nil: nobody is told.
	Progress func(Progress)

	// Runtime waits on behalf of Restore. Default: nil: goroutines.
	Runtime Runtime
}

// Restore makes a store of a full backup and the incremental ones that follow it, in their order, in
// dir, which must be empty or missing (else ErrNotEmpty). It returns what the last of them says.
// Backups that do not follow each other are refused with ErrBackupChain, damaged ones with a
// *BackupError, tables that are not sound with a *CorruptionError. What the heads of the streams
// tell is found before anything is touched.
//
// Every byte is checked before there is a store: the streams' checksums, then each table as Verify
// does. The checkpoint, which makes the files a store, is written last. After a crash at any
// moment dir has no store, and Open says ErrUnfinishedRestore, or the whole one. Restore may be called
// again for such a directory, with these or other backups: it removes what the earlier attempt left
// there. When Restore fails it removes what it has written; dir itself stays, with its lock file LOCK.
//
// The store is one of its own. Its backups begin with a full one: an incremental backup of it cannot
// follow one of the store that it was made from.
func Restore(ctx context.Context, dir string, o *RestoreOptions, streams ...io.Reader) (*BackupInfo, error) {
	r := restorer{}
	if o != nil {
		r.o = *o
	}
	if r.o.Runtime == nil {
		r.o.Runtime = actors.Goroutines{}
	}
	if r.o.Progress == nil {
		r.o.Progress = func(Progress) {}
	}
	if err := r.readHeads(streams); err != nil {
		return nil, err
	}
	if err := r.restore(ctx, dir); err != nil {
		return nil, fmt.Errorf("aegis: restore to %s: %w", cmp.Or(dir, "a Backend"), spaceError(err))
	}
	return r.last().info(), nil
}

// restorer is one call of Restore.
type restorer struct {
	o       RestoreOptions
	backend backends.Backend
	streams []*backupReader
	heads   []*backupHead
	sums    []map[pages.FileID]string // by stream: of the tables that it has and the last head names
}

// restore makes the store that the heads tell of.
func (r *restorer) restore(ctx context.Context, dir string) (err error) {
	if r.backend = r.o.Backend; r.backend == nil {
		if r.backend, err = backends.NewLocal(dir, false); err != nil {
			return err
		}
	}
	t, err := claim(r.backend)
	if err != nil {
		return err
	}
	if err = r.fill(ctx); err == nil {
		last := r.last().checkpoint
		err = t.publish(copyOf(last, newStoreID(r.o.Runtime.Now(), dir, last.Store)))
	}
	return t.end(err)
}

func (r *restorer) last() *backupHead { return r.heads[len(r.heads)-1] }

// readHeads reads the heads of all streams and checks that each backup follows the one before, and
// that all tables of the last are there.
func (r *restorer) readHeads(streams []io.Reader) error {
	if len(streams) == 0 {
		return fmt.Errorf("%w: there is none to restore", ErrBackupChain)
	}
	for i, s := range streams {
		in := newBackupReader(s, i)
		h, err := in.head()
		if err != nil {
			return err
		}
		r.streams, r.heads = append(r.streams, in), append(r.heads, h)
		switch {
		case i == 0 && h.since != (backupID{}):
			return fmt.Errorf("%w: the first, %s, is an incremental one that needs %s before it", ErrBackupChain, h.id, h.since)
		case i > 0 && h.since == (backupID{}):
			return fmt.Errorf("%w: number %d, %s, is a full one: it stands alone, or comes first", ErrBackupChain, i+1, h.id)
		case i > 0 && h.since != r.heads[i-1].id:
			return fmt.Errorf("%w: number %d, %s, needs %s before it, not %s", ErrBackupChain, i+1, h.id, h.since, r.heads[i-1].id)
		}
	}
	return r.assign()
}

// assign finds, for each table of the last head, the stream that has it with the same contents.
func (r *restorer) assign() error {
	r.sums = make([]map[pages.FileID]string, len(r.heads))
	for i := range r.heads {
		r.sums[i] = map[pages.FileID]string{}
	}
	for _, m := range r.last().metas {
		sum, found := tableSum(m), false
		for i := len(r.heads) - 1; i >= 0 && !found; i-- {
			if h := r.heads[i]; h.has(m.ID) && tableSum(h.table(m.ID)) == sum {
				r.sums[i][m.ID], found = sum, true
			}
		}
		if !found {
			return fmt.Errorf("%w: none of them has %s as %s needs it", ErrBackupChain, pages.TableName(m.ID), r.last().id)
		}
	}
	return nil
}

// fill writes the tables, syncs them, and verifies what is there then.
func (r *restorer) fill(ctx context.Context) error {
	p := Progress{Stage: "restore", Unit: "bytes"}
	for _, h := range r.heads {
		p.Total += h.info().Bytes
	}
	for i, h := range r.heads {
		w := tableWriter{backend: r.backend}
		err := r.streams[i].files(ctx, h, func(m *pages.TableMeta, off int64, b []byte) error {
			p.Done += int64(len(b))
			r.o.Progress(p)
			if r.sums[i][m.ID] == "" {
				return nil // replaced later on
			}
			return w.write(m, off, b)
		})
		if err = errors.Join(err, w.close()); err != nil {
			return err
		}
	}
	return verifyStore(ctx, r.o.Runtime, r.backend, r.last().checkpoint, r.o.Progress)
}

// verifyStore verifies all tables that a checkpoint, which need not be published, names.
func verifyStore(ctx context.Context, rt Runtime, b backends.Backend, c *flusher.Checkpoint, progress func(Progress)) error {
	runs, err := flusher.Open(b, c, pages.NewCache(rt, nil))
	if err != nil {
		return err
	}
	err = errors.Join(verifyRuns(ctx, rt, runs, progress)...)
	for _, run := range runs {
		for _, t := range run.Tables {
			t.Retire() // closes its file
		}
	}
	return cmp.Or(ctx.Err(), err)
}

// tableWriter writes tables that come in pieces, each from its first byte to its last.
type tableWriter struct {
	backend backends.Backend
	file    backends.File // of the table under way
}

// write writes b at off of the table m. A table whose last byte is written is synced.
func (w *tableWriter) write(m *pages.TableMeta, off int64, b []byte) (err error) {
	if off == 0 {
		if w.file, err = w.backend.Create(pages.TableName(m.ID)); err != nil {
			return err
		}
	}
	if _, err := w.file.WriteAt(b, off); err != nil {
		return err
	}
	if off+int64(len(b)) < m.Size {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	return w.close()
}

// close closes the table under way, if there is one.
func (w *tableWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	return err
}

package flusher

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

const (
	// writeBytes of a table are written at once.
	writeBytes = 256 << 10
	// syncBytes is how much of a table may be unsynced: a commit's sync waits for a device that
	// is busy with less than this.
	syncBytes = 8 << 20
	// yieldBytes of reading and writing come between two yields of a job: about 0.3 ms.
	yieldBytes = 64 << 10
)

// FileIDs hands out the ids of table files. It is safe for concurrent use: jobs and bulk loads
// share one.
type FileIDs struct{ next atomic.Uint64 }

// NewFileIDs starts at next, which no file of the store may have reached.
func NewFileIDs(next pages.FileID) *FileIDs {
	f := &FileIDs{}
	f.next.Store(uint64(next))
	return f
}

// Next returns an id that was not given out before.
func (f *FileIDs) Next() pages.FileID { return pages.FileID(f.next.Add(1) - 1) }

// Bound is above every id that was given out.
func (f *FileIDs) Bound() pages.FileID { return pages.FileID(f.next.Load()) }

// CreateTable creates a table file under a fresh id. Ids whose file exists (a job that a crash
// ended had them) are passed over.
func (f *FileIDs) CreateTable(b backends.Backend) (backends.File, pages.FileID, error) {
	for {
		id := f.Next()
		file, err := b.Create(pages.TableName(id))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("flusher: create table %d: %w", id, err)
		}
		return file, id, nil
	}
}

// pacer calls a job's yield once in yieldBytes of work.
type pacer struct {
	yield messages.Yield
	spent int
}

// spend counts n bytes of work. The error is messages.ErrClosed when the job has to give up.
func (p *pacer) spend(n int) error {
	if p.spent += n; p.spent < yieldBytes {
		return nil
	}
	p.spent = 0
	if !p.yield() {
		return messages.ErrClosed
	}
	return nil
}

// tableFile is the io.Writer that a pages.Builder, which gathers, writes one table to.
type tableFile struct {
	file   backends.File
	id     pages.FileID
	off    int64 // bytes written
	synced int64 // of them, synced
	pace   *pacer
}

// Write writes p at the end of the file, in pieces that let others in between.
func (w *tableFile) Write(p []byte) (written int, err error) {
	for written < len(p) {
		piece := p[written:min(len(p), written+writeBytes)]
		if _, err := w.file.WriteAt(piece, w.off); err != nil {
			return written, fmt.Errorf("flusher: write table %d: %w", w.id, err)
		}
		w.off += int64(len(piece))
		written += len(piece)
		if err := w.pace.spend(len(piece)); err != nil {
			return written, err
		}
		if w.off-w.synced >= syncBytes {
			if err := w.sync(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *tableFile) sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("flusher: sync table %d: %w", w.id, err)
	}
	w.synced = w.off
	return nil
}

// close syncs and closes.
func (w *tableFile) close() error {
	err := w.sync()
	if closeErr := w.file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("flusher: close table %d: %w", w.id, closeErr)
	}
	return err
}

// output writes ascending entries as tables of a run. Either finish succeeds, and all of its
// files are synced, their directory entries too; or abort removes them.
type output struct {
	backend backends.Backend
	files   *FileIDs
	options pages.TableOptions // ID is set for each table
	limit   int64              // bytes of a table
	pace    *pacer

	codec   pages.Codec
	file    *tableFile
	builder *pages.Builder
	created []pages.FileID
	tables  []pages.TableMeta
	stored  int64 // bytes of finished tables
}

// setCodec sets the codec of the entries that follow.
func (o *output) setCodec(c pages.Codec) {
	o.codec = c
	if o.builder != nil {
		o.builder.SetCodec(c)
	}
}

// add appends an entry, in a new table if the open one is full.
func (o *output) add(key, value []byte, kind pages.Kind) error {
	if o.builder != nil && o.builder.Size() >= o.limit {
		if err := o.cut(); err != nil {
			return err
		}
	}
	if o.builder == nil {
		if err := o.open(); err != nil {
			return err
		}
	}
	if err := o.builder.Add(key, value, kind); err != nil {
		return fmt.Errorf("flusher: build table %d: %w", o.file.id, err)
	}
	return nil
}

func (o *output) open() error {
	file, id, err := o.files.CreateTable(o.backend)
	if err != nil {
		return err
	}
	o.created = append(o.created, id)
	o.file = &tableFile{file: file, id: id, pace: o.pace}
	o.options.ID = id
	o.builder = pages.NewBuilder(o.file, o.options)
	o.builder.SetCodec(o.codec)
	return nil
}

// size is what was written, the open table included.
func (o *output) size() int64 { return o.stored + o.openSize() }

// openSize is the size of the open table, 0 if there is none.
func (o *output) openSize() int64 {
	if o.builder == nil {
		return 0
	}
	return o.builder.Size()
}

// cut finishes the open table, if there is one.
func (o *output) cut() error {
	if o.builder == nil {
		return nil
	}
	m, err := o.builder.Finish()
	if err != nil {
		return fmt.Errorf("flusher: finish table %d: %w", o.file.id, err)
	}
	file := o.file
	o.builder, o.file = nil, nil
	if err := file.close(); err != nil {
		return err
	}
	if file.off != m.Size {
		panic(fmt.Sprintf("flusher: table %d has %d bytes, its meta says %d", file.id, file.off, m.Size))
	}
	o.tables = append(o.tables, m)
	o.stored += m.Size
	return nil
}

// finish finishes the last table and makes the directory entries of all durable.
func (o *output) finish() error {
	if err := o.cut(); err != nil {
		return err
	}
	if len(o.created) == 0 {
		return nil
	}
	if err := o.backend.SyncDir(); err != nil {
		return fmt.Errorf("flusher: sync directory: %w", err)
	}
	return nil
}

// abort closes and removes whatever was created. What cannot be removed is left to RemoveOrphans:
// no checkpoint names it, and its id is not used again.
func (o *output) abort() {
	if o.file != nil {
		_ = o.file.file.Close()
		o.file, o.builder = nil, nil
	}
	for _, id := range o.created {
		_ = o.backend.Remove(pages.TableName(id))
	}
	o.created, o.tables = nil, nil
}

// removeJob removes the files of tables that nobody needs any more.
type removeJob struct {
	backend backends.Backend
	tables  []pages.FileID
	removed []pages.FileID // in order, those that are gone
}

// Run implements messages.FlusherJob.
func (j *removeJob) Run(yield messages.Yield) error {
	for _, id := range j.tables {
		if !yield() {
			return messages.ErrClosed
		}
		err := j.backend.Remove(pages.TableName(id))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("flusher: remove table %d: %w", id, err)
		}
		j.removed = append(j.removed, id)
	}
	return nil
}

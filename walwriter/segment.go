package walwriter

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// segment is a log file: live, a prepared spare, or waiting for its removal.
//
// Invariants:
//  1. A live segment holds the seqs base ≤ seq ≤ last, without a gap; last is base-1 if none.
//  2. A spare's file has its whole size, on the medium, and so has its directory entry.
//  3. end is a multiple of the group alignment, or is at or behind the end of the file.
type segment struct {
	slot          uint32
	file          backends.File // nil: recovered, kept only for the next recovery
	size          int64         // bytes of the file
	number, epoch uint32
	base, last    pages.Seq
	end           int64 // offset of the next group
	headerSynced  bool  // the header is known to be on the medium
}

// room is the space for further groups, in bytes.
func (s *segment) room() int64 { return max(0, s.size-s.end) }

// written is the length of the groups in the segment, in bytes.
func (s *segment) written() int64 { return max(0, s.end-dataStart) }

// writeHeader writes both copies of the header in one call.
func (s *segment) writeHeader(h *segmentHeader) error {
	buf := headers.Get().(*[headerCopyAt + headerBytes]byte)
	h.appendTo(buf[:0])
	h.appendTo(buf[:headerCopyAt])
	_, err := s.file.WriteAt(buf[:], 0)
	headers.Put(buf)
	if err != nil {
		return fmt.Errorf("write header of segment %d: %w", s.number, err)
	}
	return nil
}

// headers are both copies of a header, with zeros between them.
var headers = sync.Pool{New: func() any { return new([headerCopyAt + headerBytes]byte) }}

// close closes the file handle, if there is one.
func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// remove closes and removes the file. A file that is gone already is no error.
func (s *segment) remove(b backends.Backend) error {
	closeErr := s.close()
	if err := b.Remove(fileName(s.slot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(closeErr, fmt.Errorf("remove %s: %w", fileName(s.slot), err))
	}
	return closeErr
}

// createFile makes the file of the first free slot at or above slot.
func createFile(b backends.Backend, slot uint32) (backends.File, uint32, error) {
	for {
		f, err := b.Create(fileName(slot))
		if err == nil {
			return f, slot, nil
		}
		if !errors.Is(err, fs.ErrExist) || slot+1 == 0 {
			return nil, slot, fmt.Errorf("create %s: %w", fileName(slot), err)
		}
		slot++
	}
}

// zeroes is what files are filled with, so much at a time. It is never written to. The size matters: Linux
// keeps what one call wrote in one piece of its cache (a large folio), and each sync later goes over the
// whole piece in which a commit changed a few bytes. Smaller still makes the filling slower.
var zeroes [16 << 10]byte

// yieldEvery is how much of a file is filled between two calls of stop.
const yieldEvery = 256 << 10

// syncEvery bounds what a sync of a file that is being filled has to write at once, so that a
// commit's sync does not queue behind a whole segment.
const syncEvery = 4 << 20

// fill writes zeros over the file, syncing now and then. It stops with stop's error.
func fill(f backends.File, size int64, stop func() error) error {
	for off, unsynced := int64(0), int64(0); off < size; {
		n := min(int64(len(zeroes)), size-off)
		if _, err := f.WriteAt(zeroes[:n], off); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		off, unsynced = off+n, unsynced+n
		if unsynced >= syncEvery && off < size {
			if err := f.Sync(); err != nil {
				return fmt.Errorf("sync: %w", err)
			}
			unsynced = 0
		}
		if off%yieldEvery == 0 || off >= size {
			if err := stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

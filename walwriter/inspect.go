package walwriter

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// logFile is what recovery knows of a file before it reads the groups in it.
type logFile struct {
	name   string
	slot   uint32
	size   int64 // bytes
	header segmentHeader
	valid  bool  // a header copy is good
	bad    int64 // offset of a copy that is not like header; below zero: there is none

	// Of a file without a good header: what the groups in it say. An activated segment whose
	// two header copies were damaged still asserts what was synced before its groups.
	groups        bool
	syncedThrough pages.Seq
}

// inspect lists the log's files and reads their headers.
func inspect(b backends.Backend) ([]logFile, error) {
	list, err := b.List()
	if err != nil {
		return nil, fmt.Errorf("walwriter: list the log: %w", err)
	}
	var files []logFile
	for _, f := range list {
		slot, ok := parseFileName(f.Name)
		if !ok {
			continue
		}
		lf := logFile{name: f.Name, slot: slot, size: f.Size}
		if err := lf.open(b); err != nil {
			return nil, err
		}
		files = append(files, lf)
	}
	return files, nil
}

// open reads the header of the file, or the group headers if there is none.
func (lf *logFile) open(b backends.Backend) error {
	f, err := b.Open(lf.name)
	if err != nil {
		return fmt.Errorf("walwriter: open %s: %w", lf.name, err)
	}
	defer f.Close()
	scratch := borrow(min(lf.size, dataStart+groupHeaderBytes))
	defer scratches.Put(scratch)
	buf := *scratch
	if err := readFull(f, buf, 0); err != nil {
		return fmt.Errorf("walwriter: read %s: %w", lf.name, err)
	}
	for _, at := range headerOffsets {
		if at >= len(buf) {
			break
		}
		// What is behind it cannot be read, and to do without it would lose commits silently.
		if v := otherVersion(buf[at:]); v != 0 {
			return damaged(lf.name, int64(at), "%s", versionText(v))
		}
		// A crash while a recycled file was activated may leave one copy old and one new.
		if h, ok := decodeSegmentHeader(buf[at:]); ok && (!lf.valid || h.newer(&lf.header)) {
			lf.header, lf.valid = h, true
		}
	}
	if lf.valid || len(buf) < dataStart {
		lf.compare(buf)
		return nil
	}
	first, ok := decodeGroupHeader(buf[dataStart:])
	if !ok {
		return nil
	}
	lf.groups = true
	lf.header.number, lf.header.epoch = first.number, first.epoch
	found, err := searchGroups(f, dataStart, lf.size, first.number, first.epoch)
	if err != nil {
		return fmt.Errorf("walwriter: read %s: %w", lf.name, err)
	}
	lf.syncedThrough = found.syncedThrough
	return nil
}

// versionText tells a format version that this code does not read.
func versionText(v uint32) string {
	return fmt.Sprintf("a log segment of format version %d, this code reads %d", v, formatVersion)
}

// compare looks which copy of the header is not as it should be.
func (lf *logFile) compare(buf []byte) {
	lf.bad = -1
	for _, at := range headerOffsets {
		if at >= len(buf) {
			break
		}
		if h, ok := decodeSegmentHeader(buf[at:]); !ok || h != lf.header {
			lf.bad = int64(at)
		}
	}
}

// found is what a search for group headers came upon.
type found struct {
	syncedThrough pages.Seq // the highest that any of them says
	end           int64     // where the last of them ends; zero: there is none
}

// searchWindow is how much of a file the search reads at a time.
const searchWindow = 256 << 10

// searchGroups looks for the headers of a segment's groups between from and size, at every
// offset where one could be.
func searchGroups(f io.ReaderAt, from, size int64, number, epoch uint32) (found, error) {
	var r found
	scratch := borrow(max(0, min(searchWindow+groupHeaderBytes, size-from)))
	defer scratches.Put(scratch)
	buf := *scratch
	for off := alignUp(from, minAlign); off+groupHeaderBytes <= size; off += searchWindow {
		n := min(int64(len(buf)), size-off)
		if err := readFull(f, buf[:n], off); err != nil {
			return r, err
		}
		for at := int64(0); at < searchWindow && at+groupHeaderBytes <= n; at += minAlign {
			if binary.LittleEndian.Uint32(buf[at:]) != groupMagic {
				continue
			}
			h, ok := decodeGroupHeader(buf[at:n])
			if !ok || h.number != number || h.epoch != epoch {
				continue
			}
			r.syncedThrough = max(r.syncedThrough, h.syncedThrough)
			r.end = min(size, off+at+groupHeaderBytes+int64(h.bodyBytes))
		}
	}
	return r, nil
}

// scratches are buffers of which nothing is kept, of up to searchWindow.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// borrow returns a buffer of n bytes with anything in it. It is put back into scratches.
func borrow(n int64) *[]byte {
	b := scratches.Get().(*[]byte)
	*b = slices.Grow((*b)[:0], int(n))[:n]
	return b
}

// readFull reads all of p. A file that ends before is an error, not a short log: its size was
// asked for just before.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at offset %d: %w", len(p), off, err)
}

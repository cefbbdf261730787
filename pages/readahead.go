package pages

import (
	"errors"
	"io"
)

// readAheadBytes is read at once by cursors that pass over whole tables and share no pages.
const readAheadBytes = 256 << 10

// readAhead is a window of a file for one sequential reader. Leaves lie in key order, so the
// window serves the leaves that come next, in either direction.
type readAhead struct {
	table *Table
	start int64
	buf   []byte
	n     int
}

// read returns the stored bytes of ref; they are good until the next read.
func (r *readAhead) read(t *Table, f File, ref Ref) ([]byte, error) {
	if r.table != t {
		r.table, r.n = t, 0
	}
	length := int64(ref.Length)
	if ref.Offset >= r.start && ref.Offset+length <= r.start+int64(r.n) {
		return r.buf[ref.Offset-r.start:][:length:length], nil
	}
	if length >= readAheadBytes {
		r.n = 0
		b, err := readFull(f, t.name(), r.buf, ref)
		if cap(b) <= maxKeptScratch {
			r.buf = b[:0]
		}
		return b, err
	}
	start := ref.Offset
	if r.n > 0 && ref.Offset < r.start {
		start = max(ref.Offset+length-readAheadBytes, 0) // going backward
	}
	r.fill(f, start, min(readAheadBytes, t.meta.Size-start))
	if ref.Offset-start+length <= int64(r.n) {
		return r.buf[ref.Offset-start:][:length:length], nil
	}
	// The window was cut short, perhaps by bytes that this page does not need.
	r.n = 0
	b, err := readFull(f, t.name(), r.buf, ref)
	r.buf = b[:0]
	return b, err
}

// fill reads what it can get of the window; whoever misses a byte asks for it by itself.
func (r *readAhead) fill(f File, start, length int64) {
	r.buf = grow(r.buf[:0], int(length))[:length]
	n, err := f.ReadAt(r.buf, start)
	if err != nil && !errors.Is(err, io.EOF) {
		n = 0
	}
	r.start, r.n = start, n
}

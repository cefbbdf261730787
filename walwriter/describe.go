package walwriter

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/pages"
)

// Description is told what a log file holds, by Describe. Every function may be nil. Slices are valid
// until the function returns.
type Description struct {
	Segment func(SegmentInfo)
	Group   func(GroupInfo)
	Record  func(RecordInfo)
	// Damage is told what is not as it should be. Bytes behind the last group are none: a log ends
	// where it was written to.
	Damage func(offset int64, what string)
}

// SegmentInfo is what the header of a log file says.
type SegmentInfo struct {
	Copies        int    // of the header that are whole: 2, 1, or 0 where a group had to say it
	Number, Epoch uint32 // which segment the file is
	Base          pages.Seq
	SyncedThrough pages.Seq
	BodyThrough   pages.Seq
	Size          int64 // bytes of the file
	Align         uint32
	OtherVersion  uint32 // the format version of a whole header that this code does not read; 0: there is none
}

// GroupInfo is what the header of a group says.
type GroupInfo struct {
	Offset        int64
	BodyBytes     uint32
	SyncedThrough pages.Seq
}

// RecordInfo is a record that its checksum proves.
type RecordInfo struct {
	Offset      int64
	StoredBytes int // of the payload
	Compression string
	Seq         pages.Seq
	Batch       []byte // as messages.DecodeBatch reads it
}

// LogEnd says where the groups of a log file end.
type LogEnd struct {
	Offset      int64
	Size        int64 // bytes of the file
	Groups      int
	First, Last pages.Seq // of the records; zero: there are none
}

// IsLogName reports whether a file of a store is one of the log, by its name.
func IsLogName(name string) bool {
	_, ok := parseFileName(name)
	return ok
}

// Describe reads a log file of size bytes front to back, whatever was done to it, and tells d what it
// finds. Behind a damage it goes on with the next group that has this use of the file in its header.
// An error is one of f.
func Describe(f io.ReaderAt, size int64, d Description) (LogEnd, error) {
	w := &describer{f: f, d: d, end: LogEnd{Size: size, Offset: min(size, dataStart)}}
	if err := w.header(); err != nil {
		return w.end, err
	}
	err := w.groups()
	return w.end, err
}

type describer struct {
	f      io.ReaderAt
	d      Description
	end    LogEnd
	head   segmentHeader
	known  bool // number and epoch are those of head
	copies int
	other  uint32 // SegmentInfo.OtherVersion
	chain  uint32
	room   []byte
}

func (w *describer) damage(off int64, format string, args ...any) {
	if w.d.Damage != nil {
		w.d.Damage(off, fmt.Sprintf(format, args...))
	}
}

// read returns up to n bytes at off.
func (w *describer) read(off, n int64) ([]byte, error) {
	n = max(0, min(n, w.end.Size-off))
	b := make([]byte, n)
	got, err := w.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:got], err
}

// header reads both copies.
func (w *describer) header() error {
	for _, at := range [...]int64{0, headerCopyAt} {
		b, err := w.read(at, headerBytes)
		if err != nil {
			return err
		}
		h, ok := decodeSegmentHeader(b)
		if !ok {
			if w.other = max(w.other, otherVersion(b)); otherVersion(b) != 0 {
				w.damage(at, "%s", versionText(otherVersion(b)))
			} else if len(bytes.Trim(b, "\x00")) > 0 { // else the file is prepared, and not in use
				w.damage(at, "no whole header")
			}
			continue
		}
		w.copies++
		if !w.known || h.newer(&w.head) {
			w.head, w.known = h, true
		}
	}
	if w.known {
		if w.head.size != w.end.Size {
			w.damage(0, "the header says %d bytes, the file has %d", w.head.size, w.end.Size)
		}
		w.chain = salt(w.head.chain, w.head.number, w.head.epoch)
	} else {
		w.head.align = minAlign
	}
	w.segment()
	return nil
}

func (w *describer) segment() {
	if h := &w.head; w.d.Segment != nil {
		w.d.Segment(SegmentInfo{
			Copies: w.copies, Number: h.number, Epoch: h.epoch, Base: h.base, SyncedThrough: h.syncedThrough,
			BodyThrough: h.bodyThrough, Size: w.end.Size, Align: h.align, OtherVersion: w.other,
		})
	}
}

// groups reads the groups.
func (w *describer) groups() error {
	for off := int64(dataStart); off+groupHeaderBytes <= w.end.Size; {
		b, err := w.read(off, groupHeaderBytes)
		if err != nil {
			return err
		}
		g, ok := decodeGroupHeader(b)
		if !ok || w.known && (g.number != w.head.number || g.epoch != w.head.epoch) {
			next, err := w.search(off)
			if err != nil || next < 0 {
				return err
			}
			w.damage(off, "no group here, the next one begins at %d", next)
			off = next
			continue
		}
		if !w.known {
			w.head.number, w.head.epoch, w.known = g.number, g.epoch, true
			w.chain = g.chain
		}
		if g.chain != w.chain {
			w.damage(off, "the group does not follow from the record before it")
		}
		w.chain = g.chain
		if err := w.group(off, g); err != nil {
			return err
		}
		off = alignUp(off+groupHeaderBytes+int64(g.bodyBytes), int64(w.head.align))
		w.end.Offset = min(off, w.end.Size)
	}
	return nil
}

// search returns where the next group of this use of the file is, or -1.
func (w *describer) search(from int64) (int64, error) {
	if !w.known {
		return -1, nil
	}
	for off := alignUp(from+1, minAlign); off+groupHeaderBytes <= w.end.Size; off += searchWindow {
		b, err := w.read(off, searchWindow+groupHeaderBytes)
		if err != nil {
			return -1, err
		}
		for at := 0; at < searchWindow && at+groupHeaderBytes <= len(b); at += minAlign {
			if g, ok := decodeGroupHeader(b[at:]); ok && g.number == w.head.number && g.epoch == w.head.epoch {
				return off + int64(at), nil
			}
		}
	}
	return -1, nil
}

// group reads the records of a group.
func (w *describer) group(off int64, g groupHeader) error {
	w.end.Groups++
	if w.d.Group != nil {
		w.d.Group(GroupInfo{Offset: off, BodyBytes: g.bodyBytes, SyncedThrough: g.syncedThrough})
	}
	body, err := w.read(off+groupHeaderBytes, int64(g.bodyBytes))
	if err != nil {
		return err
	}
	if len(body) < int(g.bodyBytes) {
		w.damage(off, "the group says %d bytes, the file ends after %d", g.bodyBytes, len(body))
	}
	for at := 0; at < len(body); {
		here := off + groupHeaderBytes + int64(at)
		r, n, ok := decodeRecord(body[at:], w.chain)
		if !ok {
			w.damage(here, "a record that is not whole, or does not follow from the one before it; %d bytes are left out", len(body)-at)
			return nil
		}
		w.chain, at = r.crc, at+n
		w.record(here, &r)
	}
	return nil
}

func (w *describer) record(off int64, r *record) {
	if w.end.First == 0 {
		w.end.First = r.seq
	}
	w.end.Last = r.seq
	batch, what := r.batch(func(n int) []byte {
		if cap(w.room) < n {
			w.room = make([]byte, n)
		}
		return w.room[:n]
	})
	if what != "" {
		w.damage(off, "%s", what)
		return
	}
	if w.d.Record != nil {
		name := map[uint8]string{0: "none", flagLZ4: "lz4", flagS2: "s2"}[r.flags]
		w.d.Record(RecordInfo{Offset: off, StoredBytes: len(r.payload), Compression: name, Seq: r.seq, Batch: batch})
	}
}

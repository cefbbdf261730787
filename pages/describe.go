package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// PageInfo is a page of a table file, as DescribeTable finds it.
type PageInfo struct {
	Offset      int64
	Length      int64  // bytes stored, header included
	Kind        string // "leaf", "inner", "filter" or "properties"
	Level       uint8  // above the leaves
	Compression Compression
	Count       uint32 // entries, children or filter blocks
	RawBytes    uint32 // of the payload, before compression
	CRC         uint32 // of the bytes as they are
	First, Last []byte // internal keys of a leaf's entries, or an inner page's separators; nil: none

	page *Page
}

// Len is the number of entries of a leaf, 0 of what is none.
func (p *PageInfo) Len() int {
	if p.page == nil || p.page.leaf == nil {
		return 0
	}
	return int(p.page.leaf.count)
}

// Entry returns entry i of a leaf. Key and value must not be written to.
func (p *PageInfo) Entry(i int) (key, value []byte, kind Kind) { return p.page.leaf.entry(i) }

// DescribeTable reads a table file of size bytes front to back, page by page, whatever was done to it.
// It goes by the pages' headers and not by what refers to them; behind what is no page it goes on with
// the next one. page is told each page that decodes, damage what is not as it should be, the checksums
// of pages that others refer to included. An error is one of f, or of ctx.
func DescribeTable(ctx context.Context, f io.ReaderAt, size int64, page func(PageInfo), damage func(offset int64, what string)) error {
	w := &tableWalk{f: f, size: size, page: page, damage: damage, crcs: map[int64]uint32{}}
	end := size - footerBytes
	for off := int64(0); off < end; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		next, err := w.one(off, end)
		if err != nil {
			return err
		}
		off = next
	}
	return w.judge()
}

type tableWalk struct {
	f       io.ReaderAt
	size    int64
	page    func(PageInfo)
	damage  func(int64, string)
	crcs    map[int64]uint32 // of the pages that were found
	refs    []Ref            // that inner pages hold
	scratch scratch
}

// one reads the page at off and returns where the next one begins.
func (w *tableWalk) one(off, end int64) (next int64, err error) {
	head := make([]byte, min(headerBytes, end-off))
	if n, err := w.f.ReadAt(head, off); n < len(head) {
		return end, w.short(off, err)
	}
	h, ok := peekHeader(head)
	if !ok || headerBytes+int64(h.storedLen) > end-off {
		return w.skip(off, end, "no page's header here")
	}
	stored := make([]byte, headerBytes+int(h.storedLen))
	if n, err := w.f.ReadAt(stored, off); n < len(stored) {
		return end, w.short(off, err)
	}
	info := PageInfo{
		Offset: off, Length: int64(len(stored)), Level: h.level, Compression: h.compression, Count: h.count, RawBytes: h.rawLen,
		CRC: checksum(stored), Kind: map[pageKind]string{kindLeaf: "leaf", kindInner: "inner", kindFilter: "filter", kindProps: "properties"}[h.kind],
	}
	if h.kind != kindProps {
		if info.page, err = decodePage(stored, h.kind, h.level, off, &w.scratch); err != nil {
			return w.skip(off, end, err.Error())
		}
	}
	w.crcs[off] = info.CRC
	w.keys(&info)
	w.page(info)
	return off + info.Length, nil
}

// keys fills in First and Last, and takes note of an inner page's children.
func (w *tableWalk) keys(info *PageInfo) {
	switch p := info.page; {
	case p == nil:
	case p.leaf != nil:
		info.First, _, _ = p.leaf.entry(0)
		info.Last, _, _ = p.leaf.entry(int(p.leaf.count) - 1)
	case p.inner != nil:
		w.refs = append(w.refs, p.inner.refs...)
		if n := len(p.inner.refs); n > 1 {
			info.First, info.Last = p.inner.sep(1), p.inner.sep(n-1)
		}
	}
}

// short is a read that did not bring all: the file's end is no error of the medium.
func (w *tableWalk) short(off int64, err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	w.damage(off, "the file ends here")
	return nil
}

// skip finds the next place that looks like a page.
func (w *tableWalk) skip(off, end int64, what string) (next int64, err error) {
	const window = 64 << 10
	buf := make([]byte, window)
	next = end
	for at := off + 1; at < end; at += window - headerBytes {
		n, err := w.f.ReadAt(buf[:min(window, end-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return end, err
		}
		if i := nextHeader(buf[:n]); i >= 0 {
			next = at + int64(i)
			break
		}
	}
	w.damage(off, fmt.Sprintf("%s; %d bytes are left out", what, next-off))
	return next, nil
}

// nextHeader returns where a page's header is in b, or -1.
func nextHeader(b []byte) int {
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], magicBytes)
		if i < 0 {
			return -1
		}
		if at += i; len(b)-at >= headerBytes {
			if _, ok := peekHeader(b[at:]); ok {
				return at
			}
		}
	}
}

// judge holds what was found against what refers to it.
func (w *tableWalk) judge() error {
	m, err := ReadTableMeta(w.f, w.size, "")
	var bad *CorruptionError
	switch {
	case errors.As(err, &bad):
		w.damage(bad.Offset, bad.What)
	case err != nil:
		return err
	default:
		w.refs = append(w.refs, m.Root)
		if m.FilterKind != NoFilter {
			w.refs = append(w.refs, m.Filter)
		}
	}
	for _, r := range w.refs {
		if crc, found := w.crcs[r.Offset]; !found {
			w.damage(r.Offset, "a page that another refers to is not here")
		} else if crc != r.CRC {
			w.damage(r.Offset, fmt.Sprintf("page checksum %#08x, its parent has %#08x", crc, r.CRC))
		}
	}
	return nil
}

package pages

import (
	"bytes"
	"context"
	"fmt"
)

// verifier walks one table, past the cache.
type verifier struct {
	t      *Table
	file   File
	ahead  readAhead
	done   func(bytes int64)
	errs   []error
	pages  int64 // bytes of the pages met
	holes  bool  // part of the tree could not be read: sums mean nothing
	filter *filter

	last                []byte
	entries, tombstones uint64
	raw, leaves         uint64
	min                 []byte
}

// Verify reads every byte of the table from the file, past the cache, and checks all that can be
// checked: checksums, order, separators, counts, bounds, that the filter has every key, that
// properties and footer say what the meta says, and that nothing else is in the file. It
// returns what is wrong, damaged subtrees one by one: *CorruptionErrors, or errors of reading,
// or the context's. done, if not nil, is told the bytes of each page as it goes.
func (t *Table) Verify(ctx context.Context, done func(bytes int64)) []error {
	if !t.TryPin() {
		return []error{ErrTableGone}
	}
	defer t.Unpin()
	f, err := t.handle()
	if err != nil {
		return []error{err}
	}
	v := &verifier{t: t, file: f, done: done}
	if v.done == nil {
		v.done = func(int64) {}
	}
	v.footer()
	if t.meta.FilterKind == BlockedBloom {
		if p := v.page(ctx, t.filterPlace()); p != nil {
			v.filter = p.filter
		}
	}
	v.walk(ctx, t.rootPlace(), nil, nil)
	if err := ctx.Err(); err != nil {
		return append(v.errs, err)
	}
	v.totals()
	return v.errs
}

func (v *verifier) damage(offset int64, format string, args ...any) {
	v.errs = append(v.errs, &CorruptionError{File: v.t.name(), Offset: offset, What: fmt.Sprintf(format, args...)})
}

// footer compares the table's own description of itself with the meta, and the file's length.
func (v *verifier) footer() {
	m, err := ReadTableMeta(v.file, v.t.meta.Size, v.t.name())
	if err != nil {
		v.errs = append(v.errs, err)
	} else if !bytes.Equal(m.AppendTo(nil), v.t.meta.AppendTo(nil)) {
		v.damage(v.t.meta.Size-footerBytes, "properties %+v, want %+v", m, v.t.meta)
	}
	var past [1]byte
	if n, _ := v.file.ReadAt(past[:], v.t.meta.Size); n > 0 {
		v.damage(v.t.meta.Size, "file goes on after its footer")
	}
}

// page reads one page; nil: it could not, and the error is noted.
func (v *verifier) page(ctx context.Context, w place) *Page {
	v.t.cache.park.Park(ctx, nil)
	var ahead *readAhead
	if w.kind == kindLeaf {
		ahead = &v.ahead
	}
	p, err := v.t.read(w, ahead)
	v.done(int64(w.ref.Length))
	v.pages += int64(w.ref.Length)
	if err != nil {
		v.errs = append(v.errs, err)
		v.holes = true
		return nil
	}
	return p
}

// walk checks the subtree at w, whose keys k must have lo ≤ k < hi; nil: open.
func (v *verifier) walk(ctx context.Context, w place, lo, hi []byte) {
	if ctx.Err() != nil {
		v.holes = true
		return
	}
	p := v.page(ctx, w)
	if p == nil {
		return
	}
	if p.kind == kindLeaf {
		v.leaf(p.leaf, w.ref, lo, hi)
		return
	}
	for i := range p.inner.refs {
		childLo, childHi := lo, hi
		if i > 0 {
			childLo = p.inner.sep(i)
		}
		if i+1 < len(p.inner.refs) {
			childHi = p.inner.sep(i + 1)
		}
		if string(childLo) < string(lo) || hi != nil && string(childLo) >= string(hi) {
			v.damage(w.ref.Offset, "separator %q outside of the parent's %q to %q", childLo, lo, hi)
		}
		v.walk(ctx, childPlace(p, i), childLo, childHi)
	}
}

func (v *verifier) leaf(l *leaf, ref Ref, lo, hi []byte) {
	v.leaves += uint64(ref.Length)
	for i := range int(l.count) {
		key, value, kind := l.entry(i)
		switch {
		case v.entries > 0 && string(key) <= string(v.last):
			v.damage(ref.Offset, "key %q after %q", key, v.last)
		case string(key) < string(lo) || hi != nil && string(key) >= string(hi):
			v.damage(ref.Offset, "key %q outside of its separators %q to %q", key, lo, hi)
		case v.filter != nil && !v.filter.has(Hash(key)):
			v.damage(v.t.meta.Filter.Offset, "filter lacks key %q", key)
		}
		if v.entries == 0 {
			v.min = key
		}
		v.last = key
		v.entries++
		v.raw += uint64(len(key) + len(value))
		if kind == KindTombstone {
			v.tombstones++
		}
	}
}

// totals compares the sums over all leaves with the meta. With a page missing they mean nothing.
func (v *verifier) totals() {
	m := &v.t.meta
	if v.holes {
		return
	}
	if v.entries != m.Entries || v.tombstones != m.Tombstones || v.raw != m.RawBytes || v.leaves != m.LeafBytes {
		v.damage(0, "%d entries, %d tombstones, %d raw and %d leaf bytes; want %d, %d, %d and %d",
			v.entries, v.tombstones, v.raw, v.leaves, m.Entries, m.Tombstones, m.RawBytes, m.LeafBytes)
	}
	if !bytes.Equal(v.min, m.Min) || !bytes.Equal(v.last, m.Max) {
		v.damage(0, "keys %q to %q, want %q to %q", v.min, v.last, m.Min, m.Max)
	}
	if props := int64(headerBytes + len(m.AppendTo(nil))); v.pages+props+footerBytes != m.Size {
		v.damage(0, "pages of %d bytes in a file of %d", v.pages+props+footerBytes, m.Size)
	}
}

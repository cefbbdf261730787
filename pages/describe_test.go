package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// described is what DescribeTable told of a file.
type described struct {
	pages   []PageInfo
	entries []entry
	damages []string
}

func describe(t testing.TB, b []byte) (d described) {
	t.Helper()
	err := DescribeTable(ctx, bytes.NewReader(b), int64(len(b)), func(p PageInfo) {
		d.pages = append(d.pages, p)
		for i := range p.Len() {
			key, value, kind := p.Entry(i)
			d.entries = append(d.entries, entry{bytes.Clone(key), bytes.Clone(value), kind})
		}
	}, func(off int64, what string) { d.damages = append(d.damages, fmt.Sprintf("%d: %s", off, what)) })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sameEntry(a, b entry) bool {
	return bytes.Equal(a.key, b.key) && bytes.Equal(a.value, b.value) && a.kind == b.kind
}

// count returns how many pages are of a kind.
func (d *described) count(kind string) (n int) {
	for _, p := range d.pages {
		if p.Kind == kind {
			n++
		}
	}
	return n
}

func describedTable(t testing.TB, c Codec) ([]entry, []byte) {
	t.Helper()
	entries := numbered(400, 40)
	_, f := build(t, TableOptions{LeafBytes: 512, InnerBytes: 512}, c, entries)
	return entries, f.data
}

// TestDescribeSound: all pages of a sound table are told, one behind the other, with all entries.
func TestDescribeSound(t *testing.T) {
	for _, c := range []Codec{{Compression: None}, {Compression: LZ4}, {Compression: Zstd}} {
		entries, b := describedTable(t, c)
		d := describe(t, b)
		if len(d.damages) > 0 || !slices.EqualFunc(d.entries, entries, sameEntry) {
			t.Fatalf("%v: %d of %d entries, %q", c, len(d.entries), len(entries), d.damages)
		}
		next := int64(0)
		for _, p := range d.pages {
			if p.Offset != next || p.Kind == "" || p.Length < headerBytes || p.CRC != checksum(b[p.Offset:p.Offset+p.Length]) {
				t.Fatalf("%v: %+v, the page before it ends at %d", c, p, next)
			}
			next += p.Length
			if p.Kind == "leaf" && (p.Len() != int(p.Count) || p.First == nil || bytes.Compare(p.First, p.Last) > 0) {
				t.Errorf("%v: a leaf with %d entries of %d, from %q to %q", c, p.Len(), p.Count, p.First, p.Last)
			}
			if p.Kind != "leaf" && p.Len() != 0 {
				t.Errorf("%v: entries in a page of kind %s", c, p.Kind)
			}
		}
		if next != int64(len(b))-footerBytes || d.count("leaf") < 10 || d.count("inner") < 1 || d.count("filter") != 1 || d.count("properties") != 1 {
			t.Errorf("%v: %d leaves, %d inner, %d filter, %d properties, up to %d of %d", c,
				d.count("leaf"), d.count("inner"), d.count("filter"), d.count("properties"), next, len(b))
		}
	}
}

// TestDescribeEveryByte: whatever byte is changed, it is noticed, and no more than one page is left out.
func TestDescribeEveryByte(t *testing.T) {
	_, b := describedTable(t, Codec{Compression: LZ4})
	sound := describe(t, b)
	for at := 0; at < len(b); at += 7 {
		c := bytes.Clone(b)
		c[at] ^= 1 << (at % 8)
		d := describe(t, c)
		if len(d.damages) == 0 || len(d.pages) < len(sound.pages)-1 {
			t.Fatalf("byte %d: %d of %d pages, %q", at, len(d.pages), len(sound.pages), d.damages)
		}
	}
}

// TestDescribeCut: a file that is cut short has the pages before the cut, and the damage is told.
func TestDescribeCut(t *testing.T) {
	_, b := describedTable(t, Codec{Compression: None})
	sound := describe(t, b)
	for _, size := range []int{0, 1, footerBytes, headerBytes + footerBytes, len(b) / 2, len(b) - 1} {
		whole := 0
		for _, p := range sound.pages {
			if p.Offset+p.Length <= int64(size)-footerBytes {
				whole++
			}
		}
		if d := describe(t, b[:size]); len(d.damages) == 0 || len(d.pages) < whole {
			t.Errorf("cut at %d: %d pages, want %d, %q", size, len(d.pages), whole, d.damages)
		}
	}
}

// TestDescribeSkips: behind what is no page the next one is found, also across a window of the search, and
// of another table's page in the place of one its parent is told.
func TestDescribeSkips(t *testing.T) {
	_, b := describedTable(t, Codec{Compression: None})
	sound := describe(t, b)
	for _, gap := range []int{1, 100, 64<<10 - headerBytes, 64<<10 - 1, 64 << 10, 200_000} {
		c := slices.Concat(make([]byte, gap), b)
		d := describe(t, c)
		if len(d.pages) != len(sound.pages) || !strings.HasPrefix(d.damages[0], fmt.Sprintf("0: no page's header here; %d bytes are left out", gap)) {
			t.Errorf("behind %d bytes: %d of %d pages, %q", gap, len(d.pages), len(sound.pages), d.damages[0])
		}
	}
	first, second := sound.pages[0], sound.pages[1]
	if first.Length < second.Length {
		first, second = second, first
	}
	c := bytes.Clone(b)
	copy(c[first.Offset:], b[second.Offset:second.Offset+second.Length])
	if d := describe(t, c); !slices.ContainsFunc(d.damages, func(s string) bool { return strings.Contains(s, "its parent has") }) {
		t.Errorf("%q", d.damages)
	}
}

// TestDescribeErrors: what the medium or the context says is returned, and taken for no damage.
func TestDescribeErrors(t *testing.T) {
	_, b := describedTable(t, Codec{Compression: None})
	clear(b[600:900])
	errMedium := errors.New("the medium fails")
	nothing := func(PageInfo) {}
	for fails := int64(0); fails < int64(len(b)); fails += 97 {
		f := readerAt(func(p []byte, off int64) (int, error) {
			if off <= fails && fails < off+int64(len(p)) {
				return copy(p, b[off:fails]), errMedium
			}
			return bytes.NewReader(b).ReadAt(p, off)
		})
		if err := DescribeTable(ctx, f, int64(len(b)), nothing, func(int64, string) {}); !errors.Is(err, errMedium) {
			t.Fatalf("the read of byte %d failed: %v", fails, err)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := DescribeTable(canceled, bytes.NewReader(b), int64(len(b)), nothing, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

var _ io.ReaderAt = readerAt(nil)

// FuzzDescribeTable: no bytes panic, and pages lie within the file, one behind the other.
func FuzzDescribeTable(f *testing.F) {
	for _, c := range []Compression{None, LZ4, Zstd} {
		_, b := describedTable(f, Codec{Compression: c})
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		next := int64(0)
		for _, p := range describe(t, b).pages {
			if p.Offset < next || p.Offset+p.Length > int64(len(b)) {
				t.Fatalf("%+v, the page before it ends at %d, the file at %d", p, next, len(b))
			}
			next = p.Offset + p.Length
		}
	})
}

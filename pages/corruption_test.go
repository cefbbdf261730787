package pages

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"
	"testing"
)

// readEverything looks every entry up and scans in both directions, and fails on any answer that
// is neither right nor a *CorruptionError. It reports whether there was such an error.
func readEverything(t *testing.T, what string, tab *Table, entries []entry) (found bool) {
	t.Helper()
	check := func(err error) {
		var c *CorruptionError
		if !errors.As(err, &c) {
			t.Fatalf("%s: %v is no corruption", what, err)
		}
		if c.File != tab.name() || c.What == "" || c.Offset < 0 || c.Offset > tab.meta.Size {
			t.Fatalf("%s: poor error %+v", what, c)
		}
		found = true
	}
	for i := range entries {
		e := &entries[i]
		v, kind, ok, err := tab.Get(ctx, e.key, Hash(e.key))
		if err != nil {
			check(err)
		} else if !ok || kind != e.kind || !bytes.Equal(v, e.value) {
			t.Fatalf("%s: Get(%q) = %q, %d, %v", what, e.key, v, kind, ok)
		}
		absent := append(bytes.Clone(e.key), 0)
		if _, _, ok, err := tab.Get(ctx, absent, Hash(absent)); err != nil {
			check(err)
		} else if ok {
			t.Fatalf("%s: Get(%q) found something", what, absent)
		}
	}
	for _, o := range []CursorOptions{{}, {NoCache: true}} {
		cur := (&Run{Tables: []*Table{tab}}).NewCursor(o)
		i := 0
		for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
			if !bytes.Equal(cur.Key(), entries[i].key) || !bytes.Equal(cur.Value(), entries[i].value) || cur.Kind() != entries[i].kind {
				t.Fatalf("%s: entry %d is %q", what, i, cur.Key())
			}
			i++
		}
		if err := cur.Err(); err != nil {
			check(err)
		} else if i != len(entries) {
			t.Fatalf("%s: scan ended after %d of %d entries", what, i, len(entries))
		}
	}
	return found
}

// verifyFinds fails unless Verify finds corruption, and nothing but corruption.
func verifyFinds(t *testing.T, what string, tab *Table) {
	t.Helper()
	errs := tab.Verify(ctx, nil)
	if len(errs) == 0 {
		t.Fatalf("%s: Verify found nothing", what)
	}
	for _, err := range errs {
		if c := new(CorruptionError); !errors.As(err, &c) {
			t.Fatalf("%s: Verify: %v", what, err)
		}
	}
}

// TestEveryByteCounts: a change of any single byte is found by Verify, and by readers if they
// depend on it; no reader ever gets wrong data, a key less, or a panic.
func TestEveryByteCounts(t *testing.T) {
	entries := numbered(24, 12)
	for _, c := range []Codec{{}, {Compression: LZ4}, {Compression: Zstd}} {
		o := small(7)
		o.InnerBytes = 50
		m, f := build(t, o, c, entries)
		if m.Levels < 2 {
			t.Fatalf("table of %d levels is too simple", m.Levels)
		}
		treeEnd := m.Root.Offset + int64(m.Root.Length) + int64(m.Filter.Length)
		for i := 0; i < len(f.data); i += stride {
			for _, flip := range []byte{1 << (i % 8), 0xFF} {
				broken := &memFile{data: bytes.Clone(f.data)}
				broken.data[i] ^= flip
				tab := NewTable(m, broken.handle, NewCache(nil, nil))
				verifyFinds(t, "flip", tab)
				found := readEverything(t, "flip", tab, entries)
				if inTree := int64(i) < treeEnd; inTree != found {
					t.Fatalf("%v: byte %d ^ %#x: readers found corruption: %v", c.Compression, i, flip, found)
				}
				if _, err := ReadTableMeta(broken, m.Size, "x"); (err == nil) != (int64(i) < treeEnd) {
					t.Fatalf("%v: byte %d: ReadTableMeta: %v", c.Compression, i, err)
				}
			}
		}
	}
}

// TestTruncatedTable: a file that ends early is corrupt, wherever it ends.
func TestTruncatedTable(t *testing.T) {
	entries := numbered(40, 12)
	m, f := build(t, small(7), Codec{Compression: LZ4}, entries)
	for n := 0; n < len(f.data); n += stride {
		broken := &memFile{data: f.data[:n]}
		ref := Ref{Offset: int64(n) - 1, Length: 2}
		if c := new(CorruptionError); n > 0 {
			if _, err := readFull(broken, "x", nil, ref); !errors.As(err, &c) || c.Offset != ref.Offset {
				t.Fatalf("a read across the end: %v", err)
			}
		}
		tab := NewTable(m, broken.handle, NewCache(nil, nil))
		verifyFinds(t, "cut", tab)
		readEverything(t, "cut", tab, entries)
		if _, err := ReadTableMeta(broken, int64(n), "x"); err == nil {
			t.Fatalf("ReadTableMeta of the first %d bytes", n)
		}
	}
	longer := &memFile{data: append(bytes.Clone(f.data), 0)}
	verifyFinds(t, "longer", NewTable(m, longer.handle, NewCache(nil, nil)))
}

// TestZeroedTable: pages whose bytes were never written read as zeros.
func TestZeroedTable(t *testing.T) {
	entries := numbered(40, 12)
	m, f := build(t, small(7), Codec{}, entries)
	for from := 0; from < len(f.data); from += 64 {
		broken := &memFile{data: bytes.Clone(f.data)}
		clear(broken.data[from:])
		tab := NewTable(m, broken.handle, NewCache(nil, nil))
		verifyFinds(t, "zeros", tab)
		readEverything(t, "zeros", tab, entries)
	}
}

// TestMisdirectedPages: two pages that were written to each other's place are sound by
// themselves; only their parent's checksums tell.
func TestMisdirectedPages(t *testing.T) {
	var entries []entry
	for i := range 26 * 4 {
		entries = append(entries, entry{[]byte{'k', byte('a' + i/4), byte('a' + i%4)}, []byte{byte(i)}, KindValue})
	}
	m, f := build(t, TableOptions{ID: 7, LeafBytes: 48, InnerBytes: 120}, Codec{}, entries)
	tab := NewTable(m, f.handle, NewCache(nil, nil))
	var leaves []Ref
	checkTable(t, tab, entries, nil)
	tab.Residents(func(p *Page) {
		if p.kind == kindInner && p.level == 1 {
			leaves = append(leaves, p.inner.refs...)
		}
	})
	swaps := 0
	for i := range leaves[1:] {
		a, b := leaves[i], leaves[i+1]
		if a.Length != b.Length {
			continue
		}
		swaps++
		broken := &memFile{data: bytes.Clone(f.data)}
		copy(broken.data[a.Offset:], f.data[b.Offset:][:b.Length])
		copy(broken.data[b.Offset:], f.data[a.Offset:][:a.Length])
		tab := NewTable(m, broken.handle, NewCache(nil, nil))
		verifyFinds(t, "swap", tab)
		if !readEverything(t, "swap", tab, entries) {
			t.Fatal("readers did not notice")
		}
	}
	if swaps == 0 {
		t.Fatal("no two leaves of one length")
	}
}

// TestStaleTable: a whole older file in the place of the new one.
func TestStaleTable(t *testing.T) {
	entries := numbered(40, 12)
	m, _ := build(t, small(7), Codec{}, entries)
	old := slices.Clone(entries)
	old[3].value = []byte("old")
	old[3].kind = KindValue
	_, stale := build(t, small(7), Codec{}, old)
	tab := NewTable(m, stale.handle, NewCache(nil, nil))
	verifyFinds(t, "stale", tab)
	if !readEverything(t, "stale", tab, entries) {
		t.Fatal("readers did not notice")
	}
}

// forge gives the file of m another meta, sound to the last checksum.
func forge(m TableMeta, f *memFile, lie func(m *TableMeta)) (TableMeta, *memFile) {
	end := m.Size - footerBytes - headerBytes - int64(len(m.AppendTo(nil)))
	lie(&m)
	m.Size = end + headerBytes + int64(len(m.AppendTo(nil))) + footerBytes
	props := appendPage(nil, m.AppendTo(nil), header{kind: kindProps, count: 1}, Codec{})
	ref := Ref{Offset: end, Length: uint32(len(props)), CRC: checksum(props)}
	data := append(bytes.Clone(f.data[:end]), props...)
	return m, &memFile{data: appendFooter(data, ref)}
}

// TestVerifyFindsLies: sound checksums all the way, but content that is not as promised.
func TestVerifyFindsLies(t *testing.T) {
	entries := numbered(40, 12)
	m, f := build(t, small(7), Codec{}, entries)
	for name, lie := range map[string]func(m *TableMeta){
		"entries":    func(m *TableMeta) { m.Entries++ },
		"tombstones": func(m *TableMeta) { m.Tombstones-- },
		"raw bytes":  func(m *TableMeta) { m.RawBytes++ },
		"leaf bytes": func(m *TableMeta) { m.LeafBytes++ },
		"min":        func(m *TableMeta) { m.Min = []byte{0} },
		"max":        func(m *TableMeta) { m.Max = []byte{255} },
		"filter":     func(m *TableMeta) { m.Filter, m.FilterKind = Ref{}, NoFilter },
	} {
		forged, file := forge(m, f, lie)
		if got, err := ReadTableMeta(file, forged.Size, "x"); err != nil || got.Entries != forged.Entries {
			t.Fatalf("%s: the forgery is bad: %v", name, err)
		}
		verifyFinds(t, name, NewTable(forged, file.handle, NewCache(nil, nil)))
	}
	if forged, file := forge(m, f, func(*TableMeta) {}); NewTable(forged, file.handle, NewCache(nil, nil)).Verify(ctx, nil) != nil {
		t.Error("a forgery without a lie was found out")
	}
}

// TestVerifyComparesMeta: the checkpoint says one thing of the table, the table another.
func TestVerifyComparesMeta(t *testing.T) {
	m, f := build(t, small(7), Codec{}, numbered(40, 12))
	for name, lie := range map[string]func(m *TableMeta){
		"tier": func(m *TableMeta) { m.Tier++ },
		"seq":  func(m *TableMeta) { m.SeqHi++ },
		"id":   func(m *TableMeta) { m.ID++ },
	} {
		lied := m
		lie(&lied)
		verifyFinds(t, name, NewTable(lied, f.handle, NewCache(nil, nil)))
	}
}

// TestVerifyFindsMissingFilterKey: a filter that denies a key would hide it.
func TestVerifyFindsMissingFilterKey(t *testing.T) {
	entries := numbered(40, 12)
	m, f := build(t, small(7), Codec{}, entries)
	page := f.data[m.Filter.Offset:][:m.Filter.Length]
	for i := headerBytes; i < len(page); i++ {
		if page[i] != 0 {
			page[i] &^= 1 << bits.TrailingZeros8(page[i])
			break
		}
	}
	m, f = forge(m, f, func(m *TableMeta) { m.Filter.CRC = checksum(page) })
	verifyFinds(t, "filter", NewTable(m, f.handle, NewCache(nil, nil)))
}

// TestVerifyFindsForeignKeys: a leaf that is sound but holds keys that its separators put
// elsewhere; lookups would not find them.
func TestVerifyFindsForeignKeys(t *testing.T) {
	one := func(key string) entry { return entry{[]byte(key), nil, KindValue} }
	left := storedLeaf([]entry{one("a"), one("m")}, Codec{})
	right := storedLeaf([]entry{one("p"), one("z")}, Codec{})
	for sep, sound := range map[string]bool{"n": true, "p": true, "m": false, "q": false} {
		var w innerWriter
		w.reset()
		w.add(nil, Ref{0, uint32(len(left)), checksum(left)})
		w.add([]byte(sep), Ref{int64(len(left)), uint32(len(right)), checksum(right)})
		root := appendPage(nil, w.finish(), header{kind: kindInner, level: 1, count: 2}, Codec{})
		leaves := len(left) + len(right)
		m := TableMeta{Levels: 1, Root: Ref{int64(leaves), uint32(len(root)), checksum(root)}, Entries: 4, RawBytes: 4,
			LeafBytes: uint64(leaves), Min: []byte("a"), Max: []byte("z")}
		data := slices.Concat(left, right, root)
		m.Size = int64(len(data)+headerBytes+len(m.AppendTo(nil))) + footerBytes
		m, f := forge(m, &memFile{data: append(data, make([]byte, 1000)...)}, func(*TableMeta) {})
		errs := NewTable(m, f.handle, NewCache(nil, nil)).Verify(ctx, nil)
		if (len(errs) == 0) != sound {
			t.Errorf("separator %q: %v", sep, errs)
		}
	}
}

// TestVerifyReportsAll: one damaged leaf does not hide another.
func TestVerifyReportsAll(t *testing.T) {
	m, f := build(t, small(7), Codec{}, numbered(40, 12))
	first, last := f.data[headerBytes:], f.data[m.LeafBytes-1:]
	first[0] ^= 1
	last[0] ^= 1
	told := int64(0)
	errs := NewTable(m, f.handle, NewCache(nil, nil)).Verify(ctx, func(n int64) { told += n })
	if len(errs) != 2 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	if told < int64(m.LeafBytes) {
		t.Errorf("told of %d bytes", told)
	}
}

func TestVerifyStopsWithContext(t *testing.T) {
	tab, _ := table(t, small(7), Codec{}, numbered(400, 12))
	c, cancel := context.WithCancel(ctx)
	pages := 0
	errs := tab.Verify(c, func(int64) {
		if pages++; pages == 5 {
			cancel()
		}
	})
	if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || pages > 6 {
		t.Errorf("%v after %d pages", errs, pages)
	}
}

// TestReadErrorPasses: an I/O error is told as what it is, and is not remembered.
func TestReadErrorPasses(t *testing.T) {
	entries := numbered(40, 12)
	for _, o := range []CursorOptions{{}, {NoCache: true}} {
		tab, f := table(t, small(7), Codec{}, entries)
		fail := func(p []byte, off int64) (int, error) { return 0, errDisk }
		run := &Run{Tables: []*Table{tab}}
		cur := run.NewCursor(o)
		for range 2 {
			f.read = fail
			_, _, ok, err := run.Get(ctx, entries[9].key, Hash(entries[9].key))
			if c := new(CorruptionError); ok || !errors.Is(err, errDisk) || errors.As(err, &c) {
				t.Fatalf("Get: %v, %v", ok, err)
			}
			if cur.First(ctx) || !errors.Is(cur.Err(), errDisk) {
				t.Fatalf("First: %v", cur.Err())
			}
			if errs := tab.Verify(ctx, nil); !errors.Is(errors.Join(errs...), errDisk) {
				t.Fatalf("Verify: %v", errs)
			}
			f.read = nil
			checkTable(t, tab, entries, nil)
			if !cur.First(ctx) || cur.Err() != nil {
				t.Fatalf("First after the error: %v", cur.Err())
			}
			evictAll(t, tab.cache)
		}
		checkResidency(t, tab.cache, tab)
	}
}

// TestReadAheadErrorIsNarrow: a bad sector hurts the pages that it holds, not those that would
// have been read with it.
func TestReadAheadErrorIsNarrow(t *testing.T) {
	entries := numbered(40, 12)
	tab, f := table(t, small(7), Codec{}, entries)
	bad := int64(tab.meta.LeafBytes) - 1
	f.read = func(p []byte, off int64) (int, error) {
		if off <= bad && bad < off+int64(len(p)) {
			return 0, errDisk
		}
		return f.readAt(p, off)
	}
	cur := (&Run{Tables: []*Table{tab}}).NewCursor(CursorOptions{NoCache: true})
	n := 0
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
		n++
	}
	if !errors.Is(cur.Err(), errDisk) || n < 30 {
		t.Errorf("%d entries before %v", n, cur.Err())
	}
}

func TestOpenError(t *testing.T) {
	entries := numbered(40, 12)
	m, f := build(t, small(7), Codec{}, entries)
	fail := true
	tab := NewTable(m, func() (File, error) {
		if fail {
			return nil, errDisk
		}
		return f.handle()
	}, NewCache(nil, nil))
	if _, _, ok, err := tab.Get(ctx, entries[0].key, Hash(entries[0].key)); ok || !errors.Is(err, errDisk) {
		t.Fatalf("Get: %v, %v", ok, err)
	}
	fail = false
	checkTable(t, tab, entries, nil)
}

// TestReaderAtEOF: io.ReaderAt may answer a full read with io.EOF; a short one is never taken
// for a full one.
func TestReaderAtEOF(t *testing.T) {
	entries := numbered(40, 12)
	tab, f := table(t, small(7), Codec{}, entries)
	f.read = func(p []byte, off int64) (int, error) {
		n, err := f.readAt(p, off)
		if err == nil && off+int64(n) == int64(len(f.data)) {
			err = io.EOF
		}
		return n, err
	}
	checkTable(t, tab, entries, nil)
	if errs := tab.Verify(ctx, nil); errs != nil {
		t.Fatal(errs)
	}
}

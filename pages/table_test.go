package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// small makes pages so small that a few entries give several levels.
func small(id FileID) TableOptions {
	return TableOptions{ID: id, LeafBytes: 120, InnerBytes: 120, SeqLo: 3, SeqHi: 9, Tier: 1}
}

func TestBuilderRefuses(t *testing.T) {
	add := func(keys ...string) error {
		b := NewBuilder(io.Discard, TableOptions{LeafBytes: 20})
		for _, k := range keys {
			if err := b.Add([]byte(k), []byte("0123456789"), KindValue); err != nil {
				if _, err2 := b.Finish(); !errors.Is(err2, err) {
					t.Errorf("Finish after %v: %v", err, err2)
				}
				return err
			}
		}
		return nil
	}
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}, {"a", "b", "c", "d", "cc"}} {
		if add(keys...) == nil {
			t.Errorf("%q was accepted", keys)
		}
	}
	for name, add := range map[string]func(b *Builder) error{
		"kind":           func(b *Builder) error { return b.Add(nil, nil, 3) },
		"no kind":        func(b *Builder) error { return b.Add(nil, nil, 0) },
		"tombstone":      func(b *Builder) error { return b.Add(nil, []byte("x"), KindTombstone) },
		"key length":     func(b *Builder) error { return b.Add(make([]byte, maxKeyBytes+1), nil, KindValue) },
		"empty table":    func(b *Builder) error { _, err := b.Finish(); return err },
		"finished twice": func(b *Builder) error { b.Add(nil, nil, 1); b.Finish(); _, err := b.Finish(); return err },
	} {
		if add(NewBuilder(io.Discard, TableOptions{})) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type failingWriter struct{ after int }

var errDisk = errors.New("input/output error")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestBuilderWriteError(t *testing.T) {
	b := NewBuilder(&failingWriter{after: 300 << 10}, TableOptions{})
	var err error
	for _, e := range numbered(20_000, 100) {
		if err = b.Add(e.key, e.value, e.kind); err != nil {
			break
		}
	}
	if !errors.Is(err, errDisk) {
		t.Fatalf("Add: %v", err)
	}
	if _, err := b.Finish(); !errors.Is(err, errDisk) {
		t.Fatalf("Finish: %v", err)
	}
}

// TestBuilderSize: the estimate is near the truth, so that tables can be cut by it.
func TestBuilderSize(t *testing.T) {
	for _, c := range codecs {
		var buf bytes.Buffer
		b := NewBuilder(&buf, TableOptions{})
		b.SetCodec(c)
		for _, e := range numbered(20_000/stride, 100) {
			if err := b.Add(e.key, e.value, e.kind); err != nil {
				t.Fatal(err)
			}
		}
		estimate := b.Size()
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		if diff := estimate - int64(buf.Len()); diff < -20_000 || diff > 20_000 {
			t.Errorf("%+v: estimated %d, file has %d", c, estimate, buf.Len())
		}
	}
}

// TestTableModel compares tables of random entries, sizes and codecs with a sorted slice.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		entries := genEntries(1, 200).Draw(rt, "entries")
		o := small(5)
		o.LeafBytes = rapid.IntRange(1, 300).Draw(rt, "leaf")
		o.InnerBytes = rapid.IntRange(1, 300).Draw(rt, "inner")
		o.FilterBitsPerKey = rapid.SampledFrom([]int{-1, 0, 5, 100}).Draw(rt, "filter")
		c := rapid.SampledFrom(codecs).Draw(rt, "codec")
		tab, f := table(t, o, c, entries)
		probes := genKeys(0, 30).Draw(rt, "probes")
		checkTable(t, tab, entries, probes)
		if errs := tab.Verify(ctx, nil); errs != nil {
			rt.Fatalf("Verify: %v", errs)
		}
		m, err := ReadTableMeta(f, int64(len(f.data)), "x")
		if err != nil || !bytes.Equal(m.AppendTo(nil), tab.meta.AppendTo(nil)) {
			rt.Fatalf("read meta %+v, %v; want %+v", m, err, tab.meta)
		}
		checkResidency(t, tab.cache, tab)
	})
}

// ReadAt lets tests read a file without a handle.
func (m *memFile) ReadAt(p []byte, off int64) (int, error) { return m.readAt(p, off) }

func checkTable(t testing.TB, tab *Table, entries []entry, probes [][]byte) {
	t.Helper()
	for i, e := range entries {
		checkGet(t, tab, e.key, &entries[i])
		probes = append(probes, append(bytes.Clone(e.key), 0), e.key[:len(e.key)/2])
	}
	for _, key := range probes {
		i, found := slices.BinarySearchFunc(entries, key, func(e entry, key []byte) int { return bytes.Compare(e.key, key) })
		if found {
			checkGet(t, tab, key, &entries[i])
		} else {
			checkGet(t, tab, key, nil)
		}
	}
}

func TestTableShapes(t *testing.T) {
	long := bytes.Repeat([]byte{9}, maxKeyBytes-2)
	var longs, sharing []entry
	for i := range 40 {
		longs = append(longs, entry{append(bytes.Clone(long), byte(i), 1), []byte{byte(i)}, KindValue})
		sharing = append(sharing, entry{fmt.Appendf(nil, "samehead%08d", i), nil, KindTombstone})
	}
	big := entry{[]byte("big"), bytes.Repeat([]byte("0123456789abcdef"), 10<<16), KindValue}
	cases := map[string][]entry{
		"one entry":       {{[]byte("k"), nil, KindValue}},
		"one tombstone":   {{[]byte("k"), nil, KindTombstone}},
		"long keys":       longs,
		"shared heads":    sharing,
		"10 MiB":          {big},
		"10 MiB in a row": {{[]byte("a"), []byte("1"), KindValue}, big, {[]byte("c"), nil, KindTombstone}},
	}
	for name, entries := range cases {
		for _, c := range []Codec{{}, {Compression: LZ4}, {Compression: Zstd}} {
			for _, o := range []TableOptions{{}, small(1)} {
				t.Run(fmt.Sprintf("%s/%v/%d", name, c.Compression, o.LeafBytes), func(t *testing.T) {
					tab, _ := table(t, o, c, entries)
					checkTable(t, tab, entries, [][]byte{nil, {0xFF}, long})
					if errs := tab.Verify(ctx, nil); errs != nil {
						t.Fatal(errs)
					}
					checkResidency(t, tab.cache, tab)
				})
			}
		}
	}
}

// TestLongKeysStaySmallInMemory: separators that share nearly everything are cheap on the
// medium; in memory, where they are whole, a page of them must stay bounded.
func TestLongKeysStaySmallInMemory(t *testing.T) {
	long := bytes.Repeat([]byte{9}, 5_000)
	var entries []entry
	for i := range 400 {
		entries = append(entries, entry{fmt.Appendf(bytes.Clone(long), "%04d", i), nil, KindValue})
	}
	tab, _ := table(t, TableOptions{}, Codec{Compression: LZ4}, entries)
	checkTable(t, tab, entries, nil)
	tab.Residents(func(p *Page) {
		if p.kind == kindInner && p.size > 8*DefaultInnerBytes {
			t.Errorf("inner page of %d bytes", p.size)
		}
	})
}

// TestCodecChange: each keyspace has its own codec; a leaf has one.
func TestCodecChange(t *testing.T) {
	var buf bytes.Buffer
	b := NewBuilder(&buf, TableOptions{})
	entries := numbered(300, 50)
	codecOf := func(i int) Codec { return codecs[i/100] }
	for i, e := range entries {
		b.SetCodec(codecOf(i))
		if err := b.Add(e.key, e.value, e.kind); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	f := &memFile{data: buf.Bytes()}
	tab := NewTable(m, f.handle, NewCache(nil, nil))
	checkTable(t, tab, entries, nil)
	i := 0
	tab.Residents(func(p *Page) {
		if p.kind != kindLeaf {
			return
		}
		got := Compression(f.data[p.parent.inner.refs[p.index].Offset+6])
		for range p.leaf.count {
			if want := codecOf(i).Compression; got != want {
				t.Errorf("entry %d lies in a leaf of compression %v, want %v", i, got, want)
			}
			i++
		}
	})
	if i != len(entries) {
		t.Errorf("%d entries in memory", i)
	}
}

func TestTableName(t *testing.T) {
	for _, id := range []FileID{0, 1, 0xABCDEF, 1<<64 - 1} {
		if got, ok := ParseTableName(TableName(id)); !ok || got != id {
			t.Errorf("%d came back as %d, %v", id, got, ok)
		}
	}
	for _, s := range []string{"", "table-", "table-1", "table-000000000000000G", "table-00000000000000AB", "table-+000000000000001", "tablet-0000000000000001", "table-00000000000000001"} {
		if id, ok := ParseTableName(s); ok {
			t.Errorf("%q was taken for table %d", s, id)
		}
	}
}

// TestFilterSavesLoads: once the filter is in memory, absent keys load no pages.
func TestFilterSavesLoads(t *testing.T) {
	entries := numbered(1000, 20)
	tab, _ := table(t, small(1), Codec{}, entries)
	for _, e := range entries {
		checkGet(t, tab, append(bytes.Clone(e.key), 'x'), nil)
	}
	s := tab.cache.Stats()
	if s.FilterSkips < 950 {
		t.Errorf("the filter answered %d of 1000 lookups", s.FilterSkips)
	}
	if s.Misses > 200 {
		t.Errorf("%d pages were loaded for absent keys", s.Misses)
	}
}

// TestLargeFilterIsEarned: a large filter is loaded only when lookups in vain have cost enough,
// and never for lookups that succeed.
func TestLargeFilterIsEarned(t *testing.T) {
	entries := numbered(50_000, 20)
	tab, _ := table(t, TableOptions{}, Codec{}, entries)
	length := int64(tab.meta.Filter.Length)
	if length <= smallFilterBytes {
		t.Fatalf("filter of %d bytes is small", length)
	}
	for i := range entries {
		checkGet(t, tab, entries[i].key, &entries[i])
	}
	if tab.filter.Load() != nil {
		t.Fatal("lookups that succeed have loaded the filter")
	}
	evictAll(t, tab.cache)
	for i := range entries {
		checkGet(t, tab, append(bytes.Clone(entries[i].key), 'x'), nil)
	}
	if tab.filter.Load() == nil {
		t.Fatal("lookups in vain have not loaded the filter")
	}
	if s := tab.cache.Stats(); s.FilterSkips < 20_000 {
		t.Errorf("the filter answered %d lookups of keys whose leaf was not loaded", s.FilterSkips)
	}
}

// evictAll evicts every page, children first.
func evictAll(t testing.TB, c *Cache) {
	t.Helper()
	pages := c.Drain(nil)
	for range maxLevels + 2 {
		pages = slices.DeleteFunc(pages, func(p *Page) bool {
			_, ok := p.Evict()
			return ok
		})
	}
	if len(pages) > 0 || c.Resident() != 0 {
		t.Fatalf("%d pages, %d bytes are left", len(pages), c.Resident())
	}
}

func TestRetire(t *testing.T) {
	entries := numbered(200, 20)
	tab, f := table(t, small(1), Codec{}, entries)
	checkGet(t, tab, entries[0].key, &entries[0])
	if !tab.TryPin() {
		t.Fatal("cannot pin a fresh table")
	}
	tab.Retire()
	tab.Retire()
	if tab.TryPin() {
		t.Fatal("pinned a retired table")
	}
	if tab.Retired() || f.open.Load() != 1 {
		t.Fatalf("retired %v with a pin, %d handles", tab.Retired(), f.open.Load())
	}
	tab.Unpin()
	if !tab.Retired() || f.open.Load() != 0 {
		t.Fatalf("retired %v without pins, %d handles", tab.Retired(), f.open.Load())
	}
	tab.Retire()
	// What is in memory is still served; what is not is gone.
	checkGet(t, tab, entries[0].key, &entries[0])
	last := entries[len(entries)-1].key
	if _, _, _, err := tab.Get(ctx, last, Hash(last)); !errors.Is(err, ErrTableGone) {
		t.Fatalf("Get of a page that is gone: %v", err)
	}
	cur := (&Run{Tables: []*Table{tab}}).NewCursor(CursorOptions{})
	if cur.Last(ctx) || !errors.Is(cur.Err(), ErrTableGone) {
		t.Fatalf("cursor: %v", cur.Err())
	}
	if errs := tab.Verify(ctx, nil); len(errs) != 1 || !errors.Is(errs[0], ErrTableGone) {
		t.Fatalf("Verify: %v", errs)
	}
	for _, p := range tab.cache.Drain(nil) {
		if !p.Gone() {
			t.Error("a page of a retired table is not gone")
		}
	}
}

func TestGetAllocatesNothing(t *testing.T) {
	entries := numbered(2000, 20)
	tab, _ := table(t, TableOptions{}, Codec{Compression: LZ4}, entries)
	run := &Run{Tables: []*Table{tab}}
	checkTable(t, tab, entries, nil)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		e := &entries[i%len(entries)]
		i++
		if _, _, ok, err := run.Get(ctx, e.key, Hash(e.key)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Errorf("a cached Get allocates %v times", n)
	}
	cur := run.NewCursor(CursorOptions{})
	cur.First(ctx)
	if n := testing.AllocsPerRun(5000, func() {
		if !cur.Next(ctx) {
			cur.First(ctx)
		}
	}); n != 0 {
		t.Errorf("a cached Next allocates %v times", n)
	}
}

func TestStats(t *testing.T) {
	entries := numbered(500, 20)
	tab, _ := table(t, small(1), Codec{}, entries)
	for range 2 {
		for i := range entries {
			checkGet(t, tab, entries[i].key, &entries[i])
		}
	}
	pages := tab.cache.Drain(nil)
	s := tab.cache.Stats()
	if int(s.Misses) != len(pages) || s.Hits < 500 || s.LoadedBytes == 0 || s.ResidentBytes != tab.cache.Resident() {
		t.Errorf("%+v with %d pages", s, len(pages))
	}
	referenced := 0
	for _, p := range pages {
		if p.Referenced() {
			referenced++
		}
		if p.Referenced() {
			t.Fatal("Referenced does not forget")
		}
	}
	if referenced != len(pages) {
		t.Errorf("%d of %d pages were referenced", referenced, len(pages))
	}
	for range 5 {
		for _, p := range pages {
			p.Evict()
		}
	}
	if s := tab.cache.Stats(); int(s.Evicted) != len(pages) || s.ResidentBytes != 0 {
		t.Errorf("after eviction: %+v", s)
	}
}

package pages

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// drawRun cuts entries into tables that share a cache.
func drawRun(t *rapid.T, tb testing.TB, entries []entry, cache *Cache) *Run {
	run := &Run{SeqLo: 1, SeqHi: 9}
	for id := FileID(1); len(entries) > 0; id++ {
		n := rapid.IntRange(1, len(entries)).Draw(t, "table entries")
		o := small(id)
		o.LeafBytes = rapid.IntRange(1, 200).Draw(t, "leaf")
		m, f := build(tb, o, rapid.SampledFrom(codecs[:3]).Draw(t, "codec"), entries[:n])
		run.Tables = append(run.Tables, NewTable(m, f.handle, cache))
		entries = entries[n:]
	}
	return run
}

// model is what a cursor over a run must do.
type model struct {
	entries []entry
	at      int // -1: no position
}

func (m *model) seekGE(key []byte) {
	m.at = sort.Search(len(m.entries), func(i int) bool { return bytes.Compare(m.entries[i].key, key) >= 0 })
	m.clip()
}

func (m *model) seekLT(key []byte) {
	m.at = sort.Search(len(m.entries), func(i int) bool { return bytes.Compare(m.entries[i].key, key) >= 0 }) - 1
}

func (m *model) step(d int) {
	if m.at >= 0 {
		m.at += d
		m.clip()
	}
}

func (m *model) clip() {
	if m.at >= len(m.entries) {
		m.at = -1
	}
}

// TestCursorModel moves cursors of all kinds at random, with pages evicted in between.
func TestCursorModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := genEntries(1, 150).Draw(rt, "entries")
		cache := NewCache(nil, nil)
		run := drawRun(rt, t, all, cache)
		probe := func(label string) []byte {
			if rapid.Bool().Draw(rt, "known "+label) {
				return all[rapid.IntRange(0, len(all)-1).Draw(rt, label)].key
			}
			keys := genKeys(1, 1).Draw(rt, label)
			return keys[0]
		}
		o := CursorOptions{NoCache: rapid.Bool().Draw(rt, "no cache"), ScanCold: rapid.Bool().Draw(rt, "cold")}
		if rapid.Bool().Draw(rt, "with lo") {
			o.Lo = probe("lo")
		}
		if rapid.Bool().Draw(rt, "with hi") {
			o.Hi = probe("hi")
		}
		if rapid.Bool().Draw(rt, "with consumed") {
			run.Consumed = probe("consumed")
		}
		if err := run.Check(); err != nil {
			rt.Fatal(err)
		}
		sealed := new(*run).Seal()
		m := &model{at: -1}
		for i, e := range all {
			consumed := run.Consumed != nil && bytes.Compare(e.key, run.Consumed) <= 0
			if !consumed && bytes.Compare(e.key, o.Lo) >= 0 && (o.Hi == nil || bytes.Compare(e.key, o.Hi) < 0) {
				m.entries = append(m.entries, e)
			}
			want := &all[i]
			if consumed {
				want = nil
			}
			checkGet(t, run, e.key, want)
			checkGet(t, sealed, e.key, want)
		}
		absent := probe("absent")
		if i := sort.Search(len(all), func(i int) bool { return bytes.Compare(all[i].key, absent) >= 0 }); i == len(all) || !bytes.Equal(all[i].key, absent) {
			checkGet(t, run, absent, nil)
			checkGet(t, sealed, absent, nil)
		}
		moveCursor(rt, run.NewCursor(o), m, probe, func() { evictSome(rt, cache) })
		checkResidency(t, cache, run.Tables...)
	})
}

func moveCursor(t *rapid.T, c *Cursor, m *model, probe func(string) []byte, evict func()) {
	for range rapid.IntRange(1, 60).Draw(t, "moves") {
		var ok bool
		move := rapid.SampledFrom([]string{"First", "Last", "SeekGE", "SeekLT", "Next", "Next", "Next", "Prev", "Prev", "Prev", "evict"}).Draw(t, "move")
		switch move {
		case "First":
			ok = c.First(ctx)
			m.seekGE(nil)
		case "Last":
			ok = c.Last(ctx)
			m.at = len(m.entries) - 1
		case "SeekGE":
			key := probe("GE")
			ok = c.SeekGE(ctx, key)
			m.seekGE(key)
		case "SeekLT":
			key := probe("LT")
			ok = c.SeekLT(ctx, key)
			m.seekLT(key)
		case "Next":
			ok = c.Next(ctx)
			m.step(1)
		case "Prev":
			ok = c.Prev(ctx)
			m.step(-1)
		case "evict":
			evict()
			continue
		}
		if c.Err() != nil {
			t.Fatalf("%s: %v", move, c.Err())
		}
		if ok != (m.at >= 0) {
			t.Fatalf("%s: %v at %q, want index %d of %d", move, ok, c.Key(), m.at, len(m.entries))
		}
		if !ok {
			if c.Key() != nil || c.Value() != nil || c.Kind() != 0 {
				t.Fatalf("%s: no position, but key %q", move, c.Key())
			}
			continue
		}
		e := m.entries[m.at]
		if !bytes.Equal(c.Key(), e.key) || !bytes.Equal(c.Value(), e.value) || c.Kind() != e.kind {
			t.Fatalf("%s: at %q, want %q", move, c.Key(), e.key)
		}
	}
}

func evictSome(t *rapid.T, c *Cache) {
	for _, p := range c.Drain(nil) {
		if rapid.Bool().Draw(t, "evict page") {
			p.Evict()
		}
	}
}

func TestRunCheck(t *testing.T) {
	cache := NewCache(nil, nil)
	tab := func(keys ...string) *Table {
		var entries []entry
		for _, k := range keys {
			entries = append(entries, entry{[]byte(k), nil, KindValue})
		}
		m, f := build(t, small(1), Codec{}, entries)
		return NewTable(m, f.handle, cache)
	}
	for name, c := range map[string]struct {
		tables []*Table
		ok     bool
	}{
		"empty":      {nil, true},
		"ascending":  {[]*Table{tab("a", "b"), tab("c")}, true},
		"descending": {[]*Table{tab("c"), tab("a", "b")}, false},
		"touching":   {[]*Table{tab("a", "b"), tab("b", "c")}, false},
		"nested":     {[]*Table{tab("a", "z"), tab("b")}, false},
		"nil":        {[]*Table{nil}, false},
	} {
		if err := (&Run{Tables: c.tables}).Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if (&Run{SeqLo: 2, SeqHi: 1}).Check() == nil {
		t.Error("seqs out of order were accepted")
	}
	var none Run
	checkGet(t, &none, []byte("a"), nil)
	cur := none.NewCursor(CursorOptions{})
	if cur.First(ctx) || cur.Last(ctx) || cur.SeekGE(ctx, []byte("a")) || cur.SeekLT(ctx, []byte("a")) || cur.Next(ctx) || cur.Prev(ctx) || cur.Err() != nil {
		t.Error("a cursor over nothing found something")
	}
}

// TestGetFiltered finds what Get finds.
func TestGetFiltered(t *testing.T) {
	entries := numbered(500, 10)
	tab, _ := table(t, small(1), Codec{}, entries)
	run := &Run{Tables: []*Table{tab}}
	for i := range entries {
		checkGet(t, filtered{run}, entries[i].key, &entries[i])
		checkGet(t, filtered{run}, append(bytes.Clone(entries[i].key), 1), nil)
	}
	if s := tab.cache.Stats(); s.FilterSkips < 400 {
		t.Errorf("%+v", s)
	}
}

// TestSlicesOutliveEviction: what a reader holds stays as it was, whatever is evicted.
func TestSlicesOutliveEviction(t *testing.T) {
	entries := numbered(300, 40)
	tab, _ := table(t, small(1), Codec{Compression: LZ4}, entries)
	run := &Run{Tables: []*Table{tab}}
	var keys, values [][]byte
	cur := run.NewCursor(CursorOptions{})
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
		keys, values = append(keys, cur.Key()), append(values, cur.Value())
		for _, p := range tab.cache.Drain(nil) {
			p.Evict()
		}
	}
	for i, e := range entries {
		if !bytes.Equal(keys[i], e.key) || !bytes.Equal(values[i], e.value) {
			t.Fatalf("entry %d changed", i)
		}
	}
}

// TestScanColdLeavesNoStamp: a cold scan's leaves are the first to go; merges leave nothing.
func TestScanColdLeavesNoStamp(t *testing.T) {
	entries := numbered(300, 40)
	for _, o := range []CursorOptions{{ScanCold: true}, {NoCache: true}, {}} {
		tab, _ := table(t, small(1), Codec{}, entries)
		cur := (&Run{Tables: []*Table{tab}}).NewCursor(o)
		n := 0
		for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
			n++
		}
		if n != len(entries) || cur.Err() != nil {
			t.Fatalf("%+v: %d entries, %v", o, n, cur.Err())
		}
		stamped, leaves := 0, 0
		for _, p := range tab.cache.Drain(nil) {
			if p.kind == kindLeaf {
				leaves++
				if p.Referenced() {
					stamped++
				}
			}
		}
		switch {
		case o.NoCache && (leaves != 0 || tab.cache.Resident() != 0):
			t.Errorf("a merge left %d leaves, %d bytes", leaves, tab.cache.Resident())
		case o.ScanCold && (leaves == 0 || stamped != 0):
			t.Errorf("a cold scan stamped %d of %d leaves", stamped, leaves)
		case !o.NoCache && !o.ScanCold && (leaves == 0 || stamped != leaves):
			t.Errorf("a scan stamped %d of %d leaves", stamped, leaves)
		}
	}
}

// TestReadAhead: a merge reads large pieces, in both directions.
func TestReadAhead(t *testing.T) {
	entries := numbered(20_000, 100)
	for _, forward := range []bool{true, false} {
		tab, f := table(t, TableOptions{}, Codec{}, entries)
		reads := 0
		f.read = func(p []byte, off int64) (int, error) {
			reads++
			return f.readAt(p, off)
		}
		cur := (&Run{Tables: []*Table{tab}}).NewCursor(CursorOptions{NoCache: true})
		var got []entry
		start, move := cur.First, cur.Next
		if !forward {
			start, move = cur.Last, cur.Prev
		}
		for ok := start(ctx); ok; ok = move(ctx) {
			got = append(got, entry{cur.Key(), cur.Value(), cur.Kind()})
		}
		if !forward {
			slices.Reverse(got)
		}
		for i := range entries {
			if !bytes.Equal(got[i].key, entries[i].key) || !bytes.Equal(got[i].value, entries[i].value) {
				t.Fatalf("entry %d differs", i)
			}
		}
		if want := len(f.data)/readAheadBytes + 10; reads > want {
			t.Errorf("forward %v: %d reads, want at most %d", forward, reads, want)
		}
	}
}

// filtered makes GetFiltered the Get of a run.
type filtered struct{ run *Run }

func (f filtered) Get(ctx context.Context, key []byte, hash uint64) ([]byte, Kind, bool, error) {
	return f.run.GetFiltered(ctx, key, hash)
}

// TestFewerLoadsAtBounds: a bounded scan does not load the leaf after its bound.
func TestFewerLoadsAtBounds(t *testing.T) {
	entries := numbered(1000, 40)
	tab, _ := table(t, TableOptions{LeafBytes: 500}, Codec{}, entries)
	lo, hi := entries[500].key, entries[505].key
	cur := (&Run{Tables: []*Table{tab}}).NewCursor(CursorOptions{Lo: lo, Hi: hi})
	for range 2 {
		n := 0
		for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
			n++
		}
		for ok := cur.Last(ctx); ok; ok = cur.Prev(ctx) {
			n++
		}
		if n != 10 {
			t.Fatalf("%d entries, want 10", n)
		}
	}
	leaves := 0
	tab.Residents(func(p *Page) {
		if p.kind == kindLeaf {
			leaves++
		}
	})
	if leaves > 2 {
		t.Errorf("%d leaves were loaded for five entries", leaves)
	}
}

// TestSealIsOfItsTables: a sealed run that is copied and given other tables does not look among
// the old ones.
func TestSealIsOfItsTables(t *testing.T) {
	entries := numbered(60, 10)
	run := &Run{}
	cache := NewCache(nil, nil)
	for i := range 3 {
		m, f := build(t, small(FileID(i)), Codec{}, entries[i*20:(i+1)*20])
		run.Tables = append(run.Tables, NewTable(m, f.handle, cache))
	}
	run.Seal()
	changed := *run
	changed.Tables = slices.Clone(run.Tables)
	changed.Tables[1], changed.Tables[2] = run.Tables[2], run.Tables[2]
	changed.Tables = changed.Tables[:2]
	for i := range entries {
		checkGet(t, run, entries[i].key, &entries[i])
		if i/20 == 1 {
			checkGet(t, &changed, entries[i].key, nil)
		} else {
			checkGet(t, &changed, entries[i].key, &entries[i])
		}
	}
	same := *run
	same.Tables = slices.Clone(run.Tables)
	same.Tables[1] = NewTable(run.Tables[1].meta, func() (File, error) { return nil, errDisk }, cache)
	if _, _, _, err := same.Get(ctx, entries[25].key, Hash(entries[25].key)); !errors.Is(err, errDisk) {
		t.Errorf("the replaced table was not asked: %v", err)
	}
}

// TestGapLoadsNothing: a key that lies before, between or after the tables loads no page.
func TestGapLoadsNothing(t *testing.T) {
	cache := NewCache(nil, nil)
	run := &Run{}
	for i, keys := range []string{"bd", "fh", "km"} {
		entries := []entry{{[]byte(keys[:1]), nil, KindValue}, {[]byte(keys[1:]), nil, KindValue}}
		m, f := build(t, TableOptions{ID: FileID(i), FilterBitsPerKey: -1}, Codec{}, entries)
		run.Tables = append(run.Tables, NewTable(m, f.handle, cache))
	}
	for range 2 {
		for _, key := range []string{"", "a", "dd", "e", "j", "mm", "z"} {
			checkGet(t, run, []byte(key), nil)
		}
		run.Seal()
	}
	if n := cache.Stats().Misses; n != 0 {
		t.Errorf("%d pages were loaded", n)
	}
}

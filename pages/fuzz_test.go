package pages

import (
	"bytes"
	"testing"
)

// maxFuzzed bounds inputs, so that rounds stay fast.
const maxFuzzed = 1 << 16

// FuzzLeaf: whatever decodes is in order and consistent, and writing it again gives the same.
func FuzzLeaf(f *testing.F) {
	for _, c := range codecs[:3] {
		f.Add(storedLeaf(numbered(30, 20), c))
		f.Add(storedLeaf(numbered(1, 300), c))
	}
	f.Add(storedLeaf([]entry{{[]byte("a"), nil, KindTombstone}, {[]byte("ab"), nil, KindValue}}, Codec{}))
	f.Fuzz(func(t *testing.T, stored []byte) {
		if len(stored) > maxFuzzed {
			return
		}
		w := place{kind: kindLeaf}
		s := &scratch{stored: stored}
		_, _, _, _ = s.search(w, stored[:min(8, len(stored))])
		p, err := decodePage(stored, kindLeaf, 0, 0, new(scratch))
		if err != nil {
			return
		}
		var entries []entry
		for i := range int(p.leaf.count) {
			k, v, kind := p.leaf.entry(i)
			if i > 0 && bytes.Compare(entries[i-1].key, k) >= 0 {
				t.Fatalf("key %q after %q", k, entries[i-1].key)
			}
			entries = append(entries, entry{k, v, kind})
		}
		for _, e := range entries {
			for _, key := range [][]byte{e.key, append(bytes.Clone(e.key), 0), e.key[:len(e.key)/2], append(bytes.Clone(e.key), 0xFF)} {
				wantValue, wantKind, want := p.leaf.find(key, Hash(key))
				value, kind, ok, err := s.search(w, key)
				if err != nil || ok != want || kind != wantKind || !bytes.Equal(value, wantValue) {
					t.Fatalf("search of the stored leaf for %q: %q, %d, %v, %v; find gives %q, %d, %v",
						key, value, kind, ok, err, wantValue, wantKind, want)
				}
			}
		}
		checkLeaf(t, p, entries, [][]byte{nil, {0xFF}, stored[:min(8, len(stored))]})
		again, err := decodePage(storedLeaf(entries, Codec{}), kindLeaf, 0, 0, new(scratch))
		if err != nil {
			t.Fatal(err)
		}
		checkLeaf(t, again, entries, nil)
	})
}

// FuzzInner: whatever decodes has ascending separators and children inside of the file.
func FuzzInner(f *testing.F) {
	f.Add(storedInner(numbered(30, 0)), []byte("\x02key000000000033"))
	f.Add(storedInner([]entry{{}, {key: []byte{0}}, {key: []byte{0, 0}}}), []byte{0})
	f.Add(storedInner(numbered(1, 0)), []byte{})
	f.Fuzz(func(t *testing.T, stored, key []byte) {
		if len(stored) > maxFuzzed {
			return
		}
		const limit = 1 << 20
		p, err := decodePage(stored, kindInner, 1, limit, new(scratch))
		if err != nil {
			return
		}
		in := p.inner
		want := 0
		for i, ref := range in.refs {
			if !ref.within(limit, maxPageBytes) {
				t.Fatalf("child %d at %+v", i, ref)
			}
			if i > 1 && bytes.Compare(in.sep(i-1), in.sep(i)) >= 0 {
				t.Fatalf("separator %q after %q", in.sep(i), in.sep(i-1))
			}
			if i > 0 && bytes.Compare(in.sep(i), key) <= 0 {
				want = i
			}
		}
		if got := in.search(key); got != want {
			t.Fatalf("search(%q) = %d, want %d", key, got, want)
		}
	})
}

// FuzzFilter: whatever decodes can be asked anything.
func FuzzFilter(f *testing.F) {
	f.Add(storedFilter(1), uint64(1))
	f.Add(storedFilter(100), Hash([]byte("key7")))
	f.Fuzz(func(t *testing.T, stored []byte, hash uint64) {
		if len(stored) > maxFuzzed {
			return
		}
		p, err := decodePage(stored, kindFilter, 0, 0, new(scratch))
		if err != nil {
			return
		}
		p.filter.add(hash)
		if !p.filter.has(hash) {
			t.Fatalf("%#x was added and is not there", hash)
		}
	})
}

// FuzzTableMeta: whatever decodes refers into the file, and is written the same way again.
func FuzzTableMeta(f *testing.F) {
	m, _ := build(f, small(7), Codec{}, numbered(40, 12))
	f.Add(m.AppendTo(nil))
	m, _ = build(f, TableOptions{FilterBitsPerKey: -1}, Codec{}, numbered(1, 12))
	f.Add(append(m.AppendTo(nil), "more"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := DecodeTableMeta(b)
		if err != nil {
			return
		}
		if !bytes.Equal(append(m.AppendTo(nil), rest...), b) {
			t.Fatalf("%+v is written in another way", m)
		}
		if !m.Root.within(m.Size, maxPageBytes) {
			t.Fatalf("root %+v of %d bytes", m.Root, m.Size)
		}
	})
}

// FuzzTableFooter feeds a whole file: its footer, properties and, if they are sound, its pages.
func FuzzTableFooter(f *testing.F) {
	for _, c := range codecs[:3] {
		_, file := build(f, small(7), c, numbered(20, 12))
		f.Add(file.data)
	}
	f.Add(appendFooter(nil, Ref{Offset: 0, Length: headerBytes}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxFuzzed {
			return
		}
		file := &memFile{data: data}
		m, err := ReadTableMeta(file, int64(len(data)), "fuzzed")
		if err != nil {
			return
		}
		tab := NewTable(m, file.handle, NewCache(nil, nil))
		tab.Verify(ctx, nil)
		for _, o := range []CursorOptions{{}, {NoCache: true}} {
			cur := (&Run{Tables: []*Table{tab}}).NewCursor(o)
			for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
			}
			for ok := cur.Last(ctx); ok; ok = cur.Prev(ctx) {
			}
		}
		_, _, _, _ = tab.Get(ctx, m.Max, Hash(m.Max))
		checkResidency(t, tab.cache, tab)
	})
}

// FuzzDecompress: any bytes, any promised length: an error or exactly that length.
func FuzzDecompress(f *testing.F) {
	for _, c := range codecs[:3] {
		src := bytes.Repeat([]byte("some text "), 40)
		out, used := Compress(nil, src, c)
		f.Add(out, uint8(used), len(src))
	}
	f.Fuzz(func(t *testing.T, src []byte, c uint8, rawLen int) {
		if len(src) > maxFuzzed || rawLen > 1<<24 {
			return
		}
		out, err := Decompress([]byte("kept"), src, Compression(c), rawLen)
		if err == nil && len(out) != rawLen+4 || !bytes.HasPrefix(out, []byte("kept")) {
			t.Fatalf("%d bytes, want %d", len(out)-4, rawLen)
		}
	})
}

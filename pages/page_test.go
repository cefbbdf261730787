package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// storedLeaf is one leaf page with all of entries.
func storedLeaf(entries []entry, c Codec) []byte {
	var w leafWriter
	w.reset()
	for _, e := range entries {
		w.add(e.key, e.value, e.kind)
	}
	return appendPage(nil, w.finish(), header{kind: kindLeaf, count: w.count}, c)
}

// storedInner is one inner page of level 1 with the keys of entries as separators, but for the
// first; child i has i + 100 bytes.
func storedInner(entries []entry) []byte {
	var w innerWriter
	w.reset()
	offset := int64(1000)
	for i, e := range entries {
		w.add(e.key, Ref{Offset: offset, Length: uint32(100 + i), CRC: uint32(i) * 77})
		offset += int64(100 + i)
	}
	return appendPage(nil, w.finish(), header{kind: kindInner, level: 1, count: w.count}, Codec{})
}

func storedFilter(keys int) []byte {
	f := newFilter(keys, 10)
	for i := range keys {
		f.add(Hash(fmt.Appendf(nil, "key%d", i)))
	}
	h := header{kind: kindFilter, level: uint8(f.probes), count: uint32(len(f.blocks))}
	return appendPage(nil, f.appendTo(nil), h, Codec{})
}

// genKeys gives ascending, distinct keys of several awkward kinds.
func genKeys(min, max int) *rapid.Generator[[][]byte] {
	return rapid.Custom(func(t *rapid.T) [][]byte {
		alphabet := rapid.SampledFrom([][]byte{{0, 1, 255}, []byte("ab"), {0}, []byte("0123456789")}).Draw(t, "alphabet")
		prefix := bytes.Repeat(alphabet[:1], rapid.SampledFrom([]int{0, 0, 3, 8, 9, 40}).Draw(t, "prefix"))
		unit := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 12)
		raw := rapid.SliceOfN(unit, min, max).Draw(t, "keys")
		keys := make([][]byte, len(raw))
		for i := range raw {
			keys[i] = append(bytes.Clone(prefix), raw[i]...)
		}
		slices.SortFunc(keys, bytes.Compare)
		return slices.CompactFunc(keys, bytes.Equal)
	})
}

func genEntries(min, max int) *rapid.Generator[[]entry] {
	return rapid.Custom(func(t *rapid.T) []entry {
		keys := genKeys(min, max).Draw(t, "keys")
		entries := make([]entry, len(keys))
		for i, k := range keys {
			entries[i] = entry{key: k, kind: KindValue}
			switch rapid.IntRange(0, 9).Draw(t, "shape") {
			case 0:
				entries[i].kind = KindTombstone
			case 1: // an empty value is not a tombstone
			case 2:
				entries[i].value = bytes.Repeat([]byte("long"), rapid.IntRange(0, 300).Draw(t, "times"))
			default:
				entries[i].value = rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "value")
			}
		}
		return entries
	})
}

// checkLeaf compares a decoded leaf with its entries: in order, by lookup, by seek.
func checkLeaf(t rapid.TB, p *Page, entries []entry, probes [][]byte) {
	t.Helper()
	l := p.leaf
	if int(l.count) != len(entries) {
		t.Fatalf("%d entries, want %d", l.count, len(entries))
	}
	for i, e := range entries {
		k, v, kind := l.entry(i)
		if !bytes.Equal(k, e.key) || !bytes.Equal(v, e.value) || kind != e.kind {
			t.Fatalf("entry %d is %q %q %d, want %q %q %d", i, k, v, kind, e.key, e.value, e.kind)
		}
		if cap(k) != len(k) || cap(v) != len(v) {
			t.Fatalf("entry %d: capacities are not clipped", i)
		}
		probes = append(probes, e.key, append(bytes.Clone(e.key), 0), e.key[:len(e.key)/2])
	}
	for _, key := range probes {
		i, found := slices.BinarySearchFunc(entries, key, func(e entry, key []byte) int { return bytes.Compare(e.key, key) })
		if got := l.seek(key); got != i {
			t.Fatalf("seek(%q) = %d, want %d", key, got, i)
		}
		v, kind, ok := l.find(key, Hash(key))
		if ok != found || ok && (kind != entries[i].kind || !bytes.Equal(v, entries[i].value)) {
			t.Fatalf("find(%q) = %q, %d, %v; want %v", key, v, kind, ok, found)
		}
		if v2, kind2, ok2 := l.findOrdered(key); ok2 != ok || kind2 != kind || !bytes.Equal(v, v2) {
			t.Fatalf("findOrdered(%q) = %q, %d, %v; find says %q, %d, %v", key, v2, kind2, ok2, v, kind, ok)
		}
	}
}

func TestLeafRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := genEntries(1, 60).Draw(t, "entries")
		probes := genKeys(0, 20).Draw(t, "probes")
		c := rapid.SampledFrom(codecs).Draw(t, "codec")
		p, err := decodePage(storedLeaf(entries, c), kindLeaf, 0, 0, new(scratch))
		if err != nil {
			t.Fatal(err)
		}
		checkLeaf(t, p, entries, probes)
	})
}

// TestLeafShapes: what rapid would hardly draw.
func TestLeafShapes(t *testing.T) {
	long := bytes.Repeat([]byte{0xAB}, maxKeyBytes-1)
	big := make([]byte, 10<<20)
	rand.NewChaCha8([32]byte{1}).Read(big)
	var many []entry
	for i := range 5000 {
		many = append(many, entry{fmt.Appendf(nil, "%05d", i), nil, KindValue})
	}
	cases := map[string][]entry{
		"empty key":         {{[]byte{}, []byte("v"), KindValue}},
		"one tombstone":     {{[]byte("k"), nil, KindTombstone}},
		"empty value":       {{[]byte("k"), nil, KindValue}},
		"long keys":         {{append(long, 1), []byte("a"), KindValue}, {append(bytes.Clone(long), 2), nil, KindTombstone}},
		"one long key":      {{append(bytes.Clone(long), 1), []byte("a"), KindValue}},
		"10 MiB of noise":   {{[]byte("k"), big, KindValue}},
		"10 MiB of zeros":   {{[]byte("k"), make([]byte, 10<<20), KindValue}},
		"more than tagged":  many,
		"exactly tagged":    many[:maxTagged],
		"equal heads":       {{[]byte("aaaaaaaaaaaa"), nil, KindValue}, {[]byte("aaaaaaaaaaaab"), nil, KindValue}, {[]byte("baaaaaaaaaaaaa1"), nil, KindValue}, {[]byte("baaaaaaaaaaaaa2"), nil, KindValue}},
		"zeros beside ends": {{[]byte("a"), nil, KindValue}, {[]byte("a\x00"), nil, KindValue}, {[]byte("a\x00\x00"), nil, KindValue}, {[]byte("b"), nil, KindValue}},
	}
	for name, entries := range cases {
		for _, c := range codecs {
			p, err := decodePage(storedLeaf(entries, c), kindLeaf, 0, 0, new(scratch))
			if err != nil {
				t.Fatalf("%s, %+v: %v", name, c, err)
			}
			checkLeaf(t, p, entries, [][]byte{nil, []byte("a"), []byte("aaaaaaaaaaaaa"), {0xFF, 0xFF}})
		}
	}
}

// TestLeafOrder: a leaf whose keys do not ascend is refused.
func TestLeafOrder(t *testing.T) {
	for _, keys := range [][]string{{"b", "a"}, {"a", "a"}, {"ab", "a"}, {"abc", "abb"}} {
		var w leafWriter
		w.reset()
		for _, k := range keys {
			w.add([]byte(k), nil, KindValue)
		}
		stored := appendPage(nil, w.finish(), header{kind: kindLeaf, count: w.count}, Codec{})
		if _, err := decodePage(stored, kindLeaf, 0, 0, new(scratch)); err == nil {
			t.Errorf("%q was decoded", keys)
		}
	}
}

func TestInnerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := genKeys(2, 60).Draw(t, "keys")
		if len(keys) > 1 && len(keys[0]) == 0 {
			keys = keys[1:]
		}
		probes := genKeys(0, 30).Draw(t, "probes")
		entries := make([]entry, len(keys))
		for i := range keys {
			entries[i].key = keys[i]
		}
		p, err := decodePage(storedInner(entries), kindInner, 1, 1<<20, new(scratch))
		if err != nil {
			t.Fatal(err)
		}
		checkInner(t, p, keys, append(probes, keys...))
	})
}

func checkInner(t rapid.TB, p *Page, keys, probes [][]byte) {
	t.Helper()
	in := p.inner
	if len(in.refs) != len(keys) || len(in.slots) != len(keys) {
		t.Fatalf("%d children, want %d", len(in.refs), len(keys))
	}
	offset := int64(1000)
	for i := range keys {
		want := Ref{Offset: offset, Length: uint32(100 + i), CRC: uint32(i) * 77}
		if in.refs[i] != want {
			t.Fatalf("child %d at %+v, want %+v", i, in.refs[i], want)
		}
		offset += int64(want.Length)
		if i > 0 && !bytes.Equal(in.sep(i), keys[i]) {
			t.Fatalf("separator %d is %q, want %q", i, in.sep(i), keys[i])
		}
	}
	for _, key := range probes {
		want := 0
		for i := 1; i < len(keys); i++ {
			if bytes.Compare(keys[i], key) <= 0 {
				want = i
			}
		}
		if got := in.search(key); got != want {
			t.Fatalf("search(%q) = %d, want %d among %q", key, got, want, keys)
		}
	}
}

func TestInnerLongSeparators(t *testing.T) {
	long := bytes.Repeat([]byte{7}, maxKeyBytes-1)
	keys := [][]byte{nil, append(bytes.Clone(long), 1), append(bytes.Clone(long), 2)}
	p, err := decodePage(storedInner([]entry{{}, {key: keys[1]}, {key: keys[2]}}), kindInner, 1, 1<<20, new(scratch))
	if err != nil {
		t.Fatal(err)
	}
	checkInner(t, p, keys, append(keys, long, []byte{7}, []byte{8}, append(bytes.Clone(long), 1, 0)))
}

func TestSeparator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := genKeys(2, 10).Filter(func(k [][]byte) bool { return len(k) >= 2 }).Draw(t, "keys")
		a, b := keys[0], keys[1]
		s := separator(nil, a, b)
		if bytes.Compare(a, s) >= 0 || bytes.Compare(s, b) > 0 {
			t.Fatalf("separator %q of %q and %q", s, a, b)
		}
		if n := len(s); n > 0 && bytes.Compare(b[:n-1], a) > 0 {
			t.Fatalf("separator %q of %q and %q could be shorter", s, a, b)
		}
	})
}

// TestFilter: no false negatives; the rate of false positives at 10 bits a key is near 1 %.
func TestFilter(t *testing.T) {
	const keys = 100_000
	hash := func(i int) uint64 { return Hash(binary.BigEndian.AppendUint64(nil, uint64(i))) }
	f := newFilter(keys, 10)
	for i := range keys {
		f.add(hash(i))
	}
	h := header{kind: kindFilter, level: uint8(f.probes), count: uint32(len(f.blocks))}
	p, err := decodePage(appendPage(nil, f.appendTo(nil), h, Codec{}), kindFilter, 0, 0, new(scratch))
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range keys {
		if !p.filter.has(hash(i)) {
			t.Fatalf("key %d was added and is not there", i)
		}
		if p.filter.has(hash(i + keys)) {
			wrong++
		}
	}
	if rate := float64(wrong) / keys; rate > 0.015 {
		t.Errorf("false positives: %.2f %%", rate*100)
	} else {
		t.Logf("false positives: %.2f %%, %d bytes", rate*100, len(f.blocks)*blockBytes)
	}
}

package versions

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/pages"
	"pgregory.net/rapid"
)

// model is the index that never forgets: every version of every key, oldest first.
type model struct {
	t       *rapid.T
	x       *Index
	all     map[string][]Version
	last    pages.Seq
	visible pages.Seq
	pending []pages.Seq       // group boundaries above visible
	open    map[pages.Seq]int // registered seqs
}

func (m *model) at(key string, s pages.Seq) (v Version, ok bool) {
	for _, w := range slices.Backward(m.all[key]) {
		if w.Seq <= s {
			return w, true
		}
	}
	return Version{}, false
}

// protected lists the seqs that readers may use now.
func (m *model) protected() []pages.Seq {
	seqs := append([]pages.Seq{m.visible}, m.pending...)
	for s := range m.open {
		seqs = append(seqs, s)
	}
	slices.Sort(seqs)
	return slices.Compact(seqs)
}

func genKey(t *rapid.T) []byte {
	// Few bytes, zeros and long common parts: heads collide, keys are prefixes of each other.
	prefix := rapid.SampledFrom([]string{"\x02", "\x02", "\x02aaaaaaaaaaaaaaaaaaa", "\x10"}).Draw(t, "prefix")
	tail := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 1, 'a', 0xFF}), 0, 12).Draw(t, "tail")
	return append([]byte(prefix), tail...)
}

func (m *model) group(t *rapid.T) {
	keep := &Keep{Seqs: m.protected()}
	for range rapid.IntRange(1, 4).Draw(t, "commits") {
		m.last++
		if rapid.IntRange(0, 5).Draw(t, "adopt") == 0 {
			m.adopted(t, keep)
			continue
		}
		for range rapid.IntRange(1, 6).Draw(t, "writes") {
			key, value, kind := genKey(t), genValue(t), pages.KindValue
			if value == nil {
				kind = pages.KindTombstone
			}
			m.x.Put(pages.Hash(key), key, value, kind, m.last, keep)
			m.note(key, value, kind)
		}
	}
	m.pending = append(m.pending, m.last)
}

func genValue(t *rapid.T) []byte {
	switch rapid.IntRange(0, 9).Draw(t, "value") {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, rapid.IntRange(1000, 3000).Draw(t, "large"))
	}
	return rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "small")
}

// adopted writes one commit as a batch that becomes a chunk.
func (m *model) adopted(t *rapid.T, keep *Keep) {
	type op struct{ keyOff, keyLen, valOff, valLen int }
	var batch []byte
	var ops []op
	for range rapid.IntRange(1, 5).Draw(t, "ops") {
		key, value := genKey(t), genValue(t)
		o := op{keyLen: len(key), valLen: len(value)}
		if rapid.Bool().Draw(t, "valueFirst") {
			o.valOff = len(batch)
			batch = append(batch, value...)
			o.keyOff = len(batch)
			batch = append(batch, key...)
		} else {
			o.keyOff = len(batch)
			batch = append(append(batch, key...), "framing"...)
			o.valOff = len(batch)
			batch = append(batch, value...)
		}
		ops = append(ops, o)
	}
	c := m.x.Adopt(batch)
	for _, o := range ops {
		key, value := batch[o.keyOff:o.keyOff+o.keyLen], batch[o.valOff:o.valOff+o.valLen]
		m.x.PutAdopted(c, pages.Hash(key), o.keyOff, o.keyLen, o.valOff, o.valLen, pages.KindValue, m.last, keep)
		m.note(key, value, pages.KindValue)
	}
}

func (m *model) note(key, value []byte, kind pages.Kind) {
	m.all[string(key)] = append(m.all[string(key)], Version{value, m.last, kind})
}

func (m *model) raise(t *rapid.T) {
	if len(m.pending) > 0 {
		n := rapid.IntRange(1, len(m.pending)).Draw(t, "groups")
		m.visible = m.pending[n-1]
		m.pending = m.pending[n:]
	}
}

func same(got, want Version) error {
	if got.Seq != want.Seq || got.Kind != want.Kind || !bytes.Equal(got.Value, want.Value) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if (got.Kind == pages.KindTombstone) != (got.Value == nil) || cap(got.Value) != len(got.Value) {
		return fmt.Errorf("value %v of kind %d, capacity %d", got.Value, got.Kind, cap(got.Value))
	}
	return nil
}

// gets compares every key at every protected seq, and at one that is not: there the index may
// not know, but then it says so.
func (m *model) gets(t *rapid.T) {
	protected := m.protected()
	any := pages.Seq(rapid.Uint64Range(0, uint64(m.last)).Draw(t, "anySeq"))
	for key, list := range m.all {
		hash := pages.Hash([]byte(key))
		for _, s := range protected {
			want, exists := m.at(key, s)
			got, ok, _ := m.x.Get(hash, []byte(key), s)
			if ok != exists {
				t.Fatalf("get %q at %d: %t, want %t", key, s, ok, exists)
			}
			if err := same(got, want); ok && err != nil {
				t.Fatalf("get %q at %d: %v", key, s, err)
			}
		}
		want, exists := m.at(key, any)
		if got, ok, trimmed := m.x.Get(hash, []byte(key), any); !trimmed && (ok != exists || ok && same(got, want) != nil) {
			t.Fatalf("get %q at unprotected %d: %v %t, want %v %t, and it was not said to be trimmed", key, any, got, ok, want, exists)
		}
		if s := m.x.NewestSeq(hash, []byte(key)); s != list[len(list)-1].Seq {
			t.Fatalf("newest seq of %q is %d, want %d", key, s, list[len(list)-1].Seq)
		}
	}
	absent := []byte("\x02absent")
	if _, ok, trimmed := m.x.Get(pages.Hash(absent), absent, pages.MaxSeq); ok || trimmed {
		t.Fatal("an absent key was found")
	}
}

type row struct {
	key string
	v   Version
}

func (m *model) rows(s pages.Seq, lo, hi []byte) []row {
	var rows []row
	for key := range m.all {
		if lo != nil && key < string(lo) || hi != nil && key >= string(hi) {
			continue
		}
		if v, ok := m.at(key, s); ok {
			rows = append(rows, row{key, v})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare([]byte(a.key), []byte(b.key)) })
	return rows
}

// cursor drives a cursor by random moves beside a position in a sorted slice.
func (m *model) cursor(t *rapid.T) {
	s := rapid.SampledFrom(m.protected()).Draw(t, "cursorSeq")
	var lo, hi []byte
	if rapid.Bool().Draw(t, "bounded") {
		lo, hi = genKey(t), genKey(t)
	}
	rows := m.rows(s, lo, hi)
	c := m.x.NewCursor(s, lo, hi)
	pos := -1
	for i := range rapid.IntRange(1, 30).Draw(t, "moves") {
		var ok bool
		move := rapid.SampledFrom([]string{"next", "next", "next", "prev", "prev", "first", "last", "ge", "lt"}).Draw(t, "move")
		switch move {
		case "next":
			ok, pos = c.Next(), min(pos+1, len(rows))
		case "prev":
			ok, pos = c.Prev(), max(pos-1, -1)
		case "first":
			ok, pos = c.First(), 0
		case "last":
			ok, pos = c.Last(), len(rows)-1
		default:
			key := genKey(t)
			pos, _ = slices.BinarySearchFunc(rows, key, func(r row, k []byte) int { return bytes.Compare([]byte(r.key), k) })
			if move == "ge" {
				ok = c.SeekGE(key)
			} else {
				ok, pos = c.SeekLT(key), pos-1
			}
		}
		want := pos >= 0 && pos < len(rows)
		if ok != want || c.Valid() != want {
			t.Fatalf("move %d, %s: %t, want %t", i, move, ok, want)
		}
		if !ok {
			continue
		}
		if string(c.Key()) != rows[pos].key {
			t.Fatalf("move %d, %s: key %q, want %q", i, move, c.Key(), rows[pos].key)
		}
		if err := same(Version{c.Value(), c.Seq(), c.Kind()}, rows[pos].v); err != nil {
			t.Fatalf("move %d, %s: key %q: %v", i, move, c.Key(), err)
		}
	}
}

func (m *model) since(t *rapid.T) {
	after := pages.Seq(rapid.Uint64Range(0, uint64(m.last)).Draw(t, "after"))
	upTo := pages.Seq(rapid.Uint64Range(uint64(after), uint64(m.last)).Draw(t, "upTo"))
	got := map[string]bool{}
	m.x.Since(after, upTo, func(key []byte, seq pages.Seq) bool {
		if seq <= after || seq > upTo {
			t.Fatalf("since(%d, %d) reports %q at %d", after, upTo, key, seq)
		}
		got[string(key)] = true
		return true
	})
	for key, list := range m.all {
		written := slices.ContainsFunc(list, func(v Version) bool { return v.Seq > after && v.Seq <= upTo })
		later := list[len(list)-1].Seq > upTo
		if got[key] && !written || written && !got[key] && !later {
			t.Fatalf("since(%d, %d): %q reported: %t, written: %t, and later: %t", after, upTo, key, got[key], written, later)
		}
	}
}

func TestIndexAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		floor := pages.Seq(rapid.Uint64Range(0, 3).Draw(t, "floor"))
		o := IndexOptions{
			ChunkBytes: rapid.SampledFrom([]int{0, 1, 300, 5000}).Draw(t, "chunkBytes"),
			ExpectKeys: rapid.SampledFrom([]int{0, 1000}).Draw(t, "expectKeys"),
		}
		m := &model{t: t, x: NewIndex(floor, o), all: map[string][]Version{}, last: floor, visible: floor, open: map[pages.Seq]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"group": m.group,
			"more":  m.group,
			"raise": m.raise,
			"snapshot": func(t *rapid.T) {
				// Read-only ones at visible, read-write ones at applied.
				s := m.visible
				if n := len(m.pending); n > 0 && rapid.Bool().Draw(t, "readWrite") {
					s = m.pending[n-1]
				}
				m.open[s]++
			},
			"release": func(t *rapid.T) {
				if len(m.open) == 0 {
					t.Skip()
				}
				seqs := m.protected()
				seqs = slices.DeleteFunc(seqs, func(s pages.Seq) bool { return m.open[s] == 0 })
				s := rapid.SampledFrom(seqs).Draw(t, "which")
				if m.open[s]--; m.open[s] == 0 {
					delete(m.open, s)
				}
			},
			"gets":   m.gets,
			"cursor": m.cursor,
			"since":  m.since,
			"order":  func(t *rapid.T) { m.x.OrderPart(rapid.IntRange(1, 10).Draw(t, "limit")) },
			"settle": func(t *rapid.T) {
				if m.x.Order(); len(m.x.order.Load().levels) > 1 {
					t.Fatal("more than one level after Order")
				}
			},
			"": func(t *rapid.T) {
				if err := m.x.Check(); err != nil {
					t.Fatal(err)
				}
				if m.x.Len() != len(m.all) {
					t.Fatalf("%d keys, want %d", m.x.Len(), len(m.all))
				}
			},
		})
	})
}

// Keys whose heads are equal word after word, keys that end inside a word, zeros at the ends.
func TestOrderOfKeysThatShareHeads(t *testing.T) {
	var keys [][]byte
	for i := range 40 {
		for j := range 40 {
			key := append([]byte{2}, bytes.Repeat([]byte{0}, i)...)
			keys = append(keys, append(key, bytes.Repeat([]byte{'x'}, j)...))
			keys = append(keys, fmt.Appendf(nil, "\x02%s/%04d/%s/%d", bytes.Repeat([]byte{'p'}, 30), i, bytes.Repeat([]byte{'q'}, 50), j))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		shuffled := rapid.Permutation(keys).Draw(t, "keys")
		shuffled = shuffled[:rapid.IntRange(1, len(keys)).Draw(t, "n")]
		if rapid.IntRange(0, 4).Draw(t, "ascending") == 0 {
			slices.SortFunc(shuffled, bytes.Compare)
		}
		x := NewIndex(0, IndexOptions{})
		want := map[string]bool{}
		for i, k := range shuffled {
			x.Put(pages.Hash(k), k, nil, pages.KindTombstone, pages.Seq(i+1), nil)
			want[string(k)] = true
			if rapid.IntRange(0, 300).Draw(t, "scan") == 0 {
				x.NewCursor(pages.MaxSeq, nil, nil)
			}
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
		c := x.NewCursor(pages.MaxSeq, nil, nil)
		n := 0
		var last []byte
		for ; c.Next(); n++ {
			if last != nil && bytes.Compare(last, c.Key()) >= 0 {
				t.Fatalf("%q after %q", c.Key(), last)
			}
			last = c.Key()
		}
		if n != len(want) {
			t.Fatalf("%d keys of %d", n, len(want))
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

package pages

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

func genMeta() *rapid.Generator[TableMeta] {
	return rapid.Custom(func(t *rapid.T) TableMeta {
		u64 := func(name string, max uint64) uint64 { return rapid.Uint64Range(0, max).Draw(t, name) }
		keys := genKeys(1, 5).Draw(t, "keys")
		size := int64(u64("size", 1<<40)) + 1000
		m := TableMeta{
			ID: FileID(u64("id", 1<<64-1)), Size: size, Levels: uint8(u64("levels", maxLevels)),
			Root:    Ref{Offset: size / 2, Length: 100, CRC: uint32(u64("crc", 1<<32-1))},
			Entries: 1 + u64("entries", 1<<50), RawBytes: u64("raw", 1<<60), LeafBytes: u64("leaf", uint64(size)),
			SeqLo: Seq(u64("lo", 1<<62)), Tier: uint8(u64("tier", 255)),
			Min: keys[0], Max: keys[len(keys)-1],
		}
		m.Tombstones = u64("tombstones", m.Entries)
		m.SeqHi = m.SeqLo + Seq(u64("hi", 1<<62))
		if rapid.Bool().Draw(t, "filter") {
			m.FilterKind, m.Filter = BlockedBloom, Ref{Offset: 1, Length: 200, CRC: 5}
		}
		return m
	})
}

func TestTableMetaRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMeta().Draw(t, "meta")
		rest := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "rest")
		stored := m.AppendTo([]byte("x"))[1:]
		got, left, err := DecodeTableMeta(append(bytes.Clone(stored), rest...))
		if err != nil || !bytes.Equal(left, rest) || !bytes.Equal(got.AppendTo(nil), stored) {
			t.Fatalf("%+v came back as %+v with %d bytes left, %v", m, got, len(left), err)
		}
		if !bytes.Equal(got.Min, m.Min) || !bytes.Equal(got.Max, m.Max) || got.Root != m.Root || got.Filter != m.Filter ||
			got.Entries != m.Entries || got.Tombstones != m.Tombstones || got.SeqLo != m.SeqLo || got.SeqHi != m.SeqHi ||
			got.ID != m.ID || got.Size != m.Size || got.Tier != m.Tier || got.Levels != m.Levels ||
			got.RawBytes != m.RawBytes || got.LeafBytes != m.LeafBytes || got.FilterKind != m.FilterKind {
			t.Fatalf("%+v came back as %+v", m, got)
		}
		for n := range stored {
			if _, _, err := DecodeTableMeta(stored[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes were decoded", n, len(stored))
			}
		}
	})
}

func TestTableMetaRefuses(t *testing.T) {
	good := TableMeta{ID: 1, Size: 1000, Root: Ref{0, 100, 1}, Entries: 5, Tombstones: 5, LeafBytes: 100, SeqLo: 1, SeqHi: 2,
		Min: []byte("a"), Max: []byte("b"), FilterKind: BlockedBloom, Filter: Ref{100, 84, 1}}
	if _, _, err := DecodeTableMeta(good.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *TableMeta){
		"size":             func(m *TableMeta) { m.Size = 10 },
		"negative size":    func(m *TableMeta) { m.Size = -1 },
		"levels":           func(m *TableMeta) { m.Levels = maxLevels + 1 },
		"no root":          func(m *TableMeta) { m.Root = Ref{} },
		"root after end":   func(m *TableMeta) { m.Root.Offset = 950 },
		"root before file": func(m *TableMeta) { m.Root.Offset = -1 },
		"root overflow":    func(m *TableMeta) { m.Root.Offset = 1<<63 - 1 },
		"tiny root":        func(m *TableMeta) { m.Root.Length = headerBytes - 1 },
		"huge root":        func(m *TableMeta) { m.Size, m.Root.Length = 1<<40, 1<<31 },
		"filter kind":      func(m *TableMeta) { m.FilterKind = 2 },
		"filter missing":   func(m *TableMeta) { m.Filter = Ref{} },
		"filter unknown":   func(m *TableMeta) { m.FilterKind = NoFilter },
		"filter after end": func(m *TableMeta) { m.Filter.Offset = 1000 },
		"huge filter":      func(m *TableMeta) { m.Size, m.Filter.Length = 1<<40, 1<<31 },
		"no entries":       func(m *TableMeta) { m.Entries, m.Tombstones = 0, 0 },
		"tombstones":       func(m *TableMeta) { m.Tombstones = 6 },
		"leaf bytes":       func(m *TableMeta) { m.LeafBytes = 1001 },
		"bounds":           func(m *TableMeta) { m.Min = []byte("c") },
		"seqs":             func(m *TableMeta) { m.SeqLo = 3 },
	} {
		m := good
		spoil(&m)
		if got, _, err := DecodeTableMeta(m.AppendTo(nil)); err == nil {
			t.Errorf("%s: decoded %+v", name, got)
		}
	}
	stored := good.AppendTo(nil)
	stored[0]++
	if _, _, err := DecodeTableMeta(stored); err == nil {
		t.Error("another version was decoded")
	}
	// Lengths of keys that are not there.
	stored = good.AppendTo(nil)
	binary.LittleEndian.PutUint16(stored[metaFixedBytes-4:], 0xFFFF)
	if _, _, err := DecodeTableMeta(stored); err == nil {
		t.Error("keys beyond the end were decoded")
	}
}

func TestFooterRefuses(t *testing.T) {
	const size = 1000
	good := appendFooter(nil, Ref{Offset: 100, Length: 200, CRC: 3})
	if ref, err := decodeFooter(good, size); err != nil || ref != (Ref{100, 200, 3}) {
		t.Fatalf("%+v, %v", ref, err)
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		if ref, err := decodeFooter(b, size); err == nil {
			t.Errorf("byte %d: decoded %+v", i, ref)
		}
	}
	for _, ref := range []Ref{{-1, 100, 1}, {0, 10, 1}, {900, 100, 1}, {size - footerBytes, headerBytes, 1}, {0, 1 << 31, 1}} {
		if got, err := decodeFooter(appendFooter(nil, ref), size); err == nil {
			t.Errorf("%+v: decoded %+v", ref, got)
		}
	}
	if _, err := decodeFooter(good[1:], size); err == nil {
		t.Error("a short footer was decoded")
	}
}

package pages

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenEntries is what the golden table holds; a change of it needs a new file name.
func goldenEntries() []entry {
	var entries []entry
	for i := range 300 {
		e := entry{key: AppendKey(nil, DefaultKeyspace, fmt.Appendf(nil, "golden/%04d", i)), kind: KindValue}
		switch i % 7 {
		case 3:
			e.kind = KindTombstone
		case 5: // empty value
		default:
			e.value = bytes.Repeat(fmt.Appendf(nil, "value %d ", i), i%9+1)
		}
		entries = append(entries, e)
	}
	big := entry{AppendKey(nil, 300, []byte("oversize")), bytes.Repeat([]byte("0123456789abcdef"), 1000), KindValue}
	return append(entries, big)
}

// TestGoldenTable: every version of this code reads the tables that version 1 of the format
// wrote: leaves of all three compressions, inner pages, a filter.
func TestGoldenTable(t *testing.T) {
	name := filepath.Join("testdata", "table-v1.golden")
	entries := goldenEntries()
	var buf bytes.Buffer
	b := NewBuilder(&buf, TableOptions{ID: 0x1234, LeafBytes: 500, InnerBytes: 300, SeqLo: 17, SeqHi: 99, Tier: 2})
	for i, e := range entries {
		b.SetCodec([]Codec{{}, {Compression: LZ4}, {Compression: Zstd, Level: 2}}[i/100%3])
		if err := b.Add(e.key, e.value, e.kind); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file := &memFile{data: data}
	m, err := ReadTableMeta(file, int64(len(data)), name)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != 0x1234 || m.SeqLo != 17 || m.SeqHi != 99 || m.Tier != 2 || m.Entries != 301 || m.Levels < 2 {
		t.Errorf("meta %+v", m)
	}
	tab := NewTable(m, file.handle, NewCache(nil, nil))
	checkTable(t, tab, entries, [][]byte{nil, {0xFF}})
	if errs := tab.Verify(ctx, nil); errs != nil {
		t.Fatal(errs)
	}
}

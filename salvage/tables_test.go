package salvage_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/salvage"
)

// TestSwappedTables: tables are known by their footers, where their names are wrong.
func TestSwappedTables(t *testing.T) {
	s := theSample()
	var tables []string
	for _, name := range s.files.names() {
		if isTable(name) {
			tables = append(tables, name)
		}
	}
	for i := 0; i < len(tables); i += stride(t, 1) {
		a, b := tables[i], tables[(i+1)%len(tables)]
		for what, f := range map[string]files{
			"swapped":                 s.files.with(a, s.files[b]).with(b, s.files[a]),
			"swapped, no checkpoint":  s.files.with(a, s.files[b]).with(b, s.files[a]).only(noCheckpoint),
			"another, no checkpoint":  s.files.with("table-0000000000ffffff", s.files[a]).only(noCheckpoint),
			"another":                 s.files.with("table-0000000000ffffff", s.files[a]),
			"called something else":   s.files.with("table-0000000000ffffff", s.files[a]).with(a, nil),
			"something else, no ckpt": s.files.with("table-0000000000ffffff", s.files[a]).with(a, nil).only(noCheckpoint),
		} {
			r := run(t, f, s.model)
			if n := compare(t, s, r); n != 0 || !r.report.Sound() || len(r.report.Notes)+len(r.report.Ignored) == 0 {
				t.Fatalf("%s and %s %s: %d keys differ: %v", a, b, what, n, r.report)
			}
		}
		r := run(t, s.files.with(a, s.files[b]), s.model)
		if compare(t, s, r); r.report.Sound() {
			t.Errorf("%s in the place of %s: %v", b, a, r.report)
		}
	}
}

// TestRetiredServe: tables that were merged, and are there still, serve where what was made of them is
// lost; and nowhere else.
func TestRetiredServe(t *testing.T) {
	s := theSample()
	before, after := compacted(t, s)
	all := maps.Clone(after)
	for name, contents := range before {
		if isTable(name) {
			all[name] = contents
		}
	}
	r := run(t, all, s.model)
	if n := compare(t, s, r); n != 0 || !r.report.Sound() {
		t.Fatalf("undamaged: %d keys differ: %v", n, r.report)
	}
	tried := 0
	for name := range after {
		if !isTable(name) || before[name] != nil {
			continue
		}
		tried++
		without := compare(t, s, run(t, after.with(name, nil), s.model))
		r := run(t, all.with(name, nil), s.model)
		if n := compare(t, s, r); n > without/10 || r.report.Sound() {
			t.Errorf("without %s %d keys differ, and %d if the old tables are not there: %v", name, n, without, r.report)
		}
		damaged := all
		for old, contents := range before {
			if isTable(old) && after[old] == nil {
				contents = slices.Clone(contents)
				contents[len(contents)/3] ^= 1
				damaged = damaged.with(old, contents)
			}
		}
		compare(t, s, run(t, damaged.with(name, nil), s.model))
		if r := run(t, damaged, s.model); compare(t, s, r) != 0 || !r.report.Sound() {
			t.Errorf("damage of tables that nobody misses: %v", r.report)
		}
	}
	if tried == 0 {
		t.Error("nothing was merged")
	}
}

// TestMuchDamageRetired is TestMuchDamage of a store with tables that wait for their removal.
func TestMuchDamageRetired(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	s := theSample()
	before, after := compacted(t, s)
	for name, contents := range before {
		if isTable(name) {
			after[name] = contents
		}
	}
	newest := slices.MaxFunc(slices.DeleteFunc(after.names(), noCheckpoint), strings.Compare)
	for seed := range uint64(200) {
		f := after.harm(newRand(seed), 1+int(seed%9), func(name string) bool { return name == newest })
		compare(t, s, run(t, f, s.model))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestNoKeyAtAll: an entry under no key, which nothing writes, does not hide the catalog behind it.
func TestNoKeyAtAll(t *testing.T) {
	var b bytes.Buffer
	w := pages.NewBuilder(&b, pages.TableOptions{LeafBytes: 4 << 10, InnerBytes: 4 << 10, ID: 1, SeqLo: 1, SeqHi: 3})
	must(t, w.Add([]byte{}, []byte("nothing"), pages.KindValue))
	must(t, w.Add(pages.NameKey("named"), pages.CatalogEntry{ID: pages.FirstUserKeyspace}.AppendEntry(nil), pages.KindValue))
	must(t, w.Add(pages.AppendKey(nil, pages.FirstUserKeyspace, []byte("k")), []byte("v"), pages.KindValue))
	_, err := w.Finish()
	must(t, err)
	r := run(t, files{pages.TableName(1): b.Bytes()}, nil)
	if r.state["named"]["k"] != "v" || !r.report.Sound() {
		t.Errorf("%v, %v", r.state, r.report)
	}
}

// TestMoreThanListed: what is too much for the list is counted.
func TestMoreThanListed(t *testing.T) {
	if testing.Short() {
		t.Skip("damages a hundred thousand pages")
	}
	var b bytes.Buffer
	w := pages.NewBuilder(&b, pages.TableOptions{LeafBytes: 64, InnerBytes: 4 << 10, ID: 1, SeqLo: 1, SeqHi: 3})
	const entries = 150 << 10
	for i := range entries {
		must(t, w.Add(pages.AppendKey(nil, pages.DefaultKeyspace, fmt.Appendf(nil, "key-%08d", i)), []byte("some value that fills a leaf"), pages.KindValue))
	}
	m, err := w.Finish()
	must(t, err)
	damaged, leaves := b.Bytes(), 0
	for at := 0; at < int(m.LeafBytes); leaves++ {
		n := 20 + int(binary.LittleEndian.Uint32(damaged[at+16:]))
		if leaves%2 == 0 {
			damaged[at+n-1] ^= 1
		}
		at += n
	}
	r := run(t, files{pages.TableName(1): damaged}, nil)
	got := int64(len(r.report.Lost)) + r.report.Unlisted
	if got != int64(leaves+1)/2 || r.report.Unlisted == 0 || !strings.Contains(r.report.String(), fmt.Sprintf("and %d more\n", r.report.Unlisted)) {
		t.Errorf("%d and %d were lost, want %d of %d", len(r.report.Lost), r.report.Unlisted, (leaves+1)/2, leaves)
	}
}

// TestUnnamedHole: what was lost of keyspaces that nothing names is listed all the same.
func TestUnnamedHole(t *testing.T) {
	var b bytes.Buffer
	w := pages.NewBuilder(&b, pages.TableOptions{LeafBytes: 4 << 10, InnerBytes: 4 << 10, ID: 1, SeqLo: 1, SeqHi: 3})
	must(t, w.Add(pages.AppendKey(nil, pages.FirstUserKeyspace+3, []byte("k")), []byte("v"), pages.KindValue))
	_, err := w.Finish()
	must(t, err)
	damaged := b.Bytes()
	damaged[21] ^= 1
	if r := run(t, files{pages.TableName(1): damaged}, nil); !loses(r.report, salvage.Entries) {
		t.Errorf("%v", r.report)
	}
}

// TestProofs: leaves whose parent is damaged are proven by the checksums that are left of it, and listed
// as unproven without.
func TestProofs(t *testing.T) {
	var b bytes.Buffer
	w := pages.NewBuilder(&b, pages.TableOptions{LeafBytes: 256, InnerBytes: 8 << 10, ID: 1, SeqLo: 1, SeqHi: 3})
	const entries = 300
	for i := range entries {
		must(t, w.Add(pages.AppendKey(nil, pages.DefaultKeyspace, fmt.Appendf(nil, "key-%08d", i)), fmt.Appendf(nil, "value %d", i), pages.KindValue))
	}
	m, err := w.Finish()
	must(t, err)
	name := pages.TableName(1)
	if m.Levels != 1 {
		t.Fatalf("%d levels", m.Levels)
	}
	damaged := slices.Clone(b.Bytes())
	damaged[m.Root.Offset] ^= 1
	if r := run(t, files{name: damaged}, nil); len(r.state["default"]) != entries || !r.report.Sound() {
		t.Errorf("with its checksums: %d entries: %v", len(r.state["default"]), r.report)
	}
	clear(damaged[m.Root.Offset : m.Root.Offset+int64(m.Root.Length)])
	r := run(t, files{name: damaged}, nil)
	if len(r.state["default"]) != entries || !loses(r.report, salvage.Unproven) || loses(r.report, salvage.Entries) {
		t.Errorf("without: %d entries: %v", len(r.state["default"]), r.report)
	}
}

// logOnly is a store that was killed before anything was in a table.
func logOnly(t *testing.T) *sample {
	t.Helper()
	mem := backends.NewMemory()
	limits := smallLimits()
	limits.SegmentBytes, limits.FirstSegment = 64<<10, 32<<10
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: limits})
	must(t, err)
	b := &builder{db: db, rng: newRand(1), model: model{}}
	b.create("plain", aegis.KeyspaceOptions{Compression: aegis.NoCompression})
	b.create("gone", aegis.KeyspaceOptions{})
	for range 3 {
		b.tail([]string{aegis.DefaultKeyspaceName, "plain", "gone"})
		b.block(aegis.Zstd)
	}
	b.check(db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("gone") }))
	b.tail([]string{aegis.DefaultKeyspaceName, "plain"})
	b.idle()
	must(t, b.err)
	s := &sample{files: read(t, mem), model: b.model, dropped: []string{"gone"}}
	must(t, db.Close())
	return s
}

// TestShapes: each file of stores of other shapes than the sample is damaged in each way, and what
// differs is what the report lists.
func TestShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	s := theSample()
	closed, compact := compacted(t, s)
	shape := func(f files) *sample {
		return &sample{files: f, model: s.model, spaces: s.spaces, dropped: s.dropped}
	}
	for name, s := range map[string]*sample{"closed": shape(closed), "compact": shape(compact), "log only": logOnly(t)} {
		t.Run(name, func(t *testing.T) {
			if r := run(t, s.files, s.model); compare(t, s, r) != 0 || !r.report.Sound() {
				t.Fatalf("undamaged: %v", r.report)
			}
			rng := newRand(2)
			for _, file := range s.files.names() {
				whole := s.files[file]
				for range 4 {
					at := rng.IntN(max(1, len(whole)))
					flipped, zeroed := slices.Clone(whole), slices.Clone(whole)
					flipped[at] ^= byte(1 + rng.IntN(255))
					clear(zeroed[at/4096*4096 : min(at/4096*4096+4096, len(whole))])
					for what, f := range map[string]files{
						"removed": s.files.with(file, nil), "emptied": s.files.with(file, []byte{}), "all zeros": s.files.with(file, make([]byte, len(whole))),
						"cut": s.files.with(file, whole[:at]), "longer": s.files.with(file, append(slices.Clone(whole), flipped[:at]...)),
						"flipped": s.files.with(file, flipped), "a block of zeros": s.files.with(file, zeroed),
					} {
						r := run(t, f, s.model)
						n := compare(t, s, r)
						if t.Failed() || n > 0 && r.report.Sound() && r.report.UnknownFrom == 0 {
							t.Fatalf("%s %s at %d: %d keys differ: %v", file, what, at, n, r.report)
						}
					}
				}
			}
		})
	}
}

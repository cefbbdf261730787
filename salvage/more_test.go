package salvage_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/salvage"
)

// harm damages files at random, n times.
func (f files) harm(rng *rand.Rand, n int, spare func(name string) bool) files {
	for range n {
		names := f.names()
		name := names[rng.IntN(len(names))]
		if spare(name) {
			continue
		}
		b := slices.Clone(f[name])
		at := rng.IntN(len(b) + 1)
		switch rng.IntN(8) {
		case 0:
			f = f.with(name, nil)
			continue
		case 1:
			b = append([]byte{}, b[:at]...)
		case 2, 3:
			clear(b[at/512*512 : min(at/512*512+512, len(b))])
		default:
			if at < len(b) {
				b[at] ^= byte(1 + rng.IntN(255))
			}
		}
		f = f.with(name, b)
	}
	return f
}

// TestMuchDamage: with one copy of the checkpoint left, whatever else is damaged is told.
func TestMuchDamage(t *testing.T) {
	s := theSample()
	for seed := range uint64(400 / stride(t, 1)) {
		rng := rand.New(rand.NewPCG(seed, 3))
		f := s.files.harm(rng, 1+rng.IntN(12), func(name string) bool { return strings.HasSuffix(name, ".b") })
		compare(t, s, run(t, f, s.model))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func noCheckpoint(name string) bool { return !strings.HasPrefix(name, "checkpoint-") }

func (f files) only(keep func(name string) bool) files {
	f = maps.Clone(f)
	maps.DeleteFunc(f, func(name string, _ []byte) bool { return !keep(name) })
	return f
}

// compacted is the sample's store after it was closed, and then merged into one run.
func compacted(t *testing.T, s *sample) (before, after files) {
	t.Helper()
	mem := s.files.backend(t)
	options := &aegis.Options{Backend: mem, Limits: smallLimits()}
	db, err := aegis.Open("", options)
	must(t, err)
	must(t, db.Close())
	before = read(t, mem)
	db, err = aegis.Open("", options)
	must(t, err)
	must(t, db.Compact(ctx, nil))
	must(t, db.Close())
	return before, read(t, mem)
}

// TestRetired: tables that were merged, and not removed before the checkpoint was lost, bring
// nothing back, whichever of them are there. Of the bulk load's, which may be among them, nothing
// says whether it was merged: what it brings back is told (compare), of its keyspace alone.
func TestRetired(t *testing.T) {
	s := theSample()
	before, after := compacted(t, s)
	after = after.only(noCheckpoint)
	check := func(what string, f files) {
		t.Helper()
		r := run(t, f, s.model)
		n := compare(t, s, r)
		others := slices.ContainsFunc(r.report.Lost, func(l salvage.Lost) bool {
			return l.Kind != salvage.Unordered || l.Keyspace != "bulk"
		})
		if others || n != 0 && r.report.Sound() {
			t.Errorf("with %s: %d keys differ: %v", what, n, r.report)
		}
	}
	check("none", after)
	all := maps.Clone(after)
	for name, contents := range before.only(noCheckpoint) {
		all[name] = contents
		if after[name] == nil {
			check(name, after.with(name, contents))
		}
	}
	check("all of them", all)
}

// TestIgnored: with a checkpoint, tables that it does not name are not read.
func TestIgnored(t *testing.T) {
	s := theSample()
	before, after := compacted(t, s)
	for name, contents := range before {
		if noCheckpoint(name) && after[name] == nil {
			r := run(t, after.with(name, contents), s.model)
			if n := compare(t, s, r); n != 0 || !r.report.Sound() || !slices.Equal(r.report.Ignored, []string{name}) {
				t.Errorf("%d keys differ: %v", n, r.report)
			}
		}
	}
}

// TestCatalogLost: keyspaces whose names are lost get new ones, and keep what they hold and how it
// is compressed.
func TestCatalogLost(t *testing.T) {
	s := theSample()
	_, f := compacted(t, s)
	for name, contents := range f {
		if !strings.HasPrefix(name, "table-") {
			continue
		}
		m, err := pages.ReadTableMeta(bytes.NewReader(contents), int64(len(contents)), name)
		must(t, err)
		if m.Min[0] == byte(pages.CatalogKeyspace) {
			damaged := slices.Clone(contents)
			damaged[pages.DefaultLeafBytes/100] ^= 1
			f = f.with(name, damaged)
		}
	}
	r := run(t, f, s.model)
	if !loses(r.report, salvage.Name) || !loses(r.report, salvage.Entries) {
		t.Fatalf("nothing of the catalog is lost: %v", r.report)
	}
	for _, info := range s.spaces {
		want := map[string]string{}
		for key := range s.model[info.Name] {
			if v := s.model.at(info.Name, key); v != nil {
				want[key] = *v
			}
		}
		found := slices.ContainsFunc(r.spaces, func(got aegis.KeyspaceInfo) bool {
			return strings.HasPrefix(got.Name, "recovered-") && got.Compression == info.Compression && maps.Equal(r.state[got.Name], want)
		})
		if !found {
			t.Errorf("keyspace %v is not there: %v", info, r.spaces)
		}
	}
}

// TestBlockIDsStayApart: the new store gives out no id that a copied block has.
func TestBlockIDsStayApart(t *testing.T) {
	s := theSample()
	mem := backends.NewMemory()
	options := &aegis.Options{Backend: mem}
	db, err := aegis.Open("", options)
	must(t, err)
	_, err = salvage.Run(ctx, s.files.backend(t), db, salvage.Options{})
	must(t, err)
	seen := map[aegis.BlockID]bool{}
	for key := range s.model[blocksSpace] {
		seen[aegis.BlockID([]byte(key)[3])<<32|aegis.BlockID([]byte(key)[7])] = true
	}
	for range 5 {
		for range 40 {
			id, err := db.WriteBlock(ctx, aegis.NewBlock([]byte("new")))
			must(t, err)
			if seen[id] {
				t.Fatalf("block %d was given out again", id)
			}
			seen[id] = true
		}
		must(t, db.Close())
		db, err = aegis.Open("", options)
		must(t, err)
	}
	must(t, db.Close())
}

// TestBoundedMemory: a store is copied that is larger than what it takes.
func TestBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads a hundred megabytes")
	}
	const entries, valueBytes, limit = 90 << 10, 1 << 10, 40 << 20
	dir := t.TempDir()
	open := func(name string) *aegis.DB {
		db, err := aegis.Open(filepath.Join(dir, name), &aegis.Options{MemoryBudget: 8 << 20, Durability: aegis.NoSync, Compression: aegis.NoCompression})
		must(t, err)
		return db
	}
	db := open("from")
	value := bytes.Repeat([]byte("v"), valueBytes)
	fill := func(yield func(k, v []byte) bool) {
		for i := range entries / 2 {
			if !yield(fmt.Appendf(nil, "key-%08d", i), value) {
				return
			}
		}
	}
	_, err := db.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, fill)
	must(t, err)
	for i := 0; i < entries/2; i += 512 {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for j := i; j < i+512; j++ {
				if err := tx.Put(fmt.Appendf(nil, "key-%08d", j), value); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	must(t, db.Close())
	from, err := backends.NewLocal(filepath.Join(dir, "from"), true)
	must(t, err)
	to := open("to")
	defer to.Close()
	var most uint64
	r, err := salvage.Run(ctx, from, to, salvage.Options{Progress: func(p aegis.Progress) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}})
	must(t, err)
	if r.Entries != entries || !r.Sound() || r.Bytes < 2*limit {
		t.Errorf("%v", r)
	}
	if most > limit {
		t.Errorf("%d bytes of memory were in use, at most %d are right", most, limit)
	}
	t.Logf("%d bytes were copied with %d bytes of memory", r.Bytes, most)
}

// TestBoundedMemoryByFooters: without a checkpoint each table is a run, and holds nothing when it is read.
func TestBoundedMemoryByFooters(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads eighty megabytes")
	}
	const entries, limit = 80, 40 << 20
	dir := t.TempDir()
	open := func(name string) *aegis.DB {
		db, err := aegis.Open(filepath.Join(dir, name), &aegis.Options{MemoryBudget: 8 << 20, Compression: aegis.NoCompression,
			Limits: &aegis.Limits{TableBytes: 64 << 10}})
		must(t, err)
		return db
	}
	db := open("from")
	value := bytes.Repeat([]byte("v"), 1<<20)
	_, err := db.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range entries {
			if !yield(fmt.Appendf(nil, "key-%08d", i), value) {
				return
			}
		}
	})
	must(t, err)
	must(t, db.Close())
	local, err := backends.NewLocal(filepath.Join(dir, "from"), false)
	must(t, err)
	list, err := local.List()
	must(t, err)
	for _, f := range list {
		if !noCheckpoint(f.Name) {
			must(t, local.Remove(f.Name))
		}
	}
	to := open("to")
	defer to.Close()
	var most uint64
	r, err := salvage.Run(ctx, local, to, salvage.Options{Progress: func(aegis.Progress) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}})
	must(t, err)
	if r.Entries != entries || r.Tables < entries || !r.Sound() || most > limit {
		t.Errorf("%d bytes of memory were in use, at most %d are right: %v", most, limit, r)
	}
}

// recorder keeps the files as they are each time that a checkpoint is durable.
type recorder struct {
	*backends.Memory
	t     *testing.T
	mu    sync.Mutex
	saved []files
}

// SyncDir implements backends.Backend.
func (r *recorder) SyncDir() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = append(r.saved, read(r.t, r.Memory))
	return nil
}

// TestMidMerge: a store that ended in the middle of a merge, with runs that are consumed in part.
func TestMidMerge(t *testing.T) {
	s := theSample()
	rec := &recorder{Memory: s.files.backend(t), t: t}
	db, err := aegis.Open("", &aegis.Options{Backend: rec, Limits: smallLimits()})
	must(t, err)
	must(t, db.Compact(ctx, nil))
	must(t, db.Close())
	partly, passed := 0, 0
	for _, f := range rec.saved {
		newest := ""
		for _, name := range f.names() {
			if strings.HasPrefix(name, "checkpoint-") {
				newest = name
			}
		}
		c, err := flusher.DecodeCheckpoint(f[newest], newest)
		if err != nil || !slices.ContainsFunc(c.Runs, func(r flusher.RunMeta) bool { return r.Consumed != nil }) {
			continue
		}
		partly++
		r := run(t, f, s.model)
		if n := compare(t, s, r); n != 0 || !r.report.Sound() {
			t.Fatalf("%d keys differ: %v", n, r.report)
		}
		for _, m := range c.Runs { // what is consumed is not missed
			if name := pages.TableName(m.Tables[0].ID); m.Consumed != nil && bytes.Compare(m.Tables[0].Min, m.Consumed) < 0 {
				damaged := slices.Clone(f[name])
				damaged[pages.DefaultLeafBytes/100] ^= 1
				if r = run(t, f.with(name, damaged), s.model); compare(t, s, r) == 0 && r.report.Sound() {
					passed++
				}
			}
		}
		r = run(t, f.only(noCheckpoint), s.model)
		if n := compare(t, s, r); n != 0 { // the next step's file may be there, unfinished
			t.Fatalf("without the checkpoint %d keys differ: %v", n, r.report)
		}
	}
	if partly == 0 || passed == 0 {
		t.Errorf("%d merges were caught in the middle, %d times damage of what is consumed cost nothing", partly, passed)
	}
}

// TestOlderCheckpoint: one that is not the newest does not make an older state the store's.
func TestOlderCheckpoint(t *testing.T) {
	s := theSample()
	before, after := compacted(t, s)
	f := maps.Clone(after)
	for name, contents := range before {
		if !noCheckpoint(name) {
			f[name] = contents
		}
	}
	for name, contents := range after {
		if !noCheckpoint(name) {
			f[name] = append([]byte{1}, contents...)
		}
	}
	r := run(t, f, s.model)
	if n := compare(t, s, r); n != 0 || len(r.report.Lost) > 0 || r.report.Checkpoint != "" {
		t.Errorf("%d keys differ: %v", n, r.report)
	}
	if !slices.Equal(r.spaces, s.spaces) {
		t.Errorf("keyspaces %v, want %v", r.spaces, s.spaces)
	}
}

// TestNewestCheckpoint: of two that are whole the newer one counts, and an older one while a newer one
// is being published.
func TestNewestCheckpoint(t *testing.T) {
	s := theSample()
	before, after := compacted(t, s)
	both := maps.Clone(before)
	maps.Copy(both, after)
	r := run(t, both, s.model)
	if n := compare(t, s, r); n != 0 || !r.report.Sound() || after[r.report.Checkpoint] == nil {
		t.Errorf("%d keys differ: %v", n, r.report)
	}
	torn := before.with("checkpoint-00000000000fffff.a", []byte("AEGISCKP"))
	r = run(t, torn, s.model)
	if n := compare(t, s, r); n != 0 || !r.report.Sound() || before[r.report.Checkpoint] == nil {
		t.Errorf("%d keys differ: %v", n, r.report)
	}
}

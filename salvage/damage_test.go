package salvage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/salvage"
)

// store is an open store in memory, whose files can be had as a kill leaves them.
type store struct {
	*aegis.DB
	t   *testing.T
	mem *backends.Memory
}

func newStore(t *testing.T, limits *aegis.Limits) *store {
	t.Helper()
	mem := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: limits})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return &store{DB: db, t: t, mem: mem}
}

// puts makes commits of one entry each, key-from to key-to, in the log and not synced one by one.
func (s *store) puts(from, to int, format string) {
	s.t.Helper()
	o := aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}
	for i := from; i < to; i++ {
		must(s.t, s.UpdateWith(ctx, o, func(tx *aegis.Tx) error {
			return tx.Put(fmt.Appendf(nil, "key-%05d", i), fmt.Appendf(nil, format, i))
		}))
	}
	must(s.t, s.Sync(ctx))
}

// killed is what a kill leaves.
func (s *store) killed() files {
	s.t.Helper()
	(&builder{db: s.DB}).idle()
	return read(s.t, s.mem)
}

// contains checks that the default keyspace of a salvaged store is that of the store.
func (s *store) contains(r *result) {
	s.t.Helper()
	want, got := contents(s.t, s.DB), r.state[aegis.DefaultKeyspaceName]
	if !maps.Equal(want, got) {
		for key, value := range want {
			if got[key] != value {
				s.t.Errorf("%s is %q, want %q", key, got[key], value)
				break
			}
		}
		s.t.Fatalf("%d entries, want %d: %v", len(got), len(want), r.report)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }

func isTable(name string) bool { return strings.HasPrefix(name, "table-") }
func isLog(name string) bool   { return strings.HasPrefix(name, "wal-") }

// TestTableLostLogThere: what a lost table had is in the log still.
func TestTableLostLogThere(t *testing.T) {
	s := newStore(t, smallLimits())
	s.puts(0, 40, "first %d")
	must(t, s.Checkpoint(ctx))
	s.puts(20, 60, "second %d")
	must(t, s.Delete(ctx, []byte("key-00003")))
	must(t, s.Checkpoint(ctx))
	f := s.killed()
	tables := 0
	for name := range f.only(isTable) {
		tables++
		r := run(t, f.with(name, nil), nil)
		s.contains(r)
		if !r.report.Sound() || len(r.report.Notes) == 0 || r.report.Commits == 0 {
			t.Errorf("without %s: %v", name, r.report)
		}
	}
	if tables != 2 {
		t.Errorf("%d tables are there, want two", tables)
	}
}

// TestLoadedTableLost: what came by a bulk load is not in the log, however much of it there is.
func TestLoadedTableLost(t *testing.T) {
	s := newStore(t, smallLimits())
	s.puts(0, 5, "before %d")
	_, err := s.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 50 {
			if !yield(fmt.Appendf(nil, "%03d", i), []byte("loaded")) {
				return
			}
		}
	})
	must(t, err)
	s.puts(5, 10, "after %d")
	must(t, s.Update(ctx, func(tx *aegis.Tx) error {
		k, err := tx.Keyspace("loaded")
		must(t, err)
		return k.Put([]byte("100"), []byte("written"))
	}))
	must(t, s.Checkpoint(ctx))
	must(t, s.Compact(ctx, nil))
	f := s.killed()
	for name := range f.only(isTable) {
		r := run(t, f.with(name, nil), nil)
		if len(r.state["loaded"]) < 51 && !slices.ContainsFunc(r.report.Lost, func(l salvage.Lost) bool { return l.Kind == salvage.Entries && l.Keyspace == "loaded" }) {
			t.Errorf("without %s: %v", name, r.report)
		}
		s.contains(r)
	}
}

// lastSegment is the file of the last segment, by the highest number in the headers.
func lastSegment(f files) string {
	last, newest := "", uint64(0)
	for name, b := range f.only(isLog) {
		if len(b) < 24 || binary.LittleEndian.Uint64(b) == 0 {
			continue
		}
		if n := uint64(binary.LittleEndian.Uint32(b[20:]))<<32 | uint64(binary.LittleEndian.Uint32(b[16:])); n > newest {
			last, newest = name, n
		}
	}
	return last
}

// TestLastSegmentLost: where the checkpoint proves that there was more of the log, it is listed; where
// nothing does, the report says from where on nothing is known.
func TestLastSegmentLost(t *testing.T) {
	s := newStore(t, smallLimits())
	s.puts(0, 900, "some value of the first round %d")
	must(t, s.Checkpoint(ctx))
	s.puts(900, 910, "after the checkpoint %d")
	f := s.killed()
	if segments := len(f.only(isLog)); segments < 3 {
		t.Fatalf("%d segments", segments)
	}
	r := run(t, f.with(lastSegment(f), nil), nil)
	i := slices.IndexFunc(r.report.Lost, func(l salvage.Lost) bool { return l.Kind == salvage.Commits })
	if i < 0 || r.report.Lost[i].SeqLo != r.report.Covers+1 || r.report.Lost[i].SeqHi != 0 || r.report.UnknownFrom != 0 {
		t.Errorf("behind the checkpoint: %v", r.report)
	}

	s.puts(910, 2500, "so many that there are more segments %d")
	f = s.killed()
	r = run(t, f.with(lastSegment(f), nil), nil)
	text := fmt.Sprintf("commits from %d on cannot be known of: ", r.report.LastSeq+1)
	if !r.report.Sound() || r.report.UnknownFrom != r.report.LastSeq+1 || !strings.Contains(r.report.String(), text) ||
		!strings.Contains(r.report.LogEnds, lastSegment(f)) {
		t.Errorf("without a trace: %+v %v", r.report, r.report)
	}
	r = run(t, f, nil)
	s.contains(r)
	if r.report.UnknownFrom != r.report.LastSeq+1 {
		t.Errorf("of a killed store: %+v", r.report)
	}
	must(t, s.Close())
	if r = run(t, read(t, s.mem), nil); r.report.UnknownFrom != 0 || !r.report.Sound() {
		t.Errorf("of a closed store: %v", r.report)
	}
	if r = run(t, read(t, s.mem).only(noCheckpoint), nil); r.report.UnknownFrom == 0 || !strings.Contains(r.report.String(), "no segment of a log is there") {
		t.Errorf("without a checkpoint: %v", r.report)
	}
}

var groupMagic = []byte("AEGP")

// groups returns where groups of more than size bytes begin.
func groups(b []byte, size uint32) (at []int) {
	for from := 8192; from+32 <= len(b); from++ {
		if bytes.Equal(b[from:from+4], groupMagic) && binary.LittleEndian.Uint32(b[from+8:]) > size {
			at = append(at, from)
		}
	}
	return at
}

// manyInAGroup is a store whose log has groups of many commits.
func manyInAGroup(t *testing.T) *store {
	limits := smallLimits()
	limits.GatherBytes, limits.SegmentBytes, limits.FirstSegment = 64<<10, 64<<10, 64<<10
	s := newStore(t, limits)
	for round := range 3 {
		var all []*aegis.Pending
		for i := range 60 {
			tx, err := s.Begin(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)})
			must(t, err)
			must(t, tx.Put(fmt.Appendf(nil, "%d-%03d", round, i), bytes.Repeat([]byte{byte(i)}, 40)))
			p, err := tx.CommitAsync()
			must(t, err)
			all = append(all, p)
		}
		for _, p := range all {
			must(t, p.Wait(ctx))
		}
		must(t, s.Sync(ctx))
	}
	return s
}

// TestGroupHeadLost: with the head of a group its first commits are lost, and no others.
func TestGroupHeadLost(t *testing.T) {
	s := manyInAGroup(t)
	f, tried := s.killed(), 0
	all := len(contents(t, s.DB))
	for name, b := range f.only(isLog) {
		for _, at := range groups(b, 1000) {
			tried++
			damaged := slices.Clone(b)
			const zeroed = 256
			clear(damaged[at : at+zeroed])
			r := run(t, f.with(name, damaged), nil)
			got := len(r.state[aegis.DefaultKeyspaceName])
			if lost := all - got; lost < 1 || lost > zeroed/60+2 || !loses(r.report, salvage.Commits) {
				t.Errorf("%s, group at %d: %d of %d commits are lost: %v", name, at, lost, all, r.report)
			}
			// To the end of the group as well: it is the last one then.
			clear(damaged[at+32+int(binary.LittleEndian.Uint32(b[at+8:])):])
			r = run(t, f.with(name, damaged), nil)
			if i := slices.IndexFunc(r.report.Lost, func(l salvage.Lost) bool { return l.Kind == salvage.AfterGap }); i < 0 {
				t.Errorf("%s, last group at %d: %v", name, at, r.report)
			}
		}
	}
	if tried == 0 {
		t.Error("there is no group of many commits")
	}
}

// TestLargeCommitHeadless: the group's header is not needed to find a commit, however large.
func TestLargeCommitHeadless(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	s := newStore(t, &aegis.Limits{SegmentBytes: 1 << 20, FirstSegment: 1 << 20})
	value := make([]byte, 9<<20) // above what is compressed, and so alone in its group
	binary.LittleEndian.PutUint64(value[len(value)-8:], math.MaxUint64)
	must(t, s.Put(ctx, []byte("large"), value))
	f := s.killed()
	for name, b := range f.only(isLog) {
		for _, at := range groups(b, 9<<20) {
			damaged := slices.Clone(b)
			damaged[at+5] ^= 1
			clear(damaged[at+32+int(binary.LittleEndian.Uint32(b[at+8:])):]) // no group behind it
			s.contains(run(t, f.with(name, damaged), nil))
		}
	}
}

// TestFirstRecordMended: the header of the log's first record can be told from what is around it,
// whatever the number is with which the log begins.
func TestFirstRecordMended(t *testing.T) {
	mem := unsynced(t).backend(t)
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
	must(t, err)
	want, f := contents(t, db), read(t, mem)
	must(t, db.Close())
	name := lastSegment(f)
	f = f.only(func(n string) bool { return n == name || !isLog(n) })
	for at := 8192 + 32 + 4; at < 8192+32+20; at++ {
		damaged := slices.Clone(f[name])
		damaged[at] ^= 0x40
		if r := run(t, f.with(name, damaged), nil); !maps.Equal(r.state[aegis.DefaultKeyspaceName], last(want, r)) {
			t.Errorf("byte %d: %v", at, r.report)
		}
	}
}

// last is what of a state a log that begins late has.
func last(want map[string]string, r *result) map[string]string {
	want = maps.Clone(want)
	for _, l := range r.report.Lost {
		if l.Kind == salvage.Commits && l.SeqLo == 1 && l.SeqHi == 1 {
			delete(want, "first")
		}
	}
	return want
}

// flaky is a backend of which some places cannot be read.
type flaky struct {
	*backends.Memory
	file     string
	from, to int64 // of the file
	whole    bool  // not even opened
}

var errMedium = errors.New("the medium has failed")

// Open implements backends.Backend.
func (b *flaky) Open(name string) (backends.File, error) {
	if name == b.file && b.whole {
		return nil, errMedium
	}
	f, err := b.Memory.Open(name)
	if name == b.file && err == nil {
		f = &flakyFile{f, b}
	}
	return f, err
}

type flakyFile struct {
	backends.File
	b *flaky
}

// ReadAt implements backends.File.
func (f *flakyFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.b.to && off+int64(len(p)) > f.b.from {
		n, _ := f.File.ReadAt(p[:max(0, f.b.from-off)], off)
		return n, errMedium
	}
	return f.File.ReadAt(p, off)
}

// TestUnreadable: what cannot be read costs as much as what was zeroed, and is told.
func TestUnreadable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long under the race detector")
	}
	s := theSample()
	into := func(from backends.Backend) *result {
		db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
		must(t, err)
		defer db.Close()
		report, err := salvage.Run(ctx, from, db, salvage.Options{})
		must(t, err)
		return state(t, db, report, s.model)
	}
	for i, name := range s.files.names() {
		whole := s.files[name]
		for at := i % 3 * 4096; at < len(whole); at += 8192 {
			zeroed := slices.Clone(whole)
			end := min(at+4096, len(whole))
			clear(zeroed[at:end])
			want := run(t, s.files.with(name, zeroed), s.model)
			got := into(&flaky{Memory: s.files.backend(t), file: name, from: int64(at), to: int64(end)})
			compare(t, s, got)
			told := slices.ContainsFunc(got.report.Notes, func(n string) bool { return strings.Contains(n, errMedium.Error()) })
			if !maps.EqualFunc(want.state, got.state, maps.Equal[map[string]string, map[string]string]) || !told {
				t.Fatalf("%s at %d: %v\nzeroed: %v", name, at, got.report, want.report)
			}
		}
		r := into(&flaky{Memory: s.files.backend(t), file: name, whole: true})
		compare(t, s, r)
		if len(r.report.Notes) == 0 || isLog(name) && r.report.Sound() {
			t.Errorf("all of %s: %v", name, r.report)
		}
	}
}

// TestUnfinished: a store that holds a part says so.
func TestUnfinished(t *testing.T) {
	s := theSample()
	mem := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: mem})
	must(t, err)
	defer db.Close()
	stop, cancel := context.WithCancel(ctx)
	report, err := salvage.Run(stop, s.files.backend(t), db, salvage.Options{Progress: func(p aegis.Progress) {
		if p.Done > p.Total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || report == nil {
		t.Fatalf("%v, %v", err, report)
	}
	half := read(t, mem) // as a crash leaves it, too
	for _, f := range []files{half, read(t, mem)} {
		again, err := aegis.Open("", &aegis.Options{Backend: f.backend(t)})
		must(t, err)
		must(t, again.View(ctx, func(tx *aegis.Tx) error {
			_, err := tx.Keyspace(salvage.UnfinishedName)
			return err
		}))
		must(t, again.Close())
	}
	r := run(t, half, nil)
	if !slices.ContainsFunc(r.spaces, func(k aegis.KeyspaceInfo) bool { return strings.HasPrefix(k.Name, salvage.UnfinishedName+"-") }) || len(r.report.Notes) == 0 {
		t.Errorf("of the part: %v, %v", r.spaces, r.report)
	}
	if slices.ContainsFunc(r.spaces, func(k aegis.KeyspaceInfo) bool { return k.Name == salvage.UnfinishedName }) {
		t.Errorf("a whole store says that it is none: %v", r.spaces)
	}
}

// TestLargeCommitsAlone: a commit may be as large as a transaction can be, so it shares none.
func TestLargeCommitsAlone(t *testing.T) {
	s := newStore(t, nil)
	must(t, s.Put(ctx, []byte("small"), []byte("1")))
	must(t, s.Put(ctx, []byte("large"), bytes.Repeat([]byte("2"), 1<<20)))
	must(t, s.Put(ctx, []byte("small again"), []byte("3")))
	f := s.killed()
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	must(t, err)
	defer db.Close()
	_, err = salvage.Run(ctx, f.backend(t), db, salvage.Options{})
	must(t, err)
	if got := db.Seq(); got != 5 { // those and the mark's
		t.Errorf("%d commits, want 5", got)
	}
}

// TestLogDamageThatCostsNothing is in the notes.
func TestLogDamageThatCostsNothing(t *testing.T) {
	s := newStore(t, smallLimits())
	s.puts(0, 30, "value %d")
	f := s.killed()
	name := lastSegment(f)
	damaged := slices.Clone(f[name])
	clear(damaged[:8192])
	r := run(t, f.with(name, damaged), nil)
	if len(r.report.Notes) == 0 && r.report.Sound() {
		t.Errorf("both copies of a header: %v", r.report)
	}
}

func TestReportCounts(t *testing.T) {
	one := (&salvage.Report{Entries: 1, Bytes: 1, Blocks: 1, Tables: 1, Keyspaces: 1, Commits: 1, Checkpoint: "c", Lost: []salvage.Lost{{Kind: salvage.Entries, Older: 1}}}).String()
	for _, want := range []string{"copied 1 entry (1 byte) in 1 keyspace and 1 block from 1 table, and 1 commit from", "(1 entry of older tables"} {
		if !strings.Contains(one, want) {
			t.Errorf("%q is not in %q", want, one)
		}
	}
	if many := (&salvage.Report{Keyspaces: 2}).String(); !strings.Contains(many, "0 entries (0 bytes) in 2 keyspaces and 0 blocks from 0 tables, and 0 commits") {
		t.Errorf("%q", many)
	}
}

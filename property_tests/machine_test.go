package propertytests

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis"
)

var ctx = context.Background()

// machine runs a store beside its model.
type machine struct {
	db      *aegis.DB
	disk    *disk // nil over real files
	dir     string
	options aegis.Options
	model   *model
	open    []*running
}

// running is an open transaction with its model.
type running struct {
	tx *aegis.Tx
	x  *txModel
}

// GoString is how rapid shows the choice of one.
func (r *running) GoString() string {
	return fmt.Sprintf("begun at %d, level %d, read-only %t", r.x.begun, r.x.level, r.x.read)
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runModel(t, "") })
}

// TestAgainstModelOnFiles is the same over real files, a few times.
func TestAgainstModelOnFiles(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if before == checks.DefValue {
		must(t, checks.Value.Set("8"))
		defer func() { must(t, checks.Value.Set(before)) }()
	}
	rapid.Check(t, func(r *rapid.T) { runModel(r, t.TempDir()) })
}

func runModel(t *rapid.T, dir string) {
	m := &machine{dir: dir, model: newModel()}
	if dir == "" {
		m.disk = newDisk()
	}
	m.start(t)
	defer func() { _ = m.db.Close() }()
	t.Repeat(rapid.StateMachineActions(m))
	m.finish(t)
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start opens the store with options drawn anew.
func (m *machine) start(t *rapid.T) {
	t.Helper()
	m.options = drawOptions(t)
	if m.disk != nil {
		m.options.Backend = m.disk
	}
	db, err := aegis.Open(m.dir, &m.options)
	must(t, err)
	m.db = db
}

func drawOptions(t *rapid.T) aegis.Options {
	pow := func(name string, least int64, most int) int64 { return least << rapid.IntRange(0, most).Draw(t, name) }
	ms := func(name string) time.Duration {
		return time.Duration(rapid.SampledFrom([]int{1, 20, 1000}).Draw(t, name)) * time.Millisecond
	}
	l := aegis.Limits{
		IndexBytes: pow("IndexBytes", 1<<10, 7), MaxFrozen: rapid.IntRange(1, 3).Draw(t, "MaxFrozen"),
		SegmentBytes: pow("SegmentBytes", 16<<10, 3), FirstSegment: 16 << 10,
		GatherBytes: int(pow("GatherBytes", 1, 12)), CompressAbove: int(pow("CompressAbove", 64, 6)),
		GroupAlign: rapid.SampledFrom([]int{1, 512}).Draw(t, "GroupAlign"),
		TableBytes: pow("TableBytes", 1<<10, 6), LeafBytes: int(pow("LeafBytes", 64, 6)), InnerBytes: int(pow("InnerBytes", 64, 6)),
		FilterBits: rapid.SampledFrom([]int{1, 10}).Draw(t, "FilterBits"),
		FanIn:      rapid.IntRange(2, 4).Draw(t, "FanIn"), MaxRuns: rapid.IntRange(5, 12).Draw(t, "MaxRuns"),
		MergeStep: pow("MergeStep", 1<<10, 6), ChunkBytes: int(pow("ChunkBytes", 256, 6)),
		TurnLimit: rapid.SampledFrom([]int{1, 3, 256}).Draw(t, "TurnLimit"), Inbox: rapid.SampledFrom([]int{1, 4, 64}).Draw(t, "Inbox"),
		RetainIndexes: rapid.IntRange(1, 3).Draw(t, "RetainIndexes"), SettleAfter: ms("SettleAfter"),
		SyncInterval: ms("SyncInterval"), RetryInterval: time.Millisecond, SettleBudget: rapid.SampledFrom([]int{1, 6, 1000}).Draw(t, "SettleBudget"),
	}
	l.LogBytes = l.SegmentBytes * int64(rapid.IntRange(1, 4).Draw(t, "LogBytes"))
	return aegis.Options{
		Limits: &l, MemoryBudget: max(64<<10, 4*l.IndexBytes) << rapid.IntRange(0, 3).Draw(t, "MemoryBudget"),
		Compression: rapid.SampledFrom([]aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd}).Draw(t, "Compression"),
		DisableWAL:  rapid.IntRange(0, 4).Draw(t, "DisableWAL") == 0,
		Durability:  rapid.SampledFrom([]aegis.Durability{aegis.Sync, aegis.NoSync}).Draw(t, "Durability"),
	}
}

// Check compares what the readers see after every action; rapid calls it.
func (m *machine) Check(t *rapid.T) {
	for _, r := range m.open {
		if r.x.read {
			k := r.x.sees().spaces[aegis.DefaultKeyspaceName]
			compareRows(t, "a reader", collect(r.tx.Range(nil, nil)), k.rows(nil, nil, false))
		}
	}
}

// finish commits or ends all that is open, and compares the whole store, also after a reopen.
func (m *machine) finish(t *rapid.T) {
	for _, r := range slices.Clone(m.open) {
		m.commit(t, r)
	}
	compareState(t, m.db, m.model.now())
	must(t, m.db.Verify(ctx, nil))
	m.Reopen(t)
	compareState(t, m.db, m.model.now())
}

// dump reads the whole store.
func dump(db *aegis.DB, blocks []aegis.BlockID) (*state, error) {
	s := newState()
	return s, db.View(ctx, func(tx *aegis.Tx) error {
		list, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		for _, info := range append(list, aegis.KeyspaceInfo{Name: aegis.DefaultKeyspaceName}) {
			k, err := tx.Keyspace(info.Name)
			if err != nil {
				return err
			}
			s.spaces[info.Name] = &space{data: map[string]string{}}
			for key, value := range k.Range(nil, nil) {
				s.spaces[info.Name].data[string(key)] = string(value)
			}
		}
		for _, id := range blocks {
			b, err := tx.ReadBlock(id)
			switch {
			case err == nil:
				s.blocks[id] = string(b.Data())
			case !errors.Is(err, aegis.ErrNotFound):
				return err
			}
		}
		return nil
	})
}

// blockIDs are all that the model ever gave a block.
func (m *model) blockIDs() (ids []aegis.BlockID) {
	for _, s := range m.states {
		for id := range s.blocks {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func compareState(t *rapid.T, db *aegis.DB, want *state) {
	t.Helper()
	var ids []aegis.BlockID
	for id := range want.blocks {
		ids = append(ids, id)
	}
	got, err := dump(db, ids)
	must(t, err)
	if !equal(got, want) {
		t.Fatalf("the store holds\n%s\nwant\n%s", got, want)
	}
}

// String shows a state, values by their lengths and ends.
func (s *state) String() string {
	var out bytes.Buffer
	for _, name := range append(s.names(), aegis.DefaultKeyspaceName) {
		fmt.Fprintf(&out, "%q:", name)
		for _, p := range s.spaces[name].rows(nil, nil, false) {
			fmt.Fprintf(&out, " %.20q=%d:%.8q", p.key, len(p.value), p.value)
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, "%d blocks", len(s.blocks))
	return out.String()
}

func collect(seq func(func(k, v []byte) bool)) (got []pair) {
	for k, v := range seq {
		got = append(got, pair{string(k), string(v)})
	}
	return got
}

func compareRows(t *rapid.T, what string, got, want []pair) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %.200q\nwant %.200q", what, got, want)
	}
}

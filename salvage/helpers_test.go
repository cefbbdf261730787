package salvage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/salvage"
)

var ctx = context.Background()

const blocksSpace = salvage.BlocksLabel

// version is what one commit made of a key; a nil value is a deletion.
type version struct {
	seq   uint64
	value *string
}

// model is every version that a store ever had, by keyspace and key.
type model map[string]map[string][]version

func (m model) put(ks, key string, seq uint64, value *string) {
	if m[ks] == nil {
		m[ks] = map[string][]version{}
	}
	m[ks][key] = append(m[ks][key], version{seq, value})
}

// at returns the value of the key, nil if it is not there.
func (m model) at(ks, key string) *string {
	v := m[ks][key]
	if len(v) == 0 {
		return nil
	}
	return v[len(v)-1].value
}

// files are a store's files.
type files map[string][]byte

func read(t testing.TB, b backends.Backend) files {
	t.Helper()
	for {
		list, err := b.List()
		must(t, err)
		out := files{}
		for _, f := range list {
			h, err := b.Open(f.Name)
			if errors.Is(err, fs.ErrNotExist) {
				break // the engine has removed it since: look again
			}
			must(t, err)
			out[f.Name] = make([]byte, f.Size)
			if n, err := h.ReadAt(out[f.Name], 0); err != nil && err != io.EOF || int64(n) != f.Size {
				t.Fatal(f.Name, n, err)
			}
			must(t, h.Close())
		}
		if len(out) == len(list) {
			return out
		}
	}
}

func (f files) backend(t testing.TB) *backends.Memory {
	t.Helper()
	b := backends.NewMemory()
	for name, contents := range f {
		h, err := b.Create(name)
		must(t, err)
		if len(contents) > 0 {
			_, err = h.WriteAt(contents, 0)
			must(t, err)
		}
		must(t, h.Close())
	}
	return b
}

// with returns the files with one replaced; nil contents: without it.
func (f files) with(name string, contents []byte) files {
	out := maps.Clone(f)
	if contents == nil {
		delete(out, name)
	} else {
		out[name] = contents
	}
	return out
}

func (f files) names() []string { return slices.Sorted(maps.Keys(f)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a store with all there is: runs, tiers, keyspaces of each compression, one that was
// dropped, a bulk load, blocks, deletes and a log that goes on behind the checkpoint.
type sample struct {
	runs    int  // of tables
	settled bool // the checkpoint names all tables
	files   files
	model   model
	spaces  []aegis.KeyspaceInfo
	dropped []string
}

// smallLimits make many small files and pages.
func smallLimits() *aegis.Limits {
	return &aegis.Limits{
		TableBytes: 12 << 10, LeafBytes: 768, InnerBytes: 128, SegmentBytes: 32 << 10, FirstSegment: 16 << 10,
		CompressAbove: 200, SettleAfter: time.Hour, IndexBytes: 1 << 20, MergeStep: 8 << 10, FanIn: 2, MaxRuns: 12,
	}
}

// theSample has several runs, so that there are older versions in tables to fall back to, and no files of a
// merge under way. How far merges have come when its files are read is a matter of time: one sample in ten is
// not like that.
var theSample = sync.OnceValue(func() *sample {
	for {
		if s := makeSample(7); s.runs > 1 && s.settled {
			return s
		}
	}
})

type builder struct {
	db         *aegis.DB
	rng        *rand.Rand
	model      model
	durability aegis.Durability
	err        error
}

func (b *builder) check(err error) {
	if b.err == nil {
		b.err = err
	}
}

// commit makes one transaction of n writes to a keyspace.
func (b *builder) commit(ks string, n, keys int) {
	tx, err := b.db.Begin(ctx, aegis.TxOptions{Durability: &b.durability})
	if err != nil {
		b.check(err)
		return
	}
	defer tx.Rollback()
	space, err := tx.Keyspace(ks)
	b.check(err)
	if err != nil {
		return
	}
	writes := map[string]*string{}
	for range n {
		key := fmt.Sprintf("key-%04d", b.rng.IntN(keys))
		if b.rng.IntN(5) == 0 {
			writes[key] = nil
			b.check(space.Delete([]byte(key)))
			continue
		}
		value := fmt.Sprintf("%s/%s/%d/", ks, key, b.rng.Uint64()) + strings.Repeat("x", b.rng.IntN(90))
		writes[key] = &value
		b.check(space.Put([]byte(key), []byte(value)))
	}
	b.check(tx.Commit())
	for key, value := range writes {
		b.model.put(ks, key, tx.CommitSeq(), value)
	}
}

func (b *builder) block(c aegis.Compression) aegis.BlockID {
	data := fmt.Sprintf("block %d ", b.rng.Uint64()) + strings.Repeat("data ", b.rng.IntN(200))
	id, err := b.db.WriteBlock(ctx, aegis.NewBlock([]byte(data)).WithCompression(c))
	b.check(err)
	b.model.put(blocksSpace, blockKey(id), b.db.Seq(), &data)
	return id
}

func blockKey(id aegis.BlockID) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func (b *builder) create(ks string, o aegis.KeyspaceOptions) {
	b.check(b.db.Update(ctx, func(tx *aegis.Tx) error {
		_, err := tx.CreateKeyspace(ks, o)
		return err
	}))
}

func makeSample(seed uint64) *sample {
	mem := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
	if err != nil {
		panic(err)
	}
	b := &builder{db: db, rng: rand.New(rand.NewPCG(seed, 1)), model: model{}}
	b.create("plain", aegis.KeyspaceOptions{Compression: aegis.NoCompression})
	b.create("small", aegis.KeyspaceOptions{Compression: aegis.Zstd, CompressionLevel: 3})
	b.create("gone", aegis.KeyspaceOptions{})
	b.create("empty", aegis.KeyspaceOptions{})
	b.bulk()
	spaces := []string{aegis.DefaultKeyspaceName, "plain", "small", "gone"}
	var ids []aegis.BlockID
	for round := range 7 {
		for i := range 40 {
			b.commit(spaces[i%len(spaces)], 12, 500)
			if i%10 == 0 {
				ids = append(ids, b.block([]aegis.Compression{aegis.LZ4, aegis.Zstd, aegis.NoCompression}[i/10%3]))
			}
		}
		if round == 4 {
			b.check(db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("gone") }))
			spaces = []string{aegis.DefaultKeyspaceName, "plain", "small", "bulk"}
			b.check(db.DeleteBlock(ctx, ids[1]))
			b.model.put(blocksSpace, blockKey(ids[1]), db.Seq(), nil)
		}
		b.check(db.Checkpoint(ctx))
	}
	b.create("late", aegis.KeyspaceOptions{Compression: aegis.Zstd})
	spaces = append(spaces, "late")
	b.tail(spaces)
	mem = b.kill(mem)
	b.tail(spaces)
	b.block(aegis.LZ4)
	db = b.db
	b.check(db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("empty") }))
	b.commit(aegis.DefaultKeyspaceName, 4, 500)
	b.idle()
	s := &sample{model: b.model, dropped: []string{"gone", "empty"}}
	s.files, s.runs = read(&fatal{}, mem), len(db.Layout())
	named := 0
	for _, r := range db.Layout() {
		named += len(r.Tables)
	}
	s.settled = named == len(s.files.only(isTable))
	b.check(db.View(ctx, func(tx *aegis.Tx) error {
		s.spaces, err = tx.Keyspaces()
		return err
	}))
	b.check(db.Close())
	if b.err != nil {
		panic(b.err)
	}
	return s
}

// tail makes commits that no checkpoint covers, one to a group and then many.
func (b *builder) tail(spaces []string) {
	for i := range 60 {
		b.commit(spaces[i%len(spaces)], 6, 500)
	}
	b.durability = aegis.NoSync
	for i := range 60 {
		b.commit(spaces[i%len(spaces)], 6, 500)
	}
	b.durability = aegis.Sync
	b.check(b.db.Sync(ctx))
}

// kill ends the store as a killed process does, and opens what it leaves.
func (b *builder) kill(mem *backends.Memory) *backends.Memory {
	b.idle()
	var t fatal
	left := read(&t, mem).backend(&t)
	b.check(b.db.Close())
	db, err := aegis.Open("", &aegis.Options{Backend: left, Limits: smallLimits()})
	b.check(err)
	b.db = db
	return left
}

// bulk loads a keyspace.
func (b *builder) bulk() {
	_, err := b.db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 400 {
			key, value := fmt.Sprintf("key-%04d", i), fmt.Sprintf("loaded %d", i)
			b.model.put("bulk", key, 0, &value)
			if !yield([]byte(key), []byte(value)) {
				return
			}
		}
	})
	b.check(err)
}

// idle waits until the log's last group is closed and no merge is under way.
func (b *builder) idle() {
	var before aegis.Stats
	for same := 0; same < 20; {
		now, err := b.db.Stats(ctx)
		b.check(err)
		if now.Log.Writes == before.Log.Writes && now.Tables.MergeSteps == before.Tables.MergeSteps &&
			now.Tables.CheckpointNumber == before.Tables.CheckpointNumber {
			same++
		} else {
			same = 0
		}
		before = now
		<-time.After(5 * time.Millisecond)
	}
}

// fatal is a testing.TB for what is made before any test runs.
type fatal struct{ testing.TB }

func (*fatal) Helper()           {}
func (*fatal) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// result is a salvaged store.
type result struct {
	report *salvage.Report
	state  map[string]map[string]string
	spaces []aegis.KeyspaceInfo
}

// run salvages the files and reads the new store.
func run(t testing.TB, f files, m model) *result {
	t.Helper()
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	must(t, err)
	defer db.Close()
	from := f.backend(t)
	report, err := salvage.Run(ctx, from, db, salvage.Options{})
	must(t, err)
	for name, now := range read(t, from) {
		if !bytes.Equal(now, f[name]) {
			t.Fatalf("%s was written to", name)
		}
	}
	return state(t, db, report, m)
}

// state reads a salvaged store.
func state(t testing.TB, db *aegis.DB, report *salvage.Report, m model) *result {
	t.Helper()
	r := &result{report: report, state: map[string]map[string]string{}}
	must(t, db.View(ctx, func(tx *aegis.Tx) (err error) {
		r.spaces, err = tx.Keyspaces()
		must(t, err)
		for _, info := range append(r.spaces, aegis.KeyspaceInfo{Name: aegis.DefaultKeyspaceName}) {
			r.state[info.Name] = map[string]string{}
			k, err := tx.Keyspace(info.Name)
			must(t, err)
			for key, value := range k.Range(nil, nil) {
				r.state[info.Name][string(key)] = string(value)
			}
		}
		r.state[blocksSpace] = map[string]string{}
		for key := range m[blocksSpace] {
			block, err := tx.ReadBlock(aegis.BlockID(binary.BigEndian.Uint64([]byte(key))))
			if err == nil {
				r.state[blocksSpace][key] = string(block.Data())
			}
		}
		return tx.Err()
	}))
	if n := 1 + len(r.spaces); report.Keyspaces != n {
		t.Errorf("%d keyspaces are reported, there are %d", report.Keyspaces, n)
	}
	return r
}

package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// A medium that runs full, over a quota. backends/user_linux_test.go shows that a real ENOSPC
// takes the same way through Local.

func spaceLimits() *aegis.Limits {
	return &aegis.Limits{
		IndexBytes: 32 << 10, ChunkBytes: 2 << 10, SegmentBytes: 16 << 10, FirstSegment: 16 << 10, LogBytes: 64 << 10,
		TableBytes: 32 << 10, MergeStep: 32 << 10, LeafBytes: 1 << 10, FanIn: 2, MaxRuns: 8,
		SyncInterval: time.Millisecond, RetryInterval: time.Millisecond, SettleAfter: time.Hour,
	}
}

func spaceOpen(t *testing.T, b backends.Backend) *aegis.DB {
	t.Helper()
	return spaceOpenWith(t, b, spaceLimits())
}

func spaceOpenWith(t *testing.T, b backends.Backend, limits *aegis.Limits) *aegis.DB {
	t.Helper()
	db, err := aegis.Open("", &aegis.Options{Backend: b, Limits: limits, MemoryBudget: 1 << 20, Compression: aegis.NoCompression})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// spaceModel is what was acknowledged.
type spaceModel struct {
	keys map[string]string
	rng  *rand.Rand
	next int
}

func newSpaceModel() *spaceModel {
	return &spaceModel{keys: map[string]string{}, rng: rand.New(rand.NewPCG(1, 2))}
}

// add commits some keys at once, new ones and old ones.
func (m *spaceModel) add(ctx context.Context, db *aegis.DB) error {
	put := map[string]string{}
	for range 1 + m.rng.IntN(5) {
		key := fmt.Sprintf("key%06d", m.rng.IntN(m.next+1))
		put[key] = loadValue(m.rng, m.rng.IntN(600))
		m.next++
	}
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		for key, value := range put {
			must2(tx.Put([]byte(key), []byte(value)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for key, value := range put {
		m.keys[key] = value
	}
	return nil
}

// must2 is for what cannot fail.
func must2(err error) {
	if err != nil {
		panic(err)
	}
}

// fill commits until the medium is full.
func (m *spaceModel) fill(t *testing.T, db *aegis.DB) {
	t.Helper()
	for range 1_000_000 {
		if err := m.add(ctx, db); err != nil {
			if !errors.Is(err, aegis.ErrNoSpace) || errors.Is(err, aegis.ErrPoisoned) {
				t.Fatalf("full after %d keys: %v", len(m.keys), err)
			}
			return
		}
	}
	t.Fatal("never full")
}

// check: everything acknowledged is there, and nothing else.
func (m *spaceModel) check(t *testing.T, db *aegis.DB) {
	t.Helper()
	must(t, db.View(ctx, func(tx *aegis.Tx) error { return loadCompare(m.keys, tx.Range(nil, nil), tx) }))
}

// goesOn: f succeeds soon, without a reopen.
func goesOn(t *testing.T, what string, f func() error) {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for err := f(); err != nil; err = f() {
		if !errors.Is(err, aegis.ErrNoSpace) || time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

func TestNoSpace(t *testing.T) {
	defer crashWatch(t, t.Name(), 30*time.Second)()
	quota := backends.Limit(backends.NewMemory(), 600<<10)
	db := spaceOpen(t, quota)
	m := newSpaceModel()
	for round := range 4 {
		m.fill(t, db)
		m.check(t, db)
		if s, err := db.Stats(ctx); err != nil || !errors.Is(s.Err, aegis.ErrNoSpace) && s.Commits.Rejected == 0 {
			t.Errorf("Stats of a full store: %v, %v", s.Err, err)
		}
		must(t, db.Verify(ctx, nil))
		for range 50 { // refused again and again, or let in where it is small; never in part
			if err := m.add(ctx, db); err != nil && !errors.Is(err, aegis.ErrNoSpace) {
				t.Fatal(err)
			}
		}
		m.check(t, db)
		_, limit, err := quota.Usage()
		must(t, err)
		quota.SetLimit(limit + 200<<10)
		goesOn(t, fmt.Sprintf("round %d, with more space", round), func() error { return m.add(ctx, db) })
		m.check(t, db)
	}
	quota.SetLimit(8 << 20)
	goesOn(t, "the checkpoint", func() error { return db.Checkpoint(ctx) })
	for range 300 { // there is space: nothing is refused any more
		must(t, m.add(ctx, db))
	}
	must(t, db.Close())
	db = spaceOpen(t, quota)
	m.check(t, db)
}

// Deleting what is not needed gives its space back: after a moment with more of it the old limit
// does again.
func TestNoSpaceDeletingHelps(t *testing.T) {
	defer crashWatch(t, t.Name(), 30*time.Second)()
	const limit = 800 << 10
	quota := backends.Limit(backends.NewMemory(), limit)
	db := spaceOpen(t, quota)
	m := newSpaceModel()
	m.fill(t, db)
	quota.SetLimit(limit * 2)
	for key := range m.keys {
		goesOn(t, "deleting", func() error { return db.Delete(ctx, []byte(key)) })
		delete(m.keys, key)
	}
	goesOn(t, "compacting", func() error { return db.Compact(ctx, nil) })
	quota.SetLimit(limit)
	used, _, err := quota.Usage()
	must(t, err)
	for end := time.Now().Add(10 * time.Second); used > limit/2; used, _, err = quota.Usage() { // files go in the background
		must(t, err)
		if time.Now().After(end) {
			t.Fatalf("an empty store takes %d bytes", used)
		}
		_, err = db.Stats(ctx) // a Turn of everybody
		must(t, err)
	}
	m.check(t, db)
	for range 50 {
		goesOn(t, "writing with the old limit", func() error { return m.add(ctx, db) })
	}
	m.check(t, db)
	must(t, db.Close())
}

// Data that is overwritten again and again takes bounded space by itself.
func TestNoSpaceOverwritingIsBounded(t *testing.T) {
	defer crashWatch(t, t.Name(), 60*time.Second)()
	quota := backends.Limit(backends.NewMemory(), 1<<20)
	db := spaceOpen(t, quota)
	value := []byte(loadValue(rand.New(rand.NewPCG(3, 3)), 1000))
	for i := range 8000 { // 8 MB into 100 keys
		goesOn(t, "overwriting", func() error { return db.Put(ctx, fmt.Appendf(nil, "key%03d", i%100), value) })
	}
	goesOn(t, "compacting", func() error { return db.Compact(ctx, nil) }) // Close does not try twice
	must(t, db.Close())
}

// Close of a full store loses nothing. It can be read in any case, and be opened for writing with
// the little space that a recovery needs.
func TestNoSpaceCloseAndReopen(t *testing.T) {
	defer crashWatch(t, t.Name(), 30*time.Second)()
	const little = 24 << 10 // a small segment, with the tail of the log, and a checkpoint
	for limit := int64(300 << 10); limit < 420<<10; limit += 7919 {
		quota := backends.Limit(backends.NewMemory(), limit)
		db := spaceOpen(t, quota)
		m := newSpaceModel()
		m.fill(t, db)
		if err := db.Close(); err != nil && !errors.Is(err, aegis.ErrNoSpace) {
			t.Fatalf("limit %d: Close: %v", limit, err)
		}
		reader, err := aegis.Open("", &aegis.Options{Backend: quota, ReadOnly: true})
		must(t, err)
		m.check(t, reader)
		must(t, reader.Verify(ctx, nil))
		must(t, reader.Close())
		db, err = aegis.Open("", &aegis.Options{Backend: quota, Limits: spaceLimits(), MemoryBudget: 1 << 20})
		if err != nil {
			used, _, countErr := quota.Usage()
			must(t, countErr)
			if !errors.Is(err, aegis.ErrNoSpace) || limit-used >= little {
				t.Fatalf("limit %d, used %d: opening a full store: %v", limit, used, err)
			}
			quota.SetLimit(used + little)
			db = spaceOpen(t, quota)
		}
		m.check(t, db)
		quota.SetLimit(limit * 2)
		goesOn(t, "after the reopen", func() error { return m.add(ctx, db) })
		m.check(t, db)
		goesOn(t, "the checkpoint", func() error { return db.Checkpoint(ctx) }) // Close does not try twice
		must(t, db.Close())
	}
}

// Others fill the medium to the last byte: what the engine had prepared for itself is enough to
// close the store and to open it again.
func TestNoSpaceTakenByOthers(t *testing.T) {
	for _, close := range []bool{true, false} {
		t.Run(fmt.Sprintf("close=%v", close), func(t *testing.T) {
			defer crashWatch(t, t.Name(), 30*time.Second)()
			disk := newCrashDisk()
			life := disk.life(1, 0)
			quota := backends.Limit(life, 8<<20)
			limits := spaceLimits()
			limits.SegmentBytes = 48 << 10 // more than the first segment, as it is by default
			db := spaceOpenWith(t, quota, limits)
			m := newSpaceModel()
			for range 10 {
				must(t, m.add(ctx, db))
			}
			for spares := 0; spares == 0; { // prepared in the background
				s, err := db.Stats(ctx)
				must(t, err)
				spares = s.Log.Spares
			}
			used, _, err := quota.Usage()
			must(t, err)
			quota.SetLimit(used)
			if close {
				if err := db.Close(); !errors.Is(err, aegis.ErrNoSpace) {
					t.Fatalf("Close: %v", err)
				}
			} else {
				disk = life.end(false)
				_ = db.Close()
				quota = backends.Limit(disk.life(2, 0), used)
			}
			db = spaceOpenWith(t, quota, limits)
			m.check(t, db)
			quota.SetLimit(used * 3)
			goesOn(t, "with space", func() error { return m.add(ctx, db) })
			goesOn(t, "the checkpoint", func() error { return db.Checkpoint(ctx) })
			must(t, db.Close())
		})
	}
}

// A transaction that is refused for lack of space leaves no trace: neither of its keys is visible,
// then or later.
func TestNoSpaceRefusesWhole(t *testing.T) {
	defer crashWatch(t, t.Name(), 30*time.Second)()
	quota := backends.Limit(backends.NewMemory(), 256<<10)
	db := spaceOpen(t, quota)
	must(t, db.Put(ctx, []byte("a"), []byte("old")))
	big := []byte(strings.Repeat("x", 300<<10)) // oversize: it needs a segment of its own
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		must2(tx.Put([]byte("a"), []byte("new")))
		must2(tx.Put([]byte("b"), big))
		return nil
	})
	if !errors.Is(err, aegis.ErrNoSpace) {
		t.Fatalf("a commit larger than the medium: %v", err)
	}
	wantGet(t, db, "a", "old")
	if _, err := db.Get(ctx, []byte("b")); !errors.Is(err, aegis.ErrNotFound) {
		t.Error(err)
	}
	goesOn(t, "a small commit", func() error { return db.Put(ctx, []byte("c"), []byte("3")) })
	quota.SetLimit(4 << 20)
	goesOn(t, "the large one, with space", func() error { return db.Put(ctx, []byte("b"), big) })
	must(t, db.Close())
	db = spaceOpen(t, quota)
	wantGet(t, db, "a", "old")
	wantGet(t, db, "b", string(big))
	wantGet(t, db, "c", "3")
}

package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// One test for each pain that users of other embedded stores report; the issue is in the name. The
// defects of earlier work are in lessons_defects_test.go. Rows that belong to later work and have
// no test here: the backup story (pebble 2993, 3835), and Salvage for stores that are damaged
// (bbolt 446, 492), of which the detection is tested.

// lessonLimits make flushes and merges happen soon.
func lessonLimits() *aegis.Limits {
	return &aegis.Limits{
		IndexBytes: 32 << 10, ChunkBytes: 2 << 10, SegmentBytes: 32 << 10, FirstSegment: 16 << 10, LogBytes: 64 << 10,
		TableBytes: 32 << 10, MergeStep: 64 << 10, LeafBytes: 1 << 10, FanIn: 3, MaxRuns: 10,
		SyncInterval: time.Millisecond, RetryInterval: time.Millisecond, SettleAfter: time.Hour,
	}
}

func lessonOpen(t *testing.T, b backends.Backend) *aegis.DB {
	t.Helper()
	return open(t, "", aegis.Options{Backend: b, Limits: lessonLimits(), MemoryBudget: 256 << 10})
}

// lessonFill overwrites n keys with values of the given size.
func lessonFill(t *testing.T, db *aegis.DB, n, size int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	for i := 0; i < n; i += 50 {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for j := i; j < min(n, i+50); j++ {
				if err := tx.Put(tailKey(j), []byte(loadValue(rng, size))); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func lessonSize(t *testing.T, b backends.Backend) (bytes int64) {
	t.Helper()
	list, err := b.List()
	must(t, err)
	for _, f := range list {
		bytes += f.Size
	}
	return bytes
}

// lessonUntil polls; what it waits for happens in the background.
func lessonUntil(t *testing.T, db *aegis.DB, what string, done func(s aegis.Stats) bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		s, err := db.Stats(ctx)
		must(t, err)
		if done(s) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not happen: %+v", what, s)
		}
	}
}

func TestLesson_FileNeverShrinks_bbolt204(t *testing.T) {
	b := backends.NewMemory()
	db := lessonOpen(t, b)
	lessonFill(t, db, 3000, 200)
	must(t, db.Compact(ctx, nil))
	full := lessonSize(t, b)
	held, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	for i := range 3000 {
		must(t, db.Delete(ctx, tailKey(i)))
	}
	must(t, db.Compact(ctx, nil))
	lessonUntil(t, db, "that Stats shows what a snapshot holds", func(s aegis.Stats) bool { return s.Tables.Reclaimable > full/4 })
	must(t, held.Rollback())
	lessonUntil(t, db, "reclaiming", func(s aegis.Stats) bool { return s.Tables.Reclaimable == 0 && lessonSize(t, b) < full/3 })
}

func TestLesson_FreeListPerCommitAndSlowOpen_bbolt401(t *testing.T) {
	cost := func(n int) (perCommit uint64, openCalls int) {
		life := newCrashDisk().life(1, 0)
		db := lessonOpen(t, life)
		lessonFill(t, db, n, 100)
		must(t, db.Compact(ctx, nil))
		before, err := db.Stats(ctx)
		must(t, err)
		must(t, db.Put(ctx, []byte("x"), []byte("y")))
		after, err := db.Stats(ctx)
		must(t, err)
		must(t, db.Close())
		life = life.end(false).life(2, 0)
		lessonOpen(t, life)
		return after.Log.BytesWritten - before.Log.BytesWritten, life.did()
	}
	small, smallOpen := cost(50)
	large, largeOpen := cost(5000)
	if large > small+64 || largeOpen > smallOpen+20 {
		t.Errorf("a commit writes %d bytes in a small store and %d in a large one, Open makes %d and %d calls", small, large, smallOpen, largeOpen)
	}
}

func TestLesson_LongReaderGrowsTheFile_etcd18509(t *testing.T) {
	b := backends.NewMemory()
	db := lessonOpen(t, b)
	lessonFill(t, db, 500, 200)
	must(t, db.Compact(ctx, nil))
	once := lessonSize(t, b)
	reader, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	for range 20 {
		lessonFill(t, db, 500, 200)
	}
	must(t, db.Compact(ctx, nil))
	lessonUntil(t, db, "that one old version is all that is kept", func(aegis.Stats) bool { return lessonSize(t, b) < 5*once })
	s, err := db.Stats(ctx)
	must(t, err)
	if len(s.Snapshots) != 1 || s.Snapshots[0].Age <= 0 {
		t.Errorf("the reader is not shown with its age: %+v", s.Snapshots)
	}
	must(t, reader.Rollback())
	must(t, db.Close())

	db = open(t, "", aegis.Options{Backend: b, MaxSnapshotAge: time.Nanosecond})
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	for err == nil {
		_, err = tx.Get(tailKey(1))
	}
	if !errors.Is(err, aegis.ErrSnapshotTooOld) {
		t.Errorf("a reader above MaxSnapshotAge: %v", err)
	}
}

func TestLesson_ReaderStallsWriters_bolt378(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	db := lessonOpen(t, backends.NewMemory())
	lessonFill(t, db, 200, 100)
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		n := 0
		for range tx.Range(nil, nil) {
			if n++; n == 10 { // from inside of a reader, in the same goroutine
				lessonFill(t, db, 1000, 100)
				must(t, db.Compact(ctx, nil))
			}
		}
		if n != 200 {
			t.Errorf("the reader saw %d entries", n)
		}
		return nil
	}))
}

func TestLesson_SlicesDieUnderTheCaller_lnd6547(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	lessonFill(t, db, 400, 100)
	must(t, db.Compact(ctx, nil))
	var kept, copies [][]byte
	keep := func(b []byte) {
		kept, copies = append(kept, b), append(copies, slices.Clone(b))
		_ = append(b, "clobbers the neighbour"...)
	}
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		for k, v := range tx.Range(nil, nil) {
			keep(k)
			keep(v)
		}
		return nil
	}))
	v, err := db.Get(ctx, tailKey(7))
	must(t, err)
	keep(v)
	for range 3 {
		lessonFill(t, db, 2000, 150)
		must(t, db.Compact(ctx, nil))
	}
	must(t, db.Close())
	for i := range kept {
		if !bytes.Equal(kept[i], copies[i]) {
			t.Fatalf("slice %d was %q and is %q", i, copies[i], kept[i])
		}
	}
}

func TestLesson_OneFsyncPerCommit_bbolt94(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	life := newCrashDisk().life(1, 0)
	held, arm, release := poisonStall(life)
	var syncs atomic.Int64
	stalled := life.stall
	life.stall = func(op, name string) {
		if op == "sync" && strings.HasPrefix(name, "wal-") {
			syncs.Add(1)
		}
		stalled(op, name)
	}
	db := poisonOpen(t, life)
	const commits = 100
	arm()
	var pending []*aegis.Pending
	before := syncs.Load()
	for i := range commits {
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		must(t, tx.Put(tailKey(i), nil))
		p, err := tx.CommitAsync()
		must(t, err)
		pending = append(pending, p)
		if i == 0 {
			<-held // the others come while this one is synced
		}
	}
	release()
	for _, p := range pending {
		must(t, p.Wait(ctx))
	}
	if n := syncs.Load() - before; n > 8 {
		t.Errorf("%d syncs for %d commits that came together", n, commits)
	}
}

func TestLesson_CorruptionAfterPowerLoss_bbolt325(t *testing.T) {
	for seed := range uint64(20) {
		life := newCrashDisk().life(seed, 0)
		db := lessonOpen(t, life)
		lessonFill(t, db, 300, 100)
		must(t, db.Put(ctx, []byte("last"), []byte("synced")))
		disk := life.end(true)
		_ = db.Close()
		db = lessonOpen(t, disk.life(seed, 0))
		wantGet(t, db, "last", "synced")
		must(t, db.Verify(ctx, nil))
		must(t, db.Close())
	}
}

func TestLesson_DeleteWhileIteratingSkips_bbolt146(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	lessonFill(t, db, 1000, 20)
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		n := 0
		for k := range tx.Range(nil, nil) {
			if err := tx.Delete(k); err != nil {
				return err
			}
			n++
		}
		if n != 1000 {
			t.Errorf("the loop saw %d of 1000 entries", n)
		}
		for k := range tx.Range(nil, nil) {
			t.Errorf("%q is left", k)
		}
		return nil
	}))
}

func TestLesson_OpenHangsOnTheLock(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	dir := t.TempDir()
	open(t, dir, aegis.Options{})
	for _, readOnly := range []bool{false, true} {
		_, err := aegis.Open(dir, &aegis.Options{ReadOnly: readOnly})
		if !errors.Is(err, aegis.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("a second Open: %v", err)
		}
	}
}

func TestLesson_MmapSigbus(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir, aegis.Options{Limits: lessonLimits(), MemoryBudget: 256 << 10})
	lessonFill(t, db, 500, 100)
	must(t, db.Close())
	db = open(t, dir, aegis.Options{})
	tables, err := filepath.Glob(filepath.Join(dir, "table-*"))
	must(t, err)
	for _, name := range tables { // somebody truncates what is open
		must(t, os.Truncate(name, 100))
	}
	var bad *aegis.CorruptionError
	if _, err := db.Get(ctx, tailKey(250)); err == nil || errors.Is(err, aegis.ErrNotFound) {
		t.Errorf("Get from a truncated table: %v", err)
	} else if !errors.As(err, &bad) {
		t.Errorf("Get from a truncated table is not called corruption: %v", err)
	}
}

func TestLesson_ValueLogIsNeverCleaned_badger767(t *testing.T) {
	defer crashWatch(t, t.Name(), 60*time.Second)()
	quota := backends.Limit(backends.NewMemory(), 4<<20)
	db := lessonOpen(t, quota)
	value := []byte(loadValue(rand.New(rand.NewPCG(1, 1)), 8<<10))
	for i := range 3000 { // 24 MB into 40 keys; no call of anybody cleans up
		goesOn(t, "overwriting", func() error { return db.Put(ctx, tailKey(i%40), value) })
	}
}

func TestLesson_DeletedKeysComeBack_badger2143(t *testing.T) {
	b := backends.NewMemory()
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	for life := range 6 {
		db := lessonOpen(t, b)
		snapshot, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
		must(t, err)
		old := maps.Clone(want)
		for range 300 {
			key := tailKey(rng.IntN(60))
			if rng.IntN(2) == 0 {
				must(t, db.Delete(ctx, key))
				delete(want, string(key))
			} else {
				value := loadValue(rng, 200)
				must(t, db.Put(ctx, key, []byte(value)))
				want[string(key)] = value
			}
			if rng.IntN(60) == 0 {
				must(t, db.Checkpoint(ctx))
			}
		}
		if life%2 == 1 {
			must(t, db.Compact(ctx, nil))
		}
		must(t, loadCompare(old, snapshot.Range(nil, nil), snapshot))
		must(t, snapshot.Rollback())
		must(t, db.View(ctx, func(tx *aegis.Tx) error { return loadCompare(want, tx.Range(nil, nil), tx) }))
		must(t, db.Close())
	}
}

func TestLesson_UnboundedMemory_badger1268(t *testing.T) {
	const budget = 512 << 10
	b := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: b, MemoryBudget: budget, Limits: lessonLimits()})
	lessonFill(t, db, 20000, 100)
	for i := range 20000 {
		if _, err := db.Get(ctx, tailKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := db.Stats(ctx)
	must(t, err)
	if used := s.Memory.IndexBytes + s.Memory.ResidentBytes; s.Memory.Budget != budget || used == 0 || used > budget {
		t.Errorf("%d bytes in use of a budget of %d", used, s.Memory.Budget)
	}
	if s.Cache.Evicted == 0 || s.Tables.RawBytes < 3*budget {
		t.Errorf("this store fits the budget: %+v", s.Tables)
	}
}

func TestLesson_SlowOpen_badger543(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := lessonOpen(t, life)
	for range 4 {
		lessonFill(t, db, 2000, 100)
	}
	disk := life.end(false)
	_ = db.Close()
	var progress []aegis.Progress
	limits := lessonLimits()
	db = open(t, "", aegis.Options{
		Backend: disk.life(2, 0), Limits: limits, MemoryBudget: 256 << 10,
		Observer: &aegis.Observer{Progress: func(p aegis.Progress) { progress = append(progress, p) }},
	})
	s, err := db.Stats(ctx)
	must(t, err)
	most := limits.LogBytes + 4*limits.SegmentBytes + 3*limits.IndexBytes
	if s.Recovery.Clean || s.Recovery.Bytes == 0 || s.Recovery.Bytes > most {
		t.Errorf("recovery read %d bytes of log, at most %d are meant", s.Recovery.Bytes, most)
	}
	if !slices.ContainsFunc(progress, func(p aegis.Progress) bool { return p.Stage == "recovery" && p.Done > 0 && p.Unit == "bytes" }) {
		t.Errorf("no progress was reported: %v", progress)
	}
	must(t, db.Close())
	s.Recovery = aegis.RecoveryStats{}
	db = lessonOpen(t, life.disk.life(3, 0))
	if s, err = db.Stats(ctx); err != nil || !s.Recovery.Clean || s.Recovery.Records != 0 {
		t.Errorf("after a clean Close %+v was replayed, %v", s.Recovery, err)
	}
}

func TestLesson_TransactionTooBig_badger441(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	const n = 50_000
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		for i := range n {
			if err := tx.Put(fmt.Appendf(nil, "%08d", i), []byte("0123456789")); err != nil {
				return err
			}
		}
		return nil
	}))
	wantGet(t, db, fmt.Sprintf("%08d", n-1), "0123456789")
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		return tx.Put(make([]byte, aegis.MaxKeyBytes+1), nil)
	})
	if !errors.Is(err, aegis.ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprint(aegis.MaxKeyBytes)) {
		t.Errorf("above the limit: %v", err)
	}
}

func TestLesson_PanicOnMisuseOrClose_badger1360(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("there"), nil))
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	left, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, tx.Put([]byte("a"), nil))
	must(t, tx.Commit())
	for name, err := range map[string]error{
		"Put": tx.Put([]byte("a"), nil), "Commit": tx.Commit(), "Delete": tx.Delete(nil),
	} {
		if !errors.Is(err, aegis.ErrTxDone) {
			t.Errorf("%s after Commit: %v", name, err)
		}
	}
	for range left.Range(nil, nil) {
		must(t, db.Close()) // in the middle of a loop
	}
	for name, err := range map[string]error{
		"Put": db.Put(ctx, nil, nil), "Sync": db.Sync(ctx), "Checkpoint": db.Checkpoint(ctx), "Compact": db.Compact(ctx, nil),
		"Verify": db.Verify(ctx, nil), "Tx.Put": left.Put(nil, nil), "Commit": left.Commit(),
	} {
		if !errors.Is(err, aegis.ErrClosed) && !errors.Is(err, aegis.ErrTxDone) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestLesson_DiskFull_pebble3427(t *testing.T) {
	defer crashWatch(t, t.Name(), 30*time.Second)()
	quota := backends.Limit(backends.NewMemory(), 400<<10)
	db := spaceOpen(t, quota)
	m := newSpaceModel()
	m.fill(t, db)
	m.check(t, db)
	quota.SetLimit(800 << 10)
	goesOn(t, "with space", func() error { return m.add(context.Background(), db) })
	m.check(t, db)
}

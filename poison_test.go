package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

func poisonOpen(t *testing.T, life *crashLife) *aegis.DB {
	t.Helper()
	limits := &aegis.Limits{
		SegmentBytes: 32 << 10, FirstSegment: 32 << 10, LogBytes: 1 << 20, LeafBytes: 512,
		SyncInterval: time.Millisecond, RetryInterval: time.Millisecond, SettleAfter: time.Hour,
	}
	db, err := aegis.Open("", &aegis.Options{Backend: life, Limits: limits, MemoryBudget: 8 << 20})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A write or a sync of the log that fails: all who wait get the first cause, nothing more is
// accepted, what was acknowledged can be read and is there after a reopen, whether the machine
// lives on or loses its power.
func TestPoisonByLog(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,cut=%v", op, cut), func(t *testing.T) {
				defer crashWatch(t, t.Name(), 20*time.Second)()
				poisonByLog(t, op, cut)
			})
		}
	}
}

func poisonByLog(t *testing.T, op string, cut bool) {
	life := newCrashDisk().life(7, 0)
	db := poisonOpen(t, life)
	const before, clients = 40, 8
	for i := range before {
		must(t, db.Put(ctx, tailKey(i), tailValue(i)))
		if i == before/2 {
			must(t, db.Checkpoint(ctx))
		}
	}
	life.setFail(crashFailing(op, "wal-", errInjected))
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { poisonWant(t, db.Put(ctx, fmt.Appendf(nil, "late%d", i), []byte("x"))) })
	}
	wg.Wait()
	life.setFail(nil) // the medium is well again: too late
	poisonWant(t, db.Put(ctx, []byte("later"), nil))
	poisonWant(t, db.Sync(ctx))
	poisonWant(t, db.Checkpoint(ctx))
	poisonWant(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("x"), nil) }))
	tx, err := db.Begin(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)})
	must(t, err)
	must(t, tx.Put([]byte("unsynced"), nil))
	poisonWant(t, tx.Commit())
	s, err := db.Stats(ctx)
	must(t, err)
	poisonWant(t, s.Err)
	if n, err := tailCount(db); n != before || err != nil {
		t.Errorf("after the failure %d of %d commits can be read, %v", n, before, err)
	}
	for i := range clients {
		if _, err := db.Get(ctx, fmt.Appendf(nil, "late%d", i)); !errors.Is(err, aegis.ErrNotFound) {
			t.Errorf("a commit that failed is visible: %v", err)
		}
	}
	poisonWant(t, db.Close())
	if again := db.Close(); again == nil || !errors.Is(again, errInjected) {
		t.Errorf("Close again: %v", again)
	}
	db = poisonOpen(t, life.end(cut).life(8, 0))
	if n, err := tailCount(db); n != before || err != nil {
		t.Errorf("after the reopen there are %d of %d commits, %v", n, before, err)
	}
	must(t, db.Put(ctx, tailKey(before), tailValue(before)))
	must(t, db.Verify(ctx, nil))
	must(t, db.Close())
}

// poisonWant: ErrPoisoned with the first cause.
func poisonWant(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, aegis.ErrPoisoned) || !errors.Is(err, errInjected) {
		t.Errorf("%v, want ErrPoisoned with the injected error", err)
	}
}

// A sync that failed may have dropped the pages, so that what is read after a restart is not on
// the medium. The next life must write it again before it says that it is there.
func TestPoisonFailedSyncIsNotBelieved(t *testing.T) {
	for seed := range uint64(40) {
		life := newCrashDisk().life(seed, 0)
		db := poisonOpen(t, life)
		must(t, db.Put(ctx, tailKey(0), tailValue(0)))
		life.setFail(crashFailing("sync", "wal-", errInjected))
		poisonWant(t, db.Put(ctx, tailKey(1), tailValue(1)))
		disk := life.end(false) // killed: the cache survives, and shows the second commit
		_ = db.Close()
		life = disk.life(seed, 0)
		db = poisonOpen(t, life)
		n, err := tailCount(db)
		must(t, err)
		disk = life.end(true)
		_ = db.Close()
		db = poisonOpen(t, disk.life(seed, 0))
		if again, err := tailCount(db); err != nil || again < n {
			t.Fatalf("seed %d: %d commits were read, after a power cut there are %d, %v", seed, n, again, err)
		}
		must(t, db.Close())
	}
}

// A read error passes through as it is, and is not remembered: not as an absence, not as a
// damage.
func TestReadErrorPassesThrough(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := poisonOpen(t, life)
	for i := range 500 {
		must(t, db.Put(ctx, tailKey(i), tailValue(i)))
	}
	must(t, db.Close())
	life = life.end(false).life(2, 0)
	db = poisonOpen(t, life)
	var bad *aegis.CorruptionError
	for i := 0; i < 500; i += 50 { // at first nothing is in memory, later all but the leaf is
		if i == 100 {
			life.setFail(nil)
			wantGet(t, db, string(tailKey(0)), string(tailValue(0)))
		}
		life.setFail(crashFailing("read", "table-", errInjected))
		if _, err := db.Get(ctx, tailKey(i)); !errors.Is(err, errInjected) || errors.As(err, &bad) || errors.Is(err, aegis.ErrNotFound) {
			t.Fatalf("Get with a broken medium: %v", err)
		}
	}
	if _, err := tailCount(db); !errors.Is(err, errInjected) {
		t.Errorf("a scan with a broken medium: %v", err)
	}
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		n := 0
		for range tx.Range(nil, nil) {
			n++
		}
		if n >= 500 {
			t.Error("a broken medium gave everything")
		}
		if !errors.Is(tx.Err(), errInjected) {
			t.Errorf("Tx.Err is %v", tx.Err())
		}
		return nil
	})
	if !errors.Is(err, errInjected) {
		t.Errorf("an Update whose loop failed: %v", err)
	}
	must(t, db.Put(ctx, tailKey(500), tailValue(500))) // writing does not need the table
	life.setFail(nil)
	if n, err := tailCount(db); n != 501 || err != nil {
		t.Errorf("with the medium well again %d entries, %v", n, err)
	}
	must(t, db.Verify(ctx, nil))
}

// poisonStall makes the log's syncs wait until release is called; held tells when one does.
func poisonStall(life *crashLife) (held <-chan struct{}, arm, release func()) {
	var armed atomic.Bool
	waiting, gate := make(chan struct{}, 1), make(chan struct{})
	life.stall = func(op, name string) {
		if op != "sync" || !strings.HasPrefix(name, "wal-") || !armed.Load() {
			return
		}
		select {
		case waiting <- struct{}{}:
		default:
		}
		<-gate
	}
	return waiting, func() { armed.Store(true) }, func() { armed.Store(false); close(gate) }
}

// A context that ends while a commit waits for its sync: the outcome is unknown, the store goes on.
func TestContextEndsDuringCommit(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	life := newCrashDisk().life(1, 0)
	held, arm, release := poisonStall(life)
	db := poisonOpen(t, life)
	must(t, db.Put(ctx, tailKey(0), tailValue(0)))
	arm()
	first := make(chan error, 1)
	go func() { first <- db.Put(ctx, tailKey(1), tailValue(1)) }()
	<-held
	type call struct {
		name    string
		commits bool // else there is no outcome that could be unknown
		f       func(ctx context.Context) error
	}
	for _, c := range []call{
		{"Put", true, func(ctx context.Context) error { return db.Put(ctx, []byte("put"), []byte("x")) }},
		{"Update", true, func(ctx context.Context) error {
			return db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("update"), []byte("x")) })
		}},
		{"Sync", false, db.Sync},
		{"Checkpoint", false, db.Checkpoint},
	} {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		if err := c.f(ctx); errors.Is(err, aegis.ErrOutcomeUnknown) != c.commits || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a stuck sync: %v, want the context's error, with ErrOutcomeUnknown: %t", c.name, err, c.commits)
		}
		cancel()
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Put(ended, []byte("never"), nil); !errors.Is(err, context.Canceled) || errors.Is(err, aegis.ErrOutcomeUnknown) {
		t.Errorf("a context that ended before: %v", err)
	}
	wantGet(t, db, string(tailKey(0)), string(tailValue(0))) // readers wait for nobody
	release()
	must(t, <-first)
	must(t, db.Sync(ctx))
	wantGet(t, db, string(tailKey(1)), string(tailValue(1)))
	wantGet(t, db, "put", "x")
	wantGet(t, db, "update", "x")
	if _, err := db.Get(ctx, []byte("never")); !errors.Is(err, aegis.ErrNotFound) {
		t.Errorf("a commit whose context had ended before: %v", err)
	}
	must(t, db.Close())
}

// The same for a client that is alone, and would take the log writer's turn itself.
func TestContextEndsDuringOwnSync(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	life := newCrashDisk().life(1, 0)
	held, arm, release := poisonStall(life)
	db := poisonOpen(t, life)
	must(t, db.Put(ctx, []byte("a"), nil))
	arm()
	short, cancel := context.WithCancel(ctx)
	go func() { <-held; cancel() }()
	if err := db.Put(short, []byte("b"), []byte("2")); !errors.Is(err, aegis.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	release()
	must(t, db.Sync(ctx))
	wantGet(t, db, "b", "2")
	must(t, db.Close())
}

// Pending.Wait may be given up and called again.
func TestPendingWaitIsGivenUp(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	life := newCrashDisk().life(1, 0)
	held, arm, release := poisonStall(life)
	db := poisonOpen(t, life)
	arm()
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, tx.Put([]byte("b"), []byte("2")))
	p, err := tx.CommitAsync() // does not wait for the sync, also when nobody else is there to do it
	must(t, err)
	<-held
	short, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
	defer cancel()
	if err := p.Wait(short); !errors.Is(err, aegis.ErrOutcomeUnknown) {
		t.Errorf("Wait: %v", err)
	}
	release()
	must(t, p.Wait(ctx))
	must(t, p.Wait(ctx))
	wantGet(t, db, "b", "2")
	must(t, db.Close())
}

// A flush that fails is tried again, with new files; commits go on, and nobody is lied to.
func TestFlushFailureIsRetried(t *testing.T) {
	for _, c := range []struct{ op, kind string }{
		{"write", "table-"}, {"sync", "table-"}, {"create", "table-"}, {"sync", "checkpoint-"}, {"create", "checkpoint-"}, {"syncdir", ""},
	} {
		t.Run(c.op+" "+c.kind, func(t *testing.T) {
			defer crashWatch(t, t.Name(), 20*time.Second)()
			life := newCrashDisk().life(3, 0)
			db := poisonOpen(t, life)
			for i := range 30 {
				must(t, db.Put(ctx, tailKey(i), tailValue(i)))
			}
			life.setFail(crashFailing(c.op, c.kind, errInjected))
			if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) || errors.Is(err, aegis.ErrPoisoned) {
				t.Errorf("Checkpoint: %v", err)
			}
			must(t, db.Put(ctx, tailKey(30), tailValue(30)))
			life.setFail(nil)
			must(t, db.Checkpoint(ctx))
			must(t, db.Verify(ctx, nil))
			disk := life.end(true)
			_ = db.Close()
			db = poisonOpen(t, disk.life(4, 0))
			if n, err := tailCount(db); n != 31 || err != nil {
				t.Errorf("%d commits, %v", n, err)
			}
		})
	}
}

// blindBackend lists nothing for once, as reading a directory may miss a file that is removed and
// the one that replaces it.
type blindBackend struct {
	*backends.Memory
	blind atomic.Int64
}

func (b *blindBackend) List() ([]backends.FileInfo, error) {
	if b.blind.Add(-1) >= 0 {
		return nil, nil
	}
	return b.Memory.List()
}

func TestVerifyWhileTheDirectoryChanges(t *testing.T) {
	b := &blindBackend{Memory: backends.NewMemory()}
	db := open(t, "", aegis.Options{Backend: b})
	must(t, db.Put(ctx, []byte("a"), nil))
	must(t, db.Checkpoint(ctx))
	b.blind.Store(1)
	must(t, db.Verify(ctx, nil))
}

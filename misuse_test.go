package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// hooks is a Backend whose calls can be held up and failed.
type hooks struct {
	backends.Backend
	read, sync atomic.Pointer[func(file string) error]
	write      atomic.Pointer[func(file string, p []byte)]
}

func newHooks() *hooks { return &hooks{Backend: backends.NewMemory()} }

func (h *hooks) onRead(f func(file string) error) { h.read.Store(&f) }
func (h *hooks) onSync(f func(file string) error) { h.sync.Store(&f) }

func (h *hooks) Create(name string) (backends.File, error) {
	f, err := h.Backend.Create(name)
	return hookedFile{f, h, name}, err
}

func (h *hooks) Open(name string) (backends.File, error) {
	f, err := h.Backend.Open(name)
	return hookedFile{f, h, name}, err
}

type hookedFile struct {
	backends.File
	h    *hooks
	name string
}

func (f hookedFile) ReadAt(p []byte, off int64) (int, error) {
	if hook := f.h.read.Load(); hook != nil {
		if err := (*hook)(f.name); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, off)
}

func (f hookedFile) WriteAt(p []byte, off int64) (int, error) {
	if hook := f.h.write.Load(); hook != nil {
		(*hook)(f.name, p)
	}
	return f.File.WriteAt(p, off)
}

func (f hookedFile) Sync() error {
	if hook := f.h.sync.Load(); hook != nil {
		if err := (*hook)(f.name); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

// holdSync makes the sync of the log file that mark is written to wait until release is called.
// held is closed when it does.
func (h *hooks) holdSync(mark string) (held <-chan struct{}, release func()) {
	waits, gate := make(chan struct{}), make(chan struct{})
	signal := sync.OnceFunc(func() { close(waits) })
	var file atomic.Pointer[string]
	write := func(name string, p []byte) {
		if strings.HasPrefix(name, "wal-") && bytes.Contains(p, b(mark)) {
			file.Store(&name)
		}
	}
	h.write.Store(&write)
	h.onSync(func(name string) error {
		if f := file.Load(); f != nil && *f == name {
			signal()
			<-gate
		}
		return nil
	})
	return waits, func() { close(gate) }
}

func b(s string) []byte { return []byte(s) }

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestFinishedTransaction: every method of a transaction that ended says so.
func TestFinishedTransaction(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	must(t, db.Put(ctx, b("a"), b("1")))
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		_, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
		return err
	}))
	ends := map[string]func(tx *aegis.Tx) error{
		"Commit": (*aegis.Tx).Commit, "Rollback": (*aegis.Tx).Rollback,
		"CommitAsync": func(tx *aegis.Tx) error { _, err := tx.CommitAsync(); return err },
	}
	for name, end := range ends {
		for _, write := range []bool{false, true} {
			tx, err := db.Begin(ctx, aegis.TxOptions{})
			must(t, err)
			k, err := tx.Keyspace("k")
			must(t, err)
			loop := tx.Range(nil, nil)
			if write {
				must(t, tx.Put(b("b"), b("2")))
			}
			must(t, end(tx))
			for what, err := range txCalls(tx, k) {
				wantErr(t, what+" after "+name, err, aegis.ErrTxDone)
			}
			if n := drain(loop); n != 0 {
				t.Errorf("a loop after %s saw %d entries", name, n)
			}
			wantErr(t, "Err of a loop after "+name, tx.Err(), aegis.ErrTxDone)
			wantErr(t, "Rollback after "+name, tx.Rollback(), nil)
		}
	}
}

// txCalls calls every method of a transaction and of one of its keyspaces.
func txCalls(tx *aegis.Tx, k *aegis.Keyspace) map[string]error {
	calls := map[string]error{
		"Put": tx.Put(b("a"), nil), "Delete": tx.Delete(b("a")), "Commit": tx.Commit(),
		"Keyspace.Put": k.Put(b("a"), nil), "Keyspace.Delete": k.Delete(b("a")),
		"DropKeyspace": tx.DropKeyspace("k"), "DeleteBlock": tx.DeleteBlock(1),
	}
	_, calls["Get"] = tx.Get(b("a"))
	_, calls["Keyspace.Get"] = k.Get(b("a"))
	_, calls["Keyspace"] = tx.Keyspace("k")
	_, calls["Keyspace(default)"] = tx.Keyspace(aegis.DefaultKeyspaceName)
	_, calls["Keyspaces"] = tx.Keyspaces()
	_, calls["CreateKeyspace"] = tx.CreateKeyspace("new", aegis.KeyspaceOptions{})
	_, calls["WriteBlock"] = tx.WriteBlock(aegis.NewBlock(nil))
	_, calls["ReadBlock"] = tx.ReadBlock(1)
	_, calls["CommitAsync"] = tx.CommitAsync()
	return calls
}

// dbCalls calls every method of a store that can fail, Close excepted.
func dbCalls(ctx context.Context, db *aegis.DB) (reads, writes map[string]error) {
	reads, writes = map[string]error{}, map[string]error{}
	fn := func(*aegis.Tx) error { return nil }
	none := func(func(k, v []byte) bool) {}
	_, reads["Get"] = db.Get(ctx, b("a"))
	_, reads["Begin read-only"] = db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	reads["View"] = db.View(ctx, fn)
	_, reads["ReadBlock"] = db.ReadBlock(ctx, 1)
	reads["Verify"] = db.Verify(ctx, nil)
	_, reads["Stats"] = db.Stats(ctx)
	writes["Put"] = db.Put(ctx, b("a"), nil)
	writes["Delete"] = db.Delete(ctx, b("a"))
	_, writes["Begin"] = db.Begin(ctx, aegis.TxOptions{})
	writes["Update"] = db.Update(ctx, fn)
	writes["UpdateWith"] = db.UpdateWith(ctx, aegis.TxOptions{Isolation: aegis.Snapshot}, fn)
	_, writes["WriteBlock"] = db.WriteBlock(ctx, aegis.NewBlock(nil))
	writes["DeleteBlock"] = db.DeleteBlock(ctx, 1)
	_, writes["BulkLoad"] = db.BulkLoad(ctx, "bulk", aegis.KeyspaceOptions{}, none)
	writes["Sync"] = db.Sync(ctx)
	writes["Checkpoint"] = db.Checkpoint(ctx)
	writes["Compact"] = db.Compact(ctx, nil)
	return reads, writes
}

// TestClosedStore: after Close every method answers ErrClosed, of transactions too, and Close
// itself what it did at first.
func TestClosedStore(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		db := open(aegis.Options{})
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			_, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
			return err
		}))
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		k, err := tx.Keyspace("k")
		must(t, err)
		must(t, tx.Put(b("a"), b("1")))
		loop := tx.Range(nil, nil)
		must(t, db.Close())
		must(t, db.Close())
		reads, writes := dbCalls(ctx, db)
		for what, err := range reads {
			wantErr(t, what, err, aegis.ErrClosed)
		}
		for what, err := range writes {
			wantErr(t, what, err, aegis.ErrClosed)
		}
		drain(loop)
		wantErr(t, "Err of a loop", tx.Err(), aegis.ErrClosed)
		for what, err := range txCalls(tx, k) {
			wantErr(t, "Tx."+what, err, aegis.ErrClosed)
		}
		must(t, tx.Rollback())
	})
}

// TestReadOnly: writing calls fail in read-only transactions and stores, reading ones work.
func TestReadOnly(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		db := open(aegis.Options{})
		must(t, db.Put(ctx, b("a"), b("1")))
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			_, err := tx.CreateKeyspace("k", aegis.KeyspaceOptions{})
			return err
		}))
		readOnlyTx(t, db)
		wantErr(t, "UpdateWith", db.UpdateWith(ctx, aegis.TxOptions{ReadOnly: true}, func(*aegis.Tx) error { return nil }), aegis.ErrReadOnly)
		must(t, db.Close())
		db = open(aegis.Options{ReadOnly: true})
		reads, writes := dbCalls(ctx, db)
		for what, err := range reads {
			if what != "ReadBlock" && err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantErr(t, "ReadBlock", reads["ReadBlock"], aegis.ErrNotFound)
		for what, err := range writes {
			wantErr(t, what, err, aegis.ErrReadOnly)
		}
		wantGet(t, db, "a", "1")
		readOnlyTx(t, db)
		must(t, db.Close())
	})
}

func readOnlyTx(t *testing.T, db *aegis.DB) {
	t.Helper()
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	k, err := tx.Keyspace("k")
	must(t, err)
	_, create := tx.CreateKeyspace("new", aegis.KeyspaceOptions{})
	_, block := tx.WriteBlock(aegis.NewBlock(nil))
	for what, err := range map[string]error{
		"Tx.Put": tx.Put(b("a"), nil), "Tx.Delete": tx.Delete(b("a")), "Keyspace.Put": k.Put(b("a"), nil),
		"Keyspace.Delete": k.Delete(b("a")), "DropKeyspace": tx.DropKeyspace("k"),
		"CreateKeyspace": create, "WriteBlock": block, "DeleteBlock": tx.DeleteBlock(1),
	} {
		wantErr(t, what, err, aegis.ErrReadOnly)
	}
	if v, err := tx.Get(b("a")); err != nil || string(v) != "1" {
		t.Errorf("Get = %q, %v", v, err)
	}
	must(t, tx.Commit())
}

// TestCancelledContext: what was not handed over yet is cancelled, with nothing applied.
func TestCancelledContext(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	must(t, db.Put(ctx, b("a"), b("1")))
	cancelled, cancel := context.WithCancel(ctx)
	tx, err := db.Begin(cancelled, aegis.TxOptions{})
	must(t, err)
	must(t, tx.Put(b("a"), b("2")))
	async, err := db.Begin(cancelled, aegis.TxOptions{})
	must(t, err)
	must(t, async.Put(b("a"), b("3")))
	cancel()
	wantErr(t, "Commit", tx.Commit(), context.Canceled)
	_, err = async.CommitAsync()
	wantErr(t, "CommitAsync", err, context.Canceled)
	reads, writes := dbCalls(cancelled, db)
	for what, err := range writes {
		wantErr(t, what, err, context.Canceled)
	}
	delete(reads, "Get") // bounds the wait for a page only
	for what, err := range reads {
		wantErr(t, what, err, context.Canceled)
	}
	wantGet(t, db, "a", "1")
	wantErr(t, "a second Commit", tx.Commit(), aegis.ErrTxDone)
}

// TestUnknownOutcome: a context that ends while a commit waits for its sync leaves it open, and
// says so; the commit itself goes on.
func TestUnknownOutcome(t *testing.T) {
	h := newHooks()
	db := open(t, "", aegis.Options{Backend: h})
	held, release := h.holdSync("first")
	bounded, cancel := context.WithCancel(ctx)
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, tx.Put(b("first"), b("1")))
	first := make(chan error)
	go func() { first <- tx.Commit() }() // takes the turns, and waits in the sync
	<-held
	second := make(chan error)
	go func() { second <- db.Put(bounded, b("second"), b("2")) }()
	for found := false; !found; runtime.Gosched() { // until it is applied
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		_, err = tx.Get(b("second"))
		found = err == nil
		must(t, tx.Rollback())
	}
	cancel()
	err = <-second
	wantErr(t, "Put", err, aegis.ErrOutcomeUnknown)
	wantErr(t, "Put", err, context.Canceled)
	release()
	must(t, <-first)
	must(t, db.Sync(ctx))
	wantGet(t, db, "first", "1")
	wantGet(t, db, "second", "2")
}

// TestLocked: a store that is open can be opened neither again nor for reading; readers share.
func TestLocked(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		backend := backends.Backend(backends.NewMemory())
		dir := t.TempDir()
		if strings.HasSuffix(t.Name(), "local") {
			backend = nil
		}
		try := func(readOnly bool) (*aegis.DB, error) {
			return aegis.Open(dir, &aegis.Options{Backend: backend, ReadOnly: readOnly})
		}
		db, err := try(false)
		must(t, err)
		for _, readOnly := range []bool{false, true} {
			_, err := try(readOnly)
			wantErr(t, "second Open", err, aegis.ErrLocked)
		}
		must(t, db.Put(ctx, b("a"), b("1")))
		must(t, db.Close())
		r1, err := try(true)
		must(t, err)
		r2, err := try(true)
		must(t, err)
		_, err = try(false)
		wantErr(t, "Open beside readers", err, aegis.ErrLocked)
		wantGet(t, r1, "a", "1")
		must(t, r1.Close())
		wantGet(t, r2, "a", "1")
		must(t, r2.Close())
		db, err = try(false)
		must(t, err)
		must(t, db.Close())
	})
}

// TestForeignDirectory: a directory that is not a store's is left as it is.
func TestForeignDirectory(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		dir := t.TempDir()
		file := filepath.Join(dir, "notes.txt")
		must(t, os.WriteFile(file, b("mine"), 0o600))
		_, err := aegis.Open(dir, &aegis.Options{ReadOnly: readOnly})
		wantErr(t, "Open", err, aegis.ErrNotAegis)
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, b("mine")) {
			t.Errorf("the file became %q, %v", got, err)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if e.Name() != "notes.txt" {
				t.Errorf("Open left %s behind", e.Name())
			}
		}
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "wal"), 0o700))
	_, err := aegis.Open(dir, nil)
	wantErr(t, "Open of a directory that holds another", err, aegis.ErrNotAegis)
	_, err = aegis.Open(t.TempDir(), &aegis.Options{ReadOnly: true})
	wantErr(t, "read-only Open of nothing", err, aegis.ErrNoStore)
}

// TestCloseLeavesNoGoroutines: whatever was under way.
func TestCloseLeavesNoGoroutines(t *testing.T) {
	before := engineGoroutines()
	limits := tiny()
	for _, o := range []aegis.Options{{}, {Limits: &limits, Durability: aegis.NoSync}, {Limits: &limits, DisableWAL: true}} {
		o.Backend = backends.NewMemory()
		db, err := aegis.Open("", &o)
		must(t, err)
		for i := range 300 {
			must(t, db.Put(ctx, []byte{byte(i), byte(i >> 4)}, make([]byte, 100)))
		}
		_, err = db.Begin(ctx, aegis.TxOptions{}) // left open
		must(t, err)
		must(t, db.Close())
		o.ReadOnly = true
		db, err = aegis.Open("", &o)
		must(t, err)
		must(t, db.Close())
	}
	for end := time.Now().Add(5 * time.Second); engineGoroutines() > before; runtime.Gosched() {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines of the engine are left:\n%s", engineGoroutines()-before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// engineGoroutines counts the goroutines that run code of this module, the tests' excepted.
func engineGoroutines() (n int) {
	buf := make([]byte, 4<<20)
	for _, g := range bytes.Split(buf[:runtime.Stack(buf, true)], b("\n\n")) {
		if bytes.Contains(g, b("aegis-storage/aegis/")) && !bytes.Contains(g, b("testing.tRunner")) {
			n++
		}
	}
	return n
}

// tiny limits make every rotation, flush and merge happen within a few commits.
func tiny() aegis.Limits {
	return aegis.Limits{
		IndexBytes: 2 << 10, SegmentBytes: 16 << 10, FirstSegment: 16 << 10, LogBytes: 32 << 10,
		TableBytes: 1 << 10, LeafBytes: 128, InnerBytes: 128, FanIn: 2, MaxRuns: 8, MergeStep: 1 << 10,
		ChunkBytes: 256, TurnLimit: 3, Inbox: 4, SettleAfter: time.Millisecond, RetryInterval: time.Millisecond,
	}
}

package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

func TestRestoreLeavesUsedDirectoriesAlone(t *testing.T) {
	stream := smallBackup(t)
	used := filepath.Join(t.TempDir(), "store")
	db, err := aegis.Open(used, nil)
	must(t, err)
	must(t, db.Put(context.Background(), []byte("mine"), []byte("1")))
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "letter.txt"), []byte("dear"), 0o600))
	for _, dir := range []string{used, other} {
		before, err := os.ReadDir(dir)
		must(t, err)
		if _, err := aegis.Restore(context.Background(), dir, nil, bytes.NewReader(stream)); !errors.Is(err, aegis.ErrNotEmpty) {
			t.Errorf("Restore: %v", err)
		}
		if err := db.CheckpointTo(context.Background(), dir); !errors.Is(err, aegis.ErrNotEmpty) {
			t.Errorf("CheckpointTo: %v", err)
		}
		after, err := os.ReadDir(dir)
		must(t, err)
		if dir == other && fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("%v became %v", before, after)
		}
	}
	must(t, db.Close())
	db, err = aegis.Open(used, nil)
	must(t, err)
	if v, err := db.Get(context.Background(), []byte("mine")); err != nil || string(v) != "1" {
		t.Errorf("%q, %v", v, err)
	}
	must(t, db.Close())
}

// A store that another process makes between the look and the lock is not restored over.
func TestRestoreLosesARace(t *testing.T) {
	medium := backends.NewMemory()
	b := &racedBackend{medium, func() {
		db := openBackupStore(t, medium)
		must(t, db.Put(context.Background(), []byte("theirs"), []byte("1")))
		must(t, db.Close())
	}}
	_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(smallBackup(t)))
	if !errors.Is(err, aegis.ErrNotEmpty) {
		t.Fatal(err)
	}
	if v, err := openBackupStore(t, medium).Get(context.Background(), []byte("theirs")); err != nil || string(v) != "1" {
		t.Errorf("%q, %v", v, err)
	}
}

// racedBackend has something done before it is locked.
type racedBackend struct {
	backends.Backend
	before func()
}

func (b *racedBackend) Lock(exclusive bool) (func() error, error) {
	b.before()
	return b.Backend.Lock(exclusive)
}

// A restore that was killed, at any call of the medium, leaves no store or the whole one; so does a
// second one in the same place; and a third succeeds.
func TestRestoreAfterKills(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 300)
	want := storeContents(t, db)
	stream, _ := takeBackup(t, db, nil)
	first := -1
	for died := true; died; {
		first++
		for second, again := 0, true; again; second++ {
			medium := backends.NewMemory()
			died = killedRestore(t, medium, stream, first, want)
			again = died && killedRestore(t, medium, stream, second, want)
			_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: medium}, bytes.NewReader(stream))
			if !errors.Is(err, aegis.ErrNotEmpty) { // the store was whole, and the mark gone
				must(t, err)
			}
			back, err := aegis.Open("", &aegis.Options{Backend: medium, Limits: backupLimits()})
			must(t, err)
			sameContents(t, "the last attempt", storeContents(t, back), want)
			must(t, back.Close())
		}
	}
	if first < 15 {
		t.Fatalf("Restore made %d calls only", first)
	}
}

// killedRestore restores, is killed after some calls, and looks at what is there then. It reports
// whether it was killed before its end.
func killedRestore(t *testing.T, medium backends.Backend, stream []byte, calls int, want map[string]string) bool {
	t.Helper()
	return brokenRestore(t, &dyingBackend{Backend: medium, left: calls, fail: -1}, stream, want)
}

// A restore that fails, for a moment's fault of the medium, and is killed while it cleans up.
func TestRestoreKilledWhileItCleansUp(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 100)
	want := storeContents(t, db)
	stream, _ := takeBackup(t, db, nil)
	fails := -1
	for failed := true; failed; {
		fails++
		for left, died := 0, true; died; left++ {
			b := &dyingBackend{Backend: backends.NewMemory(), left: fails + 1 + left, fail: left}
			died = brokenRestore(t, b, stream, want)
			failed = b.left <= b.fail // it came to that call
		}
	}
	if fails < 12 {
		t.Fatalf("Restore made %d calls only", fails)
	}
}

// brokenRestore restores to a medium that breaks, and looks at what is there then. It reports whether
// the process died before the end.
func brokenRestore(t *testing.T, b *dyingBackend, stream []byte, want map[string]string) bool {
	t.Helper()
	calls := b.left
	_, restoreErr := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
	if restoreErr != nil && !errors.Is(restoreErr, errDead) && !errors.Is(restoreErr, errInjected) && !errors.Is(restoreErr, aegis.ErrNotEmpty) {
		t.Fatalf("killed after %d calls: %v", calls, restoreErr)
	}
	db, err := aegis.Open("", &aegis.Options{Backend: b.Backend, ReadOnly: true, Limits: backupLimits()})
	switch {
	case err == nil:
		sameContents(t, fmt.Sprintf("killed after %d calls", calls), storeContents(t, db), want)
		must(t, db.Close())
	case restoreErr == nil, !errors.Is(err, aegis.ErrUnfinishedRestore) && !errors.Is(err, aegis.ErrNoStore):
		t.Fatalf("killed after %d calls, Open says %v", calls, err)
	}
	return errors.Is(restoreErr, errDead)
}

var errDead = errors.New("the process is dead")

// dyingBackend is the Backend of a process that is killed after some calls that change something.
type dyingBackend struct {
	backends.Backend
	left int
	fail int // with so many left a call fails that once
}

func (b *dyingBackend) spend() error {
	if b.left <= 0 {
		return errDead
	}
	b.left--
	if b.left == b.fail {
		return errInjected
	}
	return nil
}

func (b *dyingBackend) Create(name string) (backends.File, error) {
	if err := b.spend(); err != nil {
		return nil, err
	}
	f, err := b.Backend.Create(name)
	return &dyingFile{f, b}, err
}

func (b *dyingBackend) Remove(name string) error {
	if err := b.spend(); err != nil {
		return err
	}
	return b.Backend.Remove(name)
}

func (b *dyingBackend) SyncDir() error {
	if err := b.spend(); err != nil {
		return err
	}
	return b.Backend.SyncDir()
}

type dyingFile struct {
	backends.File
	b *dyingBackend
}

func (f *dyingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.b.spend(); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *dyingFile) Sync() error {
	if err := f.b.spend(); err != nil {
		return err
	}
	return f.File.Sync()
}

func TestOpenFinishesARestoreForGood(t *testing.T) {
	stream := smallBackup(t)
	b := backends.NewMemory()
	_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
	must(t, err)
	f, err := b.Create("RESTORE-UNFINISHED") // as a crash leaves it after the checkpoint
	must(t, err)
	must(t, f.Close())
	db := openBackupStore(t, b)
	must(t, db.Put(context.Background(), []byte("new"), []byte("1")))
	must(t, db.Close())
	_, err = aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
	if !errors.Is(err, aegis.ErrNotEmpty) {
		t.Fatalf("a store that was written to was restored over: %v", err)
	}
}

// What Open found may be in the system's cache only. The mark must not go before a checkpoint is
// on the medium.
func TestOpenRemovesTheMarkAfterItsCheckpoint(t *testing.T) {
	medium := backends.NewMemory()
	_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: medium}, bytes.NewReader(smallBackup(t)))
	must(t, err)
	f, err := medium.Create("RESTORE-UNFINISHED")
	must(t, err)
	must(t, f.Close())
	b := &listingBackend{Backend: medium}
	db, err := aegis.Open("", &aegis.Options{Backend: b})
	must(t, err)
	b.mu.Lock()
	calls := slices.Clone(b.calls)
	b.mu.Unlock()
	removed := slices.Index(calls, "remove RESTORE-UNFINISHED")
	created := slices.IndexFunc(calls, func(call string) bool { return strings.HasPrefix(call, "create checkpoint-") })
	if removed < 0 || created < 0 || created > removed || !slices.Contains(calls[created:removed], "sync") {
		t.Errorf("the mark is not removed after a checkpoint: %q", calls)
	}
	must(t, db.Close())
}

// listingBackend lists the calls that change names.
type listingBackend struct {
	backends.Backend
	mu    sync.Mutex
	calls []string
}

func (b *listingBackend) note(call string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, call)
}

func (b *listingBackend) Create(name string) (backends.File, error) {
	b.note("create " + name)
	return b.Backend.Create(name)
}

func (b *listingBackend) Remove(name string) error {
	b.note("remove " + name)
	return b.Backend.Remove(name)
}

func (b *listingBackend) SyncDir() error {
	b.note("sync")
	return b.Backend.SyncDir()
}

func TestBackupOfReadOnlyStores(t *testing.T) {
	for _, clean := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "store")
		db, err := aegis.Open(dir, &aegis.Options{Limits: backupLimits()})
		must(t, err)
		fillBackupStore(t, db, 0, 500)
		must(t, db.Checkpoint(context.Background()))
		must(t, db.Update(context.Background(), func(tx *aegis.Tx) error {
			k, err := tx.CreateKeyspace("in the log", aegis.KeyspaceOptions{Compression: aegis.Zstd})
			if err != nil {
				return err
			}
			return errors.Join(k.Put([]byte("a"), []byte("b")), tx.Delete([]byte("key00000")))
		}))
		want := storeContents(t, db)
		from := dir
		if clean {
			must(t, db.Close())
		} else { // what a kill leaves
			from = copyDir(t, dir)
			must(t, db.Close())
		}
		reader, err := aegis.Open(from, &aegis.Options{ReadOnly: true, Limits: backupLimits()})
		must(t, err)
		before, err := os.ReadDir(from)
		must(t, err)
		stream, info := takeBackup(t, reader, nil)
		if info.Seq != reader.Seq() {
			t.Errorf("clean %t: the backup is of seq %d, the store at %d", clean, info.Seq, reader.Seq())
		}
		sameContents(t, fmt.Sprint("clean ", clean), storeContents(t, restored(t, stream)), want)
		to := filepath.Join(t.TempDir(), "copy")
		must(t, reader.CheckpointTo(context.Background(), to))
		after, err := os.ReadDir(from)
		must(t, err)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("clean %t: %v became %v", clean, before, after)
		}
		must(t, reader.Close())
		copied, err := aegis.Open(to, nil)
		must(t, err)
		sameContents(t, "copied", storeContents(t, copied), want)
		// The chain goes on when the store is opened for writing.
		writer, err := aegis.Open(from, &aegis.Options{Limits: backupLimits()})
		must(t, err)
		fillBackupStore(t, writer, 3, 50)
		next, _ := takeBackup(t, writer, info)
		sameContents(t, "the chain", storeContents(t, restored(t, stream, next)), storeContents(t, writer))
		must(t, errors.Join(copied.Close(), writer.Close()))
	}
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "killed")
	must(t, os.Mkdir(to, 0o700))
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, f.Name()), b, 0o600))
	}
	return to
}

func TestBackupWithoutLog(t *testing.T) {
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory(), DisableWAL: true, Limits: backupLimits()})
	must(t, err)
	defer db.Close()
	fillBackupStore(t, db, 0, 500)
	full, info := takeBackup(t, db, nil)
	fillBackupStore(t, db, 1, 100)
	next, _ := takeBackup(t, db, info)
	sameContents(t, "restored", storeContents(t, restored(t, full, next)), storeContents(t, db))
}

// A keyspace that is dropped, and whose tables are replaced and retired, while they are backed up.
func TestKeyspaceDroppedDuringBackup(t *testing.T) {
	ctx := context.Background()
	b := backends.NewMemory()
	db := openBackupStore(t, b)
	fillBackupStore(t, db, 0, 800)
	_, err := db.BulkLoad(ctx, "big", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 2000 {
			if !yield(fmt.Appendf(nil, "%08d", i), fmt.Appendf(nil, "value %d", i)) {
				return
			}
		}
	})
	must(t, err)
	want := storeContents(t, db)
	var stream bytes.Buffer
	dropped := false
	_, err = db.Backup(ctx, writerFunc(func(p []byte) (int, error) {
		if !dropped {
			dropped = true
			must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("big") }))
			fillBackupStore(t, db, 7, 900)
			must(t, db.Compact(ctx, nil))
		}
		return stream.Write(p)
	}), nil)
	must(t, err)
	sameContents(t, "restored", storeContents(t, restored(t, stream.Bytes())), want)
}

// A bulk load that is under way when the backup is taken is in it whole, or not at all.
func TestBackupDuringBulkLoad(t *testing.T) {
	ctx := context.Background()
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 100)
	want := storeContents(t, db)
	var stream []byte
	_, err := db.BulkLoad(ctx, "big", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 2000 {
			if i == 1500 {
				stream, _ = takeBackup(t, db, nil)
			}
			if !yield(fmt.Appendf(nil, "%08d", i), []byte("v")) {
				return
			}
		}
	})
	must(t, err)
	back := restored(t, stream)
	sameContents(t, "restored", storeContents(t, back), want)
	must(t, back.Update(ctx, func(tx *aegis.Tx) error { // its id is free for nobody else's keys
		_, err := tx.CreateKeyspace("big", aegis.KeyspaceOptions{})
		return err
	}))
	must(t, back.Verify(ctx, nil))
}

// A Restore that fails, for one call of the medium that fails or for want of space, and was not
// killed, leaves an empty directory.
func TestFailedRestoreLeavesNothing(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 100)
	stream, info := takeBackup(t, db, nil)
	attempt := func(what string, b backends.Backend, want error) (failed bool) {
		_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
		if err == nil {
			return false
		}
		if files, listErr := b.List(); !errors.Is(err, want) || listErr != nil || len(files) > 0 {
			t.Fatalf("%s: %v, and left %v, %v", what, err, files, listErr)
		}
		return true
	}
	calls := 0
	for fail := 0; attempt(fmt.Sprint("call ", fail, " fails"), &dyingBackend{Backend: backends.NewMemory(), left: 1000, fail: 999 - fail}, errInjected); fail++ {
		calls++
	}
	limits := 0
	for size := int64(0); attempt(fmt.Sprint("room for ", size), backends.Limit(backends.NewMemory(), size), aegis.ErrNoSpace); size += 40 {
		limits++
	}
	if calls < 12 || int64(limits) < info.Bytes/40 {
		t.Errorf("%d calls of %d failed, %d limits of %d bytes", calls, calls+1, limits, info.Bytes)
	}
}

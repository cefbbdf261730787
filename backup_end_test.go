package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// Stores that end, in one way or another, while they are backed up.

func TestCloseWaitsForABackup(t *testing.T) {
	medium := backends.NewMemory()
	db := openBackupStore(t, medium)
	fillBackupStore(t, db, 0, 600)
	want := storeContents(t, db)
	closed := make(chan error, 1)
	var stream bytes.Buffer
	_, err := db.Backup(context.Background(), writerFunc(func(p []byte) (int, error) {
		if stream.Len() > 0 {
			return stream.Write(p)
		}
		go func() { closed <- db.Close() }()
		for db.Put(context.Background(), []byte("late"), nil) == nil { // until Close has begun
			runtime.Gosched()
		}
		select {
		case err := <-closed:
			t.Errorf("Close came back before the Backup's end: %v", err)
			closed <- err
		case <-time.After(100 * time.Millisecond):
		}
		return stream.Write(p)
	}), nil)
	must(t, err)
	must(t, <-closed)
	sameContents(t, "restored", storeContents(t, restored(t, stream.Bytes())), want)
}

// A log that fails ends a store for writing. A backup under way has its tables and goes on; a later
// one could not have what was acknowledged last.
func TestBackupOfAPoisonedStore(t *testing.T) {
	life := newCrashDisk().life(7, 0)
	db := poisonOpen(t, life)
	fillBackupStore(t, db, 0, 600)
	want := storeContents(t, db)
	var stream bytes.Buffer
	info, err := db.Backup(context.Background(), writerFunc(func(p []byte) (int, error) {
		if stream.Len() == 0 {
			life.setFail(crashFailing("write", "wal-", errInjected))
			poisonWant(t, db.Put(context.Background(), []byte("late"), nil))
			life.setFail(nil)
		}
		return stream.Write(p)
	}), nil)
	must(t, err)
	sameContents(t, "restored", storeContents(t, restored(t, stream.Bytes())), want)
	for _, since := range []*aegis.BackupInfo{nil, info} {
		if _, err := db.Backup(context.Background(), io.Discard, since); !errors.Is(err, aegis.ErrPoisoned) {
			t.Errorf("a Backup of a poisoned store: %v", err)
		}
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := db.CheckpointTo(context.Background(), dir); !errors.Is(err, aegis.ErrPoisoned) {
		t.Errorf("CheckpointTo of a poisoned store: %v", err)
	}
	if _, err := aegis.Open(dir, &aegis.Options{ReadOnly: true}); !errors.Is(err, aegis.ErrNoStore) {
		t.Errorf("the copy that was not made: %v", err)
	}
}

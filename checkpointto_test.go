package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

func TestCheckpointTo(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	local, err := aegis.Open(filepath.Join(root, "store"), &aegis.Options{Limits: backupLimits()})
	must(t, err)
	for name, db := range map[string]*aegis.DB{"linked": local, "copied": openBackupStore(t, backends.NewMemory())} {
		fillBackupStore(t, db, 0, 700)
		want := storeContents(t, db)
		to := filepath.Join(root, name, "deep")
		must(t, db.CheckpointTo(ctx, to))
		fillBackupStore(t, db, 1, 700)
		must(t, db.Compact(ctx, nil)) // its files go
		changed := storeContents(t, db)
		own, err := aegis.Open(to, &aegis.Options{Limits: backupLimits()})
		must(t, err)
		sameContents(t, name, storeContents(t, own), want)
		must(t, own.Verify(ctx, nil))
		fillBackupStore(t, own, 2, 700)
		must(t, own.Compact(ctx, nil))
		_, info := takeBackup(t, db, nil)
		if _, err := own.Backup(ctx, io.Discard, info); !errors.Is(err, aegis.ErrBackupChain) {
			t.Errorf("%s: a backup of the copy that follows one of the store: %v", name, err)
		}
		must(t, own.Close())
		must(t, db.Verify(ctx, nil))
		sameContents(t, "the store itself", storeContents(t, db), changed)
	}
	links, err := filepath.Glob(filepath.Join(root, "linked", "deep", "RESTORE*"))
	if err != nil || len(links) > 0 {
		t.Errorf("left: %v, %v", links, err)
	}
	must(t, local.Close())
}

func TestCheckpointToLinks(t *testing.T) {
	root := t.TempDir()
	db, err := aegis.Open(filepath.Join(root, "store"), nil)
	must(t, err)
	fillBackupStore(t, db, 0, 700)
	must(t, db.CheckpointTo(context.Background(), filepath.Join(root, "copy")))
	tables, err := filepath.Glob(filepath.Join(root, "copy", "table-*"))
	must(t, err)
	for _, name := range tables {
		a, err := os.Stat(name)
		must(t, err)
		b, err := os.Stat(filepath.Join(root, "store", filepath.Base(name)))
		must(t, err)
		if !os.SameFile(a, b) {
			t.Errorf("%s is a copy", name)
		}
	}
	if len(tables) == 0 {
		t.Error("no tables")
	}
	must(t, db.Close())
}

// What a CheckpointTo that was cut short has left is no store, and in nobody's way.
func TestCheckpointToAfterAKill(t *testing.T) {
	ctx := context.Background()
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 700)
	dir := t.TempDir()
	for name, text := range map[string]string{"RESTORE-UNFINISHED": "", "table-0000000000000003": "half", "checkpoint-0000000000000001.a": "torn"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if _, err := aegis.Open(dir, nil); !errors.Is(err, aegis.ErrUnfinishedRestore) {
		t.Fatalf("Open says %v", err)
	}
	must(t, db.CheckpointTo(ctx, dir))
	own, err := aegis.Open(dir, nil)
	must(t, err)
	sameContents(t, "the second attempt", storeContents(t, own), storeContents(t, db))
	must(t, own.Close())
}

func TestCheckpointToThatFailsLeavesNothing(t *testing.T) {
	medium := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: &damagedReads{medium, "table-"}, Limits: backupLimits()})
	must(t, err)
	defer db.Close()
	fillBackupStore(t, db, 0, 700)
	dir := filepath.Join(t.TempDir(), "copy")
	var bad *aegis.CorruptionError
	if err := db.CheckpointTo(context.Background(), dir); !errors.As(err, &bad) {
		t.Fatalf("%v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(files) != 1 || filepath.Base(files[0]) != "LOCK" {
		t.Errorf("left: %v", files)
	}
}

// A checkpoint that does not read as it was written is found before the mark goes.
func TestRestoreReadsItsCheckpointBack(t *testing.T) {
	b := &damagedReads{backends.NewMemory(), "checkpoint-"}
	_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(smallBackup(t)))
	var bad *aegis.CorruptionError
	if files, _ := b.List(); !errors.As(err, &bad) || len(files) > 0 {
		t.Fatalf("%v, and left %v", err, files)
	}
}

// damagedReads is a medium that reads files wrongly whose names begin so.
type damagedReads struct {
	backends.Backend
	prefix string
}

func (b *damagedReads) Open(name string) (backends.File, error) {
	f, err := b.Backend.Open(name)
	if err == nil && strings.HasPrefix(name, b.prefix) {
		f = &damagedFile{f}
	}
	return f, err
}

type damagedFile struct{ backends.File }

func (f *damagedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if off == 0 && n > 100 {
		p[100] ^= 1
	}
	return n, err
}

func BenchmarkBackup(b *testing.B) {
	stream, db := benchmarkStore(b)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		_, err := db.Backup(context.Background(), io.Discard, nil)
		must(b, err)
	}
}

func BenchmarkRestore(b *testing.B) {
	stream, _ := benchmarkStore(b)
	b.SetBytes(int64(len(stream)))
	root, n := b.TempDir(), 0
	for b.Loop() {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		_, err := aegis.Restore(context.Background(), dir, nil, bytes.NewReader(stream))
		must(b, err)
		must(b, os.RemoveAll(dir))
	}
}

// benchmarkStore has 64 MiB of entries, half of which compress.
func benchmarkStore(b *testing.B) ([]byte, *aegis.DB) {
	db, err := aegis.Open(filepath.Join(b.TempDir(), "store"), nil)
	must(b, err)
	b.Cleanup(func() { _ = db.Close() })
	value := make([]byte, 128)
	_, err = db.BulkLoad(context.Background(), "big", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		seed := uint64(1)
		for i := range 64 << 20 / 140 {
			for j := range value[:64] {
				seed = seed*6364136223846793005 + 1442695040888963407
				value[j] = byte(seed >> 56)
			}
			if !yield(fmt.Appendf(nil, "key%09d", i), value) {
				return
			}
		}
	})
	must(b, err)
	stream, _ := takeBackup(b, db, nil)
	return stream, db
}

// A store whose files are no directory's is copied to a Backend, which Open then takes.
func TestCheckpointToBackend(t *testing.T) {
	ctx := context.Background()
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 700)
	want := storeContents(t, db)
	b := backends.NewMemory()
	must(t, db.CheckpointToBackend(ctx, b))
	fillBackupStore(t, db, 1, 700)
	if err := db.CheckpointToBackend(ctx, b); !errors.Is(err, aegis.ErrNotEmpty) {
		t.Errorf("a second one in the same place: %v", err)
	}
	own := openBackupStore(t, b)
	sameContents(t, "copied", storeContents(t, own), want)
	must(t, own.Verify(ctx, nil))
	must(t, db.Close())
	if err := db.CheckpointToBackend(ctx, backends.NewMemory()); !errors.Is(err, aegis.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

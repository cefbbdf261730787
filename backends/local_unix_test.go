//go:build unix

package backends

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"testing"
)

func TestErrorsKeepTheirCause(t *testing.T) {
	tests := []struct{ cause, meaning error }{
		{syscall.ENOSPC, ErrNoSpace},
		{syscall.EDQUOT, ErrNoSpace},
		{syscall.EROFS, ErrReadOnly},
	}
	for _, test := range tests {
		err := wrapOS(&os.PathError{Op: "write", Path: "/x", Err: test.cause})
		if !errors.Is(err, test.meaning) || !errors.Is(err, test.cause) {
			t.Errorf("%v became %q, want both %v and the cause", test.cause, err, test.meaning)
		}
	}
	if err := wrapOS(syscall.EIO); errors.Is(err, ErrNoSpace) || errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.EIO) {
		t.Errorf("EIO became %q", err)
	}
	if wrapOS(nil) != nil {
		t.Error("no error became one")
	}
}

// TestFullDevice meets the real ENOSPC.
func TestFullDevice(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/dev/full is Linux's")
	}
	f, err := openLocal("/dev/full", os.O_RDWR, false)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	if n, err := f.WriteAt(text(100), 0); n != 0 || !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt on a full device = %d, %v; want 0, ErrNoSpace with ENOSPC", n, err)
	}
}

// TestSyncAsksTheSystem: a pipe cannot be synced, so a sync that reports success did nothing.
func TestSyncAsksTheSystem(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	conn, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := (osFile{File: w, conn: conn}).Fdatasync(); err == nil {
		t.Error("syncing a pipe as a file succeeded")
	}
	if err := syncNames(w.Fd()); err == nil {
		t.Error("syncing a pipe as a directory succeeded")
	}
}

// TestSyncDirectory: a missing directory is an error, one that cannot be synced is not.
func TestSyncDirectory(t *testing.T) {
	if err := syncDirectory(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := syncDirectory(t.TempDir() + "/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("sync of a missing directory: %v", err)
	}
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		if err := syncDirectory("/proc/self/fd"); err != nil {
			t.Errorf("sync of a directory on a file system without it: %v", err)
		}
	}
}

func TestLocalSyncDirAsksTheSystem(t *testing.T) {
	dir := t.TempDir() + "/store"
	l, err := NewLocal(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SyncDir(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.SyncDir(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("SyncDir of a directory that is gone: %v, want fs.ErrNotExist", err)
	}
}

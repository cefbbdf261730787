package backends_test

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user that has no rights by its id.
const nobody = 65534

// unwritableDir returns a directory that others can read and search, but nobody without privileges can write.
func unwritableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "aegis-unwritable") // TempDir's parents are closed to others
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		os.Chmod(dir, 0o755)
		os.RemoveAll(dir)
	})
	makeUnwritable(t, dir)
	return dir
}

// asUser runs f with the rights of an ordinary user: root may write anywhere. On Linux the
// identity for file access belongs to the thread, which ends with the goroutine that f runs on.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is not to be used again
		if _, _, errno := unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0); errno != 0 {
			t.Errorf("setfsuid: %v", errno)
			return
		}
		f()
	}()
	<-done
}

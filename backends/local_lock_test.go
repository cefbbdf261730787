package backends_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

const lockHolderEnv = "AEGIS_TEST_LOCK_DIR"

// TestMain also is the other process of the lock tests: with lockHolderEnv set it takes the lock
// of that directory, says so, and holds it until its input ends.
func TestMain(m *testing.M) {
	dir := os.Getenv(lockHolderEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	l, err := backends.NewLocal(dir, false)
	if err == nil {
		_, err = l.Lock(true)
	}
	fmt.Println("lock:", err)
	bufio.NewReader(os.Stdin).ReadString('\n')
}

// otherProcess starts a process that holds the lock of dir. The returned function kills it, as
// a crash would.
func otherProcess(t *testing.T, dir string) (pid int, kill func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), lockHolderEnv+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("cannot start another process:", err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "lock: <nil>\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd.Process.Pid, kill
}

func TestLockNamesOtherProcess(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	pid, kill := otherProcess(t, dir)
	for _, exclusive := range []bool{true, false} {
		_, err := l.Lock(exclusive)
		if want := fmt.Sprintf("locked by process %d", pid); !errors.Is(err, backends.ErrLocked) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Lock(%t) against another process: %v; want ErrLocked with %q", exclusive, err, want)
		}
	}
	kill()

	// The dead process has left its pid behind, and it must not be named any more.
	release, err := l.Lock(false)
	if err != nil {
		t.Fatalf("Lock(false) after the holder died: %v", err)
	}
	if _, err := l.Lock(true); !errors.Is(err, backends.ErrLocked) || strings.Contains(err.Error(), fmt.Sprint(pid)) {
		t.Errorf("Lock(true) against a shared holder: %v; want ErrLocked without the pid %d of a dead one", err, pid)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = l.Lock(true)
	if err != nil {
		t.Fatalf("Lock(true) after the holder died: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func TestLockNamesThisProcess(t *testing.T) {
	for name, b := range map[string]backends.Backend{"local": newLocal(t, t.TempDir()), "memory": backends.NewMemory()} {
		release, err := b.Lock(true)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Lock(false)
		if want := fmt.Sprintf("locked by process %d (this one)", os.Getpid()); !errors.Is(err, backends.ErrLocked) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: Lock against a holder in this process: %v; want ErrLocked with %q", name, err, want)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockSurvivesGarbage: whatever the lock file holds, only the lock counts.
func TestLockSurvivesGarbage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, backends.LockName)
	for _, content := range []string{"", "garbage", "-5\n", "999999999999999999999999999999", strings.Repeat("\x00", 5000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		l := newLocal(t, dir)
		release, err := l.Lock(true)
		if err != nil {
			t.Fatalf("lock file with %.20q: %v", content, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != fmt.Sprintln(os.Getpid()) {
			t.Errorf("the lock file holds %.40q, %v; want this process's pid alone", got, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Lock(true); !errors.Is(err, backends.ErrLocked) {
			t.Errorf("second Lock, lock file with %.20q: %v; want ErrLocked", content, err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSharedLockOfReadOnlyBackend(t *testing.T) {
	dir := t.TempDir()
	w := newLocal(t, dir)
	r, err := backends.NewLocal(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	release, err := r.Lock(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lock(true); !errors.Is(err, backends.ErrLocked) {
		t.Errorf("a writer's Lock while a reader has the store: %v; want ErrLocked", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = w.Lock(true)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := r.Lock(false); !errors.Is(err, backends.ErrLocked) {
		t.Errorf("a reader's Lock while a writer has the store: %v; want ErrLocked", err)
	}
}

// TestLockInUnwritableDirectory: a reader needs no lock file where it cannot make one, and uses
// the one that is there.
func TestLockInUnwritableDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("directory modes do not keep anybody out")
	}
	dir := unwritableDir(t)
	asUser(t, nobody, func() {
		r, err := backends.NewLocal(dir, true)
		if err != nil {
			t.Error(err)
			return
		}
		release, err := r.Lock(false)
		if err != nil {
			t.Errorf("shared lock without a lock file in an unwritable directory: %v", err)
			return
		}
		if err := release(); err != nil {
			t.Error(err)
		}
		w, err := backends.NewLocal(dir, false)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := w.Lock(true); err == nil || errors.Is(err, backends.ErrLocked) {
			t.Errorf("exclusive lock in an unwritable directory: %v; want an error that is not ErrLocked", err)
		}
	})
	makeWritable(t, dir)
	if err := os.WriteFile(filepath.Join(dir, backends.LockName), []byte("4711\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	makeUnwritable(t, dir)
	asUser(t, nobody, func() {
		r, err := backends.NewLocal(dir, true)
		if err != nil {
			t.Error(err)
			return
		}
		release, err := r.Lock(false)
		if err != nil {
			t.Errorf("shared lock with a lock file that cannot be written: %v", err)
			return
		}
		f, err := os.Open(filepath.Join(dir, backends.LockName))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if err := backends.TryLock(f, true); !backends.IsLockConflict(err) {
			t.Errorf("an exclusive lock was granted (%v) against a reader that cannot write the lock file", err)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	})
}

func makeWritable(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func makeUnwritable(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
}

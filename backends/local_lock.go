package backends

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxPIDBytes is more than any decimal pid takes.
const maxPIDBytes = 20

// Lock implements Backend with the file LOCK: flock on Unix, LockFileEx on Windows. It also
// keeps out other Locals of the same process. An exclusive holder writes its pid into the file,
// which stays there for ever; only a lock on it means anything.
//
// A shared lock makes the file as well. Where it is missing and cannot be made, because the
// medium or the directory is not writable for this user, a shared lock is granted without it: a
// writer that may write there after all is then not kept out.
func (l *Local) Lock(exclusive bool) (release func() error, err error) {
	if exclusive && l.readOnly {
		return nil, fmt.Errorf("%w: exclusive lock on %s", ErrReadOnly, l.dir)
	}
	f, writable, err := l.openLock(exclusive)
	if err != nil {
		return nil, wrapOS(err)
	}
	if f == nil {
		return func() error { return nil }, nil
	}
	if err := tryLock(f, exclusive); err != nil {
		defer f.Close()
		if isLockConflict(err) {
			return nil, conflict(f)
		}
		return nil, wrapOS(fmt.Errorf("lock %s: %w", f.Name(), err))
	}
	// Under a shared lock there is no exclusive holder, so a pid in the file is one that died.
	if writable {
		if err := writePID(f, exclusive); err != nil {
			return nil, errors.Join(wrapOS(err), f.Close())
		}
	}
	return releaseLock(f, exclusive), nil
}

// openLock opens the lock file, and reports whether for writing. It returns nil if a shared lock
// has to do without.
func (l *Local) openLock(exclusive bool) (f *os.File, writable bool, err error) {
	path := filepath.Join(l.dir, LockName)
	f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err == nil || exclusive || !errors.Is(err, fs.ErrPermission) && !readOnlyMedium(err) {
		return f, true, err
	}
	f, err = os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return f, false, err
}

// releaseLock returns a function that gives the lock up once: closing the file drops it.
func releaseLock(f *os.File, exclusive bool) func() error {
	var released atomic.Bool
	return func() error {
		if released.Swap(true) {
			return nil
		}
		var err error
		if exclusive {
			err = f.Truncate(0) // a shared holder must not be taken for this process
		}
		return wrapOS(errors.Join(err, f.Close()))
	}
}

// writePID puts this process's pid into the lock file of an exclusive holder, and removes what a
// dead one left there.
func writePID(f *os.File, exclusive bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > 0 {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	if !exclusive {
		return nil
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// conflict returns the ErrLocked that names the holder, if the lock file tells it. It does not
// while shared holders have it. It does not name the directory: who opens a store does.
func conflict(f *os.File) error {
	buf := make([]byte, maxPIDBytes)
	n, err := f.ReadAt(buf, 0)
	pid, parseErr := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	switch {
	case err != nil && err != io.EOF, parseErr != nil, pid <= 0:
		return fmt.Errorf("%w by another process or another handle in this one", ErrLocked)
	case pid == os.Getpid():
		return fmt.Errorf("%w by process %d (this one)", ErrLocked, pid)
	}
	return fmt.Errorf("%w by process %d", ErrLocked, pid)
}

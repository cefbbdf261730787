//go:build unix && !aix

package backends

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func outOfSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

func readOnlyMedium(err error) bool { return errors.Is(err, unix.EROFS) }

// cannotLink: the file system has no hard links, refuses this one, or is another one. EPERM is
// what vfat answers, and Linux for a file of another user.
func cannotLink(err error) bool {
	return errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) ||
		errors.Is(err, errors.ErrUnsupported)
}

// syncDirectory makes the names in a directory durable. File systems that cannot sync a
// directory say EINVAL; they have to be trusted to keep names in order.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = syncNames(dir.Fd())
	if errors.Is(err, unix.EINVAL) {
		err = nil
	}
	if err != nil {
		err = &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return errors.Join(err, dir.Close())
}

// tryLock takes the lock without waiting. The lock belongs to this opening of the file, so that
// it keeps out other openings in the same process too.
func tryLock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

func isLockConflict(err error) bool {
	return errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EAGAIN)
}

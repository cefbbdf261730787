package backends

import (
	"errors"

	"golang.org/x/sys/unix"
)

// syncData makes a file durable. Only F_FULLFSYNC has the drive empty its cache; a file system
// without it, such as a network's, gets the fsync that it has.
func syncData(fd uintptr) error {
	_, err := unix.FcntlInt(fd, unix.F_FULLFSYNC, 0)
	if errors.Is(err, unix.ENOTSUP) {
		return unix.Fsync(int(fd))
	}
	return err
}

// syncNames makes the entries of a directory durable.
func syncNames(fd uintptr) error { return syncData(fd) }

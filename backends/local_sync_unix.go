//go:build unix && !aix && !linux && !darwin

package backends

import "golang.org/x/sys/unix"

// syncData makes a file durable.
func syncData(fd uintptr) error { return unix.Fsync(int(fd)) }

// syncNames makes the entries of a directory durable.
func syncNames(fd uintptr) error { return unix.Fsync(int(fd)) }

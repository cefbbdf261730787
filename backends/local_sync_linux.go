package backends

import "golang.org/x/sys/unix"

// syncData makes a file's contents and size durable; other metadata may wait.
func syncData(fd uintptr) error { return unix.Fdatasync(int(fd)) }

// syncNames makes the entries of a directory durable.
func syncNames(fd uintptr) error { return unix.Fsync(int(fd)) }

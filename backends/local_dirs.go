package backends

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

var errNotDirectory error = syscall.ENOTDIR

func makeDir(path string) error { return os.Mkdir(path, dirMode) }

// makeDirs creates the directory path with its missing parents, and makes them durable: each
// one's entry is synced in its parent before anything is put into it.
//
// A process that dies between mkdir and sync leaves a directory that exists but may vanish in a
// power cut. By the order above it is the deepest one, and has nothing in it. So an existing
// directory without files has its parent synced as well:
//
//	first open            second open          without that
//	mkdir a
//	  (killed)
//	                      a exists
//	                      commits in a, acknowledged
//	                        (power cut)        a and all in it are gone
func makeDirs(path string, mkdir, syncDir func(string) error) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: path, Err: errNotDirectory}
	case err == nil:
		return settleDir(path, syncDir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return err
	}
	if err := makeDirs(parent, mkdir, syncDir); err != nil {
		return err
	}
	if err := mkdir(path); err != nil && !isDir(path) { // another process may make the same ones
		return err
	}
	return syncDir(parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// settleDir syncs the parent of an existing directory that has no files yet. A parent that may
// not be read is not one that this user makes directories in.
func settleDir(path string, syncDir func(string) error) error {
	empty, err := holdsNothing(path)
	if err == nil && empty {
		err = syncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// holdsNothing reports whether a directory has no entries of its user's. It reads no more of
// them than decide it: a parent may be any directory.
func holdsNothing(path string) (bool, error) {
	dir, err := os.Open(path)
	if err != nil {
		return false, err
	}
	names, err := dir.Readdirnames(3) // two that do not count, and one that does
	if err == io.EOF {
		err = nil
	}
	for _, name := range names {
		if !notOurs(name) {
			return false, errors.Join(err, dir.Close())
		}
	}
	return err == nil, errors.Join(err, dir.Close())
}

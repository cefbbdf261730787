package backends

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Local is a Backend on a directory of the operating system's file system. It is safe for
// concurrent use, and holds nothing open but the files that it has given out and the lock.
//
// Sync is fdatasync on Linux, F_FULLFSYNC on Darwin, FlushFileBuffers on Windows and fsync
// elsewhere. SyncDir syncs the directory, where the system can; Windows cannot, and there the
// journal of NTFS keeps the order of names.
//
// New directories get mode 0750 and new files 0640, less the umask.
type Local struct {
	dir      string // absolute: a later change of the working directory moves nothing
	readOnly bool
}

var (
	_ Backend = (*Local)(nil)
	_ Linker  = (*Local)(nil)
)

const (
	dirMode  = 0o750
	fileMode = 0o640
)

// NewLocal returns the backend of a directory. It creates the directory and its parents where
// they are missing, and makes them durable before it returns. With readOnly the directory must
// exist, nothing in it changes but for the lock file, and writing calls fail with ErrReadOnly.
func NewLocal(dir string, readOnly bool) (*Local, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("backends: directory %q: %w", dir, err)
	}
	if readOnly {
		info, err := os.Stat(path)
		if err != nil {
			return nil, wrapOS(err)
		}
		if !info.IsDir() {
			return nil, wrapOS(&fs.PathError{Op: "open", Path: path, Err: errNotDirectory})
		}
	} else if err := makeDirs(path, makeDir, syncDirectory); err != nil {
		return nil, wrapOS(err)
	}
	return &Local{dir: path, readOnly: readOnly}, nil
}

// Dir returns the absolute path of the directory.
func (l *Local) Dir() string { return l.dir }

// Create implements Backend.
func (l *Local) Create(name string) (File, error) {
	path, err := l.path(name)
	if err != nil {
		return nil, err
	}
	if l.readOnly {
		return nil, fmt.Errorf("%w: create %s", ErrReadOnly, path)
	}
	return openLocal(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, false)
}

// Open implements Backend.
func (l *Local) Open(name string) (File, error) {
	path, err := l.path(name)
	if err != nil {
		return nil, err
	}
	if l.readOnly {
		return openLocal(path, os.O_RDONLY, true)
	}
	return openLocal(path, os.O_RDWR, false)
}

// Remove implements Backend. On Windows it fails while the file is open.
func (l *Local) Remove(name string) error {
	path, err := l.path(name)
	if err != nil {
		return err
	}
	if l.readOnly {
		return fmt.Errorf("%w: remove %s", ErrReadOnly, path)
	}
	return wrapOS(os.Remove(path))
}

// List implements Backend. It shows whatever is in the directory, names that CheckName refuses
// and subdirectories (with size 0) included, so that an engine can tell a directory that is not
// its own from an empty one. Left out are the lock file and lost+found.
func (l *Local) List() ([]FileInfo, error) {
	entries, err := os.ReadDir(l.dir) // sorted by name
	if err != nil {
		return nil, wrapOS(err)
	}
	infos := make([]FileInfo, 0, len(entries))
	for _, entry := range entries {
		if notOurs(entry.Name()) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since ReadDir
		}
		if err != nil {
			return nil, wrapOS(err)
		}
		var size int64
		if info.Mode().IsRegular() {
			size = info.Size()
		}
		infos = append(infos, FileInfo{Name: entry.Name(), Size: size})
	}
	return infos, nil
}

// notOurs: the lock file, and the directory that file systems put into their roots.
func notOurs(name string) bool { return name == LockName || name == "lost+found" }

// SyncDir implements Backend.
func (l *Local) SyncDir() error {
	if l.readOnly {
		return fmt.Errorf("%w: sync %s", ErrReadOnly, l.dir)
	}
	return wrapOS(syncDirectory(l.dir))
}

// LinkTo implements Linker by a hard link. Where the two directories are on different file
// systems, or theirs has no hard links, the error wraps errors.ErrUnsupported.
func (l *Local) LinkTo(name, targetDir string) error {
	path, err := l.path(name)
	if err != nil {
		return err
	}
	err = os.Link(path, filepath.Join(targetDir, name))
	if err != nil && cannotLink(err) {
		return fmt.Errorf("backends: %w: %w", errors.ErrUnsupported, err)
	}
	return wrapOS(err)
}

// path returns the path of a valid name. IsLocal refuses what only some systems do, such as the
// device names of Windows.
func (l *Local) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("backends: file name %q is reserved by this system: %w", name, fs.ErrInvalid)
	}
	return filepath.Join(l.dir, name), nil
}

// wrapOS adds the package's name to an error of the os package, which names operation and path
// itself, and ErrNoSpace or ErrReadOnly where the system says so in its own words.
func wrapOS(err error) error {
	switch {
	case err == nil:
		return nil
	case outOfSpace(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case readOnlyMedium(err):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return fmt.Errorf("backends: %w", err)
}

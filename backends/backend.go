package backends

import "errors"

// Errors that every Backend reports with errors.Is, whatever its medium calls them.
var (
	// ErrNoSpace: the medium is full (or a quota is). The operation had no effect on synced data.
	ErrNoSpace = errors.New("backends: no space left")
	// ErrLocked: another process, or another open store in this one, holds the lock.
	ErrLocked = errors.New("backends: store is locked")
	// ErrReadOnly: a writing call on a backend that was opened for reading.
	ErrReadOnly = errors.New("backends: read-only")
)

// Backend is one flat directory of files that an engine owns while it holds the lock.
// Names match [A-Za-z0-9._-]+; CheckName has the whole rule. All methods are safe for
// concurrent use. A missing file is reported with an error for which
// errors.Is(err, fs.ErrNotExist), an existing one at Create with fs.ErrExist, a refused name
// with fs.ErrInvalid.
//
// What is durable, and when:
//
//   - File.Sync returning nil makes durable every WriteAt and Truncate of that file that
//     returned before Sync was called, the size included. Nothing else does.
//   - Create and Remove become durable with the next SyncDir that returns nil. Until then a
//     crash may keep or undo each one by itself, in any order, independent of the data.
//   - After a Sync that failed nothing may be assumed of the unsynced writes, and a later Sync
//     that succeeds does not make them durable.
//
// What a crash may leave of unsynced work: any subset of it, sector by sector; a torn sector;
// a size without its data, or data without its size (bytes then read as zeros or as old
// contents). Bytes outside the range of a write are never damaged by it.
type Backend interface {
	// Create makes a new, empty file open for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading, and for writing unless the backend is read-only.
	Open(name string) (File, error)
	// Remove deletes a file. A file that is still open stays readable through its handles, or
	// Remove fails (Windows); it never invalidates a read in flight.
	Remove(name string) error
	// List returns the files with their sizes in bytes, sorted by name. Files that only the
	// backend itself uses (the lock) are left out.
	List() ([]FileInfo, error)
	// SyncDir makes earlier Create and Remove calls durable.
	SyncDir() error
	// Lock takes the advisory lock: exclusive for a writer, shared for readers. It does not wait:
	// a conflict is ErrLocked, with the holder's pid in its text where it is known. Locks die
	// with the process. The returned function releases it; called again it does nothing.
	Lock(exclusive bool) (release func() error, err error)
}

// FileInfo is one row of List.
type FileInfo struct {
	Name string
	Size int64 // bytes
}

// File is an open file. ReadAt and WriteAt are positional and may run concurrently with each
// other; writes to overlapping ranges must not, and Truncate counts as a write to all that lies
// beyond the smaller of the two sizes. After Close every method fails with an error for which
// errors.Is(err, fs.ErrClosed), and other handles of the file go on working.
type File interface {
	// ReadAt reads like io.ReaderAt: fewer bytes than asked only with an error, io.EOF at the end.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt writes all of p or fails; a failed call may have written a part. It extends the file
	// where needed; a gap reads as zeros.
	WriteAt(p []byte, off int64) (int, error)
	// Truncate sets the size in bytes.
	Truncate(size int64) error
	// Size returns the current size in bytes.
	Size() (int64, error)
	// Sync makes the file's contents and size durable (fdatasync).
	Sync() error
	// Close releases the handle. It does not sync.
	Close() error
}

// Linker is implemented by backends that can give a file a second name in another directory
// without copying it (hard links). Without it, or where LinkTo answers an error for which
// errors.Is(err, errors.ErrUnsupported), callers copy.
//
// Both names show the same bytes for ever after: only a file that is never written again may be
// linked. The target directory must exist, and the caller syncs it.
type Linker interface {
	LinkTo(name, targetDir string) error
}

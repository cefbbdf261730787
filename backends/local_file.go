package backends

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// rawFile is positional I/O as the operating system gives it: transfers may be short, each call
// may be interrupted (EINTR), even after a part, and a read of nothing without an error is the
// end of the file. localFile makes whole transfers of it.
type rawFile interface {
	Pread(p []byte, off int64) (int, error)
	Pwrite(p []byte, off int64) (int, error)
	Fdatasync() error
}

// osFile is the rawFile of an os.File. It goes through os.File, not the bare descriptor, because
// os.File keeps the descriptor from being closed, and its number from being given to another
// file, while a call is running. Syncs take the descriptor under the same guard: File.Sync would
// repeat an interrupted sync.
type osFile struct {
	*os.File
	conn syscall.RawConn
}

func (f osFile) Pread(p []byte, off int64) (int, error)  { return f.ReadAt(p, off) }
func (f osFile) Pwrite(p []byte, off int64) (int, error) { return f.WriteAt(p, off) }

func (f osFile) Fdatasync() error {
	var failed error
	if err := f.conn.Control(func(fd uintptr) { failed = syncData(fd) }); err != nil {
		return fmt.Errorf("%w: %w", fs.ErrClosed, err) // Control has its own word for it
	}
	return failed
}

// localFile is a File of Local.
//
// Invariant: after the first sync that failed, all later ones on the handle fail with the same
// error and ask the system nothing, since its success would no longer say anything about what
// was written before.
type localFile struct {
	raw      rawFile
	file     *os.File
	path     string
	readOnly bool

	mu     sync.Mutex
	failed error // the first failure of Sync
}

func openLocal(path string, flags int, readOnly bool) (File, error) {
	f, err := os.OpenFile(path, flags, fileMode)
	if err != nil {
		return nil, wrapOS(err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(wrapOS(err), f.Close())
	}
	return &localFile{raw: osFile{File: f, conn: conn}, file: f, path: path, readOnly: readOnly}, nil
}

func (f *localFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := readFull(f.raw, p, off)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, wrapOS(err)
}

func (f *localFile) WriteAt(p []byte, off int64) (int, error) {
	if f.readOnly {
		return 0, fmt.Errorf("%w: write %s", ErrReadOnly, f.path)
	}
	n, err := writeFull(f.raw, p, off)
	return n, wrapOS(err)
}

func (f *localFile) Truncate(size int64) error {
	if f.readOnly {
		return fmt.Errorf("%w: truncate %s", ErrReadOnly, f.path)
	}
	return wrapOS(f.file.Truncate(size))
}

func (f *localFile) Size() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, wrapOS(err)
	}
	return info.Size(), nil
}

func (f *localFile) Sync() error {
	if f.readOnly {
		return fmt.Errorf("%w: sync %s", ErrReadOnly, f.path)
	}
	f.mu.Lock()
	failed := f.failed
	f.mu.Unlock()
	if failed != nil {
		return failed
	}
	err := f.raw.Fdatasync()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.failed == nil {
		f.failed = wrapOS(fmt.Errorf("sync %s: %w", f.path, err))
	}
	return f.failed
}

func (f *localFile) Close() error { return wrapOS(f.file.Close()) }

// readFull reads all of p, or up to the end of the file and then returns io.EOF.
func readFull(raw rawFile, p []byte, off int64) (done int, err error) {
	for done < len(p) {
		n, err := raw.Pread(p[done:], off+int64(done))
		done += max(n, 0)
		switch {
		case err != nil && !errors.Is(err, syscall.EINTR):
			return done, err
		case err == nil && n == 0:
			return done, io.EOF
		}
	}
	return done, nil
}

// writeFull writes all of p. What a call has written counts even if it also reports EINTR: the
// next one starts behind it.
func writeFull(raw rawFile, p []byte, off int64) (done int, err error) {
	for done < len(p) {
		n, err := raw.Pwrite(p[done:], off+int64(done))
		done += max(n, 0)
		switch {
		case err != nil && !errors.Is(err, syscall.EINTR):
			return done, err
		case err == nil && n == 0:
			return done, io.ErrShortWrite // a file that takes nothing would hold us for ever
		}
	}
	return done, nil
}

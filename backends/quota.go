package backends

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Limited is a Backend that keeps the sizes of its files, added up, within a limit. A call that
// would take them beyond it fails with ErrNoSpace and changes nothing; everything else goes to
// the backend beneath. An engine treats it like a full disk: writing goes on by itself once
// space is given back or the limit is raised.
//
// Counted are the sizes in bytes, as List shows them: not what the file system adds for blocks
// and metadata, and a hole as if it were data. A removed file counts until its last handle is
// closed. A write that fails half-way counts in full until the file is truncated or removed.
// Files are first counted when the first one is opened, and again whenever the exclusive lock
// is taken while none is open.
//
// Limited is safe for concurrent use. Two Limiteds on the same files know nothing of each other.
type Limited struct {
	Backend

	mu      sync.Mutex
	limit   int64
	used    int64
	counted bool
	handles int // open handles of all files
	files   map[string]*limitedFile
}

var (
	_ Backend = (*Limited)(nil)
	_ Linker  = (*Limited)(nil)
)

// limitedFile is what Limited knows of a file.
//
// Invariant: the sum of size over files and over those removed but open is Limited.used.
type limitedFile struct {
	size    atomic.Int64 // changed under Limited.mu; never less than the file's size
	handles int
	removed bool
}

// Limit returns a Backend over b whose files take up at most limitBytes. What b holds already
// counts; if that is more, nothing can grow until files are removed.
func Limit(b Backend, limitBytes int64) *Limited {
	return &Limited{Backend: b, limit: limitBytes, files: make(map[string]*limitedFile)}
}

// SetLimit changes the limit. Raising it takes effect with the next write; one below the usage keeps
// what is there and lets nothing grow.
func (l *Limited) SetLimit(limitBytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = limitBytes
}

// Usage returns the bytes that count against the limit, and the limit.
func (l *Limited) Usage() (usedBytes, limitBytes int64, err error) {
	if err := l.count(); err != nil {
		return 0, 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used, l.limit, nil
}

// count takes stock of the files beneath, once. No lock is held across List: whoever comes first
// has listed before anything was changed through l, and the others' lists are dropped.
func (l *Limited) count() error {
	l.mu.Lock()
	counted := l.counted
	l.mu.Unlock()
	if counted {
		return nil
	}
	infos, err := l.Backend.List()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counted {
		return nil
	}
	l.counted = true
	for _, info := range infos {
		l.add(info.Name, info.Size)
	}
	return nil
}

// add notes a file of which nothing is known yet. The caller holds mu.
func (l *Limited) add(name string, size int64) *limitedFile {
	if old := l.files[name]; old != nil {
		l.drop(name, old) // removed behind l, or by a call that has yet to say so
	}
	file := &limitedFile{}
	file.size.Store(size)
	l.used += size
	l.files[name] = file
	return file
}

// drop notes that a file is removed. The caller holds mu.
func (l *Limited) drop(name string, file *limitedFile) {
	if l.files[name] == file {
		delete(l.files, name)
	}
	if !file.removed {
		file.removed = true
		l.settle(file)
	}
}

// settle gives back the bytes of a file that is neither named nor open. The caller holds mu.
func (l *Limited) settle(file *limitedFile) {
	if file.removed && file.handles == 0 {
		l.used -= file.size.Swap(0)
	}
}

// hold and unhold count the open handles of a file. The caller holds mu.
func (l *Limited) hold(file *limitedFile) {
	file.handles++
	l.handles++
}

func (l *Limited) unhold(file *limitedFile) {
	file.handles--
	l.handles--
	l.settle(file)
}

// Create implements Backend.
func (l *Limited) Create(name string) (File, error) {
	if err := l.count(); err != nil {
		return nil, err
	}
	f, err := l.Backend.Create(name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.add(name, 0)
	l.hold(file)
	return &limitedHandle{File: f, owner: l, file: file, name: name}, nil
}

// Open implements Backend. The file is held before it is opened: a Remove in between gives its
// bytes back only when the handle is closed.
func (l *Limited) Open(name string) (File, error) {
	if err := l.count(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	file := l.files[name]
	if file != nil {
		l.hold(file)
	}
	l.mu.Unlock()
	f, err := l.Backend.Open(name)
	if err == nil && file == nil {
		file, err = l.meet(name, f)
	}
	if err != nil {
		if file != nil {
			l.mu.Lock()
			l.unhold(file)
			l.mu.Unlock()
		}
		return nil, err
	}
	return &limitedHandle{File: f, owner: l, file: file, name: name}, nil
}

// meet notes and holds a file that came to be beneath l, not through it. It closes f if it fails.
func (l *Limited) meet(name string, f File) (*limitedFile, error) {
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	file := l.files[name]
	if file == nil {
		file = l.add(name, size)
	}
	l.hold(file)
	return file, nil
}

// Remove implements Backend.
func (l *Limited) Remove(name string) error {
	if err := l.count(); err != nil {
		return err
	}
	l.mu.Lock()
	file := l.files[name]
	l.mu.Unlock()
	if err := l.Backend.Remove(name); err != nil {
		return err
	}
	if file != nil {
		l.mu.Lock()
		l.drop(name, file)
		l.mu.Unlock()
	}
	return nil
}

// Lock implements Backend. Before the exclusive lock was taken, another process may have changed
// the files.
func (l *Limited) Lock(exclusive bool) (release func() error, err error) {
	release, err = l.Backend.Lock(exclusive)
	if err != nil || !exclusive {
		return release, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.handles == 0 {
		l.counted, l.used = false, 0
		clear(l.files)
	}
	return release, nil
}

// LinkTo implements Linker where the backend beneath does, and answers errors.ErrUnsupported
// where not. The link does not count.
func (l *Limited) LinkTo(name, targetDir string) error {
	linker, ok := l.Backend.(Linker)
	if !ok {
		return fmt.Errorf("backends: link %s: %w", name, errors.ErrUnsupported)
	}
	return linker.LinkTo(name, targetDir)
}

// reserve counts a file as size bytes long, if it is shorter and the limit allows.
func (l *Limited) reserve(op, name string, file *limitedFile, size int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	growth := size - file.size.Load()
	if growth <= 0 {
		return nil
	}
	if growth > l.limit-l.used {
		return fmt.Errorf("%w: %s %s needs %d bytes more, %d of %d are in use", ErrNoSpace, op, name, growth, l.used, l.limit)
	}
	file.size.Store(size)
	l.used += growth
	return nil
}

// shrink counts a file as size bytes long, if it is longer.
func (l *Limited) shrink(file *limitedFile, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := file.size.Load(); size < old {
		file.size.Store(size)
		l.used -= old - size
	}
}

// limitedHandle is one open File of a Limited. Overwriting takes no lock.
type limitedHandle struct {
	File
	owner  *Limited
	file   *limitedFile
	name   string
	closed atomic.Bool
}

func (h *limitedHandle) WriteAt(p []byte, off int64) (int, error) {
	if len(p) > 0 && off >= 0 {
		if err := h.reserve("write", off+int64(len(p))); err != nil {
			return 0, err
		}
	}
	return h.File.WriteAt(p, off)
}

// reserve is Limited.reserve for what needs it. A closed handle gets its error from beneath.
func (h *limitedHandle) reserve(op string, size int64) error {
	if size <= h.file.size.Load() || h.closed.Load() {
		return nil
	}
	return h.owner.reserve(op, h.name, h.file, size)
}

func (h *limitedHandle) Truncate(size int64) error {
	if err := h.reserve("truncate", size); err != nil {
		return err
	}
	if err := h.File.Truncate(size); err != nil {
		return err // a negative size comes this way too
	}
	h.owner.shrink(h.file, size)
	return nil
}

func (h *limitedHandle) Close() error {
	err := h.File.Close()
	if !h.closed.Swap(true) {
		h.owner.mu.Lock()
		h.owner.unhold(h.file)
		h.owner.mu.Unlock()
	}
	return err
}

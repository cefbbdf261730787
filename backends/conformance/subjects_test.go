package conformance_test

import (
	"maps"
	"sync"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
)

// hooks is a Backend some of whose calls are replaced.
type hooks struct {
	backends.Backend
	create  func(name string) (backends.File, error)
	open    func(name string) (backends.File, error)
	remove  func(name string) error
	list    func() ([]backends.FileInfo, error)
	syncDir func() error
	lock    func(exclusive bool) (func() error, error)
	file    func(backends.File) backends.File // wraps every file
}

func (h *hooks) wrap(f backends.File, err error) (backends.File, error) {
	if err != nil || h.file == nil {
		return f, err
	}
	return h.file(f), nil
}

func (h *hooks) Create(name string) (backends.File, error) {
	if h.create != nil {
		return h.wrap(h.create(name))
	}
	return h.wrap(h.Backend.Create(name))
}

func (h *hooks) Open(name string) (backends.File, error) {
	if h.open != nil {
		return h.wrap(h.open(name))
	}
	return h.wrap(h.Backend.Open(name))
}

func (h *hooks) Remove(name string) error {
	if h.remove != nil {
		return h.remove(name)
	}
	return h.Backend.Remove(name)
}

func (h *hooks) List() ([]backends.FileInfo, error) {
	if h.list != nil {
		return h.list()
	}
	return h.Backend.List()
}

func (h *hooks) SyncDir() error {
	if h.syncDir != nil {
		return h.syncDir()
	}
	return h.Backend.SyncDir()
}

func (h *hooks) Lock(exclusive bool) (func() error, error) {
	if h.lock != nil {
		return h.lock(exclusive)
	}
	return h.Backend.Lock(exclusive)
}

// fileHooks is a File some of whose calls are replaced.
type fileHooks struct {
	backends.File
	readAt   func(p []byte, off int64) (int, error)
	writeAt  func(p []byte, off int64) (int, error)
	truncate func(size int64) error
	sync     func() error
	close    func() error
}

func (h *fileHooks) ReadAt(p []byte, off int64) (int, error) {
	if h.readAt != nil {
		return h.readAt(p, off)
	}
	return h.File.ReadAt(p, off)
}

func (h *fileHooks) WriteAt(p []byte, off int64) (int, error) {
	if h.writeAt != nil {
		return h.writeAt(p, off)
	}
	return h.File.WriteAt(p, off)
}

func (h *fileHooks) Truncate(size int64) error {
	if h.truncate != nil {
		return h.truncate(size)
	}
	return h.File.Truncate(size)
}

func (h *fileHooks) Sync() error {
	if h.sync != nil {
		return h.sync()
	}
	return h.File.Sync()
}

func (h *fileHooks) Close() error {
	if h.close != nil {
		return h.close()
	}
	return h.File.Close()
}

// volatile is a Backend with a power switch: a power cut keeps what was synced and nothing else.
// The contents of its files are those of a Memory; beside it are images of what was synced.
type volatile struct {
	*backends.Memory
	mu     sync.Mutex
	serial int             // of the next file
	names  map[string]int  // which file a name means
	images map[int][]byte  // by serial: contents at the last Sync
	synced map[string]int  // names at the last SyncDir
	fault  func(*volatile) // applied to the images at a power cut
}

func newVolatile() *volatile {
	return &volatile{Memory: backends.NewMemory(), names: map[string]int{}, images: map[int][]byte{}, synced: map[string]int{}}
}

func (v *volatile) file(f backends.File, serial int) backends.File {
	return &fileHooks{File: f, sync: func() error {
		size, err := f.Size()
		if err != nil {
			return err
		}
		image := make([]byte, size)
		f.ReadAt(image, 0)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.images[serial] = image
		return nil
	}}
}

func (v *volatile) Create(name string) (backends.File, error) {
	f, err := v.Memory.Create(name)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.serial++
	v.names[name] = v.serial
	return v.file(f, v.serial), nil
}

func (v *volatile) Open(name string) (backends.File, error) {
	f, err := v.Memory.Open(name)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.file(f, v.names[name]), nil
}

func (v *volatile) Remove(name string) error {
	if err := v.Memory.Remove(name); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.names, name)
	return nil
}

func (v *volatile) SyncDir() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.synced = maps.Clone(v.names)
	return nil
}

func (v *volatile) powerCut() (backends.Backend, error) {
	if v.fault != nil {
		v.fault(v)
	}
	after := newVolatile()
	for name, serial := range v.synced {
		f, err := after.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := f.WriteAt(v.images[serial], 0); err != nil {
			return nil, err
		}
	}
	return after, nil
}

func (v *volatile) subject() conformance.Subject {
	return conformance.Subject{Backend: v, PowerCut: v.powerCut}
}

// turns runs functions side by side, one at a time: whoever yields lets the next one go on. So
// what happens between two yields happens in the same order each time.
type turns struct {
	mu      sync.Mutex
	changed sync.Cond
	current int
	running []bool
}

func newTurns() *turns {
	t := &turns{}
	t.changed.L = &t.mu
	return t
}

func (t *turns) parallel(n int, f func(i int)) {
	t.running = make([]bool, n)
	for i := range n {
		t.running[i] = true
	}
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			t.wait(i)
			f(i)
			t.mu.Lock()
			t.running[i] = false
			t.pass()
			t.mu.Unlock()
		})
	}
	group.Wait()
}

// yield is called by the function whose turn it is, and does nothing outside parallel.
func (t *turns) yield() {
	t.mu.Lock()
	me := t.current
	t.pass()
	t.mu.Unlock()
	t.wait(me)
}

func (t *turns) wait(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.current != i {
		t.changed.Wait()
	}
}

// pass gives the turn to the next function that is running; the caller holds mu.
func (t *turns) pass() {
	for step := 1; step <= len(t.running); step++ {
		if next := (t.current + step) % len(t.running); t.running[next] {
			t.current = next
			break
		}
	}
	t.changed.Broadcast()
}

// naiveLock forgets to tell its holders apart.
type naiveLock struct {
	mu        sync.Mutex
	exclusive bool
	shared    int
}

func (l *naiveLock) lock(exclusive bool) (func() error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exclusive || exclusive && l.shared > 0 {
		return nil, backends.ErrLocked
	}
	if exclusive {
		l.exclusive = true
		return func() error { l.exclusive = false; return nil }, nil
	}
	l.shared++
	return func() error { l.shared--; return nil }, nil
}

// syncsOwnWrites makes handles whose Sync does nothing unless they were written through.
func syncsOwnWrites(f backends.File) backends.File {
	wrote := false
	return &fileHooks{
		File:    f,
		writeAt: func(p []byte, off int64) (int, error) { wrote = true; return f.WriteAt(p, off) },
		sync: func() error {
			if !wrote {
				return nil
			}
			return f.Sync()
		},
	}
}

// dropsAtClose makes handles that take back what they appended since their last Sync.
func dropsAtClose(f *fileHooks) {
	synced := size(f.File)
	f.sync = func() error {
		synced = size(f.File)
		return f.File.Sync()
	}
	f.close = func() error {
		if size(f.File) > synced {
			f.File.Truncate(synced)
		}
		return f.File.Close()
	}
}

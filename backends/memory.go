package backends

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// Memory is a Backend whose files live in memory. Nothing survives the process and Sync is a
// no-op: it is for data that can be made again, and for tests. A Memory outlives the engine that
// uses it: after the lock is released another one may open what the first has left.
//
// Memory is safe for concurrent use. Reads and writes of different 64 KiB blocks of a file share
// no lock.
type Memory struct {
	mu    sync.RWMutex
	files map[string]*memoryFile

	lock memoryLock
}

var _ Backend = (*Memory)(nil)

// NewMemory returns an empty backend.
func NewMemory() *Memory {
	return &Memory{files: make(map[string]*memoryFile)}
}

// Create implements Backend.
func (m *Memory) Create(name string) (File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, fmt.Errorf("backends: create %s: %w", name, fs.ErrExist)
	}
	f := &memoryFile{}
	m.files[name] = f
	return &memoryHandle{file: f, name: name}, nil
}

// Open implements Backend.
func (m *Memory) Open(name string) (File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	f := m.files[name]
	if f == nil {
		return nil, fmt.Errorf("backends: open %s: %w", name, fs.ErrNotExist)
	}
	return &memoryHandle{file: f, name: name}, nil
}

// Remove implements Backend. The memory is free once no handle is left.
func (m *Memory) Remove(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fmt.Errorf("backends: remove %s: %w", name, fs.ErrNotExist)
	}
	delete(m.files, name)
	return nil
}

// List implements Backend.
func (m *Memory) List() ([]FileInfo, error) {
	m.mu.RLock()
	infos := make([]FileInfo, 0, len(m.files))
	for name, f := range m.files {
		infos = append(infos, FileInfo{Name: name, Size: f.size.Load()})
	}
	m.mu.RUnlock()
	slices.SortFunc(infos, func(a, b FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// SyncDir implements Backend; there is nothing to do.
func (m *Memory) SyncDir() error { return nil }

// Lock implements Backend, among the users of this Memory.
func (m *Memory) Lock(exclusive bool) (release func() error, err error) {
	return m.lock.acquire(exclusive)
}

// memoryLock is a lock that many may share or one may have, and that nobody waits for.
// Invariant: exclusive implies shared == 0.
type memoryLock struct {
	mu        sync.Mutex
	exclusive bool
	shared    int
}

func (l *memoryLock) acquire(exclusive bool) (release func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exclusive || exclusive && l.shared > 0 {
		return nil, fmt.Errorf("%w by process %d (this one)", ErrLocked, os.Getpid())
	}
	if exclusive {
		l.exclusive = true
	} else {
		l.shared++
	}
	released := false
	return func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case released:
		case exclusive:
			l.exclusive = false
		default:
			l.shared--
		}
		released = true
		return nil
	}, nil
}

package flusher

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/backends"
)

var (
	errCrashed = errors.New("disk: the power is off")
	errIO      = errors.New("disk: input/output error")
)

// disk is a backend that remembers what is durable. Every call that could fail asks fault first.
type disk struct {
	mu      sync.Mutex
	now     map[string]*diskFile // names as they are
	durable map[string]*diskFile // names as of the last SyncDir
	calls   int
	log     []string
	fault   func(call int, op, name string) error
}

type diskFile struct {
	data, synced []byte
	broken       bool // a sync failed: later syncs lie
}

func newDisk() *disk {
	return &disk{now: map[string]*diskFile{}, durable: map[string]*diskFile{}}
}

func (d *disk) call(op, name string) error {
	n := d.calls
	d.calls++
	d.log = append(d.log, op+" "+name)
	if d.fault == nil {
		return nil
	}
	if err := d.fault(n, op, name); err != nil {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	return nil
}

func (d *disk) Create(name string) (backends.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("create", name); err != nil {
		return nil, err
	}
	if d.now[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	f := &diskFile{}
	d.now[name] = f
	return &diskHandle{d, f, name}, nil
}

func (d *disk) Open(name string) (backends.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.now[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &diskHandle{d, f, name}, nil
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove", name); err != nil {
		return err
	}
	if d.now[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	delete(d.now, name)
	return nil
}

func (d *disk) List() ([]backends.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []backends.FileInfo
	for _, name := range sortedNames(d.now) {
		out = append(out, backends.FileInfo{Name: name, Size: int64(len(d.now[name].data))})
	}
	return out, nil
}

func (d *disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir", ""); err != nil {
		return err
	}
	d.durable = map[string]*diskFile{}
	for name, f := range d.now {
		d.durable[name] = f
	}
	return nil
}

func (d *disk) Lock(bool) (func() error, error) { return func() error { return nil }, nil }

func sortedNames(m map[string]*diskFile) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// crash returns what a power cut leaves, by how much of the unsynced work it keeps: "none", "all",
// or "some" (each sector, name and size by itself).
func (d *disk) crash(keep string, rng *rand.Rand) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := func() bool { return keep == "all" || keep == "some" && rng.IntN(2) == 0 }
	after := newDisk()
	union := map[string]*diskFile{}
	for name, f := range d.durable {
		union[name] = f
	}
	for name, f := range d.now {
		union[name] = f
	}
	for _, name := range sortedNames(union) {
		f := d.durable[name]
		if d.now[name] != f && kept() {
			f = d.now[name]
		}
		if f == nil {
			continue
		}
		data := mixed(f, kept)
		after.now[name] = &diskFile{data: data, synced: slices.Clone(data)}
		after.durable[name] = after.now[name]
	}
	return after
}

func mixed(f *diskFile, kept func() bool) []byte {
	if bytes.Equal(f.data, f.synced) {
		return slices.Clone(f.data)
	}
	size := len(f.synced)
	if kept() {
		size = len(f.data)
	}
	out := make([]byte, size)
	copy(out, f.synced)
	for at := 0; at < len(f.data); at += 512 {
		if kept() && at < len(out) {
			copy(out[at:], f.data[at:min(at+512, len(f.data))])
		}
	}
	return out
}

type diskHandle struct {
	d    *disk
	f    *diskFile
	name string
}

func (h *diskHandle) ReadAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *diskHandle) WriteAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("write", h.name); err != nil {
		return 0, err
	}
	if need := int(off) + len(p); need > len(h.f.data) {
		h.f.data = append(h.f.data, make([]byte, need-len(h.f.data))...)
	}
	copy(h.f.data[off:], p)
	return len(p), nil
}

func (h *diskHandle) Truncate(size int64) error { return errors.New("disk: no truncate") }

func (h *diskHandle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *diskHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("sync", h.name); err != nil {
		h.f.broken = true
		return err
	}
	if !h.f.broken {
		h.f.synced = slices.Clone(h.f.data)
	}
	return nil
}

func (h *diskHandle) Close() error { return nil }

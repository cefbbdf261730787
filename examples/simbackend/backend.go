package main

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/aegis-storage/aegis/backends"
)

// Backend is a backends.Backend that passes everything on to another one, with one fault. Without a
// fault it is the frame for a Backend of your own: put your cache, your encryption, your remote
// calls where the faults are.
//
// It is safe for concurrent use, and holds no mutex while it calls the other one: the simulator
// wants that.
type Backend struct {
	backends.Backend
	fault fault

	mu   sync.Mutex
	open []*file
}

// Over lays a Backend with a fault over another one.
func Over(inner backends.Backend, f fault) *Backend { return &Backend{Backend: inner, fault: f} }

// handle makes the file that the caller gets.
func (b *Backend) handle(name string, inner backends.File) (backends.File, error) {
	size, err := inner.Size()
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	f := &file{File: inner, b: b, name: name, synced: size}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = append(b.open, f)
	return f, nil
}

// closeAll closes the handles of a file behind their owners' backs.
func (b *Backend) closeAll(name string) {
	b.mu.Lock()
	all := slices.Clone(b.open)
	b.mu.Unlock()
	for _, f := range all {
		if f.name == name {
			_ = f.File.Close()
		}
	}
}

// Create implements backends.Backend.
func (b *Backend) Create(name string) (backends.File, error) {
	f, err := b.Backend.Create(name)
	if b.fault == createTruncates && errors.Is(err, fs.ErrExist) {
		if f, err = b.Backend.Open(name); err == nil {
			err = f.Truncate(0)
		}
	}
	if err != nil {
		return nil, err
	}
	return b.handle(name, f)
}

// Open implements backends.Backend.
func (b *Backend) Open(name string) (backends.File, error) {
	f, err := b.Backend.Open(name)
	if err != nil && b.fault == errorsAsText {
		return nil, errors.New(err.Error())
	}
	if err != nil {
		return nil, err
	}
	return b.handle(name, f)
}

// Remove implements backends.Backend.
func (b *Backend) Remove(name string) error {
	if b.fault == removeInvalidates {
		b.closeAll(name)
	}
	return b.Backend.Remove(name)
}

// List implements backends.Backend.
func (b *Backend) List() ([]backends.FileInfo, error) {
	infos, err := b.Backend.List()
	if b.fault == listFirstPage {
		infos = infos[:min(len(infos), 3)]
	}
	return infos, err
}

// SyncDir implements backends.Backend.
func (b *Backend) SyncDir() error {
	if b.fault == syncDirNothing {
		return nil
	}
	return b.Backend.SyncDir()
}

// Lock implements backends.Backend.
func (b *Backend) Lock(exclusive bool) (func() error, error) {
	if b.fault == lockNobody {
		return func() error { return nil }, nil
	}
	return b.Backend.Lock(exclusive)
}

// file is an open file.
type file struct {
	backends.File
	b    *Backend
	name string

	mu      sync.Mutex
	dirty   bool   // written through this handle since its last Sync
	synced  int64  // size at the last Sync, or when it was opened
	tail    []byte // what Truncate cut off
	tailEnd int64  // where it ended
}

// ReadAt implements backends.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	switch {
	case f.b.fault == readZerosPastEnd && errors.Is(err, io.EOF):
		clear(p[n:])
		return len(p), nil
	case f.b.fault == readErrorIsEnd && errors.Is(err, syscall.EIO):
		return n, io.EOF
	}
	return n, err
}

// WriteAt implements backends.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.mark(true)
	switch f.b.fault {
	case writeShort:
		const block = 4096
		if _, err := f.File.WriteAt(p[:min(len(p), block)], off); err != nil {
			return 0, err
		}
		return len(p), nil
	case writeAppends:
		size, err := f.File.Size()
		if err != nil {
			return 0, err
		}
		return f.File.WriteAt(p, size)
	case writeErases:
		return f.eraseAndWrite(p, off)
	case truncateKeeps:
		if err := f.bringBack(off); err != nil {
			return 0, err
		}
	}
	return f.File.WriteAt(p, off)
}

// eraseAndWrite writes as raw flash does: whole sectors are erased, and then written with what they
// held before.
func (f *file) eraseAndWrite(p []byte, off int64) (int, error) {
	const sector = 512
	size, err := f.File.Size()
	if err != nil || off < 0 || len(p) == 0 || off >= size {
		return f.File.WriteAt(p, off)
	}
	from := off &^ (sector - 1)
	to := min(size, (off+int64(len(p))+sector-1)&^(sector-1))
	whole := make([]byte, max(to, off+int64(len(p)))-from)
	if _, err := f.File.ReadAt(whole[:to-from], from); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if _, err := f.File.WriteAt(make([]byte, to-from), from); err != nil {
		return 0, err
	}
	if err := f.File.Sync(); err != nil {
		return 0, err
	}
	copy(whole[off-from:], p)
	if _, err := f.File.WriteAt(whole, from); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Truncate implements backends.File.
func (f *file) Truncate(size int64) error {
	f.mark(true)
	if f.b.fault == truncateKeeps {
		if err := f.cutOff(size); err != nil {
			return err
		}
	}
	return f.File.Truncate(size)
}

// cutOff keeps what Truncate is about to cut off, or brings it back.
func (f *file) cutOff(size int64) error {
	old, err := f.File.Size()
	if err != nil || size < 0 {
		return err
	}
	if size > old {
		return f.bringBack(size)
	}
	const most = 1 << 20
	if old-size > most {
		return nil
	}
	tail := make([]byte, old-size)
	if _, err := f.File.ReadAt(tail, size); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tail, f.tailEnd = tail, old
	return nil
}

// bringBack writes what was cut off, where the file grows over it, up to an offset.
func (f *file) bringBack(to int64) error {
	size, err := f.File.Size()
	if err != nil {
		return err
	}
	f.mu.Lock()
	from := f.tailEnd - int64(len(f.tail))
	var back []byte
	if size >= from && size < min(to, f.tailEnd) {
		back = slices.Clone(f.tail[size-from : min(to, f.tailEnd)-from])
	}
	f.mu.Unlock()
	if len(back) == 0 {
		return nil
	}
	_, err = f.File.WriteAt(back, size)
	return err
}

// Sync implements backends.File.
func (f *file) Sync() error {
	switch {
	case f.b.fault == syncNothing:
		return nil
	case f.b.fault == syncCleanHandle && !f.isDirty():
		return nil
	}
	err := f.File.Sync()
	if f.b.fault == syncRetries {
		for try := 0; try < 3 && err != nil; try++ {
			err = f.File.Sync()
		}
	}
	if err != nil {
		return err
	}
	f.mark(false)
	if size, err := f.File.Size(); err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.synced = size
	}
	return nil
}

// Close implements backends.File.
func (f *file) Close() error {
	if f.b.fault == closeDrops && f.isDirty() {
		f.mu.Lock()
		synced := f.synced
		f.mu.Unlock()
		if err := f.File.Truncate(synced); err != nil {
			return err
		}
	}
	if f.b.fault == closeCloses {
		err := f.File.Close()
		f.b.closeAll(f.name)
		return err
	}
	f.b.mu.Lock()
	f.b.open = slices.DeleteFunc(f.b.open, func(o *file) bool { return o == f })
	f.b.mu.Unlock()
	return f.File.Close()
}

func (f *file) mark(dirty bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty = dirty
}

func (f *file) isDirty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dirty
}

package backends

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
)

const (
	// memoryBlockBytes is the unit of locking and of growth.
	memoryBlockBytes = 64 << 10
	// firstBlockBytes is what the first block of a file starts with: small files are many.
	firstBlockBytes = 512
	// maxMemoryFileBytes bounds the directory of blocks that one write far out could ask for.
	maxMemoryFileBytes = 1 << 40
)

var errNegative = errors.New("negative offset or size")

// memoryFile is the contents of a file: fixed-size blocks behind a directory that readers load
// without a lock. Holes have no block and read as zeros.
//
// Invariants:
//
//  1. The directory is never shorter than before; growing publishes a larger copy, under mu. A
//     reader with the old one sees every block that it had.
//  2. Bytes at and beyond size are zeros, or belong to a write in flight: growing exposes no old
//     contents.
//  3. size is raised after the bytes are in their blocks.
type memoryFile struct {
	size atomic.Int64
	dir  atomic.Pointer[[]atomic.Pointer[memoryBlock]]
	mu   sync.Mutex // size, growth of dir, storing into it
}

// memoryBlock holds up to memoryBlockBytes; what lies beyond len(data) is zeros.
type memoryBlock struct {
	mu   sync.RWMutex
	data []byte
}

func (f *memoryFile) readAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	// size before dir: invariant 3 makes the directory cover it.
	left := f.size.Load() - off
	if left <= 0 {
		return 0, io.EOF
	}
	var eof error
	if int64(len(p)) > left {
		p, eof = p[:left], io.EOF
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		within := int(at % memoryBlockBytes)
		part := p[done:min(len(p), done+memoryBlockBytes-within)]
		if b := f.block(int(at / memoryBlockBytes)); b != nil {
			b.read(part, within)
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(p), eof
}

func (f *memoryFile) writeAt(p []byte, off int64) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		index, within := int(at/memoryBlockBytes), int(at%memoryBlockBytes)
		part := p[done:min(len(p), done+memoryBlockBytes-within)]
		b := f.block(index)
		if b == nil {
			b = f.makeBlock(index)
		}
		b.write(part, within)
		done += len(part)
	}
	if end := off + int64(len(p)); len(p) > 0 && end > f.size.Load() {
		f.extend(end)
	}
}

// extend raises the size to end, unless another write has taken it further.
func (f *memoryFile) extend(end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size.Store(max(end, f.size.Load()))
}

func (f *memoryFile) truncate(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.size.Load()
	f.size.Store(size)
	dir := f.dir.Load()
	if size >= old || dir == nil {
		return
	}
	index, within := int(size/memoryBlockBytes), int(size%memoryBlockBytes)
	if within > 0 {
		if b := f.block(index); b != nil {
			b.cut(within)
		}
		index++
	}
	for i := index; i < len(*dir); i++ {
		(*dir)[i].Store(nil)
	}
}

// block returns the block of an index, or nil for a hole.
func (f *memoryFile) block(index int) *memoryBlock {
	dir := f.dir.Load()
	if dir == nil || index >= len(*dir) {
		return nil
	}
	return (*dir)[index].Load()
}

// makeBlock returns the block of an index, and makes it if no other write has.
func (f *memoryFile) makeBlock(index int) *memoryBlock {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.block(index); b != nil {
		return b
	}
	dir := f.dir.Load()
	if dir == nil || index >= len(*dir) {
		dir = growDirectory(dir, index+1)
		f.dir.Store(dir)
	}
	b := &memoryBlock{}
	if index > 0 {
		b.data = make([]byte, memoryBlockBytes)
	}
	(*dir)[index].Store(b)
	return b
}

// growDirectory returns a copy with room for count blocks, at least twice as large.
func growDirectory(old *[]atomic.Pointer[memoryBlock], count int) *[]atomic.Pointer[memoryBlock] {
	if old == nil {
		old = &[]atomic.Pointer[memoryBlock]{}
	}
	grown := make([]atomic.Pointer[memoryBlock], max(count, 2*len(*old)))
	for i := range *old {
		grown[i].Store((*old)[i].Load())
	}
	return &grown
}

func (b *memoryBlock) read(p []byte, within int) {
	b.mu.RLock()
	n := 0
	if within < len(b.data) {
		n = copy(p, b.data[within:])
	}
	b.mu.RUnlock()
	clear(p[n:])
}

func (b *memoryBlock) write(p []byte, within int) {
	b.mu.Lock()
	if end := within + len(p); end > len(b.data) {
		grown := make([]byte, min(max(end, 2*len(b.data), firstBlockBytes), memoryBlockBytes))
		copy(grown, b.data)
		b.data = grown
	}
	copy(b.data[within:], p)
	b.mu.Unlock()
}

// cut zeroes what lies at within and beyond.
func (b *memoryBlock) cut(within int) {
	b.mu.Lock()
	if within < len(b.data) {
		clear(b.data[within:])
	}
	b.mu.Unlock()
}

// memoryHandle is one open File of a memoryFile.
type memoryHandle struct {
	file   *memoryFile
	name   string
	closed atomic.Bool
}

func (h *memoryHandle) ReadAt(p []byte, off int64) (int, error) {
	if err := h.check("read", off); err != nil {
		return 0, err
	}
	return h.file.readAt(p, off)
}

func (h *memoryHandle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.check("write", off); err != nil {
		return 0, err
	}
	if off > math.MaxInt64-int64(len(p)) || off+int64(len(p)) > maxMemoryFileBytes {
		return 0, h.tooLarge("write")
	}
	h.file.writeAt(p, off)
	return len(p), nil
}

func (h *memoryHandle) Truncate(size int64) error {
	if err := h.check("truncate", size); err != nil {
		return err
	}
	if size > maxMemoryFileBytes {
		return h.tooLarge("truncate")
	}
	h.file.truncate(size)
	return nil
}

func (h *memoryHandle) Size() (int64, error) {
	if err := h.check("size", 0); err != nil {
		return 0, err
	}
	return h.file.size.Load(), nil
}

func (h *memoryHandle) Sync() error { return h.check("sync", 0) }

func (h *memoryHandle) Close() error {
	if h.closed.Swap(true) {
		return fmt.Errorf("backends: close %s: %w", h.name, fs.ErrClosed)
	}
	return nil
}

func (h *memoryHandle) check(op string, offset int64) error {
	if h.closed.Load() {
		return fmt.Errorf("backends: %s %s: %w", op, h.name, fs.ErrClosed)
	}
	if offset < 0 {
		return fmt.Errorf("backends: %s %s at %d: %w", op, h.name, offset, errNegative)
	}
	return nil
}

func (h *memoryHandle) tooLarge(op string) error {
	return fmt.Errorf("backends: %s %s: a file in memory may have at most %d bytes: %w", op, h.name, int64(maxMemoryFileBytes), ErrNoSpace)
}

package walwriter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/backends"
)

// disk is a Backend that remembers what is on the medium and what only in the cache. It can
// fail calls, and lose its power at any of them.
type disk struct {
	mu      sync.Mutex
	names   map[string]*inode // as the system shows them
	synced  map[string]*inode // as the medium has them
	pending []dirOp
	calls   []string // names of the writing calls
	budget  int      // writing calls until the power fails; negative: it does not
	dead    bool
	fail    func(call, name string) error // called before each writing call
	readErr func(name string, off int64) error
}

type inode struct {
	cache   []byte
	medium  []byte
	pending []fileOp
	lost    []fileOp // writes whose sync failed: shown, but no later sync writes them
}

type fileOp struct {
	off      int64
	data     []byte
	truncate bool
}

type dirOp struct {
	name string
	node *inode // nil: removed
}

var errPower = errors.New("disk: no power")

func newDisk() *disk {
	return &disk{names: map[string]*inode{}, synced: map[string]*inode{}, budget: -1}
}

// begin counts a writing call.
func (d *disk) begin(call, name string) error {
	if d.dead {
		return errPower
	}
	if d.budget == 0 {
		d.dead = true
		return errPower
	}
	if d.budget > 0 {
		d.budget--
	}
	d.calls = append(d.calls, call+" "+name)
	if d.fail != nil {
		return d.fail(call, name)
	}
	return nil
}

func (d *disk) Create(name string) (backends.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if err := d.begin("create", name); err != nil {
		return nil, err
	}
	n := &inode{}
	d.names[name] = n
	d.pending = append(d.pending, dirOp{name, n})
	return &diskFile{d: d, n: n, name: name}, nil
}

func (d *disk) Open(name string) (backends.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[name]
	if n == nil {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &diskFile{d: d, n: n, name: name}, nil
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	if err := d.begin("remove", name); err != nil {
		return err
	}
	delete(d.names, name)
	d.pending = append(d.pending, dirOp{name, nil})
	return nil
}

func (d *disk) List() ([]backends.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []backends.FileInfo
	for name, n := range d.names {
		list = append(list, backends.FileInfo{Name: name, Size: int64(len(n.cache))})
	}
	slices.SortFunc(list, func(a, b backends.FileInfo) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list, nil
}

func (d *disk) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin("syncdir", ""); err != nil {
		return err
	}
	d.settleDir(func() bool { return true })
	return nil
}

func (d *disk) settleDir(keep func() bool) {
	for _, op := range d.pending {
		if !keep() {
			continue
		}
		if op.node == nil {
			delete(d.synced, op.name)
		} else {
			d.synced[op.name] = op.node
		}
	}
	d.pending = nil
}

func (d *disk) Lock(bool) (func() error, error) { return func() error { return nil }, nil }

// restart is what is left after the process died and the system lived on.
func (d *disk) restart() { d.budget, d.dead, d.fail = -1, false, nil }

// crash is what is left after the power failed: of all that was not synced, sector by sector,
// what rng says.
func (d *disk) crash(rng *rand.Rand) {
	keepAll, dropAll := rng.IntN(6) == 0, rng.IntN(3) == 0
	d.settleDir(func() bool { return rng.IntN(2) == 0 })
	d.names = map[string]*inode{}
	names := make([]string, 0, len(d.synced))
	for name := range d.synced {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n := d.synced[name]
		for _, op := range append(n.lost, n.pending...) {
			n.crashOp(op, rng, keepAll, dropAll)
		}
		d.names[name] = &inode{cache: slices.Clone(n.medium), medium: n.medium}
	}
	d.synced = map[string]*inode{}
	for name, n := range d.names {
		d.synced[name] = n
	}
	d.restart()
}

const sector = 512

func (n *inode) crashOp(op fileOp, rng *rand.Rand, keepAll, dropAll bool) {
	if op.truncate {
		if rng.IntN(2) == 0 {
			n.medium = resize(n.medium, op.off)
		}
		return
	}
	if rng.IntN(4) == 0 && int64(len(n.medium)) < op.off+int64(len(op.data)) {
		n.medium = resize(n.medium, op.off+int64(len(op.data))) // the size without the data
	}
	for i := 0; i < len(op.data); {
		k := min(len(op.data)-i, sector-int((op.off+int64(i))%sector))
		piece := op.data[i : i+k]
		switch r := rng.IntN(8); {
		case keepAll || !dropAll && r < 4:
			n.medium = apply(n.medium, op.off+int64(i), piece)
		case dropAll || r < 7:
		default: // torn, and the rest of it garbage
			torn := slices.Clone(piece)
			for j := rng.IntN(k); j < k; j++ {
				torn[j] = byte(rng.Uint32())
			}
			n.medium = apply(n.medium, op.off+int64(i), torn)
		}
		i += k
	}
}

func resize(b []byte, size int64) []byte {
	if int64(len(b)) > size {
		return b[:size:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func apply(b []byte, off int64, data []byte) []byte {
	if end := off + int64(len(data)); int64(len(b)) < end {
		b = resize(b, end)
	}
	copy(b[off:], data)
	return b
}

type diskFile struct {
	d    *disk
	n    *inode
	name string
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.readErr != nil {
		if err := f.d.readErr(f.name, off); err != nil {
			return 0, err
		}
	}
	if off >= int64(len(f.n.cache)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.cache[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	wasAlive := !f.d.dead
	err := f.d.begin("write", f.name)
	if err != nil && (f.d.dead != wasAlive || !f.d.dead) {
		return 0, err
	}
	// A write during which the power fails may have reached the disk.
	op := fileOp{off: off, data: slices.Clone(p)}
	f.n.pending = append(f.n.pending, op)
	f.n.cache = apply(f.n.cache, off, op.data)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.begin("truncate", f.name); err != nil {
		return err
	}
	f.n.pending = append(f.n.pending, fileOp{off: size, truncate: true})
	f.n.cache = resize(f.n.cache, size)
	return nil
}

func (f *diskFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.n.cache)), nil
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.begin("sync", f.name); err != nil {
		if !f.d.dead {
			f.n.lost = append(f.n.lost, f.n.pending...)
			f.n.pending = nil
		}
		return err
	}
	for _, op := range f.n.pending {
		if op.truncate {
			f.n.medium = resize(f.n.medium, op.off)
		} else {
			f.n.medium = apply(f.n.medium, op.off, op.data)
		}
	}
	f.n.pending = nil
	return nil
}

func (f *diskFile) Close() error { return nil }

package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// crashDisk is a medium that remembers what was synced and what was not, so that a power cut can
// take from it whatever a real one may. A crashLife is the Backend of one process on it.
type crashDisk struct {
	mu      sync.Mutex
	names   map[string]*crashInode // as the process sees them
	durable map[string]*crashInode // as of the last SyncDir
	moves   []crashMove            // since then
}

// crashMove is a Create, or a Remove if inode is nil, that no SyncDir has covered.
type crashMove struct {
	name  string
	inode *crashInode
}

type crashInode struct {
	cache   []byte // as the process sees it
	durable []byte
	pending []crashWrite // not synced
}

type crashWrite struct {
	off  int64
	data []byte
	cut  bool // a Truncate to off
}

var (
	errPowerCut = errors.New("the power is off")
	errInjected = errors.New("injected: input/output error")
)

const crashSector = 512

func newCrashDisk() *crashDisk {
	return &crashDisk{names: map[string]*crashInode{}, durable: map[string]*crashInode{}}
}

func (w *crashWrite) apply(b []byte) []byte {
	if w.cut {
		return crashResize(b, w.off)
	}
	if end := w.off + int64(len(w.data)); end > int64(len(b)) {
		b = crashResize(b, end)
	}
	copy(b[w.off:], w.data)
	return b
}

func crashResize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	if size <= int64(cap(b)) {
		clear(b[len(b):size])
		return b[:size]
	}
	grown := make([]byte, size, size+size/4)
	copy(grown, b)
	return grown
}

// cutPower returns the disk as the next process finds it: of each unsynced write any subset of its
// sectors, torn ones too; of each unsynced move both outcomes. The caller holds mu.
func (d *crashDisk) cutPower(rng *rand.Rand) *crashDisk {
	next := newCrashDisk()
	kept := make(map[string]*crashInode, len(d.durable))
	for name, inode := range d.durable {
		kept[name] = inode
	}
	moves := rng.IntN(4) // 0: all lost, 1: all kept, else each by itself
	for _, m := range d.moves {
		if moves == 0 || moves > 1 && rng.IntN(2) == 0 {
			continue
		}
		if m.inode == nil {
			delete(kept, m.name)
		} else {
			kept[m.name] = m.inode
		}
	}
	for _, name := range crashSorted(kept) {
		b := kept[name].afterCut(rng)
		inode := &crashInode{cache: b, durable: slices.Clone(b)}
		next.names[name], next.durable[name] = inode, inode
	}
	return next
}

func crashSorted(m map[string]*crashInode) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// afterCut draws what is left of a file.
func (f *crashInode) afterCut(rng *rand.Rand) []byte {
	b := slices.Clone(f.durable)
	mode := rng.IntN(6)
	for i := range f.pending {
		w := &f.pending[i]
		switch {
		case mode == 0: // nothing arrived
		case mode == 1, mode == 2 && i < len(f.pending)-1: // all did; all but the last
			b = w.apply(b)
		case w.cut:
			if rng.IntN(2) == 0 {
				b = w.apply(b)
			}
		default:
			b = w.applyPart(b, rng)
		}
	}
	if mode == 3 && len(b) < len(f.cache) { // the size arrived, the data did not
		b = crashResize(b, int64(len(f.cache)))
	}
	return b
}

// applyPart applies any of the write's sectors: whole, not, or torn, with garbage at the tear.
func (w *crashWrite) applyPart(b []byte, rng *rand.Rand) []byte {
	for at := 0; at < len(w.data); {
		off := w.off + int64(at)
		n := min(crashSector-int(off%crashSector), len(w.data)-at)
		part := crashWrite{off: off, data: w.data[at : at+n]}
		switch rng.IntN(5) {
		case 0, 1:
			b = part.apply(b)
		case 2:
			part.data = slices.Clone(part.data[:rng.IntN(n)+1])
			if rng.IntN(2) == 0 {
				part.data[len(part.data)-1] = byte(rng.Uint32())
			}
			b = part.apply(b)
		}
		at += n
	}
	return b
}

// loseUnsynced is what a failed sync does: part of the data goes to the medium, the rest is
// forgotten, and reads show all of it as long as the cache lives.
func (f *crashInode) loseUnsynced(rng *rand.Rand) {
	f.durable = f.afterCut(rng)
	f.pending = nil
}

// crashLife is the Backend of one process. After its last call it answers errPowerCut to
// everything.
type crashLife struct {
	disk   *crashDisk
	ctx    context.Context // ends with the life: a client of an engine without a disk may wait for ever
	cancel func()

	// Under disk.mu:
	rng    *rand.Rand
	calls  int
	cutAt  int                         // the call at which the power is cut; 0: never
	fail   func(op, name string) error // an injected fault
	stall  func(op, name string)       // called without the lock; set before the store is opened
	dead   bool
	left   *crashDisk // what the power cut left
	locked bool
}

func (d *crashDisk) life(seed uint64, cutAt int) *crashLife {
	l := &crashLife{disk: d, rng: rand.New(rand.NewPCG(seed, 1)), cutAt: cutAt}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// end ends the life if it goes on: by a power cut, or by a kill, which the cache survives.
func (l *crashLife) end(cut bool) *crashDisk {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if !l.dead {
		l.dead, l.left = true, l.disk
		l.cancel()
		if cut {
			l.left = l.disk.cutPower(l.rng)
		}
	}
	return l.left
}

// did counts the calls.
func (l *crashLife) did() int {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	return l.calls
}

// do runs one call under the lock. When the power goes during the call, the call may still have
// taken effect.
func (l *crashLife) do(op, name string, f func() error) error {
	if l.stall != nil {
		l.stall(op, name)
	}
	d := l.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.dead {
		return errPowerCut
	}
	l.calls++
	if l.calls == l.cutAt {
		if op != "sync" && op != "syncdir" && l.rng.IntN(2) == 0 {
			_ = f()
		}
		l.dead, l.left = true, d.cutPower(l.rng)
		l.cancel()
		return errPowerCut
	}
	if l.fail != nil {
		if err := l.fail(op, name); err != nil {
			if inode := d.names[name]; op == "sync" && inode != nil {
				inode.loseUnsynced(l.rng)
			}
			return err
		}
	}
	return f()
}

func (l *crashLife) Create(name string) (f backends.File, err error) {
	err = l.do("create", name, func() error {
		if l.disk.names[name] != nil {
			return fmt.Errorf("create %s: %w", name, fs.ErrExist)
		}
		inode := &crashInode{}
		l.disk.names[name] = inode
		l.disk.moves = append(l.disk.moves, crashMove{name, inode})
		f = &crashFile{life: l, inode: inode, name: name}
		return nil
	})
	return f, err
}

func (l *crashLife) Open(name string) (f backends.File, err error) {
	err = l.do("open", name, func() error {
		inode := l.disk.names[name]
		if inode == nil {
			return fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		}
		f = &crashFile{life: l, inode: inode, name: name}
		return nil
	})
	return f, err
}

func (l *crashLife) Remove(name string) error {
	return l.do("remove", name, func() error {
		if l.disk.names[name] == nil {
			return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
		}
		delete(l.disk.names, name)
		l.disk.moves = append(l.disk.moves, crashMove{name: name})
		return nil
	})
}

func (l *crashLife) List() (infos []backends.FileInfo, err error) {
	err = l.do("list", "", func() error {
		for _, name := range crashSorted(l.disk.names) {
			infos = append(infos, backends.FileInfo{Name: name, Size: int64(len(l.disk.names[name].cache))})
		}
		return nil
	})
	return infos, err
}

func (l *crashLife) SyncDir() error {
	return l.do("syncdir", "", func() error {
		l.disk.moves = nil
		clear(l.disk.durable)
		for name, inode := range l.disk.names {
			l.disk.durable[name] = inode
		}
		return nil
	})
}

func (l *crashLife) Lock(bool) (func() error, error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	if l.locked {
		return nil, backends.ErrLocked
	}
	l.locked = true
	return func() error {
		l.disk.mu.Lock()
		defer l.disk.mu.Unlock()
		l.locked = false
		return nil
	}, nil
}

type crashFile struct {
	life  *crashLife
	inode *crashInode
	name  string
}

func (f *crashFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.life.do("read", f.name, func() error {
		if off < int64(len(f.inode.cache)) {
			n = copy(p, f.inode.cache[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *crashFile) write(w crashWrite) {
	f.inode.pending = append(f.inode.pending, w)
	f.inode.cache = w.apply(f.inode.cache)
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.life.do("write", f.name, func() error {
		f.write(crashWrite{off: off, data: slices.Clone(p)})
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *crashFile) Truncate(size int64) error {
	return f.life.do("truncate", f.name, func() error {
		f.write(crashWrite{off: size, cut: true})
		return nil
	})
}

func (f *crashFile) Size() (size int64, err error) {
	err = f.life.do("size", f.name, func() error {
		size = int64(len(f.inode.cache))
		return nil
	})
	return size, err
}

func (f *crashFile) Sync() error {
	return f.life.do("sync", f.name, func() error {
		for i := range f.inode.pending {
			f.inode.durable = f.inode.pending[i].apply(f.inode.durable)
		}
		f.inode.pending = nil
		return nil
	})
}

func (f *crashFile) Close() error { return nil }

// copyFiles returns the contents of the files as the process sees them.
func (d *crashDisk) copyFiles() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := make(map[string][]byte, len(d.names))
	for name, inode := range d.names {
		files[name] = slices.Clone(inode.cache)
	}
	return files
}

// crashDiskOf is a disk on which files are durable.
func crashDiskOf(files map[string][]byte) *crashDisk {
	d := newCrashDisk()
	for name, b := range files {
		inode := &crashInode{cache: slices.Clone(b), durable: slices.Clone(b)}
		d.names[name], d.durable[name] = inode, inode
	}
	return d
}

// crashNames lists the files of a kind.
func crashNames(files map[string][]byte, prefix string) []string {
	var names []string
	for name := range files {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// setFail injects faults from now on; nil: no more.
func (l *crashLife) setFail(fail func(op, name string) error) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	l.fail = fail
}

// crashFailing fails every call of an operation on files of a kind.
func crashFailing(op, kind string, err error) func(op, name string) error {
	return func(o, name string) error {
		if o == op && strings.HasPrefix(name, kind) {
			return err
		}
		return nil
	}
}

// cutAfter cuts the power at the n-th call from now.
func (l *crashLife) cutAfter(n int) {
	l.disk.mu.Lock()
	defer l.disk.mu.Unlock()
	l.cutAt = l.calls + n
}

// clone is a deep copy of a disk that no life uses.
func (d *crashDisk) clone() *crashDisk {
	c := newCrashDisk()
	inodes := map[*crashInode]*crashInode{}
	of := func(f *crashInode) *crashInode {
		if f != nil && inodes[f] == nil {
			inodes[f] = &crashInode{cache: slices.Clone(f.cache), durable: slices.Clone(f.durable), pending: slices.Clone(f.pending)}
		}
		return inodes[f]
	}
	for name, f := range d.names {
		c.names[name] = of(f)
	}
	for name, f := range d.durable {
		c.durable[name] = of(f)
	}
	for _, m := range d.moves {
		c.moves = append(c.moves, crashMove{m.name, of(m.inode)})
	}
	return c
}

// crashLimits are small enough for every rotation, flush and merge within a few commits.
func crashLimits(rng *rand.Rand) *aegis.Limits {
	pick := func(of ...int64) int64 { return of[rng.IntN(len(of))] }
	return &aegis.Limits{
		IndexBytes: pick(8<<10, 16<<10, 32<<10), SegmentBytes: pick(16<<10, 32<<10), FirstSegment: 16 << 10,
		LogBytes: pick(32<<10, 64<<10), TableBytes: pick(4<<10, 16<<10, 64<<10), LeafBytes: int(pick(256, 1024)),
		InnerBytes: 256, FanIn: int(pick(2, 3, 4)), MaxRuns: 12, MergeStep: pick(2<<10, 16<<10), ChunkBytes: int(pick(512, 2048)),
		GatherBytes: int(pick(1, 512, 64<<10)), CompressAbove: int(pick(64, 4096)), GroupAlign: int(pick(1, 512, 4096)),
		TurnLimit: int(pick(2, 8, 256)), Inbox: int(pick(2, 64)), MaxFrozen: int(pick(1, 2)), RetainIndexes: int(pick(1, 2)),
		SyncInterval: time.Duration(pick(1, 5)) * time.Millisecond, RetryInterval: time.Millisecond,
		SettleAfter: time.Duration(pick(1, 1000)) * time.Millisecond, SettleBudget: int(pick(1, 6)),
	}
}

// fnvSeed makes a seed of a text.
func fnvSeed(format string, args ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, format, args...)
	return h.Sum64()
}

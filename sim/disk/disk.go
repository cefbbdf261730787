package disk

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// Disk is a directory of files on a medium, with the system's cache in front of it. It outlives
// the processes that use it.
//
// A Disk is safe for concurrent use, Clones of it included; but only calls that come one at a
// time give the same run twice.
//
// Invariants:
//
//  1. names and durable are sorted; names is durable with moves applied in order. durable is never
//     changed in place, and names only while alone says that nobody shares it.
//  2. Of each inode that did not diverge, cache is medium with pending applied in order.
//  3. Sequence numbers grow from operation to operation, over all files and names.
type Disk struct {
	mu       sync.Mutex
	epoch    atomic.Uint64 // lives ended; changed under mu
	profile  Profile
	names    []entry  // as processes see them
	alone    bool     // names is no one's but the disk's, and not durable
	durable  []entry  // as the medium has them
	moves    []move   // what SyncDir has not covered
	orphans  []*inode // without a name, but open
	seq      uint64   // of the last operation
	inflight []uint64 // operations that took effect and have not returned
	freed    content  // of the file that was removed last
	full     int      // calls that the medium goes on being full for
	stuck    *inode   // the file whose calls take long

	exclusive bool
	shared    int

	ranges bool // see TellRanges

	images *images // of States; nil when something has changed
}

// entry is a name in the directory.
type entry struct {
	name string
	node *inode
}

// move is an unsynced Create, or a Remove if gone is set.
type move struct {
	seq  uint64
	name string
	node *inode
	gone bool
}

// inode is a file, by whatever name.
type inode struct {
	name     string  // that it was created with
	medium   content // synced
	cache    content // as processes read it
	pending  []op    // unsynced, in order
	lent     bool    // a Clone reads pending's array: it must not be written over
	diverged bool    // a failed sync left the cache with what the medium will never get
	broken   uint8   // calls that fail until the life ends: bits of fault
	bad      []int64 // unreadable sectors
	handles  int
	forward  *inode // the copy, while Clone runs
}

// op is an unsynced write or truncation. It is never changed.
type op struct {
	seq  uint64
	off  int64 // of a write; the new size of a truncation
	data []byte
	cut  bool // a truncation
	zero bool // data is zeros, and perhaps long
}

// end is the size that the operation gives to a file of a size.
func (o *op) end(size int64) int64 {
	if o.cut {
		return o.off
	}
	return max(size, o.off+int64(len(o.data)))
}

func (o *op) apply(c *content) {
	switch {
	case o.cut:
		c.truncate(o.off)
	case o.zero:
		c.zero(o.off, int64(len(o.data)))
	default:
		c.write(o.data, o.off, true)
	}
}

// New returns an empty disk.
func New(p Profile) *Disk {
	d := &Disk{}
	d.SetProfile(p)
	return d
}

// SetProfile changes what the disk may do from now on. What has happened stays.
func (d *Disk) SetProfile(p Profile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Sector <= 0 {
		p.Sector = 512
	}
	d.profile, d.full, d.images = p, 0, nil
}

// Profile returns what the disk may do.
func (d *Disk) Profile() Profile {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.profile
}

// Mount returns the Backend of a process. It works until the next Kill or PowerCut; a disk may be
// mounted more than once.
func (d *Disk) Mount(w World) *Mounted {
	return &Mounted{d: d, w: w, epoch: d.epoch.Load()}
}

// Kill ends all processes. What they wrote stays in the cache, their locks are free, and what
// they still call goes to their World and then fails.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill()
}

func (d *Disk) kill() {
	d.epoch.Add(1)
	d.inflight = d.inflight[:0]
	d.exclusive, d.shared = false, 0
	d.full, d.stuck = 0, nil
	d.orphans = nil
	for _, e := range d.names {
		e.node.broken, e.node.handles = 0, 0
	}
}

// Clone returns a disk with the same medium and cache, which no process has mounted. Both share
// their bytes until one side changes them: it costs a few dozen bytes a file.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clone()
}

func (d *Disk) clone() *Disk {
	c := &Disk{profile: d.profile, seq: d.seq, freed: d.freed.snapshot(), images: d.images}
	most := len(d.names)
	if len(d.moves) > 0 {
		most += len(d.durable) + len(d.moves)
	}
	nodes := make([]inode, 0, most)
	copied := func(n *inode) *inode {
		if n.forward == nil {
			nodes = append(nodes, n.copy())
			n.forward = &nodes[len(nodes)-1]
		}
		return n.forward
	}
	entries := func(from []entry) []entry {
		to := make([]entry, len(from))
		for i, e := range from {
			to[i] = entry{e.name, copied(e.node)}
		}
		return to
	}
	c.names = entries(d.names)
	c.durable = c.names
	if len(d.moves) > 0 {
		c.durable = entries(d.durable)
		c.moves = slices.Clone(d.moves)
		for i := range c.moves {
			c.moves[i].node = copied(d.moves[i].node)
		}
	}
	d.each(func(n *inode) { n.forward = nil })
	return c
}

// copy returns an inode that shares n's bytes.
func (n *inode) copy() inode {
	n.lent = len(n.pending) > 0
	return inode{
		name: n.name, medium: n.medium.snapshot(), cache: n.cache.snapshot(),
		pending: n.pending[:len(n.pending):len(n.pending)], lent: n.lent, diverged: n.diverged,
		bad: slices.Clone(n.bad),
	}
}

// each calls f for every file that a name leads to now or may after a power cut; for some more
// than once.
func (d *Disk) each(f func(*inode)) {
	for _, e := range d.names {
		f(e.node)
	}
	if len(d.moves) == 0 {
		return
	}
	for _, e := range d.durable {
		f(e.node)
	}
	for _, m := range d.moves {
		f(m.node)
	}
}

// Image returns a hash of the names and contents that a process would see. Disks that look the
// same have the same.
func (d *Disk) Image() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.image()
}

func (d *Disk) image() uint64 {
	h := uint64(len(d.names))
	for _, e := range d.names {
		h = mix(h ^ xxhash.Sum64String(e.name))
		h = mix(h ^ e.node.cache.hash())
		for _, sector := range e.node.bad {
			h = mix(h ^ uint64(sector))
		}
	}
	return h
}

// FileState is a row of Files. All numbers are bytes.
type FileState struct {
	Name     string
	Size     int64 // as processes see it
	Synced   int64 // size on the medium
	Unsynced int64 // written and not synced, counted again for each write
	Named    bool  // the name is durable
}

// Files lists the files that processes see, by name.
func (d *Disk) Files() []FileState {
	d.mu.Lock()
	defer d.mu.Unlock()
	states := make([]FileState, len(d.names))
	for i, e := range d.names {
		s := FileState{Name: e.name, Size: e.node.cache.size, Synced: e.node.medium.size, Named: find(d.durable, e.name) == e.node}
		for j := range e.node.pending {
			s.Unsynced += int64(len(e.node.pending[j].data))
		}
		states[i] = s
	}
	return states
}

// search returns where a name is or belongs, and whether it is there.
func search(entries []entry, name string) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

// find returns the file of a name, or nil.
func find(entries []entry, name string) *inode {
	if i, ok := search(entries, name); ok {
		return entries[i].node
	}
	return nil
}

// with returns entries with the move applied. The argument stays as it is.
func (m *move) with(entries []entry) []entry {
	i, found := search(entries, m.name)
	after := entries[i:]
	if found {
		after = entries[i+1:]
	}
	to := append(make([]entry, 0, len(entries)+1), entries[:i]...)
	if !m.gone {
		to = append(to, entry{m.name, m.node})
	}
	return append(to, after...)
}

// move adds a change of the directory.
func (d *Disk) move(m move) uint64 {
	d.seq++
	m.seq = d.seq
	d.moves = append(d.moves, m)
	d.rename(&m)
	d.inflight = append(d.inflight, d.seq)
	d.images = nil
	return d.seq
}

// rename applies a move to names.
func (d *Disk) rename(m *move) {
	if !d.alone {
		const more = 4 // names that will follow
		d.names, d.alone = append(make([]entry, 0, len(d.names)+more), d.names...), true
	}
	i, found := search(d.names, m.name)
	switch {
	case found && m.gone:
		d.names = slices.Delete(d.names, i, i+1)
	case found:
		d.names[i].node = m.node
	case !m.gone:
		d.names = slices.Insert(d.names, i, entry{m.name, m.node})
	}
}

// do adds a write or a truncation to a file.
func (d *Disk) do(n *inode, o op) uint64 {
	d.seq++
	o.seq = d.seq
	n.pending = append(n.pending, o)
	o.apply(&n.cache)
	d.inflight = append(d.inflight, d.seq)
	d.images = nil
	return d.seq
}

// returned notes that an operation's call returns.
func (d *Disk) returned(seq uint64) {
	if i := slices.Index(d.inflight, seq); i >= 0 {
		d.inflight = slices.Delete(d.inflight, i, i+1)
	}
}

// forget empties the list of unsynced operations.
func (n *inode) forget() {
	if n.lent {
		n.pending, n.lent = nil, false
		return
	}
	clear(n.pending)
	n.pending = n.pending[:0]
}

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/aegis-storage/aegis/backends"
)

// errDead is what a process gets that goes on after its life has ended.
var errDead = errors.New("disk: the process is dead")

// Mounted is the Backend of one process.
type Mounted struct {
	d     *Disk
	w     World
	epoch uint64
}

var _ backends.Backend = (*Mounted)(nil)

func (m *Mounted) dead() bool { return m.d.epoch.Load() != m.epoch }

// begin lets the world in, and returns with the disk locked unless it returns an error. n is the
// file, or nil.
func (m *Mounted) begin(o Op, n *inode) error {
	m.w.Begin(o)
	m.d.mu.Lock()
	if m.dead() {
		m.d.mu.Unlock()
		return errDead
	}
	if p := &m.d.profile; p.Slow == 0 && p.Stuck == 0 {
		return nil
	}
	wait := m.d.delay(m.w, n)
	if wait <= 0 {
		return nil
	}
	m.d.mu.Unlock()
	m.w.Delay(o, wait)
	m.d.mu.Lock()
	if m.dead() {
		m.d.mu.Unlock()
		return errDead
	}
	return nil
}

// end unlocks the disk and lets the world in. It returns the call's error.
func (m *Mounted) end(o Op, err error) error {
	m.d.mu.Unlock()
	m.w.End(o)
	if m.dead() {
		return errDead
	}
	return err
}

// endMove is end for a change, which a sync that begins later has to cover.
func (m *Mounted) endMove(o Op, seq uint64, err error) error {
	err = m.end(o, err)
	m.d.mu.Lock()
	m.d.returned(seq)
	m.d.mu.Unlock()
	return err
}

// Create implements backends.Backend.
func (m *Mounted) Create(name string) (backends.File, error) {
	o := Op{Call: "create", File: name}
	if err := m.begin(o, nil); err != nil {
		return nil, err
	}
	d := m.d
	err := backends.CheckName(name)
	if err == nil && find(d.names, name) != nil {
		err = fmt.Errorf("disk: create %s: %w", name, fs.ErrExist)
	}
	if err == nil && d.profile.CreateError > 0 && m.w.Strike(EIOName, d.profile.CreateError, "create fails") {
		err = failed("create", name, syscall.EIO)
	}
	if err == nil && d.noSpace(m.w, 0) {
		err = noSpace("create", name)
	}
	if err != nil {
		return nil, m.end(o, err)
	}
	n := &inode{name: name, handles: 1}
	seq := d.move(move{name: name, node: n})
	if err := m.endMove(o, seq, nil); err != nil {
		return nil, err
	}
	return &file{m: m, n: n, name: name}, nil
}

// Open implements backends.Backend.
func (m *Mounted) Open(name string) (backends.File, error) {
	o := Op{Call: "open", File: name}
	if err := m.begin(o, nil); err != nil {
		return nil, err
	}
	d := m.d
	err := backends.CheckName(name)
	n := find(d.names, name)
	switch {
	case err != nil:
	case n == nil:
		err = fmt.Errorf("disk: open %s: %w", name, fs.ErrNotExist)
	case d.strikes(m.w, n, openFault):
		err = failed("open", name, syscall.EIO)
	}
	if err != nil {
		return nil, m.end(o, err)
	}
	if d.profile.ZeroTail > 0 {
		d.zeroTail(m.w, n)
	}
	n.handles++
	if err := m.end(o, nil); err != nil {
		return nil, err
	}
	return &file{m: m, n: n, name: name}, nil
}

// Remove implements backends.Backend. The file stays readable through its open handles.
func (m *Mounted) Remove(name string) error {
	o := Op{Call: "remove", File: name}
	if err := m.begin(o, nil); err != nil {
		return err
	}
	d := m.d
	err := backends.CheckName(name)
	n := find(d.names, name)
	switch {
	case err != nil:
	case n == nil:
		err = fmt.Errorf("disk: remove %s: %w", name, fs.ErrNotExist)
	case d.strikes(m.w, n, removeFault):
		err = failed("remove", name, syscall.EIO)
	}
	if err != nil {
		return m.end(o, err)
	}
	if n.cache.size > 0 {
		d.freed = n.cache.snapshot()
	}
	if n.handles > 0 {
		d.orphans = append(d.orphans, n)
	}
	return m.endMove(o, d.move(move{name: name, node: n, gone: true}), nil)
}

// List implements backends.Backend.
func (m *Mounted) List() ([]backends.FileInfo, error) {
	o := Op{Call: "list"}
	if err := m.begin(o, nil); err != nil {
		return nil, err
	}
	d := m.d
	if d.profile.OpenError > 0 && m.w.Strike(EIOName, d.profile.OpenError, "list fails") {
		return nil, m.end(o, failed("list", "", syscall.EIO))
	}
	infos := make([]backends.FileInfo, len(d.names))
	for i, e := range d.names {
		infos[i] = backends.FileInfo{Name: e.name, Size: e.node.cache.size}
	}
	if err := m.end(o, nil); err != nil {
		return nil, err
	}
	return infos, nil
}

// SyncDir implements backends.Backend. If it fails, a later one that succeeds covers the same
// names.
func (m *Mounted) SyncDir() error {
	o := Op{Call: "syncdir"}
	must := m.d.mark()
	if err := m.begin(o, nil); err != nil {
		return err
	}
	d := m.d
	if d.profile.SyncError > 0 && m.w.Strike(EIOSync, d.profile.SyncError, "syncdir fails") {
		return m.end(o, failed("syncdir", "", syscall.EIO))
	}
	if d.profile.LyingSync > 0 && m.w.Strike(Lying, d.profile.LyingSync, "syncdir does nothing") {
		return m.end(o, nil)
	}
	d.syncNames(m.w, must)
	return m.end(o, nil)
}

func (d *Disk) syncNames(w World, must mark) {
	d.images = nil
	late := 0
	for i := range d.moves {
		if !must.covers(d.moves[i].seq) {
			late++
		}
	}
	if late > 0 {
		late -= w.Draw(late + 1)
	}
	if late == 0 {
		d.durable, d.alone = d.names, false
		d.synced()
		return
	}
	var left []move
	for i := len(d.moves) - 1; i >= 0; i-- { // the last ones that may be left out are
		if late > 0 && !must.covers(d.moves[i].seq) {
			late--
			left = append(left, d.moves[i])
		}
	}
	slices.Reverse(left)
	for i := range d.moves {
		if !slices.ContainsFunc(left, func(m move) bool { return m.seq == d.moves[i].seq }) {
			d.durable = d.moves[i].with(d.durable)
		}
	}
	d.moves = left
}

// mark is a moment at which a sync was called.
type mark struct {
	seq      uint64   // the last operation that had taken effect
	inflight []uint64 // those that had not returned
}

func (d *Disk) mark() mark {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := mark{seq: d.seq}
	if len(d.inflight) > 0 {
		m.inflight = slices.Clone(d.inflight)
	}
	return m
}

// covers reports whether an operation had returned at the mark.
func (m *mark) covers(seq uint64) bool { return seq <= m.seq && !slices.Contains(m.inflight, seq) }

// Lock implements backends.Backend, among all that have the disk mounted.
func (m *Mounted) Lock(exclusive bool) (release func() error, err error) {
	o := Op{Call: "lock"}
	if err := m.begin(o, nil); err != nil {
		return nil, err
	}
	d := m.d
	if d.exclusive || exclusive && d.shared > 0 {
		return nil, m.end(o, fmt.Errorf("disk: %w", backends.ErrLocked))
	}
	if exclusive {
		d.exclusive = true
	} else {
		d.shared++
	}
	if err := m.end(o, nil); err != nil {
		return nil, err
	}
	released := false
	return func() error {
		o := Op{Call: "unlock"}
		if err := m.begin(o, nil); err != nil {
			return err
		}
		switch {
		case released:
		case exclusive:
			d.exclusive = false
		default:
			d.shared--
		}
		released = true
		return m.end(o, nil)
	}, nil
}

func failed(call, name string, err error) error {
	if name == "" {
		return fmt.Errorf("disk: %s: %w", call, err)
	}
	return fmt.Errorf("disk: %s %s: %w", call, name, err)
}

func noSpace(call, name string) error {
	return fmt.Errorf("%w: disk: %s %s: %w", backends.ErrNoSpace, call, name, syscall.ENOSPC)
}

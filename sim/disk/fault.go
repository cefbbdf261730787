package disk

import (
	"syscall"
	"time"
)

// fault is a call on a file that can fail.
type fault uint8

const (
	readFault fault = 1 << iota
	writeFault
	syncFault
	openFault
	removeFault
)

// rate returns how often a call fails, and how the trace names it.
func (p *Profile) rate(f fault) (class Class, once int, what string) {
	switch f {
	case readFault:
		return EIORead, p.ReadError, "read fails"
	case writeFault:
		return EIOWrite, p.WriteError, "write fails"
	case syncFault:
		return EIOSync, p.SyncError, "sync fails"
	case openFault:
		return EIOName, p.OpenError, "open fails"
	}
	return EIOName, p.RemoveError, "remove fails"
}

// strikes reports whether a call on a file fails.
func (d *Disk) strikes(w World, n *inode, f fault) bool {
	if n.broken&uint8(f) != 0 {
		return true
	}
	class, once, what := d.profile.rate(f)
	if once == 0 || !w.Strike(class, once, what) {
		return false
	}
	if d.profile.Lasting > 0 && w.Draw(d.profile.Lasting) == 0 {
		n.broken |= uint8(f)
	}
	return true
}

// readFaults returns the error of a read, and damages what it is about to read.
func (d *Disk) readFaults(w World, n *inode, off, size int64) error {
	if d.strikes(w, n, readFault) {
		return syscall.EIO
	}
	if size == 0 {
		return nil
	}
	if once := d.profile.BitFlip; once > 0 && w.Strike(Media, once, "a bit flips") {
		d.flip(w, n, off+int64(w.Draw(int(size))))
	}
	if once := d.profile.BadSector; once > 0 && w.Strike(Media, once, "a sector becomes unreadable") {
		d.spoil(n, off+int64(w.Draw(int(size))))
	}
	if n.unreadable(off, size, d.profile.Sector) {
		return syscall.EIO
	}
	return nil
}

// writeFaults returns how many bytes of a write take effect, and its error. A full medium takes
// only what lies beyond the end of the file: nothing that was there is touched.
func (d *Disk) writeFaults(w World, n *inode, off, size int64) (int64, error) {
	if d.strikes(w, n, writeFault) {
		return d.part(w, size), syscall.EIO
	}
	if d.noSpace(w, off+size-n.cache.size) {
		if off < n.cache.size {
			return 0, syscall.ENOSPC
		}
		return min(d.part(w, size), d.room()), syscall.ENOSPC
	}
	return size, nil
}

// part draws how much of a write takes effect that fails.
func (d *Disk) part(w World, size int64) int64 {
	switch w.Draw(3) {
	case 0:
		return 0
	case 1:
		return int64(w.Draw(int(size)))
	}
	return size
}

// noSpace reports whether a call that makes a file grow by so many bytes finds the medium full.
func (d *Disk) noSpace(w World, growth int64) bool {
	if d.full > 0 {
		d.full--
		return true
	}
	if once := d.profile.NoSpace; once > 0 && w.Strike(NoSpace, once, "the medium is full") {
		if d.profile.NoSpaceCalls > 1 {
			d.full = w.Draw(d.profile.NoSpaceCalls)
		}
		return true
	}
	return d.profile.Capacity > 0 && growth > 0 && growth > d.room()
}

// room returns how many bytes are free.
func (d *Disk) room() int64 {
	if d.profile.Capacity == 0 {
		return maxFileBytes
	}
	room := d.profile.Capacity
	for _, e := range d.names {
		room -= e.node.cache.size
	}
	for _, n := range d.orphans {
		room -= n.cache.size
	}
	return max(room, 0)
}

// delay returns how long a call takes.
func (d *Disk) delay(w World, n *inode) time.Duration {
	p := &d.profile
	if n != nil && d.stuck == n {
		return p.StuckFor
	}
	if n != nil && d.stuck == nil && p.Stuck > 0 && w.Strike(Time, p.Stuck, "a file is stuck") {
		d.stuck = n
		return p.StuckFor
	}
	if p.Slow > 0 && w.Strike(Time, p.Slow, "a slow call") {
		return time.Duration(1+w.Draw(int(p.SlowFor/time.Microsecond)+1)) * time.Microsecond
	}
	return 0
}

// syncFails settles what a failed sync leaves: a part has reached the medium as after a power
// cut, the rest is treated as the profile says.
func (d *Disk) syncFails(w World, n *inode) {
	how := d.profile.FailedSync
	if how == SyncEither {
		how = SyncReadsNew + FailedSync(w.Draw(2))
	}
	if how == SyncKeeps || len(n.pending) == 0 {
		return
	}
	d.images = nil
	j := d.sampler(w.Draw)
	d.settle(n, j, nil)
	n.forget()
	if how == SyncReadsOld {
		n.cache, n.diverged = n.medium.snapshot(), false
	} else {
		n.diverged = true
	}
}

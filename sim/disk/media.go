package disk

import "slices"

// dirty reports whether an unsynced write covers a byte: its cached copy is not the medium's.
func (n *inode) dirty(off int64) bool {
	return slices.ContainsFunc(n.pending, func(o op) bool {
		return !o.cut && o.off <= off && off < o.off+int64(len(o.data))
	})
}

// damage puts p over what the medium has at off, and over what is read of it. Nothing grows.
func (d *Disk) damage(n *inode, p []byte, off int64) {
	d.images = nil
	if fits := n.medium.size - off; fits > 0 {
		n.medium.write(p[:min(int64(len(p)), fits)], off, false)
	}
	for i := range p {
		if at := off + int64(i); at < n.cache.size && !n.dirty(at) {
			n.cache.write(p[i:i+1], at, false)
		}
	}
}

// flip changes one bit of a byte.
func (d *Disk) flip(w World, n *inode, off int64) {
	var b [1]byte
	n.medium.read(b[:], off)
	b[0] ^= 1 << w.Draw(8)
	d.damage(n, b[:], off)
}

// spoil makes the sector of a byte unreadable.
func (d *Disk) spoil(n *inode, off int64) {
	if sector := off / d.profile.Sector; !slices.Contains(n.bad, sector) && !n.dirty(off) {
		n.bad = append(n.bad, sector)
		d.images = nil
	}
}

// unreadable reports whether a range has a bad sector.
func (n *inode) unreadable(off, size, sectorBytes int64) bool {
	return slices.ContainsFunc(n.bad, func(sector int64) bool {
		return sector*sectorBytes < off+size && off < (sector+1)*sectorBytes
	})
}

// mend makes the sectors readable again that a write covers whole: the medium gives it others.
func (n *inode) mend(off, size, sectorBytes int64) {
	if len(n.bad) > 0 {
		n.bad = slices.DeleteFunc(n.bad, func(sector int64) bool {
			return off <= sector*sectorBytes && (sector+1)*sectorBytes <= off+size
		})
	}
}

// astray reports whether a write does not arrive, and lets it damage other bytes where it is drawn
// to.
func (d *Disk) astray(w World, n *inode, p []byte, off int64) bool {
	if once := d.profile.StaleWrite; once > 0 && w.Strike(Media, once, "a write is lost") {
		return true
	}
	once := d.profile.Misdirected
	if once == 0 || !w.Strike(Media, once, "a write goes elsewhere") {
		return false
	}
	target := n
	if w.Draw(2) == 0 && len(d.names) > 0 {
		target = d.names[w.Draw(len(d.names))].node
	}
	if sectors := (target.medium.size - int64(len(p))) / d.profile.Sector; sectors > 0 {
		if at := int64(w.Draw(int(sectors)+1)) * d.profile.Sector; target != n || at != off {
			d.damage(target, p, at)
		}
	}
	return true
}

// zeroTail zeroes the last sectors of a file, if that strikes.
func (d *Disk) zeroTail(w World, n *inode) {
	const most = 8 // sectors
	if n.medium.size == 0 || !w.Strike(Media, d.profile.ZeroTail, "the tail reads as zeros") {
		return
	}
	sectors := int64(1 + w.Draw(most))
	from := max((n.medium.size-1)/d.profile.Sector+1-sectors, 0) * d.profile.Sector
	d.damage(n, make([]byte, n.medium.size-from), from)
}

package disk

import (
	"encoding/binary"
	"slices"
)

// fate is what becomes of a piece of a write: of what it has in one sector.
type fate uint8

const (
	dropped fate = iota
	kept
	torn // cut short, with garbage behind
)

// judge decides what a power cut leaves.
type judge interface {
	// whole returns kept or dropped if that is the fate of all that is unsynced in a file, and the
	// sizes go with it; else torn.
	whole(n *inode) fate
	// piece decides on the part-th piece of n.pending[i], in the given sector; for a truncation on
	// all of it, with sector and part 0.
	piece(n *inode, i, part int, sector int64) fate
	// size returns the size that the medium has, where the synced size is base and the pieces that
	// were kept give derived.
	size(n *inode, base, derived int64) int64
	// filler returns what stands in unwritten bytes of a sector of a file, and a seed for garbage.
	filler(n *inode, sector int64) (Unwritten, uint64)
	// name decides on d.moves[i].
	name(i int) bool
}

// PowerCut ends all processes and takes from the unsynced work what the profile allows, by
// choose, which returns a number in [0, n). It returns what was lost.
func (d *Disk) PowerCut(choose func(n int) int) Loss {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.powerCut(d.sampler(choose))
}

func (d *Disk) powerCut(j judge) Loss {
	var loss Loss
	d.cutNames(j, &loss)
	for _, e := range d.durable {
		n := e.node
		if len(n.pending) > 0 {
			d.settle(n, j, &loss)
			n.forget()
		} else if !n.diverged {
			continue
		}
		n.cache, n.diverged = n.medium.snapshot(), false
	}
	if d.ranges {
		d.tellNameless(&loss)
	}
	d.names, d.alone, d.images = d.durable, false, nil
	d.kill()
	return loss
}

// cutNames leaves the names that survive in d.durable.
func (d *Disk) cutNames(j judge, loss *Loss) {
	for i := range d.moves {
		m := &d.moves[i]
		keep := j.name(i)
		if keep {
			d.durable = m.with(d.durable)
		}
		loss.Names = append(loss.Names, NameLoss{Name: m.name, Removed: m.gone, Kept: keep})
	}
	d.synced()
}

// synced empties the list of moves: durable has them, or has lost them.
func (d *Disk) synced() {
	clear(d.moves)
	d.moves = d.moves[:0]
}

// settle applies to a file's medium what the judge leaves of its unsynced operations.
func (d *Disk) settle(n *inode, j judge, loss *Loss) {
	count := FileLoss{Name: n.name, SizeBefore: n.cache.size, tell: d.ranges && loss != nil}
	switch all := j.whole(n); {
	case all == dropped:
		for i := range n.pending {
			count.add(n.pending[i].off, int64(len(n.pending[i].data)), dropped)
		}
	case all == kept && !n.diverged:
		for i := range n.pending {
			count.add(n.pending[i].off, int64(len(n.pending[i].data)), kept)
		}
		n.medium = n.cache.snapshot()
	default:
		d.settlePieces(n, j, &count)
	}
	if loss != nil {
		count.SizeAfter = n.medium.size
		loss.Files = append(loss.Files, count)
	}
}

func (d *Disk) settlePieces(n *inode, j judge, count *FileLoss) {
	base := n.medium.size
	size := base
	d.fill(n, j)
	for i := range n.pending {
		o := &n.pending[i]
		if o.cut {
			if j.piece(n, i, 0, 0) == kept {
				o.apply(&n.medium)
				size = o.off
			}
			continue
		}
		size = d.settleWrite(n, i, size, j, count)
	}
	n.medium.truncate(j.size(n, base, size))
}

// settleWrite applies the pieces of a write that are kept, and returns the size that they give.
func (d *Disk) settleWrite(n *inode, i int, size int64, j judge, count *FileLoss) int64 {
	o := &n.pending[i]
	sectorBytes := d.profile.Sector
	run := 0 // where the kept bytes begin that were not yet applied
	for at, part := 0, 0; at < len(o.data); part++ {
		off := o.off + int64(at)
		next := min(at+int(sectorBytes-off%sectorBytes), len(o.data))
		verdict := j.piece(n, i, part, off/sectorBytes)
		count.add(off, int64(next-at), verdict)
		if verdict == kept {
			size = max(size, o.off+int64(next))
			at = next
			continue
		}
		n.medium.write(o.data[run:at], o.off+int64(run), true)
		if verdict == torn {
			_, seed := j.filler(n, off/sectorBytes)
			n.medium.write(tear(o.data[at:next], mix(seed^uint64(part))), off, true)
			size = max(size, o.off+int64(next))
		}
		at, run = next, next
	}
	n.medium.write(o.data[run:], o.off+int64(run), true)
	return size
}

// tear returns a piece of which only the beginning arrived; behind it is garbage.
func tear(p []byte, seed uint64) []byte {
	whole := int(seed % uint64(len(p)))
	t := make([]byte, len(p))
	copy(t, p[:whole])
	garbage(t[whole:], seed)
	return t
}

func garbage(p []byte, seed uint64) {
	for ; len(p) >= 8; p = p[8:] {
		seed = mix(seed)
		binary.LittleEndian.PutUint64(p, seed)
	}
	for i := range p {
		p[i] = byte(mix(seed) >> (i * 8))
	}
}

// fill puts behind the end of the medium, as far as the file may reach, what stands in bytes that
// no write reaches.
func (d *Disk) fill(n *inode, j judge) {
	most := n.medium.size
	size := most
	for i := range n.pending {
		size = n.pending[i].end(size)
		most = max(most, size)
	}
	from := n.medium.size
	if d.profile.Unwritten == UnwrittenZero {
		return
	}
	most = min(most, from+maxFillBytes)
	for from < most {
		sector := from / d.profile.Sector
		next := min((sector+1)*d.profile.Sector, most)
		how, seed := j.filler(n, sector)
		if how == UnwrittenOld && d.freed.size == 0 {
			how = UnwrittenZero
		}
		if how != UnwrittenZero {
			p := make([]byte, next-from)
			if how == UnwrittenOld {
				d.freed.read(p, from%d.freed.size)
			} else {
				garbage(p, seed)
			}
			n.medium.write(p, from, true)
		}
		from = next
	}
}

// maxFillBytes bounds what is filled with anything but zeros: a gap can be of any size.
const maxFillBytes = 1 << 20

// unit is an operation as an ordered disk counts: by pieces that arrive one after the other.
type unit struct {
	seq    uint64
	pieces int
}

// units returns all unsynced operations in order.
func (d *Disk) units() []unit {
	var all []unit
	seen := make([]*inode, 0, len(d.names)+len(d.moves))
	d.each(func(n *inode) {
		if len(n.pending) == 0 || slices.Contains(seen, n) {
			return
		}
		seen = append(seen, n)
		for i := range n.pending {
			all = append(all, unit{n.pending[i].seq, n.pending[i].pieces(d.profile.Sector)})
		}
	})
	for i := range d.moves {
		all = append(all, unit{d.moves[i].seq, 1})
	}
	slices.SortFunc(all, func(a, b unit) int { return int(a.seq) - int(b.seq) })
	return all
}

// sizeAt returns the size that a file has after some of its unsynced operations.
func (n *inode) sizeAt(base int64, count int) int64 {
	for i := range count {
		base = n.pending[i].end(base)
	}
	return base
}

// pieces returns of how many pieces the operation is.
func (o *op) pieces(sectorBytes int64) int {
	if o.cut {
		return 1
	}
	return int((o.off+int64(len(o.data))-1)/sectorBytes-o.off/sectorBytes) + 1
}

// prefix is the judge of an ordered disk: everything up to a point survives.
type prefix struct {
	d     *Disk
	seq   uint64 // the operation that was under way
	parts int    // of it survive
	tear  uint64 // if not 0: the next part is torn
}

// prefixAt returns the judge that keeps the first pieces of units.
func prefixAt(d *Disk, units []unit, pieces int) *prefix {
	for _, u := range units {
		if pieces < u.pieces {
			return &prefix{d: d, seq: u.seq, parts: pieces}
		}
		pieces -= u.pieces
	}
	return &prefix{d: d, seq: d.seq + 1}
}

func (p *prefix) whole(n *inode) fate {
	switch {
	case n.pending[len(n.pending)-1].seq < p.seq:
		return kept
	case n.pending[0].seq > p.seq:
		return dropped
	}
	return torn
}

func (p *prefix) piece(n *inode, i, part int, _ int64) fate {
	switch seq := n.pending[i].seq; {
	case seq < p.seq || seq == p.seq && part < p.parts:
		return kept
	case seq == p.seq && part == p.parts && p.tear != 0 && !n.pending[i].cut:
		return torn
	}
	return dropped
}

func (p *prefix) size(_ *inode, _, derived int64) int64    { return derived }
func (p *prefix) filler(*inode, int64) (Unwritten, uint64) { return UnwrittenZero, p.tear }
func (p *prefix) name(i int) bool                          { return p.d.moves[i].seq < p.seq }

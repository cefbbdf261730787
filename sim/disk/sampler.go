package disk

import "github.com/cespare/xxhash/v2"

// How much of the unsynced work a sampler keeps. Extremes are as likely as anything between: many
// defects need all or nothing of one thing to survive.
const (
	keepNothing = iota
	keepAll
	keepAllButLast // of the last operation, some
	keepMost
	keepFew
	keepHalf
	keepByFile // each file has one of the above
	modes
)

// sampler is the judge of a disk that reorders. All is decided by a hash of a seed, the file and
// the sector, so that what happens to one write does not depend on how many others there are.
type sampler struct {
	d     *Disk
	seed  uint64
	mode  int
	names int // of d.moves survive, unless they are apart

	file *inode // that was asked about last
	key  uint64 // its hash with the seed
}

// keyOf returns what all choices for a file start from.
func (s *sampler) keyOf(n *inode) uint64 {
	if s.file != n {
		s.file, s.key = n, mix(s.seed^xxhash.Sum64String(n.name))
	}
	return s.key
}

// sampler returns a judge that draws among all that the profile allows.
func (d *Disk) sampler(choose func(n int) int) judge {
	const seeds = 1 << 30
	mode, seed := choose(modes), mix(uint64(choose(seeds)))
	if d.profile.Ordered {
		return d.sampledPrefix(mode, seed)
	}
	s := &sampler{d: d, seed: seed, mode: mode}
	switch mode {
	case keepNothing:
	case keepAll:
		s.names = len(d.moves)
	default:
		s.names = int(mix(seed) % uint64(len(d.moves)+1))
	}
	return s
}

func (d *Disk) sampledPrefix(mode int, seed uint64) judge {
	units := d.units()
	total := 0
	for _, u := range units {
		total += u.pieces
	}
	switch mode {
	case keepNothing:
		total = 0
	case keepAll:
	case keepAllButLast:
		if len(units) > 0 {
			last := units[len(units)-1].pieces
			total -= 1 + int(seed%uint64(last))
		}
	default:
		total = int(seed % uint64(total+1))
	}
	p := prefixAt(d, units, total)
	if d.tears() && seed>>32&1 == 0 {
		p.tear = seed | 1
	}
	return p
}

// modeOf returns how much is kept of a file.
func (s *sampler) modeOf(n *inode) int {
	if s.mode != keepByFile {
		return s.mode
	}
	return int(s.keyOf(n) % keepByFile)
}

func (s *sampler) whole(n *inode) fate {
	switch s.modeOf(n) {
	case keepNothing:
		if !s.d.profile.SizeWithoutData {
			return dropped
		}
	case keepAll:
		if !s.d.profile.DataWithoutSize {
			return kept
		}
	}
	return torn
}

func (s *sampler) piece(n *inode, i, part int, sector int64) fate {
	o := &n.pending[i]
	h := mix(s.keyOf(n) ^ uint64(sector))
	mode := s.modeOf(n)
	if mode == keepAllButLast {
		if o.seq != n.pending[len(n.pending)-1].seq {
			return kept
		}
		mode = keepHalf
	}
	if s.d.profile.AtomicSectors && !o.cut {
		return s.version(n, i, mode, h)
	}
	h = mix(h ^ uint64(o.off)<<8 ^ uint64(i))
	if !o.cut && s.d.profile.Torn && mode > keepAll && h>>8&7 == 0 {
		return torn
	}
	var keep bool
	switch mode {
	case keepAll:
		keep = true
	case keepMost:
		keep = h&7 != 0
	case keepFew:
		keep = h&7 == 0
	case keepHalf:
		keep = h&1 == 0
	}
	if keep {
		return kept
	}
	return dropped
}

// version: the sector was written at some moment, with what it had then.
func (s *sampler) version(n *inode, i, mode int, h uint64) fate {
	moment := int(h >> 8 % uint64(len(n.pending)+1)) // operations before it
	switch {
	case mode == keepAll, mode == keepMost && h&7 != 0, mode == keepHalf && h&7 < 3:
		return kept
	case mode == keepNothing, mode == keepFew && h&7 != 0, mode == keepHalf && h&7 < 6:
		return dropped
	case i < moment:
		return kept
	}
	return dropped
}

func (s *sampler) size(n *inode, base, derived int64) int64 {
	p := &s.d.profile
	h := mix(s.keyOf(n) ^ 1)
	if !p.SizeWithoutData && !p.DataWithoutSize || h&3 != 0 {
		return derived
	}
	return p.otherSize(n.sizeAt(base, int(h>>8%uint64(len(n.pending)+1))), derived)
}

func (s *sampler) filler(n *inode, sector int64) (Unwritten, uint64) {
	file := mix(s.keyOf(n) ^ 2)
	h := mix(file ^ uint64(sector))
	if file&1 == 0 || h&3 == 0 {
		return UnwrittenZero, h
	}
	if how := s.d.profile.Unwritten; how != UnwrittenAny {
		return how, h
	}
	return UnwrittenOld + Unwritten(h>>4&1), h
}

func (s *sampler) name(i int) bool {
	if !s.d.profile.NamesApart {
		return i < s.names
	}
	h := mix(s.seed ^ 3 ^ uint64(i)<<8)
	switch s.mode {
	case keepNothing:
		return false
	case keepAll:
		return true
	case keepAllButLast:
		return i < len(s.d.moves)-1
	}
	return h&1 == 0
}

package disk

import "slices"

// images is what States found.
type images struct {
	max    int
	plan   *plan
	list   [][]int  // the digits of one cut for each image
	hashes []uint64 // of the images
	exact  bool
}

// plan writes a power cut as a number: each digit is one independent choice of the disk. Files
// are known by the first of their unsynced operations, so that a plan holds for Clones too.
type plan struct {
	radix []int
	refs  []ref
	files []filePlan
	names int // refs from here on are moves
}

// ref is a piece of a write, a truncation or a move. It survives if its digit is above its rank.
type ref struct {
	seq   uint64
	digit int
	rank  int
}

type filePlan struct {
	seq   uint64
	first []int   // the first ref of each operation
	end   int     // the ref behind the last
	size  int     // the digit that chooses among sizes; negative: none
	sizes []int64 // digit 1 is the first of them, 0 the one that the data give
}

// tries bounds how many cuts States looks at for each image that it may return.
const tries = 4

// States counts the images that a power cut may leave now, up to max. It is exact if these are
// all there are; else they are some, among them nothing kept, all kept, and every point in the
// order of the operations as far as max goes. Images that look the same count once. Tears and
// garbage are never among them.
func (d *Disk) States(max int) (n int, exact bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enumerated(max)
	return len(d.images.list), d.images.exact
}

// Images is States with the hash of each image, as Image makes it, in the order of PowerCutNth's
// numbers. The caller must not change it.
func (d *Disk) Images(max int) (hashes []uint64, exact bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enumerated(max)
	return d.images.hashes, d.images.exact
}

func (d *Disk) enumerated(max int) {
	if d.images == nil || d.images.max != max {
		d.images = d.enumerate(max)
	}
}

// PowerCutNth is PowerCut with the i-th of the images that the last call of States on this disk,
// or on the one it was cloned from, has counted. It reports false and does nothing if there is no
// such image, or if the disk has changed since.
func (d *Disk) PowerCutNth(i int) (Loss, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.images == nil || i < 0 || i >= len(d.images.list) {
		return Loss{}, false
	}
	return d.powerCut(&vector{plan: d.images.plan, d: d, digits: d.images.list[i]}), true
}

func (d *Disk) enumerate(max int) *images {
	p := d.plan()
	found := &images{max: max, plan: p, exact: !d.vague()}
	seen := make(map[uint64]struct{}, max)
	// add reports false when there is no room for one more image.
	add := func(digits []int) bool {
		c := d.clone()
		c.powerCut(&vector{plan: p, d: c, digits: digits})
		h := c.image()
		if _, old := seen[h]; old {
			return true
		}
		if len(found.list) == max {
			found.exact = false
			return false
		}
		seen[h] = struct{}{}
		found.list = append(found.list, slices.Clone(digits))
		found.hashes = append(found.hashes, h)
		return true
	}
	digits := make([]int, len(p.radix))
	if p.cuts(tries*max) <= tries*max {
		for more := true; more && add(digits); {
			more = p.next(digits)
		}
		return found
	}
	found.exact = false
	for _, keep := range p.samples() {
		if !add(p.keep(digits, keep)) {
			break
		}
	}
	return found
}

// vague reports whether a cut may leave more than the pieces that are kept.
func (d *Disk) vague() bool {
	vague := false
	d.each(func(n *inode) {
		if len(n.pending) == 0 {
			return
		}
		longest := n.medium.size
		for i := range n.pending {
			longest = max(longest, n.sizeAt(n.medium.size, i+1))
		}
		vague = vague || d.tears() || d.profile.Unwritten != UnwrittenZero && longest > n.medium.size
	})
	return vague
}

// tears reports whether a piece may be cut short.
func (d *Disk) tears() bool { return d.profile.Torn && !d.profile.AtomicSectors }

// plan finds the choices of a power cut.
func (d *Disk) plan() *plan {
	p := &plan{}
	d.each(func(n *inode) {
		if len(n.pending) > 0 && p.file(n) == nil {
			d.planFile(p, n)
		}
	})
	p.names = len(p.refs)
	for i := range d.moves {
		digit, rank := len(p.radix)-1, i
		if i == 0 || d.profile.NamesApart {
			digit, rank = p.digit(1), 0
		}
		p.radix[digit] = rank + 2
		p.refs = append(p.refs, ref{d.moves[i].seq, digit, rank})
	}
	if d.profile.Ordered {
		p.order()
	}
	return p
}

func (p *plan) digit(radix int) int {
	p.radix = append(p.radix, radix)
	return len(p.radix) - 1
}

func (d *Disk) planFile(p *plan, n *inode) {
	f := filePlan{seq: n.pending[0].seq, size: -1}
	sectors := map[int64]int{} // the digits of sectors that have versions
	for i := range n.pending {
		o := &n.pending[i]
		f.first = append(f.first, len(p.refs))
		for part := range o.pieces(d.profile.Sector) {
			sector := o.off/d.profile.Sector + int64(part)
			digit, again := sectors[sector]
			if !again || o.cut || !d.profile.AtomicSectors {
				digit = p.digit(1)
			}
			if !o.cut {
				sectors[sector] = digit
			}
			p.refs = append(p.refs, ref{o.seq, digit, p.radix[digit] - 1})
			p.radix[digit]++
		}
	}
	f.end = len(p.refs)
	f.sizes = d.otherSizes(n)
	if len(f.sizes) > 0 {
		f.size = p.digit(len(f.sizes) + 1)
	}
	p.files = append(p.files, f)
}

// otherSizes returns the sizes that a file may have apart from what its data give.
func (d *Disk) otherSizes(n *inode) []int64 {
	if !d.profile.SizeWithoutData && !d.profile.DataWithoutSize || d.profile.Ordered {
		return nil
	}
	sizes := []int64{n.medium.size}
	for i := range n.pending {
		if size := n.pending[i].end(sizes[len(sizes)-1]); size != sizes[len(sizes)-1] {
			sizes = append(sizes, size)
		}
	}
	if len(sizes) == 1 {
		return nil
	}
	return sizes
}

// order makes one digit of all: a cut keeps a prefix.
func (p *plan) order() {
	byTime := make([]int, len(p.refs))
	for i := range byTime {
		byTime[i] = i
	}
	slices.SortStableFunc(byTime, func(a, b int) int { return int(p.refs[a].seq) - int(p.refs[b].seq) })
	for rank, i := range byTime {
		p.refs[i].digit, p.refs[i].rank = 0, rank
	}
	p.radix = []int{len(p.refs) + 1}
}

// cuts returns how many numbers there are, or more than limit.
func (p *plan) cuts(limit int) int {
	count := 1
	for _, r := range p.radix {
		if count *= r; count > limit {
			return count
		}
	}
	return count
}

// next adds one, and reports false after the last number.
func (p *plan) next(digits []int) bool {
	for i := range digits {
		if digits[i]++; digits[i] < p.radix[i] {
			return true
		}
		digits[i] = 0
	}
	return false
}

// samples returns cuts that are worth a look where not all can be: each says which operations to
// keep.
func (p *plan) samples() []func(seq uint64) bool {
	seqs := make([]uint64, len(p.refs))
	for i := range p.refs {
		seqs[i] = p.refs[i].seq
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	keeps := []func(uint64) bool{
		func(uint64) bool { return false },
		func(uint64) bool { return true },
	}
	for i := len(seqs) - 1; i >= 0; i-- {
		keeps = append(keeps, func(seq uint64) bool { return seq < seqs[i] })
	}
	for i := len(seqs) - 1; i >= 0; i-- {
		keeps = append(keeps, func(seq uint64) bool { return seq != seqs[i] })
	}
	for i := len(seqs) - 1; i >= 0; i-- {
		keeps = append(keeps, func(seq uint64) bool { return seq == seqs[i] })
	}
	return keeps
}

// keep sets the digits so that of the given operations as much survives as the order of versions
// allows without the others.
func (p *plan) keep(digits []int, keep func(seq uint64) bool) []int {
	clear(digits)
	for again := true; again; {
		again = false
		for _, r := range p.refs {
			if digits[r.digit] == r.rank && keep(r.seq) {
				digits[r.digit]++
				again = true
			}
		}
	}
	return digits
}

// file returns the plan of a file, or nil.
func (p *plan) file(n *inode) *filePlan {
	for i := range p.files {
		if p.files[i].seq == n.pending[0].seq {
			return &p.files[i]
		}
	}
	return nil
}

// vector is the judge of one number.
type vector struct {
	plan   *plan
	d      *Disk
	digits []int
}

func (v *vector) survives(i int) bool {
	r := &v.plan.refs[i]
	return v.digits[r.digit] > r.rank
}

func (v *vector) whole(n *inode) fate {
	f := v.plan.file(n)
	if f.size >= 0 && v.digits[f.size] > 0 {
		return torn
	}
	count := 0
	for i := f.first[0]; i < f.end; i++ {
		if v.survives(i) {
			count++
		}
	}
	switch count {
	case 0:
		return dropped
	case f.end - f.first[0]:
		return kept
	}
	return torn
}

func (v *vector) piece(n *inode, i, part int, _ int64) fate {
	if v.survives(v.plan.file(n).first[i] + part) {
		return kept
	}
	return dropped
}

func (v *vector) size(n *inode, _, derived int64) int64 {
	f := v.plan.file(n)
	if f.size < 0 || v.digits[f.size] == 0 {
		return derived
	}
	return v.d.profile.otherSize(f.sizes[v.digits[f.size]-1], derived)
}

func (v *vector) filler(*inode, int64) (Unwritten, uint64) { return UnwrittenZero, 0 }

func (v *vector) name(i int) bool { return v.survives(v.plan.names + i) }

// otherSize returns size if it may stand where the data give derived, else derived.
func (p *Profile) otherSize(size, derived int64) int64 {
	if size > derived && p.SizeWithoutData || size < derived && p.DataWithoutSize {
		return size
	}
	return derived
}

package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// Remains walks what is left of a table file of which any byte may be damaged or gone, in key
// order. It trusts the meta that it was given, if any, and nothing else.
//
// A leaf that a sound inner page leads to is held against the checksum there. Leaves below a
// damaged inner page are looked for by their headers: they lie one after another. The format has
// their checksums in the damaged page only, so they are looked for among its bytes; a leaf whose
// checksum is not there, but which decodes and fits, is Unproven.
//
// Remains reads each leaf once and holds the inner pages of one table. It is for one goroutine.
type Remains struct {
	file    io.ReaderAt
	name    string
	size    int64 // of the file as it is
	leaves  int64 // where leaves end, as far as the file goes
	want    int64 // where leaves should end
	lo, hi  []byte
	parts   []part
	at      int
	search  *search
	visited int64
	proofs  proofs
	scratch scratch
}

// part is a leaf that a sound page refers to, or all that lies below a damaged one.
type part struct {
	lo, hi []byte
	ref    Ref
	err    error // of the damaged page
}

// Piece is a stretch of a table's keys: the entries of one leaf, or what is lost.
type Piece struct {
	Lo, Hi   []byte // the keys that belong here: Lo ≤ key < Hi; nil: not known
	Offset   int64  // in the file
	Lost     error  // why there are no entries; nil: there are
	Unproven bool   // the leaf has no checksum to be held against
	leaf     *leaf
}

// Len returns the number of entries.
func (p *Piece) Len() int {
	if p.leaf == nil {
		return 0
	}
	return int(p.leaf.count)
}

// Entry returns entry i; key and value alias an immutable page.
func (p *Piece) Entry(i int) (key, value []byte, kind Kind) { return p.leaf.entry(i) }

// maxEvidence bounds what is read of inner pages that nothing leads to, in bytes.
const maxEvidence = 8 << 20

// NewRemains returns a walk over the file, which has size bytes. m is what the checkpoint or the
// footer says of the table; nil if neither can be read.
func NewRemains(f io.ReaderAt, size int64, m *TableMeta, name string) *Remains {
	r := &Remains{file: f, name: name, size: size, leaves: size, want: size + 1}
	if m == nil {
		r.parts = []part{{err: r.damage(0, errors.New("the table's own description of itself is lost"))}}
		return r
	}
	r.want = int64(m.LeafBytes)
	r.leaves = min(size, r.want)
	r.lo, r.hi = m.Min, KeyAfter(m.Max)
	r.index(m.Root, m.Levels, r.lo, r.hi)
	if len(r.parts) == 1 && r.parts[0].err != nil && m.Levels > 0 {
		r.gather(m.Root.Offset + int64(m.Root.Length))
	}
	return r
}

// KeyAfter returns the lowest key above key, which is copied.
func KeyAfter(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), key...), 0)
}

func (r *Remains) damage(offset int64, err error) error {
	var bad *CorruptionError
	if errors.As(err, &bad) {
		return err
	}
	return &CorruptionError{File: r.name, Offset: offset, What: err.Error()}
}

// stored reads the bytes of ref, as far as the file has them, and says what is wrong with them.
func (r *Remains) stored(ref Ref, checked bool) ([]byte, error) {
	if ref.Offset < 0 || ref.Offset+int64(ref.Length) > r.size {
		err := fmt.Errorf("file of %d bytes ends before the page of %d", r.size, ref.Length)
		return nil, r.damage(ref.Offset, err)
	}
	b, err := readFull(r.file, r.name, r.scratch.stored, ref)
	if err != nil {
		return nil, err
	}
	if cap(b) <= maxKeptScratch {
		r.scratch.stored = b
	}
	if crc := checksum(b); checked && crc != ref.CRC {
		return b, r.damage(ref.Offset, fmt.Errorf("page checksum %#08x, its parent has %#08x", crc, ref.CRC))
	}
	return b, nil
}

// index appends the parts of the subtree at ref.
func (r *Remains) index(ref Ref, level uint8, lo, hi []byte) {
	if r.visited++; r.visited > r.size/headerBytes+1 {
		return // more references than pages have room: the tree is not one
	}
	if level == 0 {
		r.parts = append(r.parts, part{lo: lo, hi: hi, ref: ref})
		return
	}
	b, err := r.stored(ref, true)
	var p *Page
	if err == nil {
		p, err = decodePage(b, kindInner, level, ref.Offset, &r.scratch)
	}
	if err != nil {
		r.parts = append(r.parts, part{lo: lo, hi: hi, err: r.damage(ref.Offset, err)})
		r.proofs.add(b)
		return
	}
	for i, child := range p.inner.refs {
		from, to := lo, hi
		if i > 0 {
			from = p.inner.sep(i)
		}
		if i+1 < len(p.inner.refs) {
			to = p.inner.sep(i + 1)
		}
		r.index(child, level-1, from, to)
	}
}

// gather takes what lies between the leaves and end as evidence: all inner pages of a table whose
// root is lost.
func (r *Remains) gather(end int64) {
	n := min(end, r.size) - r.leaves
	if n <= 0 || n > maxEvidence {
		return
	}
	b := make([]byte, n)
	got, _ := r.file.ReadAt(b, r.leaves)
	r.proofs.add(b[:got])
	for at := 0; at+headerBytes <= got; {
		h, ok := peekHeader(b[at:got])
		if !ok || int64(h.storedLen) > int64(got-at-headerBytes) {
			next := bytes.Index(b[at+1:got], magicBytes)
			if next < 0 {
				return
			}
			at += 1 + next
			continue
		}
		end := at + headerBytes + int(h.storedLen)
		r.proofs.add(b[at:end])
		at = end
	}
}

// Next returns the next stretch of keys, or false at the end.
func (r *Remains) Next() (Piece, bool) {
	for {
		if r.search != nil {
			if p, ok := r.search.next(r); ok {
				return p, true
			}
			r.search = nil
		}
		if r.at == len(r.parts) {
			return Piece{}, false
		}
		part := &r.parts[r.at]
		r.at++
		if part.err == nil {
			return r.leafOf(part), true
		}
		r.search = r.below(r.at - 1)
	}
}

// leafOf reads a leaf that has a checksum.
func (r *Remains) leafOf(w *part) Piece {
	piece := Piece{Lo: w.lo, Hi: w.hi, Offset: w.ref.Offset}
	b, err := r.stored(w.ref, true)
	if err == nil {
		piece.leaf, err = r.decode(b)
	}
	if err == nil && !within(piece.leaf, w.lo, w.hi) {
		piece.leaf, err = nil, errors.New("the leaf has keys that do not belong there")
	}
	if err != nil {
		piece.Lost = r.damage(w.ref.Offset, err)
	}
	return piece
}

// within reports whether lo ≤ key < hi for all keys of the leaf; a nil hi is the end.
func within(l *leaf, lo, hi []byte) bool {
	first, _, _ := l.entry(0)
	last, _, _ := l.entry(int(l.count) - 1)
	return string(first) >= string(lo) && (hi == nil || string(last) < string(hi))
}

func (r *Remains) decode(b []byte) (*leaf, error) {
	p, err := decodePage(b, kindLeaf, 0, 0, &r.scratch)
	if err != nil {
		return nil, err
	}
	return p.leaf, nil
}

// below returns the search for the leaves of damaged part i, and of the damaged ones right behind
// it: they lie between those of its neighbours.
func (r *Remains) below(i int) *search {
	w := &r.parts[i]
	s := &search{lo: w.lo, hi: w.hi, stop: r.leaves, err: w.err, cut: r.leaves < r.want}
	if i > 0 {
		s.off = r.parts[i-1].ref.Offset + int64(r.parts[i-1].ref.Length)
	}
	for ; r.at < len(r.parts); r.at++ {
		next := &r.parts[r.at]
		if next.err == nil {
			s.cut = next.ref.Offset > r.leaves
			s.stop = min(s.stop, next.ref.Offset)
			break
		}
		s.hi = next.hi
	}
	s.from = s.off
	s.budget = 4*max(0, s.stop-s.off) + 1<<20
	return s
}

// search looks for the leaves of a stretch of the file by their headers.
type search struct {
	off, stop int64
	from      int64 // from here to off nothing was found
	lo, hi    []byte
	err       error
	budget    int64 // bytes that may still be read
	ready     *Piece
	cut, done bool // the file ends before stop should be; all was said
}

// next returns the next leaf, or what is lost before it.
func (s *search) next(r *Remains) (Piece, bool) {
	if p := s.ready; p != nil {
		s.ready = nil
		return *p, true
	}
	for s.off+headerBytes <= s.stop && s.budget > 0 {
		p, length := s.try(r)
		if p == nil {
			s.off = s.skip(r, length)
			continue
		}
		hole := Piece{Lo: s.lo, Hi: p.Lo, Offset: s.from, Lost: s.err}
		skipped := s.off > s.from
		s.off += length
		s.from, s.lo = s.off, p.Hi
		if skipped {
			s.ready = p
			return hole, true
		}
		p.Lo = hole.Lo
		return *p, true
	}
	if s.done || s.from == s.stop && !s.cut || s.hi != nil && string(s.lo) >= string(s.hi) {
		return Piece{}, false
	}
	s.done = true
	return Piece{Lo: s.lo, Hi: s.hi, Offset: s.from, Lost: s.err}, true
}

// try reads a leaf at off. Without one, length is where its header says that it ends, or zero.
func (s *search) try(r *Remains) (p *Piece, length int64) {
	var head [headerBytes]byte
	s.budget -= headerBytes
	if n, _ := r.file.ReadAt(head[:], s.off); n < headerBytes {
		return nil, 0
	}
	h, ok := peekHeader(head[:])
	if !ok {
		return nil, 0
	}
	length = headerBytes + int64(h.storedLen)
	if length > s.stop-s.off {
		return nil, 0
	}
	if h.kind != kindLeaf {
		return nil, length
	}
	s.budget -= length
	ref := Ref{Offset: s.off, Length: uint32(length)}
	b, err := r.stored(ref, false)
	if err != nil {
		return nil, 0
	}
	proven := r.proofs.have(checksum(b))
	l, err := r.decode(b)
	if err != nil {
		return nil, length
	}
	if !within(l, s.lo, s.hi) {
		return nil, length
	}
	first, _, _ := l.entry(0)
	last, _, _ := l.entry(int(l.count) - 1)
	return &Piece{Lo: first, Hi: KeyAfter(last), Offset: s.off, Unproven: !proven, leaf: l}, length
}

// skip returns where the next page may begin: at the end of the bad one at off, if its length can
// be right, or wherever the next magic is.
func (s *search) skip(r *Remains, length int64) int64 {
	var head [4]byte
	if at := s.off + length; length > 0 && at < s.stop {
		if n, _ := r.file.ReadAt(head[:], at); n == len(head) && bytes.Equal(head[:], magicBytes) {
			return at
		}
	}
	buf := make([]byte, 64<<10)
	for at := s.off + 1; at < s.stop; {
		n, _ := r.file.ReadAt(buf[:min(int64(len(buf)), s.stop-at)], at)
		s.budget -= int64(n)
		if i := bytes.Index(buf[:n], magicBytes); i >= 0 {
			return at + int64(i)
		}
		if n < len(magicBytes) {
			return at + int64(max(n, 1))
		}
		at += int64(n - len(magicBytes) + 1)
	}
	return s.stop
}

var magicBytes = binary.LittleEndian.AppendUint32(nil, pageMagic)

// peekHeader decodes a header without its payload.
func peekHeader(b []byte) (header, bool) {
	if len(b) < headerBytes || binary.LittleEndian.Uint32(b) != pageMagic || b[4] != formatVersion {
		return header{}, false
	}
	h := header{
		kind: pageKind(b[5]), compression: Compression(b[6]), level: b[7],
		count: binary.LittleEndian.Uint32(b[8:]), rawLen: binary.LittleEndian.Uint32(b[12:]),
		storedLen: binary.LittleEndian.Uint32(b[16:]),
	}
	return h, h.check() == nil && h.storedLen <= h.rawLen
}

// proofs are the bytes of damaged inner pages: what their children's checksums are looked for in.
type proofs struct {
	pages [][]byte
	last  []int // where the last one was found; they come in order
}

// add takes the bytes of a page, as they are and decompressed as far as that goes.
func (p *proofs) add(stored []byte) {
	if len(stored) == 0 {
		return
	}
	p.keep(bytes.Clone(stored))
	h, ok := peekHeader(stored)
	if !ok || h.kind != kindInner || h.rawLen > maxSharedBytes {
		return
	}
	payload := stored[headerBytes:]
	switch h.compression {
	case LZ4:
		raw := make([]byte, h.rawLen)
		if h.rawLen > 0 && plausible(payload, LZ4, int(h.rawLen)) == nil {
			_, _ = lz4.UncompressBlock(payload, raw) // what came before the damage is right
			p.keep(raw)
		}
	case Zstd:
		if raw, err := Decompress(nil, payload, Zstd, int(h.rawLen)); err == nil {
			p.keep(raw)
		}
	}
}

func (p *proofs) keep(b []byte) {
	p.pages = append(p.pages, b)
	p.last = append(p.last, 0)
}

// have reports whether the checksum is there.
func (p *proofs) have(crc uint32) bool {
	var want [4]byte
	binary.LittleEndian.PutUint32(want[:], crc)
	for i, b := range p.pages {
		at := bytes.Index(b[p.last[i]:], want[:])
		if at >= 0 {
			at += p.last[i]
		} else {
			at = bytes.Index(b, want[:])
		}
		if at >= 0 {
			p.last[i] = at
			return true
		}
	}
	return false
}

package walwriter

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Remains reads what is left of a log of which any byte may be damaged or gone. A record counts
// as sound when its checksum follows from that of the record before it, which may be proven
// itself or not: a group's header and a damaged record's own checksum say it too.
//
// It reads only, and holds one group at a time. It is for one goroutine.
type Remains struct {
	backend backends.Backend
	files   []remain
	damage  func(file string, offset int64, what string)
	visit   func(seq pages.Seq, batch []byte) error
	last    pages.Seq
	at      string // the file that is being read
	room    []byte
	slots   []uint32 // of all files, ascending

	// Asserted is the highest commit that a header says was synced, once Each has returned.
	Asserted pages.Seq
}

// remain is one segment file.
type remain struct {
	logFile
	chained bool      // the header is good: the chain value of its first record is known
	stop    pages.Seq // records from here on are another segment's
}

// NewRemains lists the log's files. from is what a checkpoint says of it; the zero Source if there
// is none. Files that cannot be read are told to damage when Each is called.
func NewRemains(b backends.Backend, from Source) (*Remains, error) {
	list, err := b.List()
	if err != nil {
		return nil, fmt.Errorf("walwriter: list the log: %w", err)
	}
	r := &Remains{backend: b}
	for _, f := range list {
		slot, ok := parseFileName(f.Name)
		if !ok {
			continue
		}
		r.slots = append(r.slots, slot)
		m := remain{logFile: logFile{name: f.Name, slot: slot, size: f.Size}, stop: pages.MaxSeq}
		if m.inspect(b) && !(from.Clean && uint64(m.header.epoch) <= from.Epoch) {
			r.files = append(r.files, m)
		}
	}
	slices.SortStableFunc(r.files, func(a, b remain) int {
		return cmp.Or(cmp.Compare(a.header.epoch, b.header.epoch), cmp.Compare(a.header.number, b.header.number))
	})
	lowest := pages.MaxSeq
	for i := len(r.files) - 1; i >= 0; i-- {
		f := &r.files[i]
		f.stop = lowest
		if f.header.base > 0 {
			lowest = min(lowest, f.header.base)
		}
	}
	return r, nil
}

// inspect finds out which segment the file is; false: none, or nothing that can be read.
func (m *remain) inspect(b backends.Backend) bool {
	f, err := b.Open(m.name)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, at := range [...]int64{0, headerCopyAt} {
		var head [headerBytes]byte
		if n, _ := f.ReadAt(head[:], at); n < headerBytes {
			continue
		}
		if h, ok := decodeSegmentHeader(head[:]); ok && (!m.chained || h.newer(&m.header)) {
			m.header, m.chained = h, true
		}
	}
	return m.chained || m.guess(f)
}

// guess takes the newest segment of which the file has groups for what it is.
func (m *remain) guess(f io.ReaderAt) bool {
	found := false
	eachGroup(f, dataStart, m.size, func(off int64, g groupHeader) bool {
		h := segmentHeader{number: g.number, epoch: g.epoch, align: minAlign}
		if found && !h.newer(&m.header) {
			return true
		}
		if r, ok := recordAt(f, off+groupHeaderBytes, m.size, g.chain); ok {
			h.base = r.seq
		}
		m.header, found = h, true
		return true
	})
	return found
}

// eachGroup calls f for everything between from and size that looks like a group header, until it
// answers false.
func eachGroup(file io.ReaderAt, from, size int64, f func(off int64, g groupHeader) bool) {
	buf := make([]byte, searchWindow+groupHeaderBytes)
	for off := alignUp(from, minAlign); off+groupHeaderBytes <= size; off += searchWindow {
		n, _ := file.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		for at := 0; at < searchWindow && at+groupHeaderBytes <= n; at += minAlign {
			if binary.LittleEndian.Uint32(buf[at:]) != groupMagic {
				continue
			}
			if g, ok := decodeGroupHeader(buf[at:n]); ok && !f(off+int64(at), g) {
				return
			}
		}
	}
}

// Each calls visit for every sound commit, ascending, and damage for each place that was meant to
// hold commits and does not, in the order of the log. The batch is valid until visit returns,
// whose error ends the walk.
func (r *Remains) Each(visit func(seq pages.Seq, batch []byte) error,
	damage func(file string, offset int64, what string)) error {
	r.visit, r.damage, r.last, r.Asserted = visit, damage, 0, 0
	for i := range r.files {
		if err := r.segment(&r.files[i]); err != nil {
			return err
		}
	}
	return nil
}

// Epoch is the highest epoch of any segment; zero: there is none.
func (r *Remains) Epoch() uint64 {
	if n := len(r.files); n > 0 {
		return uint64(r.files[n-1].header.epoch)
	}
	return 0
}

// Reads reports whether Each reads the file: it is a segment of the log.
func (r *Remains) Reads(file string) bool {
	return slices.ContainsFunc(r.files, func(m remain) bool { return m.name == file })
}

// maxMissing bounds what Missing names.
const maxMissing = 8

// Missing names files that are not there, though such with lower and with higher numbers are, of the
// newest epoch on. The log may have given them back; or one of them was the next segment.
func (r *Remains) Missing() (names []string) {
	lowest := uint32(math.MaxUint32)
	for i := range r.files {
		if uint64(r.files[i].header.epoch) == r.Epoch() {
			lowest = min(lowest, r.files[i].slot)
		}
	}
	slices.Sort(r.slots)
	for i := 1; i < len(r.slots); i++ {
		for slot := max(r.slots[i-1], lowest) + 1; slot < r.slots[i] && slot > lowest && len(names) < maxMissing; slot++ {
			names = append(names, fileName(slot))
		}
	}
	return names
}

// File is the name of the segment that Each is, or was last, reading.
func (r *Remains) File() string { return r.at }

// segment reads one file.
func (r *Remains) segment(m *remain) error {
	tell := r.damage
	r.damage = func(file string, offset int64, what string) {
		if r.last+1 < m.stop { // else the segment has nothing more that counts
			tell(file, offset, what)
		}
	}
	defer func() { r.damage = tell }()
	h := &m.header
	r.at = m.name
	if m.chained {
		r.Asserted = max(r.Asserted, h.syncedThrough, h.bodyThrough)
	} else {
		r.damage(m.name, 0, "both copies of the segment's header are damaged")
	}
	f, err := r.backend.Open(m.name)
	if err != nil {
		r.damage(m.name, 0, err.Error())
		return nil
	}
	defer f.Close()
	if m.chained && m.size < h.size {
		r.damage(m.name, m.size, fmt.Sprintf("file has %d of %d bytes", m.size, h.size))
	}
	s := segmentWalk{Remains: r, m: m, file: f, size: min(m.size, maxSegmentBytes), off: dataStart}
	if m.chained {
		s.chain, s.known = salt(h.chain, h.number, h.epoch), true
		s.size = min(s.size, h.size)
	}
	for s.off+groupHeaderBytes <= s.size {
		more, err := s.group()
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// segmentWalk is a place in a segment.
type segmentWalk struct {
	*Remains
	m     *remain
	file  io.ReaderAt
	size  int64
	off   int64
	chain uint32
	known bool // chain is the chain value at off
}

// header reads the group header at off, if there is one of this segment.
func (s *segmentWalk) header(off int64) (groupHeader, bool) {
	var b [groupHeaderBytes]byte
	if n, _ := s.file.ReadAt(b[:], off); n < len(b) {
		return groupHeader{}, false
	}
	g, ok := decodeGroupHeader(b[:])
	return g, ok && s.ours(g)
}

func (s *segmentWalk) ours(g groupHeader) bool {
	return g.number == s.m.header.number && g.epoch == s.m.header.epoch
}

// group reads the group at off. Where its header is damaged its records are read all the same, if
// the checksum before them is known; else the next header is looked for.
func (s *segmentWalk) group() (more bool, err error) {
	if g, ok := s.header(s.off); ok {
		s.Asserted = max(s.Asserted, g.syncedThrough)
		s.chain, s.known = g.chain, true
		return true, s.records(s.off+groupHeaderBytes, int64(g.bodyBytes))
	}
	next := s.size
	eachGroup(s.file, s.off+minAlign, s.size, func(off int64, g groupHeader) bool {
		if s.ours(g) {
			next = off
		}
		return next == s.size
	})
	if err := s.headless(next); err != nil {
		return false, err
	}
	s.off, s.known = next, false
	return next < s.size, nil
}

// maxSegmentGroup bounds what is read of groups whose headers are lost.
const maxSegmentGroup = 4 << 20

// headless reads what has no group header, up to the next one: records whose header is damaged, or
// their first ones as well, or nothing, at the end of the log.
func (s *segmentWalk) headless(next int64) error {
	first := s.off + groupHeaderBytes
	room := next - first
	if next == s.size {
		room = min(room, maxSegmentGroup)
	}
	r, ok := record{}, false
	if s.known {
		r, ok = recordAt(s.file, first, s.size, s.chain)
	}
	switch {
	case ok:
		s.damage(s.m.name, s.off, "the group's header is damaged")
		return s.records(first, max(room, int64(messages.RecordOverhead+len(r.payload))))
	case next < s.size:
		s.damage(s.m.name, s.off, "no group where one should begin")
	case !s.resumes(first, room):
		return nil // the end
	}
	return s.records(first, room)
}

// resumes reports whether commits of this log are in the n bytes at off, though none begins there.
// What an earlier use of the file left has lower numbers.
func (s *segmentWalk) resumes(off, n int64) bool {
	if !s.m.chained && s.last == 0 {
		return false // nothing to tell the numbers by
	}
	body := make([]byte, max(0, min(n, s.size-off)))
	got, _ := s.file.ReadAt(body, off)
	next, _ := resync(body[:got], 0, s.before())
	return next >= 0
}

// before is the commit before the next one of the segment, as far as is known.
func (s *segmentWalk) before() pages.Seq {
	if s.m.chained {
		return max(s.last, s.m.header.base-1)
	}
	return s.last
}

// recordAt reads the record at off of a file of size bytes, if it is sound.
func recordAt(f io.ReaderAt, off, size int64, chain uint32) (r record, ok bool) {
	var head [messages.RecordOverhead]byte
	if n, _ := f.ReadAt(head[:], off); n < len(head) {
		return r, false
	}
	n := int64(messages.RecordOverhead) + int64(binary.LittleEndian.Uint32(head[4:]))
	if n > size-off {
		return r, false
	}
	b := make([]byte, n)
	if got, _ := f.ReadAt(b, off); int64(got) < n {
		return r, false
	}
	r, _, ok = decodeRecord(b, chain)
	return r, ok
}

// records reads a body of n bytes at off, and moves on behind it.
func (s *segmentWalk) records(off, n int64) error {
	have := max(0, min(n, s.size-off))
	body := make([]byte, have)
	got, err := s.file.ReadAt(body, off)
	if int64(got) < have && err != nil {
		s.damage(s.m.name, off+int64(got), err.Error())
	}
	body = body[:got]
	s.off = alignUp(off+n, max(minAlign, int64(s.m.header.align)))
	at := 0
	for at < len(body) {
		r, size, ok := decodeRecord(body[at:], s.chain)
		if !ok {
			r, size, ok = s.vouched(body[at:])
		}
		if !ok {
			r, size, ok = s.mended(body[at:])
		}
		if ok {
			if err := s.commit(&r, off+int64(at)); err != nil {
				return err
			}
			s.chain = r.crc
			at += size
			continue
		}
		if s.padding(body[at:]) {
			break
		}
		s.damage(s.m.name, off+int64(at), fmt.Sprintf("record after commit %d is damaged", s.last))
		next, chain := resync(body, at, s.before())
		if next < 0 {
			s.known = false
			return nil
		}
		at, s.chain = next, chain
	}
	if int64(got) < n && s.off > s.size {
		s.known = false
	}
	return nil
}

// padding reports whether nothing but zeros follows: behind a group whose length is not known.
func (s *segmentWalk) padding(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// vouched decodes the record at the start of body whose own checksum is damaged: what it should
// be is what the next record's, or the next group's header, goes on from.
func (s *segmentWalk) vouched(body []byte) (r record, size int, ok bool) {
	if len(body) < messages.RecordOverhead {
		return r, 0, false
	}
	length := int64(binary.LittleEndian.Uint32(body[4:]))
	if length > int64(len(body)-messages.RecordOverhead) {
		return r, 0, false
	}
	size = messages.RecordOverhead + int(length)
	crc := crc32.Update(s.chain, castagnoli, body[4:size])
	if size == len(body) {
		g, found := s.header(s.off)
		ok = found && g.chain == crc
	} else {
		_, _, ok = decodeRecord(body[size:], crc)
	}
	if !ok {
		return r, 0, false
	}
	fixed := slices.Clone(body[:size])
	binary.LittleEndian.PutUint32(fixed, crc)
	return decodeRecord(fixed, s.chain)
}

// mended decodes the record at the start of body of which only the header is damaged: all that it
// says can be told from what is around it, and its own checksum says whether that was right.
func (s *segmentWalk) mended(body []byte) (r record, size int, ok bool) {
	if len(body) < messages.RecordOverhead {
		return r, 0, false
	}
	crc := binary.LittleEndian.Uint32(body)
	size = len(body)
	if next, _ := follower(body, 1, crc, s.before()); next > 0 {
		size = next
	}
	if size < messages.RecordOverhead {
		return r, 0, false
	}
	fixed := slices.Clone(body[:size])
	binary.LittleEndian.PutUint32(fixed[4:], uint32(size-messages.RecordOverhead))
	binary.LittleEndian.PutUint64(fixed[8:], uint64(s.before()+1))
	for flags := range uint32(flagS2 + 1) {
		binary.LittleEndian.PutUint32(fixed[16:], flags)
		if r, size, ok = decodeRecord(fixed, s.chain); ok {
			return r, size, true
		}
	}
	return r, 0, false
}

// farthest is how many commits may be missing where records are looked for.
const farthest = 1 << 20

// follower finds, at from or behind it, a record that goes on from the checksum crc.
func follower(body []byte, from int, crc uint32, last pages.Seq) (at int, chain uint32) {
	for at := from; at+messages.RecordOverhead <= len(body); at++ {
		seq := pages.Seq(binary.LittleEndian.Uint64(body[at+8:]))
		if seq <= last || last > 0 && seq > last+farthest {
			continue
		}
		if _, _, ok := decodeRecord(body[at:], crc); ok {
			return at, crc
		}
	}
	return -1, 0
}

// commit visits a sound record that is not another segment's.
func (s *segmentWalk) commit(r *record, off int64) error {
	if r.seq <= s.last || r.seq >= s.m.stop {
		return nil
	}
	batch, what := r.batch(func(n int) []byte {
		s.room = slices.Grow(s.room[:0], n)
		return s.room[:n:n]
	})
	if what != "" {
		s.damage(s.m.name, off, what)
		return nil
	}
	s.last = r.seq
	return s.visit(r.seq, batch)
}

// resync finds, behind a damaged record at from, a sound one: one that goes on from the damaged one's
// own checksum, or from that of a record before it that may be damaged itself. It returns where it
// begins and the chain value before it.
func resync(body []byte, from int, last pages.Seq) (next int, chain uint32) {
	if len(body)-from >= messages.RecordOverhead {
		if next, chain = follower(body, from+1, binary.LittleEndian.Uint32(body[from:]), last); next > 0 {
			return next, chain
		}
	}
	for at := from; at+2*messages.RecordOverhead <= len(body); at++ {
		seq := pages.Seq(binary.LittleEndian.Uint64(body[at+8:]))
		length := binary.LittleEndian.Uint32(body[at+4:])
		second := int64(at) + messages.RecordOverhead + int64(length)
		if seq <= last || last > 0 && seq > last+farthest || second+messages.RecordOverhead > int64(len(body)) ||
			pages.Seq(binary.LittleEndian.Uint64(body[second+8:])) != seq+1 {
			continue
		}
		crc := binary.LittleEndian.Uint32(body[at:])
		if _, _, ok := decodeRecord(body[second:], crc); ok {
			return int(second), crc
		}
	}
	return -1, 0
}

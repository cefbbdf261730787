package walwriter

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// Replay reads the log that follows a checkpoint, front to back, a block of commits at a time, so
// that the next block can be read while the one before is applied. It reads only. It is for one
// goroutine at a time; blocks that it has filled do not belong to it.
//
// Invariants:
//  1. Records below next have been read and verified, in order; those above from.Seq are in a
//     block.
//  2. link is the checksum of record next-1.
//  3. asserted is the highest syncedThrough of any header that was read.
//  4. While body is not nil, it is that of the group at off, and n of its bytes have been read.
type Replay struct {
	backend  backends.Backend
	from     Source
	files    []logFile
	order    []planned
	progress func(done, total int64)
	limit    int // bytes that end a block

	next     pages.Seq
	link     uint32
	asserted pages.Seq
	tail     tail

	at     int           // order[at] is under way
	file   backends.File // its; nil: it is not begun
	window window
	off    int64  // of the group under way, or of the next one
	chain  uint32 // chain value of the next record
	body   []byte
	n      int
	keep   int // where the records of body above the checkpoint begin

	ends           []int64 // per segment that is done: where its groups end
	records        int64
	done, total    int64
	reported, torn int64
}

// blockLimit is how many bytes of records and of decompressed batches end a block.
const blockLimit = 512 << 10

// Block is a stretch of commits of a log, verified and decompressed. The zero value is ready to be
// filled.
type Block struct {
	First   pages.Seq // of the first commit; the others follow without a gap
	Batches [][]byte  // the commits' batches; they must not be written to

	bytes       int
	arena, free []byte // of decompressed batches
}

// reset makes the block empty.
func (b *Block) reset(first pages.Seq) {
	clear(b.Batches)
	if cap(b.arena) > 2*blockLimit {
		b.arena = nil
	}
	*b = Block{First: first, Batches: b.Batches[:0], arena: b.arena, free: b.arena}
}

// room returns n bytes that are the block's until it is filled again.
func (b *Block) room(n int) []byte {
	if len(b.free) < n {
		b.arena = make([]byte, max(n, blockLimit))
		b.free = b.arena
	}
	room := b.free[:n:n]
	b.free = b.free[n:]
	b.bytes += n
	return room
}

// NewReplay finds the log's segments and plans their order. progress, if not nil, is told from
// time to time, by Next, how many bytes of how many have been read. Errors are those of Next. End
// the Replay with Close.
func NewReplay(b backends.Backend, from Source, progress func(done, total int64)) (*Replay, error) {
	files, err := inspect(b)
	if err != nil {
		return nil, err
	}
	order, err := plan(files, from)
	if err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	p := &Replay{
		backend: b, from: from, files: files, order: order, progress: progress, limit: blockLimit,
		next: from.Seq + 1, tail: tail{base: from.Seq},
	}
	for i := range order {
		p.total += order[i].header.size - dataStart
	}
	return p, nil
}

// Next fills b with the next commits above from.Seq, and reports whether there may be more. With
// an error b has the commits before the damage, and the Replay is over. The batches stay valid
// until b is filled again, whatever other blocks are.
//
// Errors: *pages.CorruptionError for bytes that are not what was synced, and the backend's errors
// for reads that fail.
func (p *Replay) Next(b *Block) (more bool, err error) {
	b.reset(p.next) // above from.Seq, as begin has not gone back yet or a block was full
	for p.at < len(p.order) {
		s := &p.order[p.at]
		if p.file == nil {
			if err := p.begin(s); err != nil {
				return false, err
			}
		}
		bad, full, err := p.groups(s, b)
		if full || err != nil {
			return full, err
		}
		if err := p.finish(s, bad); err != nil {
			return false, err
		}
	}
	return false, p.verify()
}

// Recovered returns what Next has read, after it has answered that there is no more.
func (p *Replay) Recovered() *Recovered {
	r := &Recovered{
		backend: p.backend, from: p.from, last: p.next - 1, tail: p.tail,
		records: p.records, bytes: p.done, torn: p.torn, copies: p.copies(),
	}
	r.sortFiles(p.files, p.order, p.ends)
	return r
}

// copies tells of damaged copies of headers. A crash tears one only before anything says that a commit
// of the segment was synced.
func (p *Replay) copies() (errs []error) {
	for i := range p.order {
		if s := &p.order[i]; s.bad >= 0 && p.asserted >= s.header.base {
			errs = append(errs, damaged(s.name, s.bad, "one copy of the segment's header is damaged"))
		}
	}
	return errs
}

// Close gives the file at hand back. It can be called again.
func (p *Replay) Close() {
	p.window.release()
	if p.file != nil {
		_ = p.file.Close() // it was only read
		p.file = nil
	}
}

// begin opens a segment, which must follow the one before.
func (p *Replay) begin(s *planned) error {
	h := &s.header
	if p.at == 0 {
		p.next, p.link = h.base, h.chain
		if h.base == p.from.Seq+1 {
			p.tail.skip(p.from.Seq, h.chain)
		}
	}
	if h.base != p.next || h.chain != p.link {
		return damaged(s.name, 0, "segment begins at commit %d after %08x, the log before ends at %d with %08x",
			h.base, h.chain, p.next-1, p.link)
	}
	p.assert(h.syncedThrough)
	f, err := p.backend.Open(s.name)
	if err != nil {
		return fmt.Errorf("walwriter: open %s: %w", s.name, err)
	}
	p.file, p.window = f, window{file: f, size: h.size}
	p.off, p.chain, p.body = dataStart, salt(p.link, h.number, h.epoch), nil
	return nil
}

// finish ends a segment. All but the last must reach the next one's base.
func (p *Replay) finish(s *planned, bad end) error {
	p.done += bad.group - dataStart
	p.progress(p.done, p.total)
	p.ends = append(p.ends, bad.group)
	if p.next != s.stop {
		if err := p.judge(s, bad); err != nil {
			return err
		}
	}
	p.Close()
	p.at++
	return nil
}

// end is where a segment's good groups and records end.
type end struct {
	group  int64 // offset of the group that is bad, or that is not there
	record int64 // offset of its first bad record; that of the group if its header is bad
}

// groups reads groups until the block is full, or until one is bad, the segment is full, or its
// stop is reached.
func (p *Replay) groups(s *planned, b *Block) (bad end, full bool, err error) {
	for {
		if p.body == nil {
			found, err := p.open(s)
			if err != nil {
				return end{}, false, err
			}
			if !found {
				off := min(p.off, s.header.size)
				return end{group: off, record: off}, false, nil
			}
		}
		if full, err := p.group(s, b); full || err != nil {
			return end{}, full, err
		}
		if p.n < len(p.body) && p.next < s.stop {
			return end{group: p.off, record: p.off + groupHeaderBytes + int64(p.n)}, false, nil
		}
		p.off = alignUp(p.off+groupHeaderBytes+int64(len(p.body)), int64(s.header.align))
		p.body = nil
		if at := p.done + p.off - dataStart; at-p.reported >= searchWindow {
			p.reported = at
			p.progress(at, p.total)
		}
	}
}

// open reads the header and the body of the group at off, or reports that there is none.
func (p *Replay) open(s *planned) (found bool, err error) {
	if p.next >= s.stop || p.off+groupHeaderBytes > s.header.size {
		return false, nil
	}
	b, err := p.window.at(p.off, groupHeaderBytes)
	if err != nil {
		return false, fmt.Errorf("walwriter: read %s: %w", s.name, err)
	}
	g, ok := decodeGroupHeader(b)
	body := int64(g.bodyBytes)
	if !ok || g.number != s.header.number || g.epoch != s.header.epoch || g.chain != p.chain ||
		body > s.header.size-p.off-groupHeaderBytes {
		return false, nil
	}
	p.assert(g.syncedThrough)
	if b, err = p.window.own(p.off+groupHeaderBytes, body); err != nil {
		return false, fmt.Errorf("walwriter: read %s: %w", s.name, err)
	}
	p.body, p.n, p.keep = b, 0, 0
	return true, nil
}

// group goes on with the records of body, up to the first bad one, the segment's stop, or where
// the block is full.
func (p *Replay) group(s *planned, b *Block) (full bool, err error) {
	for p.n < len(p.body) && p.next < s.stop {
		if b.bytes >= p.limit {
			return true, nil
		}
		r, size, ok := decodeRecord(p.body[p.n:], p.chain)
		if !ok {
			break
		}
		off := p.off + groupHeaderBytes + int64(p.n)
		if r.seq != p.next {
			return false, damaged(s.name, off, "record of commit %d, where %d should be", r.seq, p.next)
		}
		p.chain, p.link = r.crc, r.crc
		p.n += size
		if r.seq <= p.from.Seq {
			p.tail.skip(r.seq, r.crc)
			p.keep = p.n
		} else if err := p.record(s, &r, b, off); err != nil {
			return false, err
		}
		p.next++
	}
	if p.keep < p.n {
		p.tail.add(p.body[p.keep:p.n:p.n], p.next-1, p.link)
	}
	return false, nil
}

// record takes the record that begins at off into the block.
func (p *Replay) record(s *planned, r *record, b *Block, off int64) error {
	batch, what := r.batch(b.room)
	if what != "" {
		return damaged(s.name, off, "%s", what)
	}
	p.records++
	b.Batches = append(b.Batches, batch)
	b.bytes += len(r.payload)
	return nil
}

// assert takes note of a header's syncedThrough.
func (p *Replay) assert(seq pages.Seq) {
	p.asserted = max(p.asserted, seq)
	p.tail.assert(seq)
}

// judge decides what it means that the groups of a segment end where they do: a torn tail, or
// corruption if any later header says that there was more.
func (p *Replay) judge(s *planned, bad end) error {
	if s.stop != pages.MaxSeq {
		return damaged(s.name, bad.record, "log is unreadable from commit %d on, the next segment begins at %d", p.next, s.stop)
	}
	later, err := searchGroups(p.file, bad.group, s.header.size, s.header.number, s.header.epoch)
	if err != nil {
		return fmt.Errorf("walwriter: read %s: %w", s.name, err)
	}
	known := max(p.asserted, later.syncedThrough, p.from.Seq)
	if s.header.bodyThrough >= s.header.base {
		known = max(known, s.header.bodyThrough)
	}
	if known >= p.next {
		return damaged(s.name, bad.record, "log is unreadable from commit %d on, and was synced up to %d", p.next, known)
	}
	p.torn = max(0, later.end-bad.record)
	return nil
}

// verify holds what was read against files whose header is lost.
func (p *Replay) verify() error {
	for i := range p.files {
		f := &p.files[i]
		if !f.groups || p.from.Clean && uint64(f.header.epoch) <= p.from.Epoch {
			continue
		}
		if f.syncedThrough >= p.next {
			return damaged(f.name, 0, "header of segment %d.%d is lost; the log ends at commit %d and was synced up to %d",
				f.header.epoch, f.header.number, p.next-1, f.syncedThrough)
		}
	}
	return nil
}

// A segment is read in pieces that double from firstWindow to windowBytes: a short log takes little.
const (
	firstWindow = 16 << 10
	windowBytes = 1 << 20
)

// window reads a file front to back. Each buffer but those of the first size is filled once: who has a
// part of it may keep it.
type window struct {
	file backends.File
	size int64
	off  int64 // of buf
	buf  []byte
	next int64 // bytes of the next piece, at least
}

// firsts are buffers of the first size.
var firsts = sync.Pool{New: func() any { return new([firstWindow]byte) }}

// release lets go of the buffer.
func (w *window) release() {
	if cap(w.buf) == firstWindow {
		firsts.Put((*[firstWindow]byte)(w.buf[:firstWindow]))
	}
	w.buf = nil
}

// buffer returns a buffer of n bytes with anything in it.
func buffer(n int64) []byte {
	if n <= firstWindow {
		return firsts.Get().(*[firstWindow]byte)[:n]
	}
	return make([]byte, n)
}

// own returns n bytes at off, which stay as they are.
func (w *window) own(off, n int64) ([]byte, error) {
	b, err := w.at(off, n)
	if cap(w.buf) == firstWindow {
		b = bytes.Clone(b)
	}
	return b, err
}

// at returns n bytes at off, valid until the next call. The caller keeps off+n within size.
func (w *window) at(off, n int64) ([]byte, error) {
	if off < w.off || off+n > w.off+int64(len(w.buf)) {
		if err := w.load(off, n); err != nil {
			return nil, err
		}
	}
	from := off - w.off
	return w.buf[from : from+n : from+n], nil
}

// load makes the window begin at off and hold at least n bytes.
func (w *window) load(off, n int64) error {
	w.next = min(max(2*w.next, firstWindow), windowBytes)
	buf := buffer(min(max(n, w.next), w.size-off))
	var have int
	if off >= w.off && off < w.off+int64(len(w.buf)) {
		have = copy(buf, w.buf[off-w.off:])
	}
	if err := readFull(w.file, buf[have:], off+int64(have)); err != nil {
		return err
	}
	w.release()
	w.off, w.buf = off, buf
	return nil
}

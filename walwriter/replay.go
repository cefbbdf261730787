package walwriter

import (
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// replay reads the groups of the planned segments, one after the other.
//
// Invariants:
//  1. Records below next have been read and verified, in order; those above from.Seq applied.
//  2. link is the checksum of record next-1.
//  3. asserted is the highest syncedThrough of any header that was read.
type replay struct {
	backend  backends.Backend
	from     Source
	apply    func(pages.Seq, []byte) error
	progress func(done, total int64)

	next     pages.Seq
	link     uint32
	asserted pages.Seq
	tail     tail
	window   window
	raw      []byte // for decompression

	ends           []int64 // per planned segment: where its groups end
	records        int64
	done, total    int64
	reported, torn int64
}

// segment replays one segment. All but the last must reach the next one's base.
func (p *replay) segment(s *planned, first bool) error {
	h := &s.header
	if first {
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
	defer f.Close()
	p.window.reset(f, h.size)
	bad, err := p.groups(s)
	if err != nil {
		return err
	}
	p.done += bad.group - dataStart
	p.progress(p.done, p.total)
	p.ends = append(p.ends, bad.group)
	if p.next == s.stop {
		return nil
	}
	return p.judge(s, f, bad)
}

// end is where a segment's good groups and records end.
type end struct {
	group  int64 // offset of the group that is bad, or that is not there
	record int64 // offset of its first bad record; that of the group if its header is bad
}

// groups reads groups until one is bad, the segment is full, or its stop is reached.
func (p *replay) groups(s *planned) (end, error) {
	off, chain := int64(dataStart), salt(p.link, s.header.number, s.header.epoch)
	for p.next < s.stop && off+groupHeaderBytes <= s.header.size {
		b, err := p.window.at(off, groupHeaderBytes)
		if err != nil {
			return end{}, fmt.Errorf("walwriter: read %s: %w", s.name, err)
		}
		g, ok := decodeGroupHeader(b)
		body := int64(g.bodyBytes)
		if !ok || g.number != s.header.number || g.epoch != s.header.epoch || g.chain != chain ||
			body > s.header.size-off-groupHeaderBytes {
			break
		}
		p.assert(g.syncedThrough)
		if b, err = p.window.at(off+groupHeaderBytes, body); err != nil {
			return end{}, fmt.Errorf("walwriter: read %s: %w", s.name, err)
		}
		n, err := p.group(s, b, &chain, off+groupHeaderBytes)
		if err != nil {
			return end{}, err
		}
		if int64(n) < body && p.next < s.stop {
			return end{group: off, record: off + groupHeaderBytes + int64(n)}, nil
		}
		off = alignUp(off+groupHeaderBytes+body, int64(s.header.align))
		if at := p.done + off - dataStart; at-p.reported >= searchWindow {
			p.reported = at
			p.progress(at, p.total)
		}
	}
	off = min(off, s.header.size)
	return end{group: off, record: off}, nil
}

// group applies the records of a body, up to the first bad one or the segment's stop, and
// returns how many bytes they take.
func (p *replay) group(s *planned, body []byte, chain *uint32, off int64) (int, error) {
	n, keep := 0, 0 // keep: where the records above the checkpoint begin
	for n < len(body) && p.next < s.stop {
		r, size, ok := decodeRecord(body[n:], *chain)
		if !ok {
			break
		}
		if r.seq != p.next {
			return 0, damaged(s.name, off+int64(n), "record of commit %d, where %d should be", r.seq, p.next)
		}
		*chain, p.link = r.crc, r.crc
		n += size
		if r.seq <= p.from.Seq {
			p.tail.skip(r.seq, r.crc)
			keep = n
		} else if err := p.record(s, &r, off+int64(n-size)); err != nil {
			return 0, err
		}
		p.next++
	}
	if keep < n {
		p.tail.add(body[keep:n], p.next-1, p.link)
	}
	return n, nil
}

// record applies one record that begins at off.
func (p *replay) record(s *planned, r *record, off int64) error {
	var batch []byte
	var what string
	if batch, p.raw, what = r.batch(p.raw); what != "" {
		return damaged(s.name, off, "%s", what)
	}
	p.records++
	if err := p.apply(r.seq, batch); err != nil {
		return fmt.Errorf("walwriter: replay commit %d: %w", r.seq, err)
	}
	return nil
}

// assert takes note of a header's syncedThrough.
func (p *replay) assert(seq pages.Seq) {
	p.asserted = max(p.asserted, seq)
	p.tail.assert(seq)
}

// judge decides what it means that the groups of a segment end where they do: a torn tail, or
// corruption if any later header says that there was more.
func (p *replay) judge(s *planned, f io.ReaderAt, bad end) error {
	if s.stop != pages.MaxSeq {
		return damaged(s.name, bad.record, "log is unreadable from commit %d on, the next segment begins at %d", p.next, s.stop)
	}
	later, err := searchGroups(f, bad.group, s.header.size, s.header.number, s.header.epoch)
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
func (p *replay) verify(files []logFile) error {
	for i := range files {
		f := &files[i]
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

// windowBytes is how much of a segment is read at a time.
const windowBytes = 1 << 20

// window reads a file front to back through a buffer that it keeps.
type window struct {
	file io.ReaderAt
	size int64
	off  int64 // of buf
	buf  []byte
}

func (w *window) reset(f io.ReaderAt, size int64) {
	w.file, w.size, w.off, w.buf = f, size, 0, w.buf[:0]
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
	var have int
	if off >= w.off && off < w.off+int64(len(w.buf)) {
		have = copy(w.buf, w.buf[off-w.off:])
	}
	want := int(min(max(n, windowBytes), w.size-off))
	if cap(w.buf) < want {
		w.buf = append(make([]byte, 0, want), w.buf[:have]...)
	}
	w.off, w.buf = off, w.buf[:want]
	if err := readFull(w.file, w.buf[have:], off+int64(have)); err != nil {
		w.buf = w.buf[:have]
		return err
	}
	return nil
}

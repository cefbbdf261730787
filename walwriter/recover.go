package walwriter

import (
	"fmt"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// Source says where in the log recovery begins: what the newest checkpoint holds.
type Source struct {
	Seq   pages.Seq // every commit at or below is in the checkpoint
	Epoch uint64    // in which the checkpoint was written
	Clean bool      // the checkpoint says that no log follows (or there is none, and no store yet)
}

// Recovered is a replayed log. Start makes it the log of a new life; a store that is opened
// for reading only leaves it at that.
//
// Invariants:
//  1. asserted ≤ last, and the tail holds exactly the records above asserted, up to last.
//  2. live holds the files with records at or below asserted that no checkpoint covers.
type Recovered struct {
	backend  backends.Backend
	from     Source
	last     pages.Seq
	tail     tail
	live     []*segment
	stale    []*segment // files that are no part of the log any more
	blank    []*segment // spares that were never used
	slot     uint32     // the highest in use
	number   uint32     // the highest seen
	epoch    uint32     // the highest seen
	records  int64
	bytes    int64
	torn     int64
	finished bool
}

// Recover replays the log that follows a checkpoint: it calls apply for each commit above
// from.Seq, in order. The batch that apply is given is valid until apply returns. progress, if
// not nil, is told from time to time how many bytes of how many have been read.
//
// It reads only. Errors: *pages.CorruptionError for bytes that are not what was synced, the
// backend's errors for reads that fail, and apply's.
func Recover(b backends.Backend, from Source, apply func(seq pages.Seq, batch []byte) error,
	progress func(done, total int64)) (*Recovered, error) {
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
	p := &replay{
		backend: b, from: from, apply: apply, progress: progress,
		next: from.Seq + 1, tail: tail{base: from.Seq},
	}
	for i := range order {
		p.total += order[i].header.size - dataStart
	}
	for i := range order {
		if err := p.segment(&order[i], i == 0); err != nil {
			return nil, err
		}
	}
	if err := p.verify(files); err != nil {
		return nil, err
	}
	r := &Recovered{
		backend: b, from: from, last: p.next - 1, tail: p.tail,
		records: p.records, bytes: p.done, torn: p.torn,
	}
	r.sortFiles(files, order, p.ends)
	return r, nil
}

// sortFiles tells the files that the next recovery may need from those that can go.
func (r *Recovered) sortFiles(files []logFile, order []planned, ends []int64) {
	live := make(map[uint32]bool, len(order))
	for i, o := range order {
		if o.header.base > r.tail.base {
			continue // the new segment takes all that it holds
		}
		live[o.slot] = true
		r.live = append(r.live, &segment{
			slot: o.slot, size: o.header.size, number: o.header.number, epoch: o.header.epoch,
			base: o.header.base, last: min(o.stop-1, r.tail.base), end: ends[i], headerSynced: true,
		})
	}
	for i := range files {
		f := &files[i]
		r.slot = max(r.slot, f.slot)
		if f.valid || f.groups {
			r.number, r.epoch = max(r.number, f.header.number), max(r.epoch, f.header.epoch)
		}
		switch {
		case live[f.slot]:
		case f.valid || f.groups:
			r.stale = append(r.stale, &segment{slot: f.slot, size: f.size})
		default:
			r.blank = append(r.blank, &segment{slot: f.slot, size: f.size})
		}
	}
}

// Last is the last commit that was recovered: the checkpoint's if the log held none above.
func (r *Recovered) Last() pages.Seq { return r.last }

// Epoch is the highest epoch seen in any log file, also in those that count no more.
func (r *Recovered) Epoch() uint64 { return uint64(r.epoch) }

// Records is the number of commits that were replayed.
func (r *Recovered) Records() int64 { return r.records }

// Bytes is the length of the log that was read, in bytes.
func (r *Recovered) Bytes() int64 { return r.bytes }

// TornBytes is the length of what was cut at the end, as far as its headers could be read.
func (r *Recovered) TornBytes() int64 { return r.torn }

// Close lets go of the replayed tail. It is needed only where Start is not called.
func (r *Recovered) Close() error {
	r.finished, r.tail = true, tail{}
	return nil
}

// tail is the end of the log that no header asserts yet. A restart may have found it in the
// system's cache only.
//
// Invariants:
//  1. buf holds the records above base, as the log has them; marks are in ascending order,
//     the last one is the end of buf.
//  2. chain is the checksum of record base.
type tail struct {
	base  pages.Seq
	chain uint32
	buf   []byte
	marks []mark
}

// mark is the end of a group in the tail.
type mark struct {
	last  pages.Seq
	chain uint32 // checksum of record last
	end   int    // offset in buf
}

// add appends the records of a group.
func (t *tail) add(records []byte, last pages.Seq, chain uint32) {
	t.buf = append(t.buf, records...)
	t.marks = append(t.marks, mark{last: last, chain: chain, end: len(t.buf)})
}

// skip moves the base of an empty tail up.
func (t *tail) skip(seq pages.Seq, chain uint32) { t.base, t.chain = seq, chain }

// assert drops the groups that lie at or below seq.
func (t *tail) assert(seq pages.Seq) {
	n := 0
	for n < len(t.marks) && t.marks[n].last <= seq {
		n++
	}
	if n == 0 {
		return
	}
	drop := t.marks[n-1]
	t.skip(drop.last, drop.chain)
	t.buf = t.buf[:copy(t.buf, t.buf[drop.end:])]
	t.marks = t.marks[:copy(t.marks, t.marks[n:])]
	for i := range t.marks {
		t.marks[i].end -= drop.end
	}
}

// errFinished is what a Recovered answers after Start or Close.
var errFinished = fmt.Errorf("walwriter: this recovery is over")

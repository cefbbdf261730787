package walwriter

import (
	"fmt"
	"slices"

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
	copies   []error
	finished bool
}

// Recover replays the log that follows a checkpoint: it calls apply for each commit above
// from.Seq, in order. The batch that apply is given is valid until apply returns. progress, if
// not nil, is told from time to time how many bytes of how many have been read.
//
// It reads only. Errors: those of Replay.Next, and apply's.
func Recover(b backends.Backend, from Source, apply func(seq pages.Seq, batch []byte) error,
	progress func(done, total int64)) (*Recovered, error) {
	p, err := NewReplay(b, from, progress)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var block Block
	for more := true; more; {
		more, err = p.Next(&block)
		for i, batch := range block.Batches {
			seq := block.First + pages.Seq(i)
			if err := apply(seq, batch); err != nil {
				return nil, fmt.Errorf("walwriter: replay commit %d: %w", seq, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return p.Recovered(), nil
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

// Copies returns a *pages.CorruptionError for each segment of which one copy of the header is damaged, though
// it was synced. Recovery does with the other one.
func (r *Recovered) Copies() []error { return r.copies }

// Close lets go of the replayed tail. It is needed only where Start is not called.
func (r *Recovered) Close() error {
	r.finished, r.tail = true, tail{}
	return nil
}

// tail is the end of the log that no header asserts yet. A restart may have found it in the
// system's cache only.
//
// Invariants:
//  1. groups hold the records above base, as the log has them, in order.
//  2. chain is the checksum of record base.
type tail struct {
	base   pages.Seq
	chain  uint32
	groups []tailGroup
}

// tailGroup is what the tail has of one group.
type tailGroup struct {
	records []byte // they alias what was read
	last    pages.Seq
	chain   uint32 // checksum of record last
}

// add appends the records of a group; they belong to the tail from now on.
func (t *tail) add(records []byte, last pages.Seq, chain uint32) {
	t.groups = append(t.groups, tailGroup{records: records, last: last, chain: chain})
}

// skip moves the base of an empty tail up.
func (t *tail) skip(seq pages.Seq, chain uint32) { t.base, t.chain = seq, chain }

// assert drops the groups that lie at or below seq.
func (t *tail) assert(seq pages.Seq) {
	n := 0
	for n < len(t.groups) && t.groups[n].last <= seq {
		t.skip(t.groups[n].last, t.groups[n].chain)
		n++
	}
	t.groups = slices.Delete(t.groups, 0, n)
}

// errFinished is what a Recovered answers after Start or Close.
var errFinished = fmt.Errorf("walwriter: this recovery is over")

package walwriter

import (
	"errors"
	"fmt"
	"math"

	"github.com/aegis-storage/aegis/backends"
)

// Start begins a new epoch. What no header of the replayed log asserts is written and synced
// again, in a new segment: it may have been read from a cache that a failed sync had left
// behind. The new header, synced after that, voids whatever older segments hold at or above
// its base. So a crash at any point leaves either the old log or the new one, with the same
// commits.
//
// After an error the store must be recovered anew.
func (r *Recovered) Start(cfg Config) (*Machine, error) {
	if r.finished {
		return nil, errFinished
	}
	r.finished = true
	if cfg.Epoch <= uint64(r.epoch) || cfg.Epoch <= r.from.Epoch || cfg.Epoch > math.MaxUint32 {
		return nil, fmt.Errorf("walwriter: epoch %d after epoch %d", cfg.Epoch, max(uint64(r.epoch), r.from.Epoch))
	}
	if r.number == math.MaxUint32 || r.slot == math.MaxUint32 {
		return nil, errors.New("walwriter: segment numbers are used up")
	}
	m := newMachine(cfg, uint32(cfg.Epoch))
	seg, err := r.resume(m)
	if err != nil {
		return nil, fmt.Errorf("walwriter: resume the log: %w", err)
	}
	m.live = append(r.live, seg)
	m.leaving = append(r.stale, r.blank...)
	m.nextSlot, m.nextNumber = seg.slot+1, seg.number+1
	m.last, m.synced, m.asserted, m.released = r.last, r.last, r.tail.base, r.from.Seq
	m.releaseSegments()
	r.tail = tail{}
	return m, nil
}

// resume makes the first segment of the epoch. On a full medium it makes room, as far as it may
// before anything of this life is durable: it removes spares that were never used, and makes do
// with a small segment.
func (r *Recovered) resume(m *Machine) (*segment, error) {
	seg, err := r.makeBody(m, m.limits.FirstSegment)
	if errors.Is(err, backends.ErrNoSpace) {
		if err := r.MakeRoom(); err != nil {
			return nil, err
		}
		seg, err = r.makeBody(m, dataStart+blockBytes)
	}
	if err != nil {
		return nil, err
	}
	// From here on the file stays whatever happens: its header may be on the medium, and the
	// next recovery must see that this epoch was used.
	if err = r.writeHead(m, seg); err != nil {
		return nil, errors.Join(err, seg.close())
	}
	seg.headerSynced = true
	return seg, nil
}

// MakeRoom removes the spares that were never used. The store holds the same without them, so it may
// be called on a full medium before anything else of this life is durable.
func (r *Recovered) MakeRoom() error {
	if len(r.blank) == 0 {
		return nil
	}
	err := removeAll(r.backend, r.blank)
	if err == nil {
		r.blank = nil
	}
	return err
}

// makeBody makes a segment without a header that holds the tail, with at least size bytes more.
func (r *Recovered) makeBody(m *Machine, size int64) (*segment, error) {
	f, slot, err := createFile(r.backend, r.slot+1)
	if err != nil {
		return nil, err
	}
	seg := &segment{
		slot: slot, file: f, number: r.number + 1, epoch: m.epoch,
		base: r.tail.base + 1, last: r.last, end: dataStart,
	}
	seg.size = alignUp(size+r.tailBytes(m.credit.align), blockBytes)
	if err := r.writeBody(m, seg); err != nil {
		// Without a header the file means nothing; if it stays, the next recovery removes it.
		_ = seg.remove(r.backend)
		return nil, err
	}
	return seg, nil
}

// writeBody fills the file, writes the tail as groups and syncs that.
func (r *Recovered) writeBody(m *Machine, seg *segment) error {
	if err := fill(seg.file, seg.size, func() error { return nil }); err != nil {
		return err
	}
	e := &m.enc
	e.reset() // of an attempt that failed
	e.chain, m.link = salt(r.tail.chain, seg.number, seg.epoch), r.tail.chain
	for i := range r.tail.groups {
		for rest := r.tail.groups[i].records; len(rest) > 0; m.link = e.chain {
			n := recordBytes(rest)
			if e.bodyBytes() > 0 && e.bodyBytes()+n > groupLimit {
				if err := r.writeGroup(e, seg, m.credit.align); err != nil {
					return err
				}
			}
			e.addStored(rest[:n])
			rest = rest[n:]
		}
	}
	if err := r.writeGroup(e, seg, m.credit.align); err != nil {
		return err
	}
	return seg.file.Sync()
}

// tailBytes bounds what the tail takes in a segment. Two groups that follow each other hold
// more than groupLimit together.
func (r *Recovered) tailBytes(align int64) int64 {
	var n int64
	for i := range r.tail.groups {
		n += int64(len(r.tail.groups[i].records))
	}
	if n == 0 {
		return 0
	}
	groups := n/(groupLimit/2) + 2
	return n + groups*(groupHeaderBytes+align)
}

// writeGroup writes the group in e, if there is one.
func (r *Recovered) writeGroup(e *encoder, seg *segment, align int64) error {
	if len(e.buf) == 0 {
		return nil
	}
	group := e.finish(seg, r.tail.base, e.bodyBytes())
	if _, err := seg.file.WriteAt(group, seg.end); err != nil {
		return err
	}
	seg.end = alignUp(seg.end+int64(len(group)), align)
	e.reset()
	return nil
}

// writeHead writes the header, which makes the segment count, and syncs it and its name.
func (r *Recovered) writeHead(m *Machine, seg *segment) error {
	h := segmentHeader{
		number: seg.number, epoch: seg.epoch, base: seg.base, syncedThrough: r.tail.base, bodyThrough: r.last,
		size: seg.size, chain: r.tail.chain, align: uint32(m.credit.align),
	}
	if err := seg.writeHeader(&h); err != nil {
		return err
	}
	if err := seg.file.Sync(); err != nil {
		return err
	}
	return r.backend.SyncDir()
}

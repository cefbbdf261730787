package versions

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// Registry holds the slots in which open snapshots are registered. Taking and giving back a slot
// is lock-free and allocates only when more are open than ever before; scanning takes time in
// the number of slots that were ever in use at once. The zero value is ready.
//
// Slots come in blocks of 8, 16, 32, …, and free ones form a stack (Treiber's, with a counter in
// its head against the ABA problem).
type Registry struct {
	free   atomic.Uint64 // [pops u32][slot number + 1 u32], 0 in the lower half: empty
	_      [56]byte
	blocks [maxBlocks]atomic.Pointer[[]Snapshot]
}

const (
	firstBlockBits = 3
	maxBlocks      = 26
)

// Snapshot is an open, registered read position: Seq in its View. It is valid until Release.
type Snapshot struct {
	Seq pages.Seq

	view     atomic.Pointer[View] // nil: free, or expired: whoever forgets a snapshot shall not hold memory by it
	word     atomic.Uint64        // 0: free or not yet registered; else [expired 1 bit][seq+1 62 bits][read-write 1 bit]
	epoch    atomic.Uint64        // View's epoch + 1; 0: not yet known
	since    atomic.Int64         // Unix nanoseconds
	origin   atomic.Pointer[Origin]
	next     atomic.Uint32 // on the free stack: number + 1 of the slot below
	no       uint32
	registry *Registry
	_        [64]byte // neighbours are used by other goroutines
}

// ErrTooOld is what reading an expired snapshot gives.
var ErrTooOld = errors.New("versions: snapshot is too old")

// Origin is where a snapshot was taken: return addresses as runtime.Callers gives them, the innermost
// first, zeros at the end. It does not change once it is set.
type Origin [12]uintptr

// SnapshotInfo describes an open snapshot.
type SnapshotInfo struct {
	Seq       pages.Seq // that it registered with; it may read at a higher one
	Epoch     uint64    // of its View
	Since     time.Time
	ReadWrite bool
	Expired   bool    // nothing is kept for it any more, but it was not released
	Origin    *Origin // nil: not known
}

func slotWord(seq pages.Seq, readWrite bool) uint64 {
	w := uint64(seq+1) << 1
	if readWrite {
		w |= 1
	}
	return w
}

// Flags of a slot's word. While Expire is at a snapshot its slot is not given back: it could be
// another one's by the time that the View is taken away.
const (
	wordExpired = 1 << 63
	wordEnding  = 1 << 62 // Expire is at it
	wordLeft    = 1 << 61 // released meanwhile: Expire gives the slot back
	wordFlags   = wordExpired | wordEnding | wordLeft
)

func wordSeq(w uint64) pages.Seq { return pages.Seq(w&^wordFlags>>1) - 1 }

// take returns a free slot.
func (r *Registry) take() *Snapshot {
	for {
		head := r.free.Load()
		if uint32(head) == 0 {
			if s := r.grow(); s != nil {
				return s
			}
			continue
		}
		s := r.slot(uint32(head) - 1)
		// next may be another goroutine's by now; then the counter has moved and the swap fails.
		if r.free.CompareAndSwap(head, (head>>32+1)<<32|uint64(s.next.Load())) {
			return s
		}
	}
}

func (r *Registry) slot(no uint32) *Snapshot {
	n := no + 1<<firstBlockBits
	b := bits.Len32(n) - 1
	return &(*r.blocks[b-firstBlockBits].Load())[n-1<<b]
}

// grow adds a block, keeps its first slot for the caller and puts the others on the stack. nil
// means that somebody else added one meanwhile.
func (r *Registry) grow() *Snapshot {
	for b := range r.blocks {
		if r.blocks[b].Load() != nil {
			continue
		}
		slots := make([]Snapshot, 1<<(b+firstBlockBits))
		for i := range slots {
			slots[i].no = uint32(len(slots) - 1<<firstBlockBits + i)
			slots[i].registry = r
		}
		if !r.blocks[b].CompareAndSwap(nil, &slots) {
			return nil
		}
		for i := range slots[1:] {
			r.put(&slots[1+i])
		}
		return &slots[0]
	}
	panic(fmt.Sprintf("versions: all %d snapshot slots in use", 1<<(maxBlocks+firstBlockBits)-1<<firstBlockBits))
}

func (r *Registry) put(s *Snapshot) {
	for {
		head := r.free.Load()
		s.next.Store(uint32(head))
		if r.free.CompareAndSwap(head, head>>32<<32|uint64(s.no+1)) {
			return
		}
	}
}

// Release ends the snapshot: its versions and files may go. s must not be used afterwards; the
// slot is another snapshot soon.
func (s *Snapshot) Release() {
	w := s.word.Load()
	if w == 0 || w&wordLeft != 0 {
		panic(fmt.Sprintf("versions: snapshot slot %d released twice", s.no))
	}
	if s.origin.Load() != nil {
		s.origin.Store(nil)
	}
	s.view.Store(nil) // or a free slot would keep a whole View alive
	s.epoch.Store(0)
	for {
		if w&wordEnding != 0 {
			if s.word.CompareAndSwap(w, w|wordLeft) {
				return
			}
		} else if s.word.CompareAndSwap(w, 0) {
			s.registry.put(s)
			return
		}
		w = s.word.Load()
	}
}

// scan calls f for every registered snapshot that has not expired.
func (r *Registry) scan(f func(s *Snapshot, word uint64)) {
	r.scanAll(func(s *Snapshot, w uint64) {
		if w&wordExpired == 0 {
			f(s, w)
		}
	})
}

func (r *Registry) scanAll(f func(s *Snapshot, word uint64)) {
	for b := range r.blocks {
		slots := r.blocks[b].Load()
		if slots == nil {
			return
		}
		for i := range *slots {
			if w := (*slots)[i].word.Load(); w != 0 {
				f(&(*slots)[i], w)
			}
		}
	}
}

func (r *Registry) appendSeqs(dst []pages.Seq) []pages.Seq {
	r.scan(func(_ *Snapshot, w uint64) { dst = append(dst, wordSeq(w)) })
	return dst
}

// Seqs returns the seqs of the open snapshots, ascending and without duplicates, in dst's
// memory if it suffices.
func (r *Registry) Seqs(dst []pages.Seq) []pages.Seq {
	dst = r.appendSeqs(dst[:0])
	slices.Sort(dst)
	return slices.Compact(dst)
}

// MinSeq returns the lowest seq of an open snapshot.
func (r *Registry) MinSeq() (seq pages.Seq, ok bool) {
	seq = pages.MaxSeq
	r.scan(func(_ *Snapshot, w uint64) { seq, ok = min(seq, wordSeq(w)), true })
	if !ok {
		return 0, false
	}
	return seq, ok
}

// MinEpoch returns the lowest epoch of an open snapshot's View. Asked after a new View was
// stored, it covers every snapshot that holds an older one.
func (r *Registry) MinEpoch() (epoch uint64, ok bool) {
	r.scan(func(s *Snapshot, _ uint64) {
		if e := s.epoch.Load(); e != 0 && (!ok || e-1 < epoch) {
			epoch, ok = e-1, true
		}
	})
	return epoch, ok
}

// Epochs returns the epochs of the open snapshots' Views, ascending and without duplicates, in
// dst's memory if it suffices. What MinEpoch says of new Views holds for it too.
func (r *Registry) Epochs(dst []uint64) []uint64 {
	dst = dst[:0]
	r.scan(func(s *Snapshot, _ uint64) {
		if e := s.epoch.Load(); e != 0 {
			dst = append(dst, e-1)
		}
	})
	slices.Sort(dst)
	return slices.Compact(dst)
}

// info describes s; ok is false while it is still being acquired.
func (s *Snapshot) info(w uint64) (i SnapshotInfo, ok bool) {
	e := s.epoch.Load()
	return SnapshotInfo{
		Seq: wordSeq(w), Epoch: e - 1, Since: time.Unix(0, s.since.Load()),
		ReadWrite: w&1 != 0, Expired: w&wordExpired != 0, Origin: s.origin.Load(),
	}, e != 0
}

// Expire ends the protection of the open snapshots for which f says so: their versions and files
// may go, their Views go with the reads under way, and reading them gives ErrTooOld. It returns how
// many, and tells ended of each. f may be asked twice about one. It is called by one goroutine at a
// time.
func (r *Registry) Expire(f func(SnapshotInfo) bool, ended func(SnapshotInfo)) int {
	n := 0
	r.scan(func(s *Snapshot, w uint64) {
		if i, ok := s.info(w); ok && f(i) && s.word.CompareAndSwap(w, w|wordEnding) {
			if i, expired := s.end(w, f); expired {
				n++
				ended(i)
			}
		}
	})
	return n
}

// end expires s, whose word is w with wordEnding, if f still says so: until that flag was set, s
// could become the snapshot of another View, or of another owner.
//
//	Expire                          Acquire
//	f says so of the old View
//	sets wordEnding
//	f says so again                 stores the epoch of a newer View
//	sets wordExpired                sees wordEnding: begins again
//
// If the epoch is stored before f is asked again, f sees it.
func (s *Snapshot) end(w uint64, f func(SnapshotInfo) bool) (i SnapshotInfo, expired bool) {
	i, ok := s.info(w)
	if ok && f(i) && s.word.CompareAndSwap(w|wordEnding, w|wordEnding|wordExpired) {
		w |= wordExpired
		s.view.Store(nil)
	}
	if !s.word.CompareAndSwap(w|wordEnding, w) && s.word.CompareAndSwap(w|wordEnding|wordLeft, 0) {
		s.registry.put(s)
	}
	return i, w&wordExpired != 0
}

// SetOrigin has List and Expire tell where the snapshot was taken. It is its owner's, until Release.
func (s *Snapshot) SetOrigin(o *Origin) { s.origin.Store(o) }

// Expired says whether the snapshot lost its protection. What was read from its indexes or its
// runs holds if Expired is false afterwards; Snapshot.Get looks by itself.
func (s *Snapshot) Expired() bool { return s.word.Load()&wordExpired != 0 || s.view.Load() == nil }

// View is what the snapshot reads in: nil if it has expired. The caller may keep it, and what it
// reads there holds as long as Expired is false afterwards.
func (s *Snapshot) View() *View { return s.view.Load() }

// List describes the open snapshots, oldest first.
func (r *Registry) List() []SnapshotInfo {
	var list []SnapshotInfo
	r.scanAll(func(s *Snapshot, w uint64) {
		if i, ok := s.info(w); ok {
			list = append(list, i)
		}
	})
	slices.SortStableFunc(list, func(a, b SnapshotInfo) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Seq, b.Seq))
	})
	return list
}

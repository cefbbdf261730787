package versions

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// Published is what readers find a consistent state by. The seqs are pages.Seq values that only
// rise. Order of the stores by those who own them:
//
//   - Applied before Visible;
//   - a View before the Applied or Visible of any commit that is in none of the indexes of the
//     View before it;
//   - Visible at or above a View's RunSeq before that View;
//   - TrimHorizon by Horizon only.
//
// So whoever loads a seq first and a View after has a View that holds every commit up to the
// seq.
type Published struct {
	Applied     atomic.Uint64 // in the version index: read-write transactions read at it
	Durable     atomic.Uint64 // synced in the log
	Visible     atomic.Uint64 // what read-only transactions and one-shot reads read at
	TrimHorizon atomic.Uint64 // reads at lower seqs must have been registered before
	_           [32]byte      // the seqs change with every commit, the View seldom
	View        atomic.Pointer[View]
	_           [56]byte
	Snapshots   Registry
}

// Taking a snapshot against trimming. Only a seq that the writer knows of is protected:
//
//	Horizon, Put (writer)                   Acquire (reader)
//	W1  TrimHorizon.Store(h)                R1  s = Visible.Load()
//	W2  scan the slots into keep            R2  slot.Store(s)
//	W3  trim chains by keep                 R3  if TrimHorizon.Load() > s: again
//
// All of these are sequentially consistent atomics. If the scan W2 misses the slot, it ran before
// R2, so W1 comes before R3:
//
//	W1 TrimHorizon = h
//	W2 slot not seen
//	                                        R2 slot = s
//	                                        R3 sees h or more: s < h goes back to R1
//
// and if it goes on, h ≤ s. Then s needs no slot: keep has h, every seq that Visible can show
// between h and the newest Put (pending), and the newest version is always kept. In the
// other order (slot scan first, TrimHorizon after) W2 R1 R2 R3 W1 W3 would pass R3 and lose the
// version; with the check R3 before R2, so would R1 R3 W1 W2 W3 R2.
//
// h is never above Visible, so R1 repeated finds s ≥ h: a reader goes round again only when the
// writer moved on meanwhile.
//
// A read-write transaction reads at Applied, which shows more values than Visible ever will: one
// for each Turn. Keep has only the one that is shown now, so R3 also asks whether Applied is
// still s. If it is, every scan that no longer has s in pending comes after the slot's store:
//
//	                                        R1 s = Applied (5)
//	shell: Applied = 6
//	W1 W2 W3 with pending = {…, 6}: 5 goes
//	                                        R2 slot = 5
//	                                        R3 horizon is 3, but Applied is not 5: again
//
// A one-shot Get has no slot and cannot prevent trimming, so it looks afterwards:
//
//	W1  TrimHorizon.Store(h)                G1  s = Visible.Load()
//	W2  scan                                G2  walk; a link with the cut mark was met
//	W3  store links with the cut mark       G3  if TrimHorizon.Load() > s: start again
//
// A mark seen at G2 was stored at W3, after W1, so G3 sees that trim's h or more. If h ≤ s for
// all of them, s was in every keep (as above) and the version found is right. A check before the
// walk would say nothing of trims that come between it and the walk.

// Horizon prepares trimming: from here on only reads at visible or above may begin. It fills
// keep with what must stay: visible, pending, and every registered snapshot. pending are the
// seqs above visible at which readers read already or may begin to without another Horizon:
// the value that Applied shows, and all that Visible can take.
//
// visible is the writer's own; the shell may not have stored it yet. The horizon is then held at
// the Visible that readers see, or they would spin until it is stored.
func (p *Published) Horizon(visible pages.Seq, pending []pages.Seq, keep *Keep) {
	seen := pages.Seq(p.Visible.Load())
	h := min(visible, seen)
	if h > pages.Seq(p.TrimHorizon.Load()) {
		p.TrimHorizon.Store(uint64(h))
	}
	seqs := append(keep.Seqs[:0], h, visible)
	seqs = append(seqs, pending...)
	seqs = p.Snapshots.appendSeqs(seqs)
	slices.Sort(seqs)
	keep.Seqs = slices.Compact(seqs)
}

// Acquire takes a snapshot: of the visible state, or for a read-write transaction of the applied
// one. now is shown by List. It allocates nothing unless more snapshots are open than ever
// before. Release it once.
func (p *Published) Acquire(readWrite bool, now time.Time) *Snapshot {
	s := p.Snapshots.take()
	s.since.Store(now.UnixNano())
	for !p.enter(s, readWrite) {
		for s.word.Load()&wordEnding != 0 {
			runtime.Gosched() // Expire is a few instructions away from its end
		}
		s.epoch.Store(0)
	}
	return s
}

// enter registers s at the present seq and View. It answers false if s is being expired, or was on
// the way, for the View of a moment ago.
func (p *Published) enter(s *Snapshot, readWrite bool) bool {
	from := &p.Visible
	if readWrite {
		from = &p.Applied
	}
	for {
		seq := pages.Seq(from.Load())
		s.word.Store(slotWord(seq, readWrite))
		if pages.Seq(p.TrimHorizon.Load()) <= seq && (!readWrite || pages.Seq(from.Load()) == seq) {
			s.Seq = seq
			break
		}
	}
	// The View after the seq: the other way round, commits of a newer index would be missed. Its
	// epoch pins its files like the seq pins versions: whoever stores a newer View and then scans
	// the slots either finds the epoch, or this second load finds the newer View. The epoch is
	// stored after the View, so that whoever finds it can take the View away.
	v := p.View.Load()
	for {
		s.view.Store(v)
		s.epoch.Store(v.Epoch + 1)
		now := p.View.Load()
		if now == v {
			break
		}
		v = now
	}
	// The runs have no versions of older seqs. The slot keeps the lower seq; a read at RunSeq
	// needs nothing of the indexes (invariant 8).
	s.Seq = max(s.Seq, v.RunSeq)
	return s.word.Load()&(wordEnding|wordExpired) == 0
}

// Get reads key at the visible state without a registered snapshot. ok with a tombstone's kind
// means deleted. seq is that of the version, or the View's RunSeq if a run had it. Errors are
// those of reading pages, with ErrTableGone handled here.
func (p *Published) Get(ctx context.Context, key []byte, hash uint64) (value []byte, kind pages.Kind, seq pages.Seq, ok bool, err error) {
	var last *View
	for {
		s := pages.Seq(p.Visible.Load())
		v := p.View.Load()
		s = max(s, v.RunSeq)
		got, ok, trimmed := v.fromIndexes(hash, key, s)
		if trimmed && pages.Seq(p.TrimHorizon.Load()) > s {
			continue
		}
		if ok {
			return got.Value, got.Kind, got.Seq, true, nil
		}
		got, ok, err = v.fromRuns(ctx, hash, key)
		if errors.Is(err, pages.ErrTableGone) && v != last {
			// Tables are retired after the View without them is stored: there is a newer one.
			last = v
			continue
		}
		return got.Value, got.Kind, got.Seq, ok, err
	}
}

// Get reads key in the snapshot. ok with a tombstone's kind means deleted. The Seq of a version
// from a run is the View's RunSeq. Errors are those of reading pages, and ErrTooOld.
func (s *Snapshot) Get(ctx context.Context, key []byte, hash uint64) (v Version, ok bool, err error) {
	// The slot protects what Seq needs, so what was trimmed is not missed. Expiry comes before
	// the trimming that it allows, so a look at it afterwards suffices.
	view := s.View()
	if view == nil {
		return Version{}, false, ErrTooOld
	}
	if v, ok, _ = view.fromIndexes(hash, key, s.Seq); !ok {
		v, ok, err = view.fromRuns(ctx, hash, key)
	}
	if s.Expired() {
		return Version{}, false, ErrTooOld
	}
	return v, ok, err
}

// fromIndexes looks into the indexes, newest first. trimmed says so of any chain that was met.
func (v *View) fromIndexes(hash uint64, key []byte, at pages.Seq) (got Version, ok, trimmed bool) {
	if got, ok, trimmed = v.Active.Get(hash, key, at); ok {
		return got, ok, trimmed
	}
	for _, x := range v.Frozen {
		var t bool
		got, ok, t = x.Get(hash, key, at)
		trimmed = trimmed || t
		if ok {
			break
		}
	}
	return got, ok, trimmed
}

func (v *View) fromRuns(ctx context.Context, hash uint64, key []byte) (Version, bool, error) {
	var value []byte
	var kind pages.Kind
	var ok bool
	var err error
	for i, r := range v.Runs {
		// Called directly, not through a variable: key then stays on the caller's stack.
		if i < len(v.Runs)-1 {
			value, kind, ok, err = r.GetFiltered(ctx, key, hash)
		} else {
			value, kind, ok, err = r.Get(ctx, key, hash)
		}
		if ok || err != nil {
			return Version{Value: value, Seq: v.RunSeq, Kind: kind}, ok && err == nil, err
		}
	}
	return Version{}, false, nil
}

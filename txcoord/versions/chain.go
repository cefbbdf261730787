package versions

import (
	"math"
	"slices"

	"github.com/aegis-storage/aegis/pages"
)

// A reader walks a chain while the writer puts versions at its head and cuts versions out of
// its middle. What it can rely on:
//
// A link without the cut mark leads to the version written just before: it is stored when its
// upper end is made, when the old head is still linked, and every later store to it adds the
// mark. So a walk that ends over an unmarked link has the true answer, whatever happened to the
// chain meanwhile and however stale the records it came by: records are not reused.
//
// A walk that ends over a marked link may have missed a version at or below its seq. Whether
// it did is what TrimHorizon tells (see Published.Horizon).
//
// A record or its bytes may be gone altogether: a stale link led to a version that was unlinked
// and dropped. The chain as it stands now has only records that are there, since a drop comes
// after the store that unlinked: the walk starts again from the head. It repeats only if the
// writer trimmed the same chain meanwhile.

// newest returns e's newest version at or below at; see Index.Get for trimmed.
func (x *Index) newest(e *entry, at pages.Seq) (v Version, ok, trimmed bool) {
restart:
	for l := link(e.head.Load()); ; {
		if l.ref() == 0 {
			switch {
			case e.seq > at: // every version ever was, there or trimmed
				return Version{}, false, false
			case l.end():
				return Version{}, false, l.cut()
			}
			return x.first(e), true, l.cut()
		}
		r := x.version(l.ref())
		if r == nil {
			goto restart
		}
		if r.seq > at {
			l = link(r.prev.Load())
			continue
		}
		value, there := x.valueOf(r)
		if !there {
			goto restart
		}
		return Version{Value: value, Seq: r.seq, Kind: r.kind()}, true, l.cut()
	}
}

// first returns the version inside e.
func (x *Index) first(e *entry) Version {
	v := Version{Seq: e.seq, Kind: e.kind()}
	if v.Kind == pages.KindValue {
		from := e.key.off() + e.keyLen() + e.gap()
		to := from + e.valLen()
		v.Value = x.chunks.get(e.key.chunk()).b[from:to:to]
	}
	return v
}

// valueOf returns r's value; there is false if its chunk was dropped.
func (x *Index) valueOf(r *version) (value []byte, there bool) {
	switch {
	case r.kind() == pages.KindTombstone:
		return nil, true
	case r.value == 0:
		return []byte{}, true
	}
	c := x.chunks.get(r.value.chunk())
	if c == nil {
		return nil, false
	}
	from := r.value.off()
	to := from + r.valLen()
	return c.b[from:to:to], true
}

// A Put looks at this many links below the new head; one in so many looks at all. So a key that
// very many snapshots see a version of each costs a Put little, and what they held is still
// found when they are gone.
const (
	trimLinks    = 32
	trimAllEvery = 32
)

// trim unlinks what keep does not protect in e's chain below the head v.
//
// A version lives at the seqs from its own up to just below that of the next newer one; it stays
// if one of keep's is among them.
func (x *Index) trim(e *entry, head versionRef, v *version, keep *Keep) {
	budget := trimLinks
	if head%trimAllEvery == 0 {
		budget = math.MaxInt
	}
	below := len(keep.Seqs) // keep.Seqs[:below] lie under v
	below, _ = slices.BinarySearch(keep.Seqs[:below], v.seq)
	for ; budget > 0; budget-- {
		from := link(v.prev.Load())
		to := from
		var next *version
		for !to.end() {
			next = nil
			seq := e.seq
			if to.ref() != 0 {
				next = x.version(to.ref())
				seq = next.seq
			}
			was := below
			if below, _ = slices.BinarySearch(keep.Seqs[:below], seq); below < was {
				break
			}
			if next == nil {
				to = linkEnd
				break
			}
			to = link(next.prev.Load())
			budget--
		}
		if to.ref() != from.ref() || to.end() != from.end() {
			// Unlinked first, dropped after: a reader that finds nothing behind a stale link
			// finds the new link when it starts again.
			v.prev.Store(uint64(to | linkCut))
			x.unlink(from, to)
		}
		if next == nil || to.end() {
			return
		}
		v = next
	}
}

// unlink gives back the versions from link from down to, not including, link to.
func (x *Index) unlink(from, to link) {
	n := int64(0)
	for from.ref() != to.ref() || from.end() != to.end() {
		n++
		if from.ref() == 0 {
			break // the first version lives inside the entry and goes with it
		}
		r := x.version(from.ref())
		prev := link(r.prev.Load())
		x.releaseVersion(from.ref(), r)
		from = prev
	}
	x.unlinked.Add(n)
}

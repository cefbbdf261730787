package walwriter

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// sample is a small log of two epochs and several segments, whose bytes the tests damage.
type sample struct {
	*harness
	d     *disk
	files map[string][]byte
	// Where synced records lie that headers assert, per file: damage there must be found.
	asserted map[string][][2]int
	copies   []error // of the last recovery
}

func newSample(t testing.TB) *sample {
	d := newDisk()
	l := testLimits()
	h := newTestLog(t, d, l)
	rng := rand.New(rand.NewPCG(7, 7))
	grow := func(rotations uint64) {
		for h.m.stats.Rotations < rotations {
			h.mustAppend(t, true, randomBatch(rng, 40), noise(rng, 2500), bytes.Repeat([]byte("z"), 700))
			must(t, h.runJobs())
		}
	}
	grow(2)
	must(t, h.step(messages.Release{UpTo: h.m.live[0].last}))
	must(t, h.runJobs())
	h.source.Seq = h.m.live[0].base
	h.mustAppend(t, true, []byte("unasserted"), []byte("tail"))
	must(t, h.open())
	h.publish()
	must(t, h.runJobs())
	grow(1)
	for range 4 {
		h.mustAppend(t, true, randomBatch(rng, 60), randomBatch(rng, 60))
	}
	s := &sample{harness: h, d: d, files: map[string][]byte{}, asserted: map[string][][2]int{}}
	for name, n := range d.names {
		s.files[name] = slices.Clone(n.cache)
	}
	s.findAsserted(t)
	return s
}

// findAsserted notes where the payloads of asserted records lie.
func (s *sample) findAsserted(t testing.TB) {
	files, err := inspect(s.d)
	must(t, err)
	order, err := plan(files, s.source)
	must(t, err)
	if len(order) < 3 || order[0].header.epoch == order[len(order)-1].header.epoch {
		t.Fatalf("the sample has %d segments", len(order))
	}
	seq := order[0].header.base
	for _, o := range order {
		b := s.files[o.name]
		for off := dataStart; seq < o.stop && off+groupHeaderBytes <= len(b); {
			g, ok := decodeGroupHeader(b[off:])
			if !ok || g.number != o.header.number {
				break
			}
			for at := off + groupHeaderBytes; at < off+groupHeaderBytes+int(g.bodyBytes); seq++ {
				n := recordBytes(b[at:])
				if seq <= s.m.asserted && seq < o.stop {
					s.asserted[o.name] = append(s.asserted[o.name], [2]int{at, at + n})
				}
				at += n
			}
			off = int(alignUp(int64(off+groupHeaderBytes)+int64(g.bodyBytes), int64(o.header.align)))
		}
	}
	if seq != s.m.last+1 || s.m.asserted >= s.m.last {
		t.Fatalf("found records up to %d of %d, asserted %d", seq-1, s.m.last, s.m.asserted)
	}
}

// isAsserted reports whether a byte is a part of an asserted record.
func (s *sample) isAsserted(name string, at int) bool {
	return slices.ContainsFunc(s.asserted[name], func(r [2]int) bool { return r[0] <= at && at < r[1] })
}

// try recovers with file name holding b instead, and returns the last commit; the harness has
// checked that it is a prefix. lost is the error if that was a *CorruptionError.
func (s *sample) try(t testing.TB, name string, b []byte) (last pages.Seq, lost *pages.CorruptionError) {
	t.Helper()
	n := s.d.names[name]
	whole := n.cache
	n.cache = b
	defer func() { n.cache = whole }()
	s.durable = 0
	r, err := s.recover()
	if errors.As(err, &lost) {
		if _, ok := s.files[lost.File]; !ok && lost.File != "wal-*" || lost.What == "" {
			t.Fatalf("%s: error without a place: %v", name, err)
		}
		return 0, lost
	}
	must(t, err)
	s.copies = r.Copies()
	return r.Last(), nil
}

// names are the sample's files in order; steps walks their used bytes, and some of the rest.
func (s *sample) names() []string {
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *sample) steps(name string) []int {
	var at []int
	for i, b := range s.files[name] {
		if b != 0 || i%97 == 0 {
			at = append(at, i)
		}
	}
	return at
}

func TestEveryBitFlipIsSeenOrCut(t *testing.T) {
	s := newSample(t)
	var cut, found, harmless int
	for _, name := range s.names() {
		for _, at := range s.steps(name) {
			b := slices.Clone(s.files[name])
			b[at] ^= 1 << (at % 8)
			last, lost := s.try(t, name, b)
			switch {
			case lost != nil:
				found++
			case s.isAsserted(name, at):
				t.Fatalf("%s: bit at %d lies in an asserted record, recovered up to %d of %d", name, at, last, s.m.last)
			case last < s.m.asserted:
				t.Fatalf("%s: bit at %d: recovered up to %d, asserted %d", name, at, last, s.m.asserted)
			case last < s.m.last:
				cut++
			default:
				harmless++
			}
		}
	}
	t.Logf("%d found, %d cut, %d harmless", found, cut, harmless)
	if cut == 0 || found == 0 || harmless == 0 {
		t.Errorf("%d found, %d cut, %d harmless", found, cut, harmless)
	}
}

func TestEveryTruncationIsSeen(t *testing.T) {
	s := newSample(t)
	for _, name := range s.names() {
		_, live := s.asserted[name]
		live = live || name == fileName(s.m.current().slot)
		for _, at := range s.steps(name) {
			last, lost := s.try(t, name, slices.Clone(s.files[name][:at]))
			if lost == nil && live && at >= headerBytes {
				t.Fatalf("%s: cut at %d: recovered up to %d", name, at, last)
			}
			if !live && (lost != nil || last != s.m.last) {
				t.Fatalf("%s is no part of the log; cut at %d: recovered up to %d, %v", name, at, last, lost)
			}
		}
	}
}

func TestEveryZeroedTail(t *testing.T) {
	s := newSample(t)
	current := fileName(s.m.current().slot)
	for _, name := range s.names() {
		for _, at := range s.steps(name) {
			b := slices.Clone(s.files[name])
			clear(b[at:])
			// In the current segment nothing is left that asserts what was there: a prefix.
			if last, lost := s.try(t, name, b); lost == nil && name != current && s.isAsserted(name, at) {
				t.Fatalf("%s: zeros from %d on: recovered up to %d", name, at, last)
			}
		}
	}
}

// TestEveryTornSector damages whole sectors, by zeros and by what another file has there.
func TestEveryTornSector(t *testing.T) {
	s := newSample(t)
	names, current := s.names(), fileName(s.m.current().slot)
	for i, name := range names {
		for at := 0; at+sector <= len(s.files[name]); at += sector {
			other := s.files[names[(i+1)%len(names)]]
			for _, with := range [][]byte{make([]byte, sector), other[min(at, len(other)-sector):]} {
				b := slices.Clone(s.files[name])
				copy(b[at:at+sector], with)
				last, lost := s.try(t, name, b)
				// In the current segment a sector may hold a record and all that asserts it.
				if lost == nil && last < s.m.asserted && name != current {
					t.Fatalf("%s: sector at %d: recovered up to %d, asserted %d", name, at, last, s.m.asserted)
				}
			}
		}
	}
}

func TestEveryFileLost(t *testing.T) {
	s := newSample(t)
	for _, name := range s.names() {
		n := s.d.names[name]
		delete(s.d.names, name)
		s.durable = 0
		_, err := s.recover()
		s.d.names[name] = n
		var lost *pages.CorruptionError
		if _, asserted := s.asserted[name]; asserted != errors.As(err, &lost) && name != fileName(s.m.current().slot) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestAnotherHistoryIsNotSpliced: two logs of the same segments, epochs and lengths differ in
// their commits. A group of the one in place of the other's, as a lost write over an old log
// would leave it, is noticed by the chain alone.
func TestAnotherHistoryIsNotSpliced(t *testing.T) {
	build := func(fill byte) (*harness, *disk) {
		d := newDisk()
		h := newTestLog(t, d, testLimits())
		for i := range 30 {
			h.mustAppend(t, true, bytes.Repeat([]byte{fill, byte(i)}, 200))
			must(t, h.runJobs())
		}
		return h, d
	}
	a, ad := build('a')
	_, bd := build('b')
	spliced := 0
	for name, n := range ad.names {
		other := bd.names[name].cache
		whole := slices.Clone(n.cache)
		for off := dataStart; off+groupHeaderBytes < len(whole); {
			g, ok := decodeGroupHeader(whole[off:])
			if !ok {
				break
			}
			end := off + groupHeaderBytes + int(g.bodyBytes)
			copy(n.cache[off:end], other[off:end])
			wrong := false
			r, err := Recover(ad, a.source, func(seq pages.Seq, batch []byte) error {
				wrong = wrong || !bytes.Equal(batch, a.commits[seq-1])
				return nil
			}, nil)
			var lost *pages.CorruptionError
			if err != nil && !errors.As(err, &lost) || err == nil && (wrong || r.Last() < a.m.asserted) {
				t.Fatalf("group at %d of %s: wrong %v, %v", off, name, wrong, err)
			}
			copy(n.cache, whole)
			off = int(alignUp(int64(end), minAlign))
			spliced++
		}
		// The whole body of a segment, under the right header, and the other way round.
		for _, from := range []int{0, dataStart} {
			copy(n.cache, whole)
			copy(n.cache[from:], other[from:])
			a.durable = 0
			if r, err := a.recover(); err == nil && r.Last() == a.m.last && !bytes.Equal(n.cache, whole) {
				t.Fatalf("%s from %d on is another log's: recovered up to %d", name, from, r.Last())
			}
		}
		copy(n.cache, whole)
	}
	if spliced < 30 {
		t.Errorf("%d groups spliced", spliced)
	}
}

// TestStaleSegmentIsNoPartOfTheLog: a recycled file whose activation was lost in a crash, and
// one whose header reached the medium without any group.
func TestStaleSegmentIsNoPartOfTheLog(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(2, 2))
	for h.m.stats.Recycled == 0 || h.m.stats.Rotations < 6 {
		h.mustAppend(t, true, noise(rng, 3000))
		must(t, h.runJobs())
		if len(h.m.live) > 2 {
			h.source.Seq = h.m.live[1].last
			must(t, h.step(messages.Release{UpTo: h.source.Seq}))
		}
	}
	if len(h.m.spares) == 0 {
		t.Fatal("no recycled spare")
	}
	spare := d.names[fileName(h.m.spares[0].slot)]
	stale := slices.Clone(spare.cache)
	before := h.durable
	for h.m.current().slot != h.m.spares[0].slot {
		rotations := h.m.stats.Rotations
		h.mustAppend(t, false, noise(rng, 3000))
		if h.m.stats.Rotations > rotations {
			break
		}
		before = pages.Seq(len(h.commits))
	}
	fresh := slices.Clone(spare.cache)
	for _, at := range []struct {
		name                string
		headA, headB, group []byte
	}{
		{"nothing of it", stale, stale, stale},
		{"the headers", fresh, fresh, stale},
		{"one header", fresh, stale, stale},
		{"the other header", stale, fresh, stale},
		{"the group", stale, stale, fresh},
	} {
		copy(spare.cache, at.headA[:headerCopyAt])
		copy(spare.cache[headerCopyAt:], at.headB[headerCopyAt:dataStart])
		copy(spare.cache[dataStart:], at.group[dataStart:])
		r, err := h.recover()
		if err != nil {
			t.Errorf("%s: %v", at.name, err)
		} else if r.Last() != before {
			t.Errorf("%s: recovered up to %d, want %d", at.name, r.Last(), before)
		}
	}
}

// TestOldGroupsUnderANewHeader: the groups that an earlier use of a file left do not pass as
// the new segment's, even where seqs and chain would fit.
func TestOldGroupsUnderANewHeader(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("one"))
	h.mustAppend(t, true, []byte("two"))
	n := d.names[fileName(h.m.current().slot)]
	for _, change := range []func(*segmentHeader){
		func(h *segmentHeader) { h.number++ },
		func(h *segmentHeader) { h.epoch++ },
	} {
		whole := slices.Clone(n.cache)
		head, _ := decodeSegmentHeader(n.cache)
		change(&head)
		copy(n.cache, head.appendTo(nil))
		copy(n.cache[headerCopyAt:], head.appendTo(nil))
		h.durable = 0
		if r, err := h.recover(); err != nil || r.Last() != 0 {
			t.Errorf("recovered %v, %v", r, err)
		}
		// Not even with group headers that were made to fit.
		for off := dataStart; ; {
			g, ok := decodeGroupHeader(n.cache[off:])
			if !ok {
				break
			}
			g.number, g.epoch, g.syncedThrough = head.number, head.epoch, 0
			if off == dataStart {
				g.chain = salt(head.chain, head.number, head.epoch)
			}
			g.put(n.cache[off:])
			off = int(alignUp(int64(off+groupHeaderBytes)+int64(g.bodyBytes), minAlign))
		}
		if r, err := h.recover(); err != nil || r.Last() != 0 {
			t.Errorf("recovered %v, %v", r, err)
		}
		copy(n.cache, whole)
	}
}

func TestLostHeadersOfTheLastSegment(t *testing.T) {
	s := newSample(t)
	name := fileName(s.m.current().slot)
	b := slices.Clone(s.files[name])
	clear(b[:dataStart])
	if last, lost := s.try(t, name, b); lost == nil || lost.File != name {
		t.Errorf("recovered up to %d, %v", last, lost)
	}
}

func TestOneHeaderCopyIsEnough(t *testing.T) {
	s := newSample(t)
	if _, lost := s.try(t, s.names()[0], s.files[s.names()[0]]); lost != nil || len(s.copies) > 0 {
		t.Fatalf("undamaged: %v, %v", lost, s.copies)
	}
	told := 0
	for _, name := range s.names() {
		for _, at := range headerOffsets {
			b := slices.Clone(s.files[name])
			clear(b[at : at+blockBytes])
			if last, lost := s.try(t, name, b); lost != nil || last != s.m.last {
				t.Errorf("%s without the header at %d: %d, %v", name, at, last, lost)
			}
			var bad *pages.CorruptionError
			switch {
			case len(s.asserted[name]) == 0 && len(s.copies) > 0:
				t.Errorf("%s without the header at %d, which may be torn: %v", name, at, s.copies)
			case len(s.asserted[name]) > 0 && (len(s.copies) != 1 || !errors.As(s.copies[0], &bad) || bad.File != name || bad.Offset != int64(at)):
				t.Errorf("%s without the header at %d, which was synced: %v", name, at, s.copies)
			}
			told += len(s.copies)
		}
	}
	if told == 0 {
		t.Error("no segment of the sample is sure to have been synced")
	}
}

// TestTornHeaderCopy: a segment of which nothing says that it was synced may have lost a copy of its header
// in a crash.
func TestTornHeaderCopy(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	for h.m.stats.Rotations == 0 {
		h.mustAppend(t, true, bytes.Repeat([]byte("z"), 700))
		must(t, h.runJobs())
	}
	s := &sample{harness: h, d: d}
	name := fileName(s.m.current().slot)
	torn := slices.Clone(d.names[name].cache)
	clear(torn[:blockBytes])
	for synced := range 2 {
		if last, lost := s.try(t, name, torn); lost != nil || last != s.m.last || len(s.copies) != synced {
			t.Errorf("%d: recovered up to %d, %v, %v", synced, last, lost, s.copies)
		}
		h.mustAppend(t, true, []byte("what it asserts"))
		torn = slices.Clone(d.names[name].cache)
		clear(torn[:blockBytes])
	}
}

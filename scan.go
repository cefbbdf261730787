package aegis

import (
	"bytes"
	"iter"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Range iterates over the keys lo ≤ key < hi of the default keyspace, ascending. A nil lo is the
// beginning, a nil hi the end. The package's comment tells what iterators promise and how they
// report errors.
func (tx *Tx) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] { return tx.def.Range(lo, hi) }

// RangeBackward is Range in descending order.
func (tx *Tx) RangeBackward(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return tx.def.RangeBackward(lo, hi)
}

// Prefix iterates over the keys of the default keyspace that begin with prefix, ascending.
func (tx *Tx) Prefix(prefix []byte) iter.Seq2[[]byte, []byte] { return tx.def.Prefix(prefix) }

// PrefixBackward is Prefix in descending order.
func (tx *Tx) PrefixBackward(prefix []byte) iter.Seq2[[]byte, []byte] {
	return tx.def.PrefixBackward(prefix)
}

// Range iterates over the keys lo ≤ key < hi, ascending. See Tx.Range.
func (k *Keyspace) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] { return k.scan(lo, hi, false) }

// RangeBackward is Range in descending order.
func (k *Keyspace) RangeBackward(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return k.scan(lo, hi, true)
}

// Prefix iterates over the keys that begin with prefix, ascending.
func (k *Keyspace) Prefix(prefix []byte) iter.Seq2[[]byte, []byte] {
	return k.scan(prefix, pages.PrefixEnd(prefix), false)
}

// PrefixBackward is Prefix in descending order.
func (k *Keyspace) PrefixBackward(prefix []byte) iter.Seq2[[]byte, []byte] {
	return k.scan(prefix, pages.PrefixEnd(prefix), true)
}

func (k *Keyspace) scan(lo, hi []byte, backward bool) iter.Seq2[[]byte, []byte] {
	both := make([]byte, 0, 2*pages.MaxKeyPrefix+len(lo)+len(hi))
	both = pages.AppendKey(both, k.id, lo)
	from, to := both[:len(both):len(both)], []byte(nil)
	if hi != nil {
		to = pages.AppendKey(both, k.id, hi)[len(both):]
	} else {
		to = pages.PrefixEnd(pages.AppendKeyspace(both, k.id)[len(both):])
	}
	return func(yield func(k, v []byte) bool) {
		tx := k.tx
		if err := k.usable(); err != nil {
			_ = tx.fail(err)
			return
		}
		if bytes.Compare(from, to) >= 0 {
			return
		}
		s := scan{tx: tx, prefix: len(from) - len(lo), lo: from, hi: to, backward: backward, watch: tx.db.latency.startScan()}
		tx.db.rt.Park(tx.ctx, nil)
		defer s.note()
		s.run(yield)
	}
}

// scan is one loop over a range of internal keys.
type scan struct {
	tx       *Tx
	snap     *versions.Snapshot
	prefix   int // bytes of the keyspace in front of each key
	lo, hi   []byte
	backward bool
	watch    stopwatch

	heap   []head
	first2 [2]head // where heap begins
	last   []byte  // the last internal key that the loop came to
	found  bool    // the loop has come to an entry that is there
	ended  bool    // the loop saw the whole range
	maxSeq pages.Seq
}

// head is a source that has a position, with its key at hand. rank is its place in the order of
// the sources.
type head struct {
	key  []byte
	rank int
	src  source
}

// run merges the sources and yields what is not deleted.
func (s *scan) run(yield func(k, v []byte) bool) {
	snap, release := s.tx.readSnapshot(s.lo)
	defer release()
	s.snap = snap
	if !s.open() {
		return
	}
	for len(s.heap) > 0 {
		top := &s.heap[0]
		if !s.tx.readOnly {
			s.maxSeq = max(s.maxSeq, top.src.seq())
		}
		if !s.emit(top.key, top.src.Value(), top.src.Kind(), yield) {
			return
		}
		ahead := len(s.heap) == 1 || !bytes.Equal(s.heap[s.second()].key, top.key)
		if run, ok := top.src.(runSource); ok && ahead {
			if !s.stretch(run.Cursor, yield) {
				return
			}
		} else if !s.advance() {
			return
		}
	}
	s.ended = !s.tooOld() // else there may be more
}

// emit comes to an entry: it yields it if it is not deleted. False: the loop has ended.
func (s *scan) emit(internal, value []byte, kind pages.Kind, yield func(k, v []byte) bool) bool {
	if s.tooOld() {
		return false // the entry may have been read after the protection ended
	}
	s.last = internal
	if kind != pages.KindValue {
		return true
	}
	if !s.found {
		s.first()
	}
	key := internal[s.prefix:]
	if !yield(key[:len(key):len(key)], value) {
		return false
	}
	if s.tx.done {
		_ = s.tx.fail(ErrTxDone)
		return false
	}
	s.tx.db.rt.Park(s.tx.ctx, nil)
	return true
}

// stretch goes on in a run, the foremost source, up to the next key that another source has. Most
// entries of most loops come this way, so it does without the heap and without interfaces. False:
// the loop has ended.
func (s *scan) stretch(c *pages.Cursor, yield func(k, v []byte) bool) bool {
	var limit []byte
	if len(s.heap) > 1 {
		limit = s.heap[s.second()].key
	}
	for {
		more := false
		if s.backward {
			more = c.Prev(s.tx.ctx)
		} else {
			more = c.Next(s.tx.ctx)
		}
		if !more {
			return s.drop(c.Err())
		}
		key := c.Key()
		if limit != nil && !s.short(key, limit) {
			s.heap[0].key = key
			s.sink(0)
			return true
		}
		if !s.emit(key, c.Value(), c.Kind(), yield) {
			return false
		}
	}
}

// short reports whether key comes before limit in the loop's direction.
func (s *scan) short(key, limit []byte) bool {
	if s.backward {
		return bytes.Compare(key, limit) > 0
	}
	return bytes.Compare(key, limit) < 0
}

// second is the place of the source behind the foremost one, of at least two.
func (s *scan) second() int {
	if len(s.heap) > 2 && s.before(&s.heap[2], &s.heap[1]) {
		return 2
	}
	return 1
}

// tooOld ends the loop with ErrSnapshotTooOld if its snapshot has expired.
func (s *scan) tooOld() bool {
	if !s.snap.Expired() {
		return false
	}
	_ = s.tx.fail(ErrSnapshotTooOld)
	return true
}

// fail ends the loop with err, or with ErrSnapshotTooOld if that is why.
func (s *scan) fail(err error) {
	if !s.tooOld() {
		_ = s.tx.fail(err)
	}
}

// open positions every source at its first entry.
func (s *scan) open() bool {
	view := s.snap.View()
	if view == nil {
		return !s.tooOld()
	}
	rank := 0
	s.heap = s.first2[:0]
	add := func(src source) bool {
		start := s.lo
		if s.backward {
			start = s.hi
		}
		if src.seek(s.tx.ctx, start, s.backward) {
			s.heap = append(s.heap, head{src.Key(), rank, src})
		} else if err := src.failure(); err != nil {
			s.fail(err)
			return false
		}
		rank++
		return true
	}
	if s.tx.writes.live > 0 {
		add(newOwnSource(s.tx.writes.ordered(), s.lo, s.hi))
	}
	addIndex := func(x *versions.Index) {
		if x.Len() > 0 {
			add(indexSource{x.NewCursor(s.snap.Seq, s.lo, s.hi)})
		}
	}
	addIndex(view.Active)
	for _, x := range view.Frozen {
		addIndex(x)
	}
	for _, r := range view.Runs {
		if !add(runSource{r.NewCursor(pages.CursorOptions{Lo: s.lo, Hi: s.hi, ScanCold: true})}) {
			return false
		}
	}
	for i := len(s.heap)/2 - 1; i >= 0; i-- {
		s.sink(i)
	}
	return true
}

// advance moves every source past the present key: older versions of it do not count.
func (s *scan) advance() bool {
	if len(s.heap) == 1 {
		return s.step()
	}
	key := s.last
	for len(s.heap) > 0 && bytes.Equal(s.heap[0].key, key) {
		if !s.step() {
			return false
		}
	}
	return true
}

// step moves the foremost source by one entry and restores the heap.
func (s *scan) step() bool {
	top := &s.heap[0]
	if !top.src.next(s.tx.ctx, s.backward) {
		return s.drop(top.src.failure())
	}
	top.key = top.src.Key()
	s.sink(0)
	return true
}

// drop takes out the foremost source, which has ended. False: by a failure.
func (s *scan) drop(err error) bool {
	if err != nil {
		s.fail(err)
		return false
	}
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap = s.heap[:last]
	s.sink(0)
	return true
}

// sink restores the heap below i.
func (s *scan) sink(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(s.heap); c++ {
			if s.before(&s.heap[c], &s.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}

func (s *scan) before(a, b *head) bool {
	switch c := bytes.Compare(a.key, b.key); {
	case c == 0:
		return a.rank < b.rank
	case s.backward:
		return c > 0
	default:
		return c < 0
	}
}

// first times the loop's beginning.
func (s *scan) first() {
	s.found = true
	s.tx.db.latency.stop(s.watch, &s.tx.db.latency.scanFirst)
}

// note records what the loop has read: the whole range, or up to where it stopped.
func (s *scan) note() {
	tx := s.tx
	if !s.found {
		s.first()
	}
	tx.db.latency.stop(s.watch, &tx.db.latency.scan)
	if tx.readOnly || tx.done {
		return
	}
	tx.maxRead = max(tx.maxRead, s.maxSeq)
	if tx.isolation != Serializable {
		return
	}
	r := messages.Range{Lo: s.lo, Hi: s.hi}
	switch {
	case s.ended:
	case s.last == nil:
		return
	case s.backward:
		r.Lo = s.last
	default:
		r.Hi = append(slices.Clone(s.last), 0)
	}
	tx.ranges = append(tx.ranges, r)
}

// joinRanges sorts ranges by their beginning and joins those that overlap or touch.
func joinRanges(ranges []messages.Range) []messages.Range {
	slices.SortFunc(ranges, func(a, b messages.Range) int { return bytes.Compare(a.Lo, b.Lo) })
	joined := ranges[:1]
	for _, r := range ranges[1:] {
		last := &joined[len(joined)-1]
		switch {
		case last.Hi != nil && bytes.Compare(r.Lo, last.Hi) > 0:
			joined = append(joined, r)
		case r.Hi == nil || (last.Hi != nil && bytes.Compare(r.Hi, last.Hi) > 0):
			last.Hi = r.Hi
		}
	}
	return joined
}

package versions

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// engine is one writer as txcoord is: groups of commits, Horizon before each group, Applied
// after it, Visible some groups behind. Every commit writes all of its hot keys, so whoever reads
// one at seq s must find exactly s.
type engine struct {
	p       Published
	x       *Index
	hot     []string
	seq     pages.Seq
	pending []pages.Seq
	groups  int
	keep    Keep
	fresh   int    // also write this many new keys in each commit
	eager   bool   // groups of one commit, visible at once: trimming is never far behind readers
	lazy    bool   // Visible stays where it is: only Applied moves
	between func() // called after each group
}

func newEngine(o IndexOptions, hot, fresh int) *engine {
	e := &engine{x: NewIndex(0, o), fresh: fresh}
	for i := range hot {
		e.hot = append(e.hot, fmt.Sprintf("\x02hot%d", i))
	}
	e.p.View.Store(&View{Epoch: 1, Active: e.x})
	e.group(1) // there is something to read from the start
	e.show(1)
	return e
}

func (e *engine) group(commits int) {
	e.p.Horizon(pages.Seq(e.p.Visible.Load()), e.pending, &e.keep)
	for range commits {
		e.seq++
		for _, k := range e.hot {
			put(e.x, k, e.seq, &e.keep)
		}
		for i := range e.fresh {
			put(e.x, freshKey(e.seq, i), e.seq, &e.keep)
		}
	}
	// Applied shows every group, Visible takes only some: those where a write to the log ends. In
	// between, only the group that Applied shows now is pending.
	if n := len(e.pending); n > 0 && (e.lazy || e.groups%3 != 0) {
		e.pending = e.pending[:n-1]
	}
	e.groups++
	e.pending = append(e.pending, e.seq)
	e.p.Applied.Store(uint64(e.seq))
}

// freshKey spreads the keys of neighbouring commits over the key space.
func freshKey(seq pages.Seq, i int) string {
	b := binary.BigEndian.AppendUint64([]byte("\x02new"), uint64(seq)*0x9E3779B97F4A7C15)
	return string(append(b, byte(i)))
}

func (e *engine) show(groups int) {
	if n := min(groups, len(e.pending)); n > 0 {
		e.p.Visible.Store(uint64(e.pending[n-1]))
		e.pending = e.pending[n:]
	}
}

// run makes groups until all readers are done. Readers are goroutines that call read until it
// was called rounds times.
func (e *engine) run(t *testing.T, readers, rounds int, read func(reader, round int) error) {
	t.Helper()
	var wg sync.WaitGroup
	var running atomic.Int64
	running.Store(int64(readers))
	for r := range readers {
		wg.Go(func() {
			defer running.Add(-1)
			for i := range rounds {
				if err := read(r, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := 0; running.Load() > 0; i++ {
		if e.x.Bytes() > 64<<20 {
			// Enough new keys: let the readers finish on a writer that only updates.
			e.fresh = 0
		}
		switch {
		case e.lazy:
			e.group(1)
		case e.eager:
			e.group(1)
			e.show(1)
		default:
			e.group(1 + i%3)
			if len(e.pending) > i%4 {
				e.show(1 + i%2)
			}
		}
		if e.between != nil {
			e.between()
		}
	}
	wg.Wait()
	check(t, e.x)
}

// crowd has more threads run than there are processors, so that the operating system stops some
// of them in the middle of a protocol for as long as others need to go through all of theirs.
func crowd(t *testing.T) {
	was := runtime.GOMAXPROCS(8)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

// What a registered snapshot needs is there, however the registration fell between the
// writer's steps. Fails without the second look at TrimHorizon or at Applied in Acquire.
func TestAcquireAgainstTrimming(t *testing.T) {
	crowd(t)
	for _, c := range []struct {
		eager, lazy bool
		rounds      int
	}{{eager: true, rounds: 1_000_000}, {lazy: true, rounds: 1_000_000}, {rounds: 200_000}} {
		e := newEngine(IndexOptions{ChunkBytes: 4096}, 1, 0)
		e.eager, e.lazy = c.eager, c.lazy
		// The readers get the slots that are scanned first, and a scan takes its time.
		var idle []*Snapshot
		for range 120 {
			idle = append(idle, e.p.Acquire(false, time.Time{}))
		}
		for _, s := range idle[:8] {
			s.Release()
		}
		e.run(t, 6, c.rounds/raceFactor, func(reader, round int) error {
			s := e.p.Acquire(c.lazy || reader%3 == 0, time.Time{})
			defer s.Release()
			if seq, ok, _ := get(s.View().Active, e.hot[0], s.Seq); !ok || seq != s.Seq {
				return fmt.Errorf("snapshot at %d sees %d, %t", s.Seq, seq, ok)
			}
			return nil
		})
	}
}

// An expired snapshot says so rather than show what trimming left. Fails if Get looks at the
// expiry before its walk.
func TestExpiryAgainstTrimming(t *testing.T) {
	crowd(t)
	e := newEngine(IndexOptions{ChunkBytes: 4096}, 1, 0)
	e.eager = true
	e.between = func() { e.p.Snapshots.Expire(func(i SnapshotInfo) bool { return i.Seq%2 == 0 }, func(SnapshotInfo) {}) }
	key := []byte(e.hot[0])
	hash := pages.Hash(key)
	var expired atomic.Int64
	e.run(t, 6, 300_000/raceFactor, func(reader, round int) error {
		s := e.p.Acquire(reader%3 == 0, time.Time{})
		defer s.Release()
		v, ok, err := s.Get(t.Context(), key, hash)
		if errors.Is(err, ErrTooOld) && s.Seq%2 == 0 {
			expired.Add(1)
			return nil
		}
		if !ok || err != nil || v.Seq != s.Seq {
			return fmt.Errorf("snapshot at %d sees %d, %t, %v", s.Seq, v.Seq, ok, err)
		}
		return nil
	})
	t.Logf("%d snapshots expired", expired.Load())
}

// A one-shot read finds the newest visible version without being registered. Fails if it looks
// at TrimHorizon before its walk instead of after.
func TestOneShotGetAgainstTrimming(t *testing.T) {
	e := newEngine(IndexOptions{ChunkBytes: 4096}, 1, 0)
	key := []byte(e.hot[0])
	hash := pages.Hash(key)
	e.run(t, 8, 100_000, func(reader, round int) error {
		before := pages.Seq(e.p.Visible.Load())
		_, _, seq, ok, err := e.p.Get(t.Context(), key, hash)
		after := pages.Seq(e.p.Visible.Load())
		if !ok || err != nil || seq < before || seq > after {
			return fmt.Errorf("one-shot get saw seq %d, %t, %v; visible went from %d to %d", seq, ok, err, before, after)
		}
		return nil
	})
}

// A walk that comes to a version or a value that was dropped starts again. Here it stands on a
// stale link until the head is put right.
func TestWalkOntoDroppedMemoryStartsAgain(t *testing.T) {
	x := NewIndex(0, IndexOptions{ChunkBytes: 1})
	large := func(key string, seq pages.Seq) (e *entry, head uint64) {
		x.Put(pages.Hash([]byte(key)), []byte(key), make([]byte, 2*inlineValueMax), pages.KindValue, seq, &Keep{})
		_, e, _ = x.find(x.table.Load(), pages.Hash([]byte(key)), []byte(key))
		return e, e.head.Load()
	}
	// The slab of the first version of a is gone; that of b is kept by c, only its value is gone.
	a, staleA := large("\x02a", 1)
	for seq := pages.Seq(2); seq < 100; seq++ {
		large("\x02a", seq)
	}
	large("\x02c", 100)
	b, staleB := large("\x02b", 101)
	large("\x02b", 102)
	for _, c := range []struct {
		key   string
		e     *entry
		stale uint64
		want  pages.Seq
	}{{"\x02a", a, staleA, 99}, {"\x02b", b, staleB, 102}} {
		good := c.e.head.Swap(c.stale)
		began, got := make(chan bool), make(chan pages.Seq)
		go func() {
			close(began)
			v, _, _ := x.Get(pages.Hash([]byte(c.key)), []byte(c.key), pages.MaxSeq)
			got <- v.Seq
		}()
		<-began
		for range 1000 {
			runtime.Gosched()
		}
		c.e.head.Store(good)
		if seq := <-got; seq != c.want {
			t.Errorf("%q at %d, want %d", c.key, seq, c.want)
		}
	}
	check(t, x)
}

// Gets, cursors that sort and Since beside a writer that grows the table, opens slabs and drops
// others.
func TestReadersBesideTheWriter(t *testing.T) {
	for _, chunk := range []int{256, 16 << 10} {
		t.Run(fmt.Sprintf("chunk=%d", chunk), func(t *testing.T) {
			e := newEngine(IndexOptions{ChunkBytes: chunk}, 3, 2)
			e.run(t, 4, 300, func(reader, round int) error {
				s := e.p.Acquire(reader == 0, time.Time{})
				defer s.Release()
				x := s.View().Active
				for _, k := range e.hot {
					if seq, ok, _ := get(x, k, s.Seq); !ok || seq != s.Seq {
						return fmt.Errorf("snapshot at %d sees %q at %d, %t", s.Seq, k, seq, ok)
					}
				}
				seq := 1 + s.Seq*pages.Seq(round)/300
				if got, ok, _ := get(x, freshKey(seq, 1), s.Seq); ok && got != seq {
					return fmt.Errorf("key of %d at %d", seq, got)
				}
				if reader == 1 {
					x.OrderPart(100)
				}
				if err := scan(e, s, round); err != nil {
					return err
				}
				from := s.Seq - min(s.Seq, 20)
				var err error
				x.Since(from, s.Seq, func(key []byte, seq pages.Seq) bool {
					if seq <= from || seq > s.Seq || !bytes.HasPrefix(key, []byte("\x02")) {
						err = fmt.Errorf("since(%d, %d): %q at %d", from, s.Seq, key, seq)
					}
					return err == nil
				})
				if x.Versions() <= 0 || x.Bytes() <= 0 {
					return fmt.Errorf("%d versions of %d keys in %d bytes", x.Versions(), x.Len(), x.Bytes())
				}
				return err
			})
		})
	}
}

// scan walks a piece of the snapshot both ways and compares.
func scan(e *engine, s *Snapshot, round int) error {
	c := s.View().Active.NewCursor(s.Seq, []byte("\x02"), []byte("\x03"))
	var keys [][]byte
	for ok := c.SeekGE([]byte(freshKey(pages.Seq(round), 0))); ok && len(keys) < 50; ok = c.Next() {
		if n := len(keys); n > 0 && bytes.Compare(keys[n-1], c.Key()) >= 0 {
			return fmt.Errorf("cursor went from %q to %q", keys[n-1], c.Key())
		}
		if c.Seq() > s.Seq || pages.Seq(binary.BigEndian.Uint64(c.Value())) != c.Seq() {
			return fmt.Errorf("cursor at %d shows %q at %d with %x", s.Seq, c.Key(), c.Seq(), c.Value())
		}
		keys = append(keys, c.Key())
	}
	if len(keys) == 0 {
		return nil
	}
	ok := c.SeekLT(append(bytes.Clone(keys[len(keys)-1]), 0))
	for i := len(keys) - 1; i >= 0; i-- {
		if !ok || !bytes.Equal(c.Key(), keys[i]) {
			return fmt.Errorf("cursor back at %q, want %q", c.Key(), keys[i])
		}
		ok = c.Prev()
	}
	return nil
}

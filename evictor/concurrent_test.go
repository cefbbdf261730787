package evictor

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// run steps the machine on a goroutine, as its actor would, until stop is closed.
func (s *store) run(wake <-chan struct{}, stop <-chan struct{}) {
	var alarm <-chan time.Time
	for {
		select {
		case <-wake:
		case <-alarm:
		case <-stop:
			return
		}
		alarm = nil
		if err := s.m.Step([]messages.ToEvictor{messages.PagesLoaded{}}, &s.out); err != nil {
			s.t.Error(err)
		}
		if s.out.Alarm > 0 {
			alarm = time.After(s.out.Alarm)
		}
		s.out.Reset()
	}
}

// TestConcurrentReaders: readers, some of them held at the hard limit, against the sweep. All
// come through, the hard limit holds but for the loads under way, and the books are right.
func TestConcurrentReaders(t *testing.T) {
	const readers, loads, entries = 8, 4000, 8000
	wake := make(chan struct{}, 1)
	s := &store{t: t}
	s.cache = pages.NewCache(nil, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	s.m = New(Config{Cache: s.cache, Budget: 64 << 10})
	a, _ := s.addTable(entries, 100)
	b, _ := s.addTable(entries, 100)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.run(wake, stop)
	}()
	var most atomic.Int64
	var done sync.WaitGroup
	for r := range readers {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 7))
			cur := (&pages.Run{Tables: []*pages.Table{b}}).NewCursor(pages.CursorOptions{ScanCold: r%2 == 0})
			for i := range loads {
				k := key(rng.IntN(entries))
				if _, _, ok, err := a.Get(ctx, k, pages.Hash(k)); err != nil || !ok {
					t.Errorf("Get: %v, %v", ok, err)
					return
				}
				if i%100 == 0 && !cur.SeekGE(ctx, k) || !cur.Next(ctx) && cur.Err() != nil {
					t.Errorf("cursor: %v", cur.Err())
					return
				}
				if now := s.cache.Resident(); now > most.Load() {
					most.Store(now)
				}
			}
		})
	}
	done.Wait()
	close(stop)
	<-stopped
	s.settle(messages.Tick{})
	st := s.stats()
	if st.Resident > st.Target {
		t.Errorf("%d resident, the target is %d", st.Resident, st.Target)
	}
	// Each reader may have begun one load below the limit; the largest page here is a filter.
	if room := int64(readers * 16 << 10); most.Load() > st.Hard+room {
		t.Errorf("up to %d resident, the hard limit is %d", most.Load(), st.Hard)
	}
	if st.Evicted == 0 {
		t.Error("nothing was evicted")
	}
}

package pages

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestConcurrentReaders runs lookups and cursors against a busy evictor, under limits and with
// reads that sometimes fail. Run it with -race.
func TestConcurrentReaders(t *testing.T) {
	entries := numbered(2000, 30)
	cache := NewCache(nil, nil)
	run := &Run{}
	var fail atomic.Uint64
	for i := range 4 {
		m, f := build(t, small(FileID(i)), codecs[i%3], entries[i*500:(i+1)*500])
		f.read = func(p []byte, off int64) (int, error) {
			if fail.Add(1)%97 == 0 {
				return 0, errDisk
			}
			return f.readAt(p, off)
		}
		run.Tables = append(run.Tables, NewTable(m, f.handle, cache))
	}
	cache.SetLimits(20_000, 60_000)
	var readers, evictor sync.WaitGroup
	stop := make(chan struct{})
	evictor.Go(func() { sweep(cache, 20_000, stop) })
	for seed := range uint64(4) {
		readers.Go(func() { readRandomly(t, run, entries, seed) })
	}
	readers.Wait()
	close(stop)
	evictor.Wait()
	checkResidency(t, cache, run.Tables...)
	for _, tab := range run.Tables {
		if tab.state.Load() != 0 {
			t.Errorf("%s has %d pins", tab.name(), tab.state.Load())
		}
		tab.Retire()
		if !tab.Retired() || tab.file.Load() != nil {
			t.Errorf("%s is not closed", tab.name())
		}
	}
}

// sweep is a plain clock over the pages of c.
func sweep(c *Cache, target int64, stop chan struct{}) {
	var pages []*Page
	for {
		select {
		case <-stop:
			return
		default:
		}
		pages = c.Drain(pages)
		kept := pages[:0]
		for _, p := range pages {
			if c.Resident() > target && !p.Referenced() {
				if _, ok := p.Evict(); ok {
					continue
				}
			}
			kept = append(kept, p)
		}
		pages = kept
		runtime.Gosched()
	}
}

func readRandomly(t *testing.T, run *Run, entries []entry, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	cur := run.NewCursor(CursorOptions{ScanCold: seed%2 == 0, NoCache: seed == 3})
	for range 3000 {
		i := rng.IntN(len(entries))
		e := &entries[i]
		if rng.IntN(3) > 0 {
			v, kind, ok, err := run.Get(ctx, e.key, Hash(e.key))
			if err != nil && !errors.Is(err, errDisk) || err == nil && (!ok || kind != e.kind || !bytes.Equal(v, e.value)) {
				t.Errorf("Get(%q): %d, %v, %v", e.key, kind, ok, err)
				return
			}
			continue
		}
		d, move := 1, cur.Next
		if rng.IntN(2) == 0 {
			d, move = -1, cur.Prev
		}
		for ok := cur.SeekGE(ctx, e.key); ok; ok = move(ctx) {
			if !bytes.Equal(cur.Key(), entries[i].key) || !bytes.Equal(cur.Value(), entries[i].value) {
				t.Errorf("cursor at %q, want %q", cur.Key(), entries[i].key)
				return
			}
			if i += d; rng.IntN(20) == 0 {
				break
			}
		}
		if err := cur.Err(); err != nil && !errors.Is(err, errDisk) {
			t.Error(err)
			return
		}
	}
}

// TestConcurrentRetire: readers see right values or ErrTableGone, the handle is closed once.
func TestConcurrentRetire(t *testing.T) {
	entries := numbered(200, 30)
	for round := range 20 {
		m, f := build(t, small(1), Codec{}, entries)
		tab := NewTable(m, f.handle, NewCache(nil, nil))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range entries {
					e := &entries[(i*7+g*50)%len(entries)]
					v, _, ok, err := tab.Get(ctx, e.key, Hash(e.key))
					if err != nil && !errors.Is(err, ErrTableGone) || err == nil && (!ok || !bytes.Equal(v, e.value)) {
						t.Errorf("Get: %v, %v", ok, err)
						return
					}
					if g == 0 && i == round*5 {
						tab.Retire()
					}
				}
			})
		}
		wg.Wait()
		if !tab.Retired() || f.open.Load() != 0 {
			t.Fatalf("retired %v, %d handles open", tab.Retired(), f.open.Load())
		}
	}
}

package pages

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

// parker is a Waiter that tells of readers about to wait for an event.
type parker struct{ waiting chan struct{} }

func (p *parker) Park(context.Context, func() bool) {}

func (p *parker) Wait(c context.Context, _, _ string, event func() bool) {
	if !event() && c.Err() == nil {
		p.waiting <- struct{}{}
	}
}

// stuckTable is a table of one leaf whose first read waits for release (and then does what it
// returns), with a reader that is in that read.
func stuckTable(t *testing.T, entries []entry, first func() error) (tab *Table, p *parker, begun, release chan struct{}) {
	t.Helper()
	m, f := build(t, TableOptions{FilterBitsPerKey: -1}, Codec{}, entries)
	p = &parker{waiting: make(chan struct{}, 10)}
	tab = NewTable(m, f.handle, NewCache(p, nil))
	begun, release = make(chan struct{}), make(chan struct{})
	var reads atomic.Int32
	f.read = func(b []byte, off int64) (int, error) {
		if reads.Add(1) == 1 {
			close(begun)
			<-release
			if err := first(); err != nil {
				return 0, err
			}
		}
		return f.readAt(b, off)
	}
	return tab, p, begun, release
}

// get is Get of the first of entries in another goroutine.
func get(c context.Context, tab *Table, e entry) chan error {
	done := make(chan error, 1)
	go func() {
		result := errors.New("goroutine exited")
		defer func() {
			_ = recover()
			done <- result
		}()
		v, _, ok, err := tab.Get(c, e.key, Hash(e.key))
		if err == nil && (!ok || !bytes.Equal(v, e.value)) {
			err = errors.New("wrong value")
		}
		result = err
	}()
	return done
}

func sound(t *testing.T, tab *Table) {
	t.Helper()
	if s := tab.state.Load(); s != 0 {
		t.Errorf("%d pins are left", s)
	}
	checkResidency(t, tab.cache, tab)
}

// TestOneLoadForAll: readers that come while a page is loaded wait for that load.
func TestOneLoadForAll(t *testing.T) {
	entries := numbered(3, 10)
	tab, p, begun, release := stuckTable(t, entries, func() error { return nil })
	loader := get(ctx, tab, entries[0])
	<-begun
	var others []chan error
	for range 5 {
		others = append(others, get(ctx, tab, entries[1]))
		<-p.waiting
	}
	close(release)
	for _, done := range append(others, loader) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := tab.cache.Stats().Misses; n != 1 {
		t.Errorf("%d loads", n)
	}
	sound(t, tab)
}

// TestCancelledLoaderServesOthers: the load that a reader began goes on when its context ends.
func TestCancelledLoaderServesOthers(t *testing.T) {
	entries := numbered(3, 10)
	tab, p, begun, release := stuckTable(t, entries, func() error { return nil })
	c, cancel := context.WithCancel(ctx)
	loader := get(c, tab, entries[0])
	<-begun
	other := get(ctx, tab, entries[1])
	<-p.waiting
	cancel()
	close(release)
	if err := <-other; err != nil {
		t.Errorf("waiter: %v", err)
	}
	if err := <-loader; err != nil {
		t.Errorf("loader, whose page is there: %v", err)
	}
	sound(t, tab)
}

// TestCancelledWaiterLeaves: a reader need not wait for another's load longer than it wants.
func TestCancelledWaiterLeaves(t *testing.T) {
	entries := numbered(3, 10)
	tab, p, begun, release := stuckTable(t, entries, func() error { return nil })
	loader := get(ctx, tab, entries[0])
	<-begun
	c, cancel := context.WithCancel(ctx)
	waiter := get(c, tab, entries[1])
	<-p.waiting
	cancel()
	if err := <-waiter; !errors.Is(err, context.Canceled) {
		t.Errorf("waiter: %v", err)
	}
	if n := len(tab.root.Load().flight.gate.waiters); n != 0 {
		t.Errorf("%d waiters are left on the list", n)
	}
	close(release)
	if err := <-loader; err != nil {
		t.Errorf("loader: %v", err)
	}
	sound(t, tab)
}

// TestAbandonedLoad: a loader that never comes back from its read leaves the slot free; those
// who waited load for themselves.
func TestAbandonedLoad(t *testing.T) {
	for name, leave := range map[string]func() error{
		"Goexit": func() error { runtime.Goexit(); return nil },
		"panic":  func() error { panic("in the read") },
	} {
		t.Run(name, func(t *testing.T) {
			entries := numbered(3, 10)
			tab, p, begun, release := stuckTable(t, entries, leave)
			loader := get(ctx, tab, entries[0])
			<-begun
			a, b := get(ctx, tab, entries[1]), get(ctx, tab, entries[2])
			<-p.waiting
			<-p.waiting
			close(release)
			if err := <-loader; err == nil {
				t.Error("the loader came back")
			}
			if err := errors.Join(<-a, <-b); err != nil {
				// The third entry of numbered is no tombstone, so both have values.
				t.Error(err)
			}
			sound(t, tab)
		})
	}
}

// TestFailedLoadIsShared: those who waited for a read that failed get its error; the next
// reader tries again.
func TestFailedLoadIsShared(t *testing.T) {
	entries := numbered(3, 10)
	tab, p, begun, release := stuckTable(t, entries, func() error { return errDisk })
	loader := get(ctx, tab, entries[0])
	<-begun
	waiter := get(ctx, tab, entries[1])
	<-p.waiting
	close(release)
	if err := <-loader; !errors.Is(err, errDisk) {
		t.Errorf("loader: %v", err)
	}
	if err := <-waiter; !errors.Is(err, errDisk) {
		t.Errorf("waiter: %v", err)
	}
	if err := <-get(ctx, tab, entries[0]); err != nil {
		t.Errorf("next reader: %v", err)
	}
	sound(t, tab)
}

// TestRetireDuringLoad: the file stays open until the load has ended.
func TestRetireDuringLoad(t *testing.T) {
	entries := numbered(3, 10)
	tab, _, begun, release := stuckTable(t, entries, func() error { return nil })
	loader := get(ctx, tab, entries[0])
	<-begun
	tab.Retire()
	if tab.Retired() {
		t.Error("may be removed during a load")
	}
	close(release)
	if err := <-loader; err != nil {
		t.Error(err)
	}
	if !tab.Retired() || tab.file.Load() != nil {
		t.Error("the file is still open")
	}
	if fresh := tab.cache.Drain(nil); len(fresh) != 1 || !fresh[0].Gone() {
		t.Errorf("%d fresh pages", len(fresh))
	}
}

// TestHardLimit: above it readers wait, until pages are evicted, the limit rises, or their
// context ends.
func TestHardLimit(t *testing.T) {
	entries := numbered(300, 30)
	m, f := build(t, small(1), Codec{}, entries)
	p := &parker{waiting: make(chan struct{}, 10)}
	tab := NewTable(m, f.handle, NewCache(p, nil))
	c := tab.cache
	if err := <-get(ctx, tab, entries[0]); err != nil {
		t.Fatal(err)
	}
	c.SetLimits(1, c.Resident()-1)
	if err := <-get(ctx, tab, entries[0]); err != nil {
		t.Errorf("a reader of what is in memory: %v", err)
	}

	cancelled, cancel := context.WithCancel(ctx)
	impatient := get(cancelled, tab, entries[299-299%10])
	<-p.waiting
	patient := get(ctx, tab, entries[200])
	<-p.waiting
	cancel()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("impatient reader: %v", err)
	}
	for pages := c.Drain(nil); len(pages) > 0; { // the patient reader comes in between
		pages = slices.DeleteFunc(pages, func(p *Page) bool { _, ok := p.Evict(); return ok })
	}
	if err := <-patient; err != nil {
		t.Errorf("patient reader: %v", err)
	}

	c.SetLimits(0, 0)
	if err := <-get(ctx, tab, entries[0]); err != nil {
		t.Fatal(err)
	}
	c.SetLimits(1, 1)
	third := get(ctx, tab, entries[100])
	<-p.waiting
	c.SetLimits(0, 0)
	if err := <-third; err != nil {
		t.Errorf("reader after the limit was lifted: %v", err)
	}
	if s := c.Stats(); s.Waits != 3 {
		t.Errorf("%d waits", s.Waits)
	}
	sound(t, tab)
}

// TestWakeIsCoalesced: one wake until the next Drain, and none before many pages have come.
func TestWakeIsCoalesced(t *testing.T) {
	entries := numbered(300, 30)
	m, f := build(t, small(1), Codec{}, entries)
	wakes := 0
	c := NewCache(nil, func() { wakes++ })
	tab := NewTable(m, f.handle, c)
	for round := range 3 {
		drained := c.Stats().Misses
		for i := range 100 {
			e := &entries[round*100+i]
			checkGet(t, tab, e.key, e)
			waiting := c.Stats().Misses - drained
			if want := round + int(min(waiting/wakeEvery, 1)); wakes != want {
				t.Fatalf("%d wakes in round %d, with %d pages waiting", wakes, round, waiting)
			}
		}
		if wakes != round+1 {
			t.Fatalf("%d wakes in round %d", wakes, round)
		}
		pages := c.Drain(nil)
		if len(pages) < 2 {
			t.Fatalf("%d fresh pages", len(pages))
		}
		if round == 0 {
			for i, p := range pages {
				if p.parent != nil && !bytes.Contains(levels(pages[:i]), []byte{p.level + 1}) {
					t.Fatal("a child came before its parent")
				}
			}
		}
		if again := c.Drain(nil); len(again) != 0 {
			t.Fatalf("%d pages were drained twice", len(again))
		}
	}
}

// TestWakeWhenNeeded: a page above the target, or of a retired table, does not wait for others.
func TestWakeWhenNeeded(t *testing.T) {
	entries := numbered(300, 30)
	m, f := build(t, small(1), Codec{}, entries)
	wakes := 0
	c := NewCache(nil, func() { wakes++ })
	tab := NewTable(m, f.handle, c)
	checkGet(t, tab, entries[0].key, &entries[0])
	if wakes != 0 {
		t.Fatal("woken for the first pages")
	}
	c.SetLimits(c.Resident(), 0)
	for i := 0; c.Resident() <= c.Stats().TargetBytes; i++ {
		checkGet(t, tab, entries[i].key, &entries[i])
	}
	if wakes != 1 {
		t.Fatalf("%d wakes above the target", wakes)
	}

	c.SetLimits(0, 0)
	c.Drain(nil)
	f.read = func(p []byte, off int64) (int, error) { // the load of a page had begun
		tab.Retire()
		return f.readAt(p, off)
	}
	if _, _, _, err := tab.Get(ctx, entries[299].key, Hash(entries[299].key)); !errors.Is(err, ErrTableGone) {
		t.Fatal(err)
	}
	if wakes != 2 {
		t.Fatalf("%d wakes after a page of a retired table", wakes)
	}
}

func levels(pages []*Page) (out []byte) {
	for _, p := range pages {
		if p.kind == kindInner {
			out = append(out, p.level)
		}
	}
	return out
}

// TestEvictedParent: a reader that stands on an evicted inner page still reads its children, and
// nothing becomes resident under a page that no one can reach.
func TestEvictedParent(t *testing.T) {
	entries := numbered(300, 30)
	tab, _ := table(t, small(1), Codec{}, entries)
	cur := (&Run{Tables: []*Table{tab}}).NewCursor(CursorOptions{})
	i := 0
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
		if !bytes.Equal(cur.Key(), entries[i].key) {
			t.Fatalf("entry %d is %q", i, cur.Key())
		}
		if i == 7 || i == 77 {
			evictAll(t, tab.cache)
		}
		i++
	}
	if i != len(entries) || cur.Err() != nil {
		t.Fatalf("%d entries, %v", i, cur.Err())
	}
	checkResidency(t, tab.cache, tab)
}

// TestInnerGoesAfterItsChildren: an inner page with children in memory stays.
func TestInnerGoesAfterItsChildren(t *testing.T) {
	entries := numbered(300, 30)
	tab, _ := table(t, small(1), Codec{}, entries)
	checkTable(t, tab, entries, nil)
	pages := tab.cache.Drain(nil)
	for _, p := range pages {
		if p.kind == kindInner {
			if _, ok := p.Evict(); ok {
				t.Fatal("evicted a page with children")
			}
		}
	}
	checkResidency(t, tab.cache, tab)
	sum := int64(0)
	for i := len(pages) - 1; i >= 0; i-- { // children came after their parents
		n, ok := pages[i].Evict()
		if !ok || n != pages[i].Bytes() {
			t.Fatalf("Evict: %d, %v", n, ok)
		}
		sum += n
		if _, ok := pages[i].Evict(); ok {
			t.Fatal("evicted twice")
		}
	}
	if tab.cache.Resident() != 0 || tab.cache.Stats().EvictedBytes != sum {
		t.Errorf("%d bytes are left", tab.cache.Resident())
	}
}

// TestEndedContext: a reader whose context has ended begins no load, but reads what is there.
func TestEndedContext(t *testing.T) {
	entries := numbered(100, 30)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, o := range []CursorOptions{{}, {NoCache: true}} {
		tab, _ := table(t, small(1), Codec{}, entries)
		e := &entries[0]
		if _, _, _, err := tab.Get(ended, e.key, Hash(e.key)); !errors.Is(err, context.Canceled) {
			t.Fatalf("Get: %v", err)
		}
		cur := (&Run{Tables: []*Table{tab}}).NewCursor(o)
		if cur.First(ended) || !errors.Is(cur.Err(), context.Canceled) {
			t.Fatalf("First: %v", cur.Err())
		}
		if n := tab.cache.Stats().Misses; n != 0 {
			t.Fatalf("%d loads", n)
		}
		checkGet(t, tab, e.key, e)
		if _, _, ok, err := tab.Get(ended, e.key, Hash(e.key)); !ok || err != nil {
			t.Fatalf("Get of what is in memory: %v, %v", ok, err)
		}
	}
}

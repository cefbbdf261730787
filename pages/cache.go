package pages

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// Cache counts and bounds the pages in memory of all tables of one store. It holds none of
// them: they sit in their slots. Which to evict is the evictor's choice, made over the pages
// that Drain has handed it. Safe for concurrent use.
type Cache struct {
	park Waiter
	wake func()
	now  func() time.Time    // nil: loads are not timed
	took func(time.Duration) // told of each load

	damaged func(*CorruptionError) // nil: nobody is told

	resident atomic.Int64 // bytes of the pages in slots
	target   atomic.Int64 // what the evictor keeps resident below; 0: no limit
	hard     atomic.Int64 // readers wait above it; 0: no limit
	fresh    atomic.Pointer[Page]
	waiting  atomic.Int64 // pages that wait to be drained
	woken    atomic.Bool
	room     gate
	turn     atomic.Uint64 // counts lookups that met a full cache

	hits         Striped
	loads        atomic.Int64
	loadedBytes  atomic.Int64
	failedLoads  atomic.Int64
	evictedPages atomic.Int64
	evictedBytes atomic.Int64
	filterSkips  atomic.Int64
	waits        atomic.Int64
}

// CacheStats are counts since the cache was made.
type CacheStats struct {
	Hits          int64 // leaves that a lookup or a cursor found resident
	Misses        int64 // pages of all kinds that had to be loaded
	FailedLoads   int64 // of them, loads that ended in an error
	LoadedBytes   int64 // stored bytes of the loaded pages
	FilterSkips   int64 // lookups that a filter answered, so that no page was loaded
	Evicted       int64 // pages evicted
	EvictedBytes  int64
	Waits         int64 // readers that waited for room below the hard limit
	ResidentBytes int64 // now
	TargetBytes   int64 // now
	HardBytes     int64 // now
}

// wakeEvery is how many pages may wait to be drained while nothing has to be evicted.
const wakeEvery = 64

// NewCache returns a cache without limits. wake, if not nil, is called when pages wait to be
// drained and more is resident than the target, or one of them is of a retired table, or they are
// many: at most once until the next Drain, from the goroutine of some reader; it must not block. w
// may be nil.
func NewCache(w Waiter, wake func()) *Cache {
	if w == nil {
		w = noWait{}
	}
	if wake == nil {
		wake = func() {}
	}
	return &Cache{park: w, wake: wake}
}

// SetLimits sets, in bytes, what the evictor aims for and what readers must not exceed (they
// wait for evictions before they load more). Zero means no limit.
func (c *Cache) SetLimits(target, hard int64) {
	c.target.Store(target)
	c.hard.Store(hard)
	c.room.open()
}

// TimeLoads has took told how long it took to read, check and decode each page that was loaded
// into its slot, by the clock now; also where that failed. Loads that leave nothing in memory, as
// those of merges, are not told. It is called before the cache is used. took must not wait, and
// may be called by several goroutines at a time.
func (c *Cache) TimeLoads(now func() time.Time, took func(time.Duration)) {
	c.now, c.took = now, took
}

// OnDamage has f told of each damaged page that somebody reads, each time; its reader gets the same
// error. It is called before the cache is used. f must not wait, and may be called by several
// goroutines at a time.
func (c *Cache) OnDamage(f func(*CorruptionError)) { c.damaged = f }

// Resident returns the bytes of the pages in memory.
func (c *Cache) Resident() int64 { return c.resident.Load() }

// Stats returns the counts. They are read one by one, not as of one moment.
func (c *Cache) Stats() CacheStats {
	return CacheStats{
		Hits:          c.hits.Sum(),
		Misses:        c.loads.Load(),
		FailedLoads:   c.failedLoads.Load(),
		LoadedBytes:   c.loadedBytes.Load(),
		FilterSkips:   c.filterSkips.Load(),
		Evicted:       c.evictedPages.Load(),
		EvictedBytes:  c.evictedBytes.Load(),
		Waits:         c.waits.Load(),
		ResidentBytes: c.resident.Load(),
		TargetBytes:   c.target.Load(),
		HardBytes:     c.hard.Load(),
	}
}

// Drain appends the pages that became resident since the last call to dst, in the order in
// which they did. Each page is handed out once. For one goroutine at a time.
func (c *Cache) Drain(dst []*Page) []*Page {
	// Before the list is taken: a page that comes after that must wake again.
	c.woken.Store(false)
	c.waiting.Store(0)
	start := len(dst)
	for p := c.fresh.Swap(nil); p != nil; {
		next := p.next
		p.next = nil
		dst = append(dst, p)
		p = next
	}
	slices.Reverse(dst[start:])
	return dst
}

// published puts a page that was just stored in its slot on the list of fresh pages.
func (c *Cache) published(p *Page) {
	for {
		head := c.fresh.Load()
		p.next = head
		if c.fresh.CompareAndSwap(head, p) {
			break
		}
	}
	if c.waiting.Add(1) < wakeEvery && !p.Gone() && !c.over() {
		return
	}
	if !c.woken.Load() && !c.woken.Swap(true) {
		c.wake()
	}
}

// over reports whether more is resident than the evictor aims for.
func (c *Cache) over() bool {
	target := c.target.Load()
	return target > 0 && c.resident.Load() > target
}

// evicted takes a page that has left its slot off the books.
func (c *Cache) evicted(p *Page) {
	now := c.resident.Add(-p.size)
	c.evictedPages.Add(1)
	c.evictedBytes.Add(p.size)
	if hard := c.hard.Load(); hard > 0 && now < hard {
		c.room.open()
	}
}

func (c *Cache) hasRoom() bool {
	hard := c.hard.Load()
	return hard <= 0 || c.resident.Load() < hard
}

// awaitRoom returns when residency is below the hard limit.
func (c *Cache) awaitRoom(ctx context.Context) error {
	if c.hasRoom() {
		return nil
	}
	c.waits.Add(1)
	return c.room.wait(ctx, c.park, "evictor", "room in memory", c.hasRoom)
}

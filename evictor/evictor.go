package evictor

import (
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Config is what a Machine starts from.
type Config struct {
	Cache  *pages.Cache
	Budget int64 // bytes for version indexes and resident pages together
	// LiveRatio returns the part of the budget that may be alive when the collector starts, such
	// as 100/(100+GOGC). It is asked in every Step. Nil means 1.
	LiveRatio func() float64
}

// Outbox holds the effects of one Step. The evictor sends to no other actor.
type Outbox struct {
	Stats []StatsReply
	Alarm time.Duration // above zero: send a Tick after this
}

// StatsReply is the answer to an EvictorStatsRequest.
type StatsReply struct {
	To    messages.Reply[messages.EvictorStats]
	Stats messages.EvictorStats
}

// Reset empties the outbox and keeps its capacity.
func (o *Outbox) Reset() { *o = Outbox{Stats: o.Stats[:0]} }

const (
	// workPerStep bounds the pages that one Step examines, to well below a millisecond.
	workPerStep = 4096
	// again is when a Step that ran out of its bound goes on.
	again = 50 * time.Microsecond
	// later is when a sweep goes on that found nothing to evict: all that is resident are inner
	// pages whose children are just being loaded.
	later = time.Millisecond

	// A sweep ends this part below the target, or these bytes where that is more, so that not every
	// load starts another; but never so far that the cache is half empty.
	slackPart  = 32
	slackBytes = 64 << 10
	slackMost  = 8
	// Readers wait this part above the target, so that one burst of loads stalls nobody.
	headroomPart  = 8
	headroomBytes = 32 << 10
	// Indexes never take more from the pages than all but this part of the budget.
	floorPart  = 8
	floorBytes = 64 << 10
)

// Machine is the evictor's state. It is the only one that evicts.
//
// Invariants:
//  1. Each resident page is in the ring once, or on the cache's list of fresh pages.
//  2. ring.bytes is the sum of the bytes of the ring's pages; with the list of fresh pages empty
//     it is what the cache counts as resident.
//  3. While more than the target is resident, a Step is under way or an Alarm is set.
//  4. target ≥ floor, hard > target.
type Machine struct {
	cache  *pages.Cache
	budget int64
	ratio  func() float64

	ring  ring
	fresh []*pages.Page // reused by absorb

	index        int64 // bytes of version indexes
	target, hard int64

	sweeping bool
	idle     int // pages passed since the last eviction

	purge        int  // pages left to examine in the pass for retired tables
	purgeRefused bool // the pass met inner pages that had children, and
	purgeEvicted bool // it evicted something, so that another pass may succeed

	sweeps, evicted, evictedBytes uint64
}

// New returns a machine and sets the limits of its cache.
func New(cfg Config) *Machine {
	if cfg.LiveRatio == nil {
		cfg.LiveRatio = func() float64 { return 1 }
	}
	m := &Machine{cache: cfg.Cache, budget: cfg.Budget, ratio: cfg.LiveRatio}
	m.setLimits()
	return m
}

// Step takes messages and evicts what has to go, up to a bound; if that is not all, it asks for
// a Tick by an Alarm. It returns no errors.
func (m *Machine) Step(batch []messages.ToEvictor, out *Outbox) error {
	for _, msg := range batch {
		switch msg := msg.(type) {
		case messages.IndexBytes:
			m.index = msg.Bytes
		case messages.TablesRetired:
			m.beginPurge()
		case *messages.EvictorStatsRequest:
			out.Stats = append(out.Stats, StatsReply{To: msg.Reply})
		case messages.PagesLoaded, messages.Tick: // what every Step does
		default:
			panic(fmt.Sprintf("evictor: unknown message %T", msg))
		}
	}
	m.absorb()
	m.setLimits()
	out.Alarm = m.work()
	for i := range out.Stats {
		out.Stats[i].Stats = m.stats()
	}
	return nil
}

// Close ends the machine after its actor stopped. Resident pages stay with their tables.
func (m *Machine) Close() error {
	m.ring = ring{}
	return nil
}

// setLimits computes the target and the hard limit from the budget, and tells the cache.
func (m *Machine) setLimits() {
	ratio := min(max(m.ratio(), 0), 1)
	floor := max(m.budget/floorPart, min(m.budget, floorBytes))
	target := max(int64(float64(m.budget)*ratio)-m.index, floor)
	if target == m.target {
		return
	}
	m.target = target
	m.hard = target + target/headroomPart + headroomBytes
	m.cache.SetLimits(m.target, m.hard)
}

// absorb takes the fresh pages over from the cache.
func (m *Machine) absorb() {
	m.fresh = m.cache.Drain(m.fresh[:0])
	for _, p := range m.fresh {
		m.ring.push(p)
		// Its load had begun when its table was retired, and its parents had to stay for it.
		if p.Gone() {
			m.beginPurge()
		}
	}
	clear(m.fresh)
}

func (m *Machine) stats() messages.EvictorStats {
	return messages.EvictorStats{
		Resident: m.cache.Resident(), Target: m.target, Hard: m.hard, Budget: m.budget,
		Pages: m.ring.len(), IndexBytes: m.index,
		Sweeps: m.sweeps, Evicted: m.evicted, EvictedBytes: m.evictedBytes,
	}
}

// Check verifies the invariants. No reader may be loading pages meanwhile. Like a Step, it
// takes the fresh pages over first.
func (m *Machine) Check() error {
	m.absorb()
	seen := make(map[*pages.Page]bool, m.ring.len())
	sum := int64(0)
	for i := range m.ring.len() {
		p := m.ring.at(i)
		if seen[p] {
			return fmt.Errorf("evictor: a page is in the ring twice")
		}
		if !p.Linked() && !p.Gone() {
			return fmt.Errorf("evictor: a page in the ring is in no slot")
		}
		seen[p] = true
		sum += p.Bytes()
	}
	switch resident := m.cache.Resident(); {
	case sum != m.ring.bytes:
		return fmt.Errorf("evictor: pages of %d bytes in a ring that counts %d", sum, m.ring.bytes)
	case sum != resident:
		return fmt.Errorf("evictor: ring of %d bytes, the cache counts %d resident", sum, resident)
	case m.target < min(m.budget, floorBytes) || m.hard <= m.target:
		return fmt.Errorf("evictor: target %d, hard limit %d of budget %d", m.target, m.hard, m.budget)
	}
	return nil
}

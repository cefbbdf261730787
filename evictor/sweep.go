package evictor

import (
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// How long a sweep may go on without an eviction, in turns of the ring. After one turn all
// stamps are cleared. Pages that are stamped again before the second has passed are all in
// steady use: then the budget counts more than the stamps. What is left after a third turn
// cannot be evicted now.
const (
	patientTurns = 2
	allTurns     = 3
)

// beginPurge starts a pass, or starts it over, that evicts the pages of retired tables.
func (m *Machine) beginPurge() {
	m.purge = m.ring.len()
	m.purgeRefused, m.purgeEvicted = false, false
}

// work purges and sweeps up to the bound of a Step, and returns when it wants to go on: zero if
// it is done.
func (m *Machine) work() time.Duration {
	for left := workPerStep; left > 0; left-- {
		switch {
		case m.purge > 0:
			m.purgeOne()
		case m.over() && m.idle < allTurns*m.ring.len():
			m.sweepOne()
		case m.over():
			m.idle = 0
			m.absorb()
			return later
		default:
			m.idle = 0
			return 0
		}
	}
	return again
}

// over reports whether pages have to go: from above the target on, until a little below it.
func (m *Machine) over() bool {
	limit := m.target
	if m.sweeping {
		limit -= min(max(m.target/slackPart, slackBytes), m.target/slackMost)
	}
	over := m.cache.Resident() > limit
	if over && !m.sweeping {
		m.sweeps++
	}
	m.sweeping = over
	return over
}

// sweepOne moves the hand by one page: it goes, or gets a second chance.
func (m *Machine) sweepOne() {
	p := m.ring.pop()
	used := p.Referenced()
	if used && m.idle < patientTurns*(m.ring.len()+1) || !m.evict(p) {
		m.idle++
		m.ring.push(p)
		return
	}
	m.idle = 0
}

// purgeOne moves the hand by one page, which goes if its table was retired.
func (m *Machine) purgeOne() {
	m.purge--
	p := m.ring.pop()
	if !p.Gone() {
		m.ring.push(p)
	} else if m.evict(p) {
		m.purgeEvicted = true
	} else {
		m.purgeRefused = true
		m.ring.push(p)
	}
	// An inner page that the hand met before its children goes in the next pass.
	if m.purge == 0 && m.purgeRefused && m.purgeEvicted {
		m.beginPurge()
	}
}

// evict lets a page go that was taken off the ring. False: it is an inner page with children in
// memory, or about to be.
func (m *Machine) evict(p *pages.Page) bool {
	bytes, ok := p.Evict()
	if ok {
		m.evicted++
		m.evictedBytes += uint64(bytes)
	}
	return ok
}

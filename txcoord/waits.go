package txcoord

import (
	"fmt"

	"github.com/aegis-storage/aegis/messages"
)

// Waits tells what the machine waits for before it can answer those who wait for it: nothing, if
// their answers are in its own hands.
func (m *Machine) Waits() []messages.Wait {
	if m.poisoned != nil {
		return nil
	}
	var all []messages.Wait
	add := func(on, format string, args ...any) {
		all = append(all, messages.Wait{On: on, For: fmt.Sprintf(format, args...)})
	}
	if m.appendsOut > 0 {
		add("walwriter", "Written, for %d Appends", m.appendsOut)
	}
	if m.log && m.durable < m.syncSent {
		add("walwriter", "Durable up to %d, it has %d", m.syncSent, m.durable)
	}
	if n := len(m.frozen); n > 0 && m.frozen[n-1].sent {
		add("flusher", "Flushed up to %d", m.frozen[n-1].upTo)
	}
	if len(m.held) > 0 {
		m.waitsOfHeld(add)
	}
	return all
}

// heldFor names, in the words of waitsOfHeld's cases, what the first commit that is held back waits for.
func (m *Machine) heldFor() string {
	switch {
	case m.log && m.credit < messages.CreditFor(len(m.held[0].Batch)):
		return "log space"
	case m.indexFull() && len(m.frozen) >= m.limits.MaxFrozen:
		return "flush"
	}
	return "merges"
}

// waitsOfHeld tells what the first of the commits that are held back waits for.
func (m *Machine) waitsOfHeld(add func(on, format string, args ...any)) {
	cost := messages.CreditFor(len(m.held[0].Batch))
	switch {
	case m.log && m.credit < cost:
		add("walwriter", "log space for a commit of %d bytes, it has %d", cost, m.credit)
	case m.indexFull() && len(m.frozen) >= m.limits.MaxFrozen:
		add("flusher", "room for another frozen index, there are %d", len(m.frozen))
	case m.debt >= m.limits.MaxRuns:
		add("flusher", "merges, there are %d runs too many", m.debt)
	case m.slowed() && m.quota <= 0:
		add("", "its Tick, which lets slowed writers go on")
	}
}

package walwriter

import (
	"errors"
	"fmt"
)

// Check verifies the invariants of the machine. After a failure only those are left that the
// failed call cannot have broken.
func (m *Machine) Check() error {
	if m.asserted > m.synced || m.synced > m.last {
		return fmt.Errorf("walwriter: asserted %d, synced %d, last %d", m.asserted, m.synced, m.last)
	}
	if m.final || m.poisoned != nil {
		return nil
	}
	if len(m.enc.buf) != 0 {
		return fmt.Errorf("walwriter: %d bytes were not written", len(m.enc.buf))
	}
	return errors.Join(m.checkLive(), m.checkCredit(), m.checkFiles())
}

// checkLive verifies the sequence of live segments.
func (m *Machine) checkLive() error {
	if len(m.live) == 0 {
		return errors.New("walwriter: no current segment")
	}
	for i, seg := range m.live {
		if seg.base > seg.last+1 {
			return fmt.Errorf("walwriter: segment %d holds %d to %d", seg.number, seg.base, seg.last)
		}
		if i == 0 {
			continue
		}
		if before := m.live[i-1]; seg.base != before.last+1 || seg.number <= before.number || seg.epoch < before.epoch {
			return fmt.Errorf("walwriter: segment %d.%d from %d follows %d.%d up to %d",
				seg.epoch, seg.number, seg.base, before.epoch, before.number, before.last)
		}
	}
	cur := m.current()
	switch {
	case cur.last != m.last:
		return fmt.Errorf("walwriter: segment %d ends at %d, the log at %d", cur.number, cur.last, m.last)
	case m.synced+1 < cur.base:
		return fmt.Errorf("walwriter: segment %d from %d was activated with %d synced", cur.number, cur.base, m.synced)
	case cur.headerSynced && len(m.live) > 1 && m.live[0].last <= m.released:
		return fmt.Errorf("walwriter: segment %d up to %d is live with %d released", m.live[0].number, m.live[0].last, m.released)
	case cur.number >= m.nextNumber:
		return fmt.Errorf("walwriter: segment %d is current, the next is %d", cur.number, m.nextNumber)
	}
	return nil
}

// checkCredit verifies that what was granted can be placed.
func (m *Machine) checkCredit() error {
	room := max(m.current().room(), m.spareRoom())
	if m.credit.granted < 0 || m.credit.granted > m.credit.placeable(room) {
		return fmt.Errorf("walwriter: credit %d granted with room for %d", m.credit.granted, m.credit.placeable(room))
	}
	return nil
}

// checkFiles verifies that no file is in two places.
func (m *Machine) checkFiles() error {
	seen := make(map[uint32]bool)
	for _, list := range [][]*segment{m.live, m.spares, m.leaving} {
		for _, seg := range list {
			if seen[seg.slot] || seg.slot >= m.nextSlot {
				return fmt.Errorf("walwriter: file %s is used twice, or ahead of %08x", fileName(seg.slot), m.nextSlot)
			}
			seen[seg.slot] = true
		}
	}
	return nil
}

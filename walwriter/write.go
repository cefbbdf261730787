package walwriter

import (
	"encoding/binary"
	"fmt"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// writeTurn writes what the Step's Appends hold, as one group where possible, and syncs once
// if that was asked for.
func (m *Machine) writeTurn() error {
	for i := range m.turn {
		if err := m.writeRecords(&m.turn[i]); err != nil {
			return err
		}
	}
	if err := m.writeGroup(); err != nil {
		return err
	}
	if m.syncAsked && m.synced < m.last {
		return m.sync()
	}
	if m.closing && !m.busy && m.canClose() {
		return m.closeLastGroup()
	}
	return nil
}

// writeRecords adds an Append's records to the group, and writes groups that became full.
func (m *Machine) writeRecords(a *messages.Append) error {
	var count int
	var charged int64
	for rest := a.Records; len(rest) > 0; count++ {
		rec, err := m.nextRecord(rest)
		if err != nil {
			panic(err.Error())
		}
		rest = rest[len(rec):]
		charge := messages.CreditFor(len(rec) - messages.RecordOverhead)
		if err := m.place(rec); err != nil {
			return err
		}
		m.credit.spend(charge)
		charged += charge
	}
	if count != a.Count || charged != a.Charged {
		panic(fmt.Sprintf("walwriter: append of %d records charged %d holds %d worth %d", a.Count, a.Charged, count, charged))
	}
	if count > 0 && a.Last != m.last {
		panic(fmt.Sprintf("walwriter: append up to %d ends at %d", a.Last, m.last))
	}
	return nil
}

// nextRecord returns the first record of an Append, which must be the one after last.
func (m *Machine) nextRecord(b []byte) ([]byte, error) {
	if len(b) < messages.RecordOverhead {
		return nil, fmt.Errorf("walwriter: append with %d bytes for a record", len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b[4:])) + messages.RecordOverhead
	if n > int64(len(b)) {
		return nil, fmt.Errorf("walwriter: append with a record of %d bytes in %d", n, len(b))
	}
	if seq := pages.Seq(binary.LittleEndian.Uint64(b[8:])); seq != m.last+1 {
		return nil, fmt.Errorf("walwriter: append %d after %d", seq, m.last)
	}
	return b[:n:n], nil
}

// place puts a record into the group, after making room for it: a group that is long enough is
// written, and a segment that cannot take the record is left.
func (m *Machine) place(rec []byte) error {
	if body := m.enc.bodyBytes(); body > 0 && body+len(rec) > groupLimit {
		if err := m.writeGroup(); err != nil {
			return err
		}
	}
	if need := int64(groupHeaderBytes + m.enc.bodyBytes() + len(rec)); need > m.current().room() {
		if err := m.writeGroup(); err != nil {
			return err
		}
		if err := m.rotate(); err != nil {
			return err
		}
		if need := int64(groupHeaderBytes + len(rec)); need > m.current().room() {
			panic(fmt.Sprintf("walwriter: record of %d bytes with a spare of %d", len(rec), m.current().room()))
		}
	}
	if len(rec)-messages.RecordOverhead > compressMax {
		return m.writeInPlace(rec)
	}
	m.enc.add(rec)
	m.last, m.link = m.last+1, m.enc.chain
	return nil
}

// writeGroup writes the group in the buffer, if there is one.
func (m *Machine) writeGroup() error {
	if len(m.enc.buf) == 0 {
		return nil
	}
	return m.writeOut(m.enc.finish(m.current(), m.synced, m.enc.bodyBytes()), nil)
}

// writeInPlace writes a record too large to be copied as a group of its own, from where it
// lies.
func (m *Machine) writeInPlace(rec []byte) error {
	if err := m.writeGroup(); err != nil {
		return err
	}
	m.enc.inPlace(rec)
	m.last, m.link = m.last+1, m.enc.chain
	return m.writeOut(m.enc.finish(m.current(), m.synced, len(rec)), rec)
}

// writeOut writes a finished group, whose last part may lie elsewhere, behind the others.
func (m *Machine) writeOut(group, tail []byte) error {
	seg := m.current()
	if _, err := seg.file.WriteAt(group, seg.end); err != nil {
		return fmt.Errorf("write segment %d: %w", seg.number, err)
	}
	if len(tail) > 0 {
		if _, err := seg.file.WriteAt(tail, seg.end+int64(len(group))); err != nil {
			return fmt.Errorf("write segment %d: %w", seg.number, err)
		}
		m.stats.Writes++
	}
	size := int64(len(group) + len(tail))
	seg.end = alignUp(seg.end+size, m.credit.align)
	seg.last, m.asserted, m.busy = m.last, m.synced, true
	m.stats.Writes++
	m.stats.Groups++
	m.stats.BytesWritten += uint64(size)
	m.enc.reset()
	return nil
}

// sync makes the current segment durable. A sync that failed is never tried again: the system
// may have dropped the pages and forgotten about it.
func (m *Machine) sync() error {
	seg := m.current()
	if err := seg.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %d: %w", seg.number, err)
	}
	m.stats.Syncs++
	seg.headerSynced = true
	m.synced = m.last
	return nil
}

// canClose reports that the last group is synced, not asserted yet, and that there is room to
// change that: for a group header that no credit was paid for, or for leaving the segment.
func (m *Machine) canClose() bool {
	if m.final || m.synced < m.last || m.asserted == m.last {
		return false
	}
	room, _ := m.roomToClose()
	return m.credit.granted <= m.credit.placeable(max(room, m.spareRoom()))
}

// roomToClose is the room that a group without records leaves in the current segment; ok is
// false if it does not fit.
func (m *Machine) roomToClose() (room int64, ok bool) {
	seg := m.current()
	return max(0, seg.size-alignUp(seg.end+groupHeaderBytes, m.credit.align)), seg.room() >= groupHeaderBytes
}

// closeLastGroup writes and syncs a header that asserts everything before it: that of a group
// without records, or of the next segment if this one is full.
func (m *Machine) closeLastGroup() error {
	if _, ok := m.roomToClose(); ok {
		m.enc.open()
		if err := m.writeOut(m.enc.finish(m.current(), m.synced, 0), nil); err != nil {
			return err
		}
	} else if len(m.spares) == 0 {
		return nil
	} else if err := m.rotate(); err != nil {
		return err
	}
	m.busy = false
	m.stats.IdleHeaders++
	return m.sync()
}

// rotate makes the first spare the current segment. The old one is synced first, because the
// new header says that all before it is.
func (m *Machine) rotate() error {
	if m.synced < m.last || !m.current().headerSynced {
		if err := m.sync(); err != nil {
			return err
		}
	}
	if len(m.spares) == 0 {
		panic(fmt.Sprintf("walwriter: no spare segment with a credit of %d granted and room for %d",
			m.credit.granted, m.current().room()))
	}
	seg := m.spares[0]
	m.spares = m.spares[1:]
	if m.nextNumber == 0 {
		return fmt.Errorf("segment numbers are used up")
	}
	seg.number, seg.epoch, seg.base, seg.last = m.nextNumber, m.epoch, m.last+1, m.last
	seg.end, seg.headerSynced = dataStart, false
	m.nextNumber++
	h := segmentHeader{
		number: seg.number, epoch: seg.epoch, base: seg.base, syncedThrough: m.last, bodyThrough: m.last,
		size: seg.size, chain: m.link, align: uint32(m.credit.align),
	}
	if err := seg.writeHeader(&h); err != nil {
		return err
	}
	m.live = append(m.live, seg)
	m.enc.chain = salt(m.link, seg.number, seg.epoch)
	m.asserted = m.last
	m.stats.Writes++
	m.stats.Rotations++
	return nil
}

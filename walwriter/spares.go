package walwriter

import (
	"errors"

	"github.com/aegis-storage/aegis/messages"
)

// keepSpares is how many released segments are kept for reuse: what is written between two
// checkpoints is about that much, and more would only hold space.
const keepSpares = 4

// spareRoom is the room of the first spare, or zero.
func (m *Machine) spareRoom() int64 {
	if len(m.spares) == 0 {
		return 0
	}
	return m.spares[0].size - dataStart
}

// grant returns the credit that the prepared space backs on top of what is granted, a
// reservation first.
func (m *Machine) grant() int64 {
	// Not the last bytes of the current segment: a header that closes it may still be wanted.
	room := max(m.current().room()-alignUp(groupHeaderBytes, m.credit.align), m.spareRoom())
	if m.reserve == 0 {
		return m.credit.topUp(room)
	}
	// An oversize commit gets exactly its bytes, and only when they can be had at once.
	if bytes := m.reserve; m.credit.granted+bytes <= m.credit.placeable(room) {
		m.reserve = 0
		m.credit.granted += bytes
		return bytes
	}
	return 0
}

// releaseSegments takes segments that a checkpoint covers out of the log.
func (m *Machine) releaseSegments() {
	// Until the current header is on the medium, a crash makes the segment before it the last
	// one, and recovery needs that to know where the log goes on.
	if !m.current().headerSynced {
		return
	}
	n := 0
	for n < len(m.live)-1 && m.live[n].last <= m.released {
		m.retire(m.live[n])
		n++
	}
	if n > 0 {
		m.live = append(m.live[:0], m.live[n:]...)
	}
}

// retire recycles a segment's file, or has it removed. Its old contents stay: whatever does
// not carry the next use's number and epoch is no part of the log.
func (m *Machine) retire(seg *segment) {
	if seg.file == nil || seg.size != m.segmentSize || len(m.spares) >= keepSpares {
		m.leaving = append(m.leaving, seg)
		return
	}
	m.spares = append(m.spares, seg)
	m.stats.Recycled++
}

// startJobs sends off what is needed and not on its way: one preparation, one removal.
func (m *Machine) startJobs(out *Outbox) {
	if m.preparing == nil && m.prepareErr == nil {
		if size := m.wantedSpare(); size > 0 {
			m.preparing = &prepareJob{backend: m.backend, slot: m.nextSlot, size: size}
			out.Jobs = append(out.Jobs, m.preparing)
		}
	}
	if m.removing == nil && m.removeErr == nil && len(m.leaving) > 0 {
		m.removing = &removeJob{backend: m.backend, segments: m.leaving}
		m.leaving = nil
		out.Jobs = append(out.Jobs, m.removing)
	}
}

// wantedSpare is the file size of the spare that should be prepared next; zero: none.
func (m *Machine) wantedSpare() int64 {
	if m.reserve > 0 {
		// More credit may be granted while the job runs, up to what an ordinary spare backs.
		granted := max(m.credit.granted, m.credit.placeable(m.segmentSize-dataStart))
		return alignUp(dataStart+m.credit.roomFor(granted+m.reserve), blockBytes)
	}
	if len(m.spares) == 0 {
		return m.segmentSize
	}
	return 0
}

// prepared takes over the result of a preparation.
func (m *Machine) prepared(job *prepareJob, err error) {
	m.preparing = nil
	m.nextSlot = max(m.nextSlot, job.slot+1)
	seg := job.result
	switch {
	case seg == nil:
		if err = failure(err); !errors.Is(err, messages.ErrClosed) {
			m.stats.PrepareFailures++
		}
		m.prepareErr = err
	case m.final || m.poisoned != nil:
		m.leaving = append(m.leaving, seg)
	case seg.size > m.segmentSize:
		m.spares = append([]*segment{seg}, m.spares...)
	default:
		m.spares = append(m.spares, seg)
	}
}

// removeEverything gives the log up: the checkpoint that the final Release speaks of says that
// none follows. What a job holds at this moment is removed when it comes back, or by Close.
func (m *Machine) removeEverything() {
	all := append(append(m.leaving, m.live...), m.spares...)
	if len(all) == 0 {
		return
	}
	m.finalErr = errors.Join(m.finalErr, removeAll(m.backend, all))
	m.live, m.spares, m.leaving = nil, nil, nil
	m.credit.granted, m.reserve = 0, 0
	m.synced, m.asserted = m.last, m.last // by the checkpoint
}

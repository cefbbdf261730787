package flusher

import (
	"errors"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// reclaim ends tables that no View holds any more: loads under way keep them pinned, new ones are
// refused (a reader that nobody registered starts again).
func (m *Machine) reclaim(msg messages.Reclaim, out *Outbox) {
	for _, t := range msg.Tables {
		t.Retire()
	}
	m.retired = append(m.retired, msg.Tables...)
	if len(msg.Tables) > 0 {
		out.Evictor = append(out.Evictor, messages.TablesRetired{})
	}
}

// scheduleRemoval removes the files of retired tables that have no pin left.
func (m *Machine) scheduleRemoval(out *Outbox) {
	m.retired = slices.DeleteFunc(m.retired, func(t *pages.Table) bool {
		if t.Retired() {
			m.condemned = append(m.condemned, condemned{t.Meta().ID, t.Meta().Size})
			return true
		}
		return false
	})
	if m.removing != nil || m.waits.remove || len(m.condemned) == 0 {
		return
	}
	m.removing = &removeJob{backend: m.backend}
	for _, c := range m.condemned {
		m.removing.tables = append(m.removing.tables, c.id)
	}
	out.Jobs = append(out.Jobs, m.removing)
}

func (m *Machine) removeDone(j *removeJob, err error) {
	m.removing = nil
	n := len(j.removed)
	for _, c := range m.condemned[:n] {
		m.reclaimable -= c.size
	}
	m.condemned = slices.Delete(m.condemned, 0, n)
	m.stats.FilesRemoved += uint64(n)
	if err != nil {
		m.fail(err)
		m.waits.remove = !errors.Is(err, messages.ErrClosed)
	}
}

// pinned reports whether retired tables wait for loads to end.
func (m *Machine) pinned() bool { return len(m.retired) > 0 }

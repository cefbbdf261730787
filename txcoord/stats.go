package txcoord

import "github.com/aegis-storage/aegis/messages"

// figures completes the counters with the present state.
func (m *Machine) figures() messages.TxcoordStats {
	s := m.stats
	s.Applied, s.Durable, s.Visible = m.applied, m.durable, m.visible
	s.Credit, s.Waiting, s.Held = m.credit, len(m.waiting), len(m.held)
	s.IndexBytes, s.IndexEntries = m.active.Bytes(), m.active.Len()
	s.Frozen, s.Retained = len(m.frozen), len(m.retained)
	for _, f := range m.frozen {
		s.FrozenBytes += f.index.Bytes()
	}
	for _, f := range m.retained {
		s.RetainedBytes += f.index.Bytes()
	}
	s.Pinned, s.PinnedBytes = len(m.pinned), m.pinnedBytes
	for _, r := range m.retired {
		s.RetiredFiles += len(r.tables)
	}
	s.Poisoned, s.NoSpace = m.poisoned, m.noSpace
	return s
}

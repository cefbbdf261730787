package flusher

import "github.com/aegis-storage/aegis/messages"

// Stats returns the machine's figures.
func (m *Machine) Stats() messages.FlusherStats {
	st, s := m.stats, &m.staged
	st.UserBytes = s.user
	st.Tables = s.tables()
	for _, r := range s.runs {
		st.TableBytes += r.bytes
		st.RawBytes += int64(r.raw)
		st.Entries += r.entries
		st.Tombstones += r.tombstones
		tier := int(r.Tier)
		if tier == BottomTier {
			continue
		}
		for len(st.RunsPerTier) <= tier {
			st.RunsPerTier = append(st.RunsPerTier, 0)
		}
		st.RunsPerTier[tier]++
	}
	if s.bottom() != nil {
		st.RunsPerTier = append(st.RunsPerTier, 1) // the bottom run comes last
	}
	st.Reclaimable = m.reclaimable
	st.Settled = m.settled()
	st.CheckpointNumber = m.published
	for _, running := range [...]bool{m.flushing != nil, m.stepping != nil, m.publishing != nil, m.removing != nil} {
		if running {
			st.JobsRunning++
		}
	}
	return st
}

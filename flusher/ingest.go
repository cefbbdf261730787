package flusher

import (
	"bytes"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// ingest takes the tables of a bulk load in. Their keyspace id is fresh, so no other table has
// keys between theirs, and where they stand among the runs makes no difference to readers: in the
// bottom run if they fit between its tables and no merge is about to change these, as a run of
// their own otherwise.
func (m *Machine) ingest(msg *messages.Ingest, out *Outbox) {
	if m.final || m.stopping {
		out.Replies = append(out.Replies, messages.ErrorReply{To: msg.Reply, Err: messages.ErrClosed})
		return
	}
	s := &m.staged
	s.keyspaces = name(s.keyspaces, pages.CatalogEntry{ID: msg.Keyspace, Codec: msg.Codec})
	if i, ok := slices.BinarySearch(s.pending, msg.Keyspace); !ok {
		s.pending = slices.Insert(slices.Clone(s.pending), i, msg.Keyspace)
	}
	if len(msg.Tables) > 0 {
		m.stageIngest(m.open(msg.Tables))
	}
	m.foreign++
	m.ingests = append(m.ingests, messages.ErrorReply{To: msg.Reply})
	m.revision++
}

func (m *Machine) stageIngest(tables []*pages.Table) {
	s := &m.staged
	slices.SortFunc(tables, func(a, b *pages.Table) int { return bytes.Compare(a.Meta().Min, b.Meta().Min) })
	b := s.bottom()
	r := newRun(m.newRunID(), &pages.Run{SeqLo: s.freeze, SeqHi: s.freeze, Tables: tables})
	s.user += r.raw
	s.written += uint64(r.bytes)
	span := pages.TableMeta{Min: tables[0].Meta().Min, Max: tables[len(tables)-1].Meta().Max}
	busy := slices.ContainsFunc(m.merges, func(mg *merge) bool { return mg.bottom })
	switch {
	case len(s.runs) == 0:
		r.Tier, r.SeqLo, r.SeqHi = BottomTier, 0, 0
		s.insert(0, r)
	case b != nil && !busy && !overlaps(b.Tables, &span):
		s.set(len(s.runs)-1, b.with(replace(b.Tables, nil, tables), nil))
	default:
		s.insert(0, r)
	}
}

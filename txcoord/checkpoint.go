package txcoord

import (
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// checkpoint handles a request to flush everything applied.
func (m *Machine) checkpoint(c *messages.Checkpoint, out *Outbox) {
	if m.poisoned != nil {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.Reply, Err: m.poisoned})
		return
	}
	if c.Final {
		// What is held was admitted, by clients that may not wait for it: it goes first.
		m.final, m.finalDue = true, true
	}
	m.freezeDue = m.active.Len() > 0
	if !c.Final && !m.freezeDue && len(m.frozen) == 0 {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.Reply})
		return
	}
	upTo := m.applied
	if !m.freezeDue && len(m.frozen) > 0 {
		upTo = m.frozen[0].upTo
	}
	m.checkpoints = append(m.checkpoints, checkpoint{upTo: upTo, final: c.Final, to: c.Reply})
}

// freezeIfDue freezes on account of the log's size, of a Checkpoint, or of an Await without a
// log, once there is room for another frozen index; and for the last time when nothing is held
// any more.
func (m *Machine) freezeIfDue() {
	switch {
	case m.poisoned != nil:
	case m.finalDue:
		if len(m.held) == 0 {
			m.finalDue = false
			m.freeze(true)
		}
	case m.active.Len() == 0:
		m.freezeDue = false
	case m.freezeDue && len(m.frozen) < m.limits.MaxFrozen:
		m.freeze(false)
	}
}

// freeze closes the active index at applied and opens a new one. The log group is closed with
// a sync, as the flush has to wait until durable covers the freeze seq.
func (m *Machine) freeze(final bool) {
	m.freezeDue = false
	m.idle.frozen()
	m.active.Freeze(m.applied)
	m.frozen = slices.Insert(m.frozen, 0, frozen{index: m.active, lifespan: lifespan{born: m.activeBorn}, upTo: m.applied, final: final})
	m.active = versions.NewIndex(m.applied, versions.IndexOptions{ChunkBytes: m.limits.ChunkBytes, ExpectKeys: m.active.Len()})
	m.activeBorn = m.epoch + 1 // the View that end builds
	m.viewStale = true
	m.stats.Freezes++
	if m.log && m.durable < m.applied {
		m.group.sync = true
	}
}

// sendFlushes sends every frozen index that durable covers, oldest first.
func (m *Machine) sendFlushes(out *Outbox) {
	if m.poisoned != nil {
		return
	}
	for i := len(m.frozen) - 1; i >= 0; i-- {
		f := &m.frozen[i]
		if f.sent {
			continue
		}
		if m.log && m.durable < f.upTo {
			return
		}
		f.sent = true
		out.Flusher = append(out.Flusher, messages.Flush{Index: f.index, UpTo: f.upTo, Final: f.final})
	}
}

// tellSeen acknowledges what flusher has sent.
func (m *Machine) tellSeen(out *Outbox) {
	if m.flusherNo > m.flusherTold {
		m.flusherTold = m.flusherNo
		out.Flusher = append(out.Flusher, messages.Seen{UpTo: m.flusherNo})
	}
}

// flushed takes a published checkpoint in: a new View without the indexes that it covers.
func (m *Machine) flushed(msg messages.Flushed, out *Outbox) {
	m.flusherNo = max(m.flusherNo, msg.No)
	m.runs, m.debt, m.flushErr = msg.Runs, msg.Debt, nil
	m.idle.tables(m.runs)
	m.runSeq = max(m.runSeq, msg.Covered)
	m.viewStale = true
	for last := len(m.frozen) - 1; last >= 0 && m.frozen[last].upTo <= msg.Covered && (msg.Final || !m.frozen[last].final); last-- {
		m.frozen[last].gone = m.epoch + 1 // the View that end builds is the first without it
		m.retain(m.frozen[last])
		m.frozen = slices.Delete(m.frozen, last, last+1)
	}
	if len(msg.Retired) > 0 {
		m.retired = append(m.retired, retiredTables{gone: m.epoch + 1, tables: msg.Retired})
	}
	m.bear(msg.Runs, m.epoch+1)
	if !m.log && msg.Covered > m.durable && m.poisoned == nil {
		m.durable = msg.Covered
		m.answerWaiting(out)
	}
	rest := m.checkpoints[:0]
	for _, c := range m.checkpoints {
		// A publication that was under way may cover all there is, and still say that a log follows.
		if c.upTo <= msg.Covered && (msg.Final || !c.final) {
			out.Replies = append(out.Replies, messages.ErrorReply{To: c.to})
		} else {
			rest = append(rest, c)
		}
	}
	clear(m.checkpoints[len(rest):])
	m.checkpoints = rest
}

// retain keeps a flushed index for conflict checks, and lets the oldest go when there are
// enough or no open transaction is older than it.
func (m *Machine) retain(f frozen) {
	if f.index.Len() > 0 {
		m.retained = slices.Insert(m.retained, 0, f)
	} else {
		m.pin(f)
	}
	m.trimRetained()
}

// trimRetained raises the floor over retained indexes that are not needed or too many.
func (m *Machine) trimRetained() {
	oldest, open := m.pub.Snapshots.MinSeq()
	for n := len(m.retained); n > 0; n-- {
		last := m.retained[n-1]
		if n <= m.limits.RetainIndexes && open && oldest < last.upTo {
			return
		}
		m.floor = max(m.floor, last.upTo)
		m.pin(last)
		m.retained = slices.Delete(m.retained, n-1, n)
	}
}

// flushFailed tells those who asked for a checkpoint; flusher goes on trying. When the store
// closes nobody waits for that, so what is held is refused.
func (m *Machine) flushFailed(msg messages.FlushFailed, out *Outbox) {
	m.flusherNo = max(m.flusherNo, msg.No)
	// Slow reads are better than writers that wait for merges that cannot be: neither while merges
	// fail nor while no checkpoint can say what they did. Flushed tells the debt anew.
	m.debt = 0
	if msg.Merge {
		return
	}
	m.flushErr = fmt.Errorf("%w: %w", messages.ErrStalled, msg.Err)
	for _, c := range m.checkpoints {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.to, Err: msg.Err})
	}
	m.checkpoints = nil
	if m.finalDue {
		for _, c := range m.held {
			m.answer(c, messages.CommitResult{Err: messages.ErrClosed}, out)
		}
		m.held, m.reserved = nil, 0
	}
	if !m.log {
		for _, a := range m.awaits {
			out.Replies = append(out.Replies, messages.ErrorReply{To: a.to, Err: msg.Err})
		}
		m.awaits = nil
	}
}

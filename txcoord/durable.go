package txcoord

import (
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// raiseDurable takes a synced prefix in and answers who waited for it. A log writer that fails
// may have synced part of an Append before; readers cannot be shown the state in the middle of
// one, as trimming kept only what the ends of Appends need. So durable stops at the last end,
// unless visible has gone further by itself.
func (m *Machine) raiseDurable(upTo pages.Seq, out *Outbox) {
	if upTo > m.applied {
		panic(fmt.Sprintf("txcoord: durable %d above applied %d", upTo, m.applied))
	}
	if m.poisoned != nil {
		return
	}
	m.durable = max(m.durable, min(upTo, m.visible))
	n := 0
	for n < len(m.inFlight) && m.inFlight[n] <= upTo {
		m.durable = max(m.durable, m.inFlight[n])
		n++
	}
	m.inFlight = slices.Delete(m.inFlight, 0, n)
	m.visible = max(m.visible, m.durable)
	m.answerWaiting(out)
}

// answerWaiting answers commits and awaits at or below durable.
func (m *Machine) answerWaiting(out *Outbox) {
	n := 0
	for n < len(m.waiting) && m.waiting[n].seq <= m.durable {
		w := m.waiting[n]
		out.Commits = append(out.Commits, CommitReply{w.to, messages.CommitResult{Seq: w.seq}})
		n++
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
	rest := m.awaits[:0]
	for _, a := range m.awaits {
		if a.upTo <= m.durable {
			out.Replies = append(out.Replies, messages.ErrorReply{To: a.to})
		} else {
			rest = append(rest, a)
		}
	}
	clear(m.awaits[len(rest):])
	m.awaits = rest
}

// await registers somebody who wants a prefix durable, and asks for the sync.
func (m *Machine) await(a *messages.Await, out *Outbox) {
	upTo := min(a.UpTo, m.applied)
	switch {
	case upTo <= m.durable:
		out.Replies = append(out.Replies, messages.ErrorReply{To: a.Reply})
	case m.poisoned != nil:
		out.Replies = append(out.Replies, messages.ErrorReply{To: a.Reply, Err: m.poisoned})
	default:
		m.awaits = append(m.awaits, await{upTo, a.Reply})
		if m.log {
			m.group.sync = m.group.sync || upTo > m.syncSent
		} else {
			m.freezeDue = true
		}
	}
}

// written takes log credit and a buffer back.
func (m *Machine) written(w messages.Written, out *Outbox) {
	m.credit += w.Credit
	m.logBytes = w.LogBytes
	m.appendsOut -= w.Appends
	if w.Credit > 0 {
		m.noSpace = nil
	}
	const keepBuffers, keepBytes = 4, 1 << 20
	if w.Buffer != nil && len(m.buffers) < keepBuffers && cap(w.Buffer) <= keepBytes {
		m.buffers = append(m.buffers, w.Buffer)
	}
	if m.logBytes >= m.limits.LogBytes && len(m.frozen) == 0 {
		m.freezeDue = true
	}
}

// poison stops all writing: whoever waits above durable gets the first cause. What was visible
// stays visible.
func (m *Machine) poison(err error, out *Outbox) {
	if m.poisoned != nil {
		return
	}
	m.poisoned = fmt.Errorf("%w: %w", messages.ErrPoisoned, err)
	for _, w := range m.waiting {
		out.Commits = append(out.Commits, CommitReply{w.to, messages.CommitResult{Err: m.poisoned}})
	}
	for _, c := range m.held {
		m.answer(c, messages.CommitResult{Err: m.poisoned}, out)
	}
	for _, a := range m.awaits {
		out.Replies = append(out.Replies, messages.ErrorReply{To: a.to, Err: m.poisoned})
	}
	for _, c := range m.checkpoints {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.to, Err: m.poisoned})
	}
	m.waiting, m.held, m.awaits, m.checkpoints = nil, nil, nil, nil
	m.reserved = 0
	m.group = group{}
}

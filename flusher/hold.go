package flusher

import (
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// hold is a client's Hold. A publication that begins while one is answered removes no file of an
// older checkpoint, and its Release waits for the last Unhold.
type hold struct {
	request  *messages.Hold
	tables   []*pages.Table // pinned for it
	answered bool
}

// HoldReply is the answer to a Hold.
type HoldReply struct {
	To   messages.Reply[messages.Held]
	Held messages.Held
}

// held reports whether a checkpoint's files and its log must stay.
func (m *Machine) held() bool {
	return slices.ContainsFunc(m.holds, func(h *hold) bool { return h.answered })
}

// answerHolds pins the tables of the published checkpoint for whoever asked. A publication under way
// would remove the checkpoint's files behind its back.
func (m *Machine) answerHolds(out *Outbox) {
	if m.publishing != nil {
		return
	}
	for _, h := range m.holds {
		if h.answered {
			continue
		}
		h.answered = true
		for _, r := range m.publishedRuns {
			for _, t := range r.Tables {
				if !t.TryPin() {
					panic("flusher: a table of the published checkpoint is retired")
				}
				h.tables = append(h.tables, t)
			}
		}
		out.Holds = append(out.Holds, HoldReply{h.request.Reply, messages.Held{Checkpoint: m.published, Tables: h.tables}})
	}
}

// unhold ends a Hold, and lets the log go that stayed for the last one.
func (m *Machine) unhold(u messages.Unhold, out *Outbox) {
	i := slices.IndexFunc(m.holds, func(h *hold) bool { return h.request == u.Hold })
	if i < 0 {
		panic("flusher: an Unhold without its Hold")
	}
	if u.Unpin {
		for _, t := range m.holds[i].tables {
			t.Unpin()
		}
	}
	m.holds = slices.Delete(m.holds, i, i+1)
	if m.withheld != (messages.Release{}) && !m.held() {
		out.Walwriter = append(out.Walwriter, m.withheld)
		m.withheld = messages.Release{}
	}
}

// release lets walwriter have the log below a published checkpoint, once nobody holds it.
func (m *Machine) release(r messages.Release, out *Outbox) {
	if m.held() {
		m.withheld = r
		return
	}
	out.Walwriter = append(out.Walwriter, r)
}

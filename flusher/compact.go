package flusher

import (
	"slices"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// settle tells when writers have paused. It knows time from Ticks alone, so a pause is noticed
// after one to two times SettleAfter.
type settle struct {
	after time.Duration
	since time.Time // the first Tick since the last write; zero: none yet
	quiet bool
}

// active notes a write.
func (s *settle) active() { s.since, s.quiet = time.Time{}, false }

func (s *settle) tick(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.quiet = s.quiet || now.Sub(s.since) >= s.after
}

// compaction is a Compact that is not answered yet.
type compaction struct {
	request *messages.Compact
	upTo    pages.Seq // runs that begin above are not its concern
	done    bool
	at      uint64 // the revision that is to be published, once done
}

// compact takes a client's wish for one run in.
func (m *Machine) compact(c *messages.Compact, out *Outbox) {
	if m.final || m.stopping {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.Reply, Err: messages.ErrClosed})
		return
	}
	m.blocked, m.waits.merge = nil, false
	m.compactions = append(m.compactions, &compaction{request: c, upTo: m.staged.freeze})
}

// wantsAll reports whether everything shall be merged into one run now: because a client asked,
// or because writers pause and the budget allows it.
func (m *Machine) wantsAll() bool {
	if slices.ContainsFunc(m.compactions, func(c *compaction) bool { return !c.done }) {
		return true
	}
	return m.settle.quiet && len(m.flushes) == 0 && !m.settled() && m.affordable()
}

// affordable reports whether merging everything keeps the table bytes written since the store
// began within SettleBudget times the user's bytes.
func (m *Machine) affordable() bool {
	s := &m.staged
	upper, bottom, cost := s.runs, s.bottom(), int64(0)
	if bottom != nil {
		upper = upper[:len(upper)-1]
		dead := ranges(s.dropped)
		for _, t := range bottom.Tables {
			if touches(dead, nil, t) || slices.ContainsFunc(upper, func(r *run) bool { return overlaps(r.Tables, t.Meta()) }) {
				cost += t.Meta().Size
			}
		}
	}
	for _, r := range upper {
		cost += r.bytes
	}
	return s.written+uint64(cost) <= uint64(m.limits.SettleBudget)*s.user
}

// settled reports whether one run is left, with nothing in it that a merge could take out.
func (m *Machine) settled() bool {
	n := len(m.staged.runs)
	return n == 0 || n == 1 && m.staged.bottom() != nil && !m.dirty()
}

// dirty reports whether the bottom run can hold keys of dropped keyspaces.
func (m *Machine) dirty() bool {
	b := m.staged.bottom()
	if b == nil {
		return false
	}
	dead := ranges(m.staged.dropped)
	return slices.ContainsFunc(b.Tables, func(t *pages.Table) bool { return touches(dead, nil, t) })
}

// checkCompacts answers the Compacts whose state is published.
func (m *Machine) checkCompacts(out *Outbox) {
	left := m.compactions[:0]
	for _, c := range m.compactions {
		if !c.done && m.compacted(c.upTo) {
			c.done, c.at = true, m.revision
		}
		if c.done && m.publishedRevision >= c.at {
			out.Replies = append(out.Replies, messages.ErrorReply{To: c.request.Reply})
			continue
		}
		left = append(left, c)
	}
	clear(m.compactions[len(left):])
	m.compactions = left
}

// compacted reports whether all up to seq is in the bottom run, and that is clean.
func (m *Machine) compacted(seq pages.Seq) bool {
	b := m.staged.bottom()
	for _, r := range m.staged.runs {
		if r != b && r.SeqLo <= seq {
			return false
		}
	}
	return !m.dirty()
}

// answerCompacts gives all waiting Compacts err.
func (m *Machine) answerCompacts(err error, out *Outbox) {
	for _, c := range m.compactions {
		out.Replies = append(out.Replies, messages.ErrorReply{To: c.request.Reply, Err: err})
	}
	m.compactions = nil
}

// reporter returns what tells the waiting Compacts how far the merge is; nil if nobody asks. The
// functions are called by one job at a time.
func (m *Machine) reporter(mg *merge) func(read uint64) {
	var tell []func(done, total int64)
	for _, c := range m.compactions {
		if c.request.Progress != nil {
			tell = append(tell, c.request.Progress)
		}
	}
	if len(tell) == 0 {
		return nil
	}
	before, total := mg.read, int64(mg.total)
	return func(read uint64) {
		for _, f := range tell {
			f(min(int64(before+read), total), total)
		}
	}
}

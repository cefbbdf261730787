package txcoord

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// slowTick is how often the byte quota of slowed writers is renewed.
const slowTick = 10 * time.Millisecond

// commit takes one transaction in: it is refused, held behind others, or applied at once.
func (m *Machine) commit(c *messages.Commit, out *Outbox) {
	switch {
	case m.final:
		m.answer(c, messages.CommitResult{Err: messages.ErrClosed}, out)
	case m.poisoned != nil:
		m.answer(c, messages.CommitResult{Err: m.poisoned}, out)
	case len(m.held) > 0:
		m.held = append(m.held, c)
	case !m.tryApply(c, out):
		m.held = append(m.held, c)
	}
}

// pump applies held commits in their order until one has to go on waiting.
func (m *Machine) pump(out *Outbox) {
	n := 0
	for n < len(m.held) && m.tryApply(m.held[n], out) {
		n++
	}
	m.held = slices.Delete(m.held, 0, n)
	if len(m.held) > 0 {
		m.stats.HeldTurns++
	}
}

// tryApply answers false if the commit has to wait for log space, for a flush or for merges.
func (m *Machine) tryApply(c *messages.Commit, out *Outbox) bool {
	cost := messages.CreditFor(len(c.Batch))
	if m.log && m.credit < cost {
		m.stats.HeldForCredit++
		return m.refuseOrReserve(c, cost, out)
	}
	if !m.roomInIndex(cost) {
		m.stats.HeldForFlush++
		if m.flushErr == nil || !m.indexFull() {
			return false
		}
		m.reserved = 0
		m.refuse(c, m.flushErr, out)
		return true
	}
	m.reserved = 0
	if m.conflict(c) {
		m.stats.Conflicts++
		m.answer(c, messages.CommitResult{Err: messages.ErrConflict}, out)
		return true
	}
	m.apply(c, cost, out)
	return true
}

// refuseOrReserve handles a commit that credit does not cover: one too large for ordinary
// credit is reserved for once it stands alone, and NoSpace may be the answer to that; another one
// is refused without space, else it waits.
func (m *Machine) refuseOrReserve(c *messages.Commit, cost int64, out *Outbox) bool {
	if cost <= m.limits.SegmentBytes/2 {
		if m.noSpace == nil {
			return false
		}
		m.refuse(c, m.noSpace, out)
		return true
	}
	if m.reserved != 0 {
		return false
	}
	if m.durable < m.applied {
		m.group.sync = m.group.sync || m.syncSent < m.applied
		return false
	}
	m.reserved = cost
	m.stats.Oversize++
	out.Walwriter = append(out.Walwriter, messages.Reserve{Bytes: cost})
	return false
}

// roomInIndex freezes a full active index, or answers false while too much waits already.
func (m *Machine) roomInIndex(cost int64) bool {
	if m.indexFull() {
		if len(m.frozen) >= m.limits.MaxFrozen {
			return false
		}
		m.freeze(false)
	}
	if m.final {
		return true // what is held goes out before the store closes, whatever the runs
	}
	if m.debt >= m.limits.MaxRuns {
		return false
	}
	if m.slowed() {
		if m.quota <= 0 {
			return false
		}
		m.quota -= cost
	}
	return true
}

// indexFull says whether the active index has reached its size. One that is large by the table
// made for the keys it may get, and holds nothing, is not full.
func (m *Machine) indexFull() bool {
	return m.active.Bytes() >= m.limits.IndexBytes && m.active.Len() > 0
}

// slowed says whether unmerged runs have piled up so far that writers get a byte quota.
func (m *Machine) slowed() bool { return m.debt > m.limits.MaxRuns/2 }

// slowQuota falls smoothly from a sixteenth of an index per slowTick towards nothing as the
// number of unmerged runs goes from half of MaxRuns to all of it.
func (m *Machine) slowQuota() int64 {
	half := int64(m.limits.MaxRuns / 2)
	left := max(int64(m.limits.MaxRuns-m.debt), 0)
	return max(m.limits.IndexBytes/16*min(left, half)/max(half, 1), 1)
}

// apply numbers the commit and puts it into the index and into the log group.
func (m *Machine) apply(c *messages.Commit, cost int64, out *Outbox) {
	seq := m.applied + 1
	m.insert(c, seq)
	m.applied = seq
	m.stats.Commits++
	if c.Durability == messages.NoSync {
		m.stats.NoSync++
	}
	if m.log {
		m.credit -= cost
		m.record(c, seq, cost)
	}
	if m.log && c.Durability == messages.Sync {
		m.group.sync = true
		m.waiting = append(m.waiting, waiter{seq, c.Reply})
		return
	}
	// What is acknowledged must be visible, so visible passes durable here.
	m.visible = seq
	m.answer(c, messages.CommitResult{Seq: seq}, out)
}

// insert puts the versions into the active index.
func (m *Machine) insert(c *messages.Commit, seq pages.Seq) {
	for i := range c.Ops {
		m.stats.UserBytes += uint64(c.Ops[i].KeyLen) + uint64(c.Ops[i].ValLen)
	}
	m.idle.note(c.Batch, c.Ops)
	c.Adopted = Insert(m.active, c.Batch, c.Ops, seq, m.limits.ChunkBytes, m.trimKeep(c), false)
}

// Insert puts the writes of one commit into an index; replay uses it too. A batch of half a
// chunk or more becomes a chunk itself (adopted), of which it is a copy if clone is set.
func Insert(x *versions.Index, batch []byte, ops []messages.Op, seq pages.Seq, chunkBytes int, keep *versions.Keep, clone bool) (adopted bool) {
	if len(batch) < chunkBytes/2 {
		for i := range ops {
			if i%warmOps == 0 {
				warm(x, ops[i:])
			}
			op := &ops[i]
			x.Put(op.Hash, op.Key(batch), op.Value(batch), op.Kind, seq, keep)
		}
		return false
	}
	if clone {
		batch = bytes.Clone(batch)
	}
	chunk := x.Adopt(batch)
	for i := range ops {
		if i%warmOps == 0 {
			warm(x, ops[i:])
		}
		op := &ops[i]
		x.PutAdopted(chunk, op.Hash, int(op.KeyOff), int(op.KeyLen), int(op.ValueOff), int(op.ValLen), op.Kind, seq, keep)
	}
	return true
}

// warmOps is how many lookups wait for memory together.
const warmOps = 16

// warm prepares the index for the next writes of a large commit.
func warm(x *versions.Index, ops []messages.Op) {
	if len(ops) < 2 {
		return
	}
	var hashes [warmOps]uint64
	n := min(len(ops), warmOps)
	for i := range n {
		hashes[i] = ops[i].Hash
	}
	x.Warm(hashes[:n])
}

// trimKeep returns the seqs whose versions must be left when c's are put: what readers see now,
// and everything that visible and applied can still be set to from what is in flight. visible may
// have risen within this Step already, and will be published like that if c is one that waits:
//
//	apply 5, NoSync: visible = 5
//	apply 6, Sync: version 5 of its keys must stay
//	end: Visible.Store(5)
func (m *Machine) trimKeep(c *messages.Commit) *versions.Keep {
	if !m.keepReady {
		m.keepReady = true
		pending := append(m.inFlight, m.seenApplied)
		m.pub.Horizon(m.seenVisible, pending, &m.keep)
	}
	if m.log && c.Durability == messages.Sync {
		if at, found := slices.BinarySearch(m.keep.Seqs, m.visible); !found {
			m.keep.Seqs = slices.Insert(m.keep.Seqs, at, m.visible)
		}
	}
	return &m.keep
}

// record appends the commit's log record to the group.
func (m *Machine) record(c *messages.Commit, seq pages.Seq, cost int64) {
	g := &m.group
	if g.records == nil && len(m.buffers) > 0 {
		g.records = m.buffers[len(m.buffers)-1][:0]
		m.buffers = m.buffers[:len(m.buffers)-1]
	}
	if g.count == 0 {
		g.first = seq
	}
	g.records = messages.AppendRecord(g.records, seq, c.Batch)
	g.last = seq
	g.count++
	g.charged += cost
}

// closeGroup sends the group if somebody waits for it, or for the credit that it holds, or if
// enough has gathered. Walwriter drains a Turn's worth of Appends into one write; more than that
// gather here, so that its mailbox always has room.
func (m *Machine) closeGroup(out *Outbox) {
	g := &m.group
	due := g.sync || len(g.records) >= m.limits.GatherBytes || g.count > 0 && len(m.held) > 0
	if !m.log || m.poisoned != nil || m.appendsOut >= m.limits.TurnLimit || !due {
		return
	}
	m.appendsOut++
	out.Walwriter = append(out.Walwriter, messages.Append{
		Records: g.records, First: g.first, Last: g.last, Count: g.count, Charged: g.charged, Sync: g.sync,
	})
	if g.sync {
		m.stats.Groups++
		m.syncSent = m.applied
	}
	if g.count > 0 {
		m.inFlight = append(m.inFlight, g.last)
		m.stats.GroupCommits += uint64(g.count)
	}
	*g = group{}
}

// answer queues the reply to a commit.
func (m *Machine) answer(c *messages.Commit, r messages.CommitResult, out *Outbox) {
	out.Commits = append(out.Commits, CommitReply{c.Reply, r})
}

// refuse answers that there is no room for the commit, and why.
func (m *Machine) refuse(c *messages.Commit, err error, out *Outbox) {
	m.stats.Rejected++
	m.answer(c, messages.CommitResult{Err: err}, out)
}

// outOfSpace refuses what waits for log space; commits that fit into what is left go on. A
// reservation is refused here and now: walwriter has forgotten it, and a Written in the same
// batch may withdraw the NoSpace before the queue is looked at.
func (m *Machine) outOfSpace(msg messages.NoSpace, out *Outbox) {
	m.noSpace = msg.Err
	if m.noSpace == nil {
		m.noSpace = fmt.Errorf("%w", messages.ErrNoSpace)
	}
	if m.reserved != 0 && m.credit < messages.CreditFor(len(m.held[0].Batch)) {
		m.refuse(m.held[0], m.noSpace, out)
		m.held = slices.Delete(m.held, 0, 1)
		m.reserved = 0
	}
}

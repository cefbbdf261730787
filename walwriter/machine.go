package walwriter

import (
	"errors"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Config is what a Machine is made with.
type Config struct {
	Backend backends.Backend
	Limits  messages.Limits
	Epoch   uint64 // of this life; above every epoch that recovery has seen
}

// Outbox is everything that a Step can cause.
type Outbox struct {
	Txcoord []messages.ToTxcoord // Written, Durable, NoSpace, Poisoned; in this order
	Jobs    []messages.WalJob    // to be run by a worker and answered by a WalJobDone
	Stats   []StatsReply
	Alarm   time.Duration // above zero: send a Tick after this
}

// StatsReply is the answer to a WalStatsRequest.
type StatsReply struct {
	To    messages.Reply[messages.WalStats]
	Stats messages.WalStats
}

// Reset empties the outbox and keeps its memory. The shell calls it after delivery.
func (o *Outbox) Reset() {
	clear(o.Txcoord)
	clear(o.Jobs)
	*o = Outbox{Txcoord: o.Txcoord[:0], Jobs: o.Jobs[:0], Stats: o.Stats[:0]}
}

// Machine is the log writer. It is not safe for concurrent use; its jobs may run while it
// steps.
//
// Invariants:
//  1. asserted ≤ synced ≤ last; each of them only rises.
//  2. live holds the segments of the log, oldest first, without a gap in their seqs; the last
//     one is the current one, and takes the groups.
//  3. The credit granted can be placed (see ledger).
//  4. A segment leaves live only when its last seq is at or below released, and the header of
//     the current segment is on the medium.
//  5. A segment is activated only when all segments before it are synced: at most the current
//     one has unsynced bytes.
//  6. After poisoned is set nothing is written, synced, released or removed.
type Machine struct {
	backend     backends.Backend
	limits      messages.Limits
	epoch       uint32
	segmentSize int64 // bytes of an ordinary segment's file

	live       []*segment // oldest first; the last is the current one
	spares     []*segment // ready to be activated, in this order
	leaving    []*segment // waiting for a job to remove them
	nextSlot   uint32
	nextNumber uint32

	last     pages.Seq // last record written
	synced   pages.Seq // last record known to be on the medium
	asserted pages.Seq // the syncedThrough of the last header written
	released pages.Seq // a synced checkpoint covers everything at or below
	link     uint32    // checksum of record last

	enc     encoder
	credit  ledger
	reserve int64 // bytes of an oversize commit that waits for its credit

	turn      []messages.Append // of this Step
	syncAsked bool
	closing   bool // the last group is to be closed, if the Step writes nothing else

	preparing  *prepareJob
	removing   *removeJob
	prepareErr error // the last preparation failed; tried again on a Tick
	removeErr  error
	noSpace    bool // NoSpace was sent, and no credit since
	alarmed    bool // a Tick was asked for and has not come
	busy       bool // something was written since the last Tick

	final    bool
	finalErr error
	poisoned error

	stats messages.WalStats
}

func newMachine(cfg Config, epoch uint32) *Machine {
	align := groupAlign(cfg.Limits)
	m := &Machine{
		backend: cfg.Backend, limits: cfg.Limits, epoch: epoch,
		credit: ledger{align: align},
		enc:    encoder{compressAbove: cfg.Limits.CompressAbove},
	}
	// Every commit that is not oversize must fit the credit that one segment backs.
	least := dataStart + m.credit.roomFor(cfg.Limits.SegmentBytes/2)
	m.segmentSize = alignUp(max(cfg.Limits.SegmentBytes, least), blockBytes)
	return m
}

// groupAlign is the alignment of groups, in bytes: that of the limits, but at least what the
// search for headers needs.
func groupAlign(l messages.Limits) int64 {
	return alignUp(min(maxAlign, max(minAlign, int64(l.GroupAlign))), minAlign)
}

// Start grants the first credit and sends off the first spare's preparation. The shell calls
// it once, before the first Step.
func (m *Machine) Start(out *Outbox) { m.settle(out) }

// Step handles the messages of one Turn. What the Turn appends is written, and synced if any
// Append asked, before Step returns; its outcome, also a failure, is in out.
func (m *Machine) Step(batch []messages.ToWalwriter, out *Outbox) error {
	for _, msg := range batch {
		switch msg := msg.(type) {
		case messages.Append:
			m.handleAppend(msg)
		case messages.Reserve:
			m.handleReserve(msg)
		case messages.Release:
			m.handleRelease(msg)
		case messages.WalJobDone:
			m.handleJobDone(msg)
		case messages.Tick:
			m.handleTick()
		case *messages.WalStatsRequest:
			out.Stats = append(out.Stats, StatsReply{msg.Reply, m.Stats()})
		default:
			panic(fmt.Sprintf("walwriter: message %T is not for the log writer", msg))
		}
	}
	m.settle(out)
	clear(m.turn)
	m.turn, m.syncAsked, m.closing = m.turn[:0], false, false
	return nil
}

// settle does what the messages of a Step asked for together, and reports it.
func (m *Machine) settle(out *Outbox) {
	durable := m.synced
	if m.poisoned == nil {
		if err := m.writeTurn(); err != nil {
			m.poisoned = fmt.Errorf("walwriter: %w", err)
			m.reportDurable(durable, out)
			out.Txcoord = append(out.Txcoord, messages.Poisoned{Err: m.poisoned})
		}
	}
	if m.poisoned != nil {
		return
	}
	if m.final {
		m.removeEverything()
	} else {
		m.releaseSegments()
	}
	m.reportWritten(out)
	m.reportDurable(durable, out)
	if m.final {
		return
	}
	m.startJobs(out)
	m.reportNoSpace(out)
	m.askForTick(out)
}

func (m *Machine) handleAppend(a messages.Append) {
	if m.poisoned != nil {
		return
	}
	if m.final && len(a.Records) > 0 {
		panic(fmt.Sprintf("walwriter: append of %d after the final release", a.First))
	}
	m.turn = append(m.turn, a)
	m.syncAsked = m.syncAsked || a.Sync
}

func (m *Machine) handleReserve(r messages.Reserve) { m.reserve = max(m.reserve, r.Bytes) }

func (m *Machine) handleRelease(r messages.Release) {
	m.released = max(m.released, r.UpTo)
	m.final = m.final || r.Final
}

// handleTick tries again what failed, and closes the last group if nothing was written since
// the Tick before: until a later header asserts it, damage to it cannot be told from a torn
// write.
func (m *Machine) handleTick() {
	m.alarmed = false
	m.prepareErr, m.removeErr = nil, nil
	m.closing = !m.busy
	m.busy = false
}

func (m *Machine) handleJobDone(d messages.WalJobDone) {
	switch job := d.Job.(type) {
	case *prepareJob:
		m.prepared(job, d.Err)
	case *removeJob:
		m.removing = nil
		m.leaving = append(m.leaving, job.segments...)
		if len(job.segments) > 0 {
			m.removeErr = failure(d.Err)
		}
	default:
		panic(fmt.Sprintf("walwriter: job %T is not the log writer's", d.Job))
	}
}

// failure makes sure that work which is not done counts as failed.
func failure(err error) error {
	if err == nil {
		return errors.New("walwriter: job ended early")
	}
	return err
}

// reportWritten answers each Append with one Written, which hands its buffer back, and grants credit.
func (m *Machine) reportWritten(out *Outbox) {
	var credit int64
	if !m.final {
		credit = m.grant()
	}
	logBytes := m.logBytes()
	for i := range m.turn {
		out.Txcoord = append(out.Txcoord, messages.Written{Credit: credit, Appends: 1, LogBytes: logBytes, Buffer: m.turn[i].Records})
		m.noSpace = m.noSpace && credit == 0
		credit = 0
	}
	if credit > 0 {
		out.Txcoord = append(out.Txcoord, messages.Written{Credit: credit, LogBytes: logBytes})
		m.noSpace = false
	}
}

// reportDurable raises txcoord's watermark, or answers a sync that had nothing to do.
func (m *Machine) reportDurable(before pages.Seq, out *Outbox) {
	asked := false
	for i := range m.turn {
		asked = asked || m.turn[i].Sync
	}
	if m.synced > before || asked && m.synced == m.last {
		out.Txcoord = append(out.Txcoord, messages.Durable{UpTo: m.synced})
	}
}

// reportNoSpace tells txcoord that a commit which its credit does not cover would wait in vain.
func (m *Machine) reportNoSpace(out *Outbox) {
	low := m.credit.granted < m.limits.SegmentBytes/2
	if m.prepareErr == nil || m.reserve == 0 && (m.noSpace || !low) {
		return
	}
	m.noSpace, m.reserve = true, 0
	why := messages.ErrStalled
	if errors.Is(m.prepareErr, backends.ErrNoSpace) {
		why = messages.ErrNoSpace
	}
	out.Txcoord = append(out.Txcoord, messages.NoSpace{Err: fmt.Errorf("%w: walwriter: %w", why, m.prepareErr)})
}

// askForTick keeps one Tick on its way while there is something to try again or to close.
func (m *Machine) askForTick(out *Outbox) {
	var after time.Duration
	if m.prepareErr != nil || m.removeErr != nil {
		after = m.limits.RetryInterval
	}
	if m.canClose() && (after == 0 || m.limits.SyncInterval < after) {
		after = m.limits.SyncInterval
	}
	if after == 0 || m.alarmed {
		return
	}
	m.alarmed, out.Alarm = true, after
}

// Stats returns the machine's figures.
func (m *Machine) Stats() messages.WalStats {
	s := m.stats
	s.PayloadRaw, s.PayloadStored = m.enc.raw, m.enc.stored
	s.Segments, s.Spares = len(m.live), len(m.spares)
	s.LiveBytes = m.logBytes()
	for _, seg := range m.live {
		s.SegmentBytes += seg.size
	}
	for _, seg := range m.spares {
		s.SegmentBytes += seg.size
	}
	return s
}

// logBytes is the length of the live log, in bytes.
func (m *Machine) logBytes() int64 {
	var n int64
	for _, seg := range m.live {
		n += seg.written()
	}
	return n
}

// current is the segment that takes the groups.
func (m *Machine) current() *segment { return m.live[len(m.live)-1] }

// Close closes the file handles. It is called after the machine's actor and its jobs have
// stopped. If the log was given up by a final Release it returns what went wrong in that.
func (m *Machine) Close() error {
	if m.preparing != nil && m.preparing.result != nil {
		m.spares = append(m.spares, m.preparing.result)
	}
	if m.removing != nil {
		m.leaving = append(m.leaving, m.removing.segments...)
	}
	m.preparing, m.removing = nil, nil
	errs := []error{m.finalErr}
	if m.final && m.poisoned == nil && len(m.leaving) > 0 {
		errs = append(errs, removeAll(m.backend, m.leaving))
		m.leaving = nil
	}
	if m.poisoned == nil && len(m.spares) > 0 {
		// The last checkpoint failed, so the log stays. If that was for lack of space, the next Open
		// needs some.
		errs = append(errs, removeAll(m.backend, m.spares))
		m.spares = nil
	}
	for _, list := range [][]*segment{m.live, m.spares, m.leaving} {
		for _, seg := range list {
			errs = append(errs, seg.close())
		}
	}
	m.live, m.spares, m.leaving = nil, nil, nil
	return errors.Join(errs...)
}

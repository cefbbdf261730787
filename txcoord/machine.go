package txcoord

import (
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Config is what a Machine starts from: the recovered state.
type Config struct {
	Limits    messages.Limits
	Published *versions.Published
	Active    *versions.Index // holds what the log replayed
	Runs      []*pages.Run    // newest first
	RunSeq    pages.Seq       // every commit at or below is in Runs
	Last      pages.Seq       // the last recovered commit; all of it is durable
	Log       bool            // false: commits are durable at checkpoints only
	// MaxSnapshotAge is how long a snapshot is protected; 0: until it is released.
	MaxSnapshotAge time.Duration
}

// Machine is the coordinator's state.
//
// Invariants:
//  1. durable ≤ visible ≤ applied, and none of them falls.
//  2. Every commit is applied against log credit: credit is never negative.
//  3. Records in the group buffer and in flight are exactly the seqs above what walwriter
//     has been sent, without a gap.
//  4. frozen is ordered newest first by the seqs it covers, the active index is above all.
//  5. No reply is resolved twice, and none is dropped: a request is answered, held or waiting.
//  6. A flush is sent only when durable covers it (log before data).
//  7. An index that left the View is retained, or pinned, or no View that an open snapshot holds
//     has it; pinnedBytes is the size of those pinned.
//  8. What snapshots pin beside the oldest one is within the limits of pinned.go.
type Machine struct {
	limits messages.Limits
	pub    *versions.Published
	log    bool
	maxAge time.Duration // of snapshots; 0: no limit

	active     *versions.Index
	activeBorn uint64   // the epoch of the first View with active
	frozen     []frozen // newest first
	retained   []frozen // flushed, kept for conflict checks, newest first
	floor      pages.Seq
	runs       []*pages.Run
	runSeq     pages.Seq
	epoch      uint64
	viewStale  bool

	pinned      []pinnedIndex
	pinnedBytes int64
	retired     []retiredTables
	born        map[*pages.Table]uint64 // the epoch of the first View with the table
	tableBytes  int64                   // of runs
	open        []uint64                // the epochs, below judged, of open snapshots when pinned and retired were last looked at
	openBuf     []uint64
	scratch     []pinnedBytes // of besideOldest's callers
	judged      uint64        // the present View's epoch then; 0: look again

	applied, durable, visible pages.Seq
	// What readers could see when this Step began: the effects of all earlier Turns are delivered.
	seenVisible, seenApplied pages.Seq
	keep                     versions.Keep
	keepReady                bool

	credit    int64
	noSpace   error
	reserved  int64 // bytes asked for by the oversize commit that heads the queue; 0: none
	held      []*messages.Commit
	quota     int64 // bytes that may be applied until the next Tick while merges are behind
	debt      int
	flushErr  error // the last flush failed: what finds no room in the index is refused
	poisoned  error
	final     bool // no commit is taken any more
	idle      idle
	finalDue  bool // the last freeze waits until nothing is held
	logBytes  int64
	freezeDue bool

	group      group
	inFlight   []pages.Seq // Last of each Append that is not durable yet
	appendsOut int         // Appends that walwriter has not answered with Written
	syncSent   pages.Seq   // a sync that covers commits up to here was asked for
	buffers    [][]byte

	waiting     []waiter // Sync commits, ascending
	awaits      []await
	checkpoints []checkpoint

	flusherNo   uint64 // of the last message from flusher
	flusherTold uint64 // up to which it knows
	indexTold   int64
	stats       messages.TxcoordStats
}

// group is what the next Append will carry.
type group struct {
	records     []byte
	first, last pages.Seq
	count       int
	charged     int64
	sync        bool
}

type frozen struct {
	lifespan
	index *versions.Index
	upTo  pages.Seq
	sent  bool
	final bool
}

type waiter struct {
	seq pages.Seq
	to  messages.Reply[messages.CommitResult]
}

type await struct {
	upTo pages.Seq
	to   messages.Reply[error]
}

type checkpoint struct {
	upTo  pages.Seq
	final bool
	to    messages.Reply[error]
}

// New returns a machine over the recovered state and stores its first View and watermarks:
// no reader is there yet.
func New(c Config) *Machine {
	m := &Machine{
		limits: c.Limits, pub: c.Published, log: c.Log, maxAge: c.MaxSnapshotAge,
		active: c.Active, runs: c.Runs, runSeq: c.RunSeq, floor: c.Last,
		applied: c.Last, durable: c.Last, visible: c.Last, syncSent: c.Last, epoch: 1,
		activeBorn: 1, born: make(map[*pages.Table]uint64),
	}
	m.bear(m.runs, m.epoch)
	m.idle.tables(m.runs)
	if !m.log {
		m.durable = c.RunSeq
	}
	m.pub.View.Store(m.view())
	m.pub.Applied.Store(uint64(m.applied))
	m.pub.Durable.Store(uint64(m.durable))
	m.pub.Visible.Store(uint64(m.visible))
	return m
}

// Step handles the messages and ends the turn: it applies what credit and memory allow, closes
// the group where somebody waits for it, and sends the flushes that durable covers.
func (m *Machine) Step(batch []messages.ToTxcoord, out *Outbox) error {
	m.seenVisible, m.seenApplied, m.keepReady = m.visible, m.applied, false
	for _, msg := range batch {
		switch msg := msg.(type) {
		case *messages.Commit:
			m.commit(msg, out)
		case *messages.Await:
			m.await(msg, out)
		case *messages.Checkpoint:
			m.checkpoint(msg, out)
		case messages.Durable:
			m.raiseDurable(msg.UpTo, out)
		case messages.Written:
			m.written(msg, out)
		case messages.NoSpace:
			m.outOfSpace(msg, out)
		case messages.Poisoned:
			m.poison(msg.Err, out)
		case messages.Flushed:
			m.flushed(msg, out)
		case messages.FlushFailed:
			m.flushFailed(msg, out)
		case *messages.TxcoordStatsRequest:
			out.Stats = append(out.Stats, StatsReply{msg.Reply, m.figures()})
		case messages.Tick:
			m.tick(msg, out)
		default:
			return fmt.Errorf("txcoord: unknown message %T", msg)
		}
	}
	m.end(out)
	return nil
}

// end is what every Step does once its messages are handled.
func (m *Machine) end(out *Outbox) {
	m.pump(out)
	m.freezeIfDue()
	m.closeGroup(out)
	m.sendFlushes(out)
	m.reclaim(out)
	m.tellSeen(out)
	if !m.log && m.poisoned == nil {
		m.visible = m.applied
	}
	if m.viewStale {
		m.viewStale = false
		m.epoch++
		out.View = m.view()
	}
	out.Applied, out.Durable, out.Visible, out.Held = m.applied, m.durable, m.visible, len(m.held)
	if len(m.held) > 0 {
		out.HeldFor = m.heldFor()
	}
	m.tellIndexBytes(out)
	m.setAlarm(out)
}

// view builds the View of the present state.
func (m *Machine) view() *versions.View {
	v := &versions.View{Epoch: m.epoch, Active: m.active, Runs: m.runs, RunSeq: m.runSeq}
	for _, f := range m.frozen {
		v.Frozen = append(v.Frozen, f.index)
	}
	return v
}

// setAlarm asks for a Tick while something waits for time to pass.
func (m *Machine) setAlarm(out *Outbox) {
	if len(m.retired)+len(m.pinned) > 0 {
		out.alarm(m.limits.SyncInterval)
	}
	if m.maxAge > 0 {
		if _, open := m.pub.Snapshots.MinSeq(); open {
			out.alarm(max(m.maxAge/4, time.Millisecond))
		}
	}
	if m.poisoned != nil {
		return
	}
	if m.log && m.syncSent < m.applied {
		out.alarm(m.limits.SyncInterval)
	}
	if len(m.held) > 0 && m.slowed() {
		out.alarm(slowTick)
	}
	if m.idle.worth() && !m.final {
		out.alarm(m.limits.SettleAfter)
	}
}

func (m *Machine) tick(t messages.Tick, out *Outbox) {
	if m.maxAge > 0 {
		m.expire(out, true, func(s versions.SnapshotInfo) bool { return t.Now.Sub(s.Since) > m.maxAge })
	}
	// What a large commit took in advance is paid back first, an index's worth at most.
	m.quota = max(min(m.quota, 0), -m.limits.IndexBytes) + m.slowQuota()
	if m.log && m.syncSent < m.applied {
		m.group.sync = true
	}
	if m.idle.due(t.Now, m.applied, m.limits.SettleAfter) && m.poisoned == nil && !m.final {
		m.freezeDue = true
	}
}

// tellIndexBytes keeps the evictor's share of the budget current, at steps of a sixteenth of
// an index.
func (m *Machine) tellIndexBytes(out *Outbox) {
	total := m.active.Bytes() + m.pinnedBytes
	for _, f := range m.frozen {
		total += f.index.Bytes()
	}
	for _, f := range m.retained {
		total += f.index.Bytes()
	}
	if diff := total - m.indexTold; diff > m.limits.IndexBytes/16 || -diff > m.limits.IndexBytes/16 {
		m.indexTold = total
		out.Evictor = append(out.Evictor, messages.IndexBytes{Bytes: total})
	}
}

// Check verifies the numbered invariants.
func (m *Machine) Check() error {
	if m.durable > m.visible || m.visible > m.applied {
		return fmt.Errorf("txcoord: durable %d ≤ visible %d ≤ applied %d does not hold", m.durable, m.visible, m.applied)
	}
	if m.credit < 0 {
		return fmt.Errorf("txcoord: credit is %d", m.credit)
	}
	if m.group.count > 0 && (m.group.last != m.applied || m.group.last-m.group.first+1 != pages.Seq(m.group.count)) {
		return fmt.Errorf("txcoord: group %d..%d holds %d records, applied is %d", m.group.first, m.group.last, m.group.count, m.applied)
	}
	above := m.applied
	for i, f := range m.frozen {
		if f.upTo > above {
			return fmt.Errorf("txcoord: frozen index %d covers up to %d, the one after it up to %d", i, f.upTo, above)
		}
		if f.sent && m.log && f.upTo > m.durable {
			return fmt.Errorf("txcoord: flush up to %d was sent at durable %d", f.upTo, m.durable)
		}
		above = f.upTo
	}
	if m.runSeq > above {
		return fmt.Errorf("txcoord: runs cover %d, the oldest frozen index ends at %d", m.runSeq, above)
	}
	if err := m.checkPinned(); err != nil {
		return err
	}
	last := m.durable
	for _, w := range m.waiting {
		if w.seq <= last {
			return fmt.Errorf("txcoord: a commit waits for %d after %d (durable %d)", w.seq, last, m.durable)
		}
		last = w.seq
	}
	return nil
}

// Close has nothing to release: the index is the collector's.
func (m *Machine) Close() error { return nil }

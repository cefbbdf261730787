package flusher

import (
	"errors"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// blockedFor is how many RetryIntervals pass before a run with a damaged page is merged again.
const blockedFor = 64

// Config is what a Machine starts from.
type Config struct {
	Backend    backends.Backend
	Limits     messages.Limits
	Cache      *pages.Cache
	Checkpoint *Checkpoint  // the newest one, published in this life's epoch
	Runs       []*pages.Run // its runs (Open)
	Codec      pages.Codec  // of keyspaces that the catalog does not name
	Files      *FileIDs     // nil: the machine's own; shared with bulk loads otherwise
}

// Outbox is everything that a Step can cause, in the order in which it is delivered.
type Outbox struct {
	Txcoord   []messages.ToTxcoord
	Walwriter []messages.ToWalwriter
	Evictor   []messages.ToEvictor
	Jobs      []messages.FlusherJob // run in this order, by two workers at least
	Replies   []messages.ErrorReply // to Compacts and Ingests
	Holds     []HoldReply
	Stats     []StatsReply
	Alarm     time.Duration // above zero: send a Tick after this, or earlier
}

// StatsReply is the answer to a FlusherStatsRequest.
type StatsReply struct {
	To    messages.Reply[messages.FlusherStats]
	Stats messages.FlusherStats
}

// Reset empties the outbox and keeps its capacity.
func (o *Outbox) Reset() {
	clear(o.Txcoord)
	clear(o.Jobs)
	clear(o.Replies)
	clear(o.Holds)
	*o = Outbox{Txcoord: o.Txcoord[:0], Walwriter: o.Walwriter[:0], Evictor: o.Evictor[:0],
		Jobs: o.Jobs[:0], Replies: o.Replies[:0], Holds: o.Holds[:0], Stats: o.Stats[:0]}
}

// Machine is the flusher's state machine. It is stepped by one goroutine at a time; its jobs may
// run beside it and beside each other.
//
// Invariants (Check verifies them; the package's are in doc.go):
//
//  1. Runs are newest first: no run covers a seq above the first seq of a newer one.
//  2. Tables of a run ascend and do not overlap, and no table is in two runs.
//  3. Every id in use is below the bound of the ids handed out.
//  4. A table is named by the staged state, or leaving, or waits for its removal: not two of
//     these at once.
//  5. The sources of a merge are neighbours, with the target right behind them.
//  6. At most maxUnseen messages to txcoord, and one more, are not acknowledged.
type Machine struct {
	backend backends.Backend
	limits  messages.Limits
	cache   *pages.Cache
	codec   pages.Codec
	files   *FileIDs
	policy  policy
	store   StoreID
	epoch   uint64
	log     bool

	staged    state
	revision  uint64 // of staged, counts changes
	lastRunID uint64

	flushes  []messages.Flush // not staged yet, oldest first
	flushing *flushJob        // of flushes[0]
	final    bool             // the last Flush has come

	merges           []*merge
	stepping         *stepJob
	steppingFor      *merge
	unpublishedSteps int
	sizesBuf         []runSize // of sizes
	blocked          []uint64  // runs that could not be read
	blockedSince     time.Time // the first Tick since; zero: none yet

	publishing        *publishJob
	publishedRevision uint64
	publishedFreeze   pages.Seq
	number            uint64                // of the last checkpoint tried
	published         uint64                // of the last checkpoint that was published
	publishedRuns     []*pages.Run          // its
	stale             []string              // checkpoint files that the next publication makes superfluous
	foundStale        bool                  // stale is complete
	leaving           []*pages.Table        // not staged any more; a checkpoint may still name them
	foreign           int                   // Ingests staged and not published
	ingests           []messages.ErrorReply // of them, those not answered
	unanswered        int                   // flushes staged and not published

	told, seen               uint64 // messages to txcoord, and those of them that it has taken in
	unsaidFlush, unsaidMerge error  // failures that wait for room before txcoord

	holds    []*hold
	withheld messages.Release // what walwriter hears when the last hold ends; zero: nothing

	reclaimable int64 // bytes of files that leave or wait for their removal
	retired     []*pages.Table
	condemned   []condemned // files to remove
	removing    *removeJob

	compactions []*compaction
	settle      settle
	waits       waits
	stopping    bool // a job was told to give up: no new ones
	stats       messages.FlusherStats
}

// waits says which sorts of jobs failed, and wait for a Tick before they are tried again.
type waits struct{ flush, merge, publish, remove bool }

// condemned is a table file that is to be removed.
type condemned struct {
	id   pages.FileID
	size int64
}

// New makes a machine. It does no I/O.
func New(cfg Config) *Machine {
	c := cfg.Checkpoint
	m := &Machine{
		backend: cfg.Backend, limits: cfg.Limits, cache: cfg.Cache, codec: cfg.Codec, files: cfg.Files,
		policy: policy{fanIn: cfg.Limits.FanIn, maxRuns: cfg.Limits.MaxRuns, small: smallBottom * cfg.Limits.IndexBytes},
		store:  c.Store, epoch: c.Epoch, log: c.Log, number: c.Number, published: c.Number, publishedFreeze: c.Freeze, publishedRuns: cfg.Runs,
		settle: settle{after: cfg.Limits.SettleAfter},
	}
	if m.files == nil {
		m.files = NewFileIDs(c.NextFile)
	}
	m.staged = state{freeze: c.Freeze, keyspaces: c.Keyspaces, dropped: c.Dropped, pending: c.Pending,
		user: c.UserBytes, written: c.WrittenBytes}
	for _, r := range cfg.Runs {
		m.staged.runs = append(m.staged.runs, newRun(m.newRunID(), r))
	}
	return m
}

// Start emits the first effects. It is called once, before the first Step.
func (m *Machine) Start(out *Outbox) {
	m.purge()
	m.schedule(out)
}

// Step takes messages in. It returns an error only for messages that break the protocol.
func (m *Machine) Step(batch []messages.ToFlusher, out *Outbox) error {
	for _, msg := range batch {
		switch msg := msg.(type) {
		case messages.Flush:
			m.flush(msg)
		case messages.Reclaim:
			m.reclaim(msg, out)
		case messages.Seen:
			m.seenBy(msg, out)
		case *messages.Compact:
			m.compact(msg, out)
		case *messages.Ingest:
			m.ingest(msg, out)
		case *messages.Hold:
			m.holds = append(m.holds, &hold{request: msg})
		case messages.Unhold:
			m.unhold(msg, out)
		case *messages.FlusherStatsRequest:
			out.Stats = append(out.Stats, StatsReply{msg.Reply, m.Stats()})
		case messages.FlusherJobDone:
			if err := m.jobDone(msg, out); err != nil {
				return err
			}
		case messages.Tick:
			m.tick(msg)
		default:
			return fmt.Errorf("flusher: message of type %T", msg)
		}
	}
	m.schedule(out)
	return nil
}

func (m *Machine) jobDone(msg messages.FlusherJobDone, out *Outbox) error {
	if errors.Is(msg.Err, messages.ErrClosed) {
		m.stopping = true
	}
	switch j := msg.Job.(type) {
	case *flushJob:
		m.flushDone(j, msg.Err, out)
	case *stepJob:
		m.stepDone(j, msg.Err, out)
	case *publishJob:
		m.publishDone(j, msg.Err, out)
	case *removeJob:
		m.removeDone(j, msg.Err)
	default:
		return fmt.Errorf("flusher: job of type %T", msg.Job)
	}
	return nil
}

// schedule starts whatever can be started, and asks for a Tick if something waits for time.
func (m *Machine) schedule(out *Outbox) {
	if m.final {
		m.merges = nil
		m.answerCompacts(messages.ErrClosed, out)
	}
	m.answerHolds(out)
	if m.stopping {
		m.answerAll(out)
		return
	}
	m.scheduleFlush(out)
	m.scheduleMerge(out)
	m.schedulePublish(out)
	m.scheduleRemoval(out)
	m.checkCompacts(out)
	m.setAlarm(out)
}

// answerAll answers, while the engine stops, whoever still waits.
func (m *Machine) answerAll(out *Outbox) {
	m.answerCompacts(messages.ErrClosed, out)
	if m.publishing != nil {
		return // it may still succeed, and answers then
	}
	for _, r := range m.ingests {
		out.Replies = append(out.Replies, messages.ErrorReply{To: r.To, Err: messages.ErrClosed})
	}
	m.ingests = nil
}

func (m *Machine) setAlarm(out *Outbox) {
	want := func(d time.Duration) {
		if out.Alarm == 0 || d < out.Alarm {
			out.Alarm = d
		}
	}
	if m.waits != (waits{}) || m.pinned() {
		want(m.limits.RetryInterval)
	}
	if len(m.blocked) > 0 {
		want(blockedFor * m.limits.RetryInterval)
	}
	if !m.final && !m.settle.quiet && !m.settled() {
		want(m.limits.SettleAfter)
	}
}

// tick lets what failed be tried again, and notices that writers pause.
func (m *Machine) tick(msg messages.Tick) {
	m.waits = waits{}
	m.settle.tick(msg.Now)
	if len(m.blocked) == 0 {
		m.blockedSince = time.Time{}
		return
	}
	if m.blockedSince.IsZero() {
		m.blockedSince = msg.Now
	} else if msg.Now.Sub(m.blockedSince) >= blockedFor*m.limits.RetryInterval {
		m.blocked, m.blockedSince = nil, time.Time{}
	}
}

// fail counts a failed job. Being told to give up is none.
func (m *Machine) fail(err error) {
	if errors.Is(err, messages.ErrClosed) {
		return
	}
	m.stats.Failures++
	m.stats.LastError = err
}

// told is err as others hear of it: a full medium is messages.ErrNoSpace to them.
func told(err error) error {
	if errors.Is(err, backends.ErrNoSpace) {
		return fmt.Errorf("%w: %w", messages.ErrNoSpace, err)
	}
	return err
}

func (m *Machine) newRunID() uint64 {
	m.lastRunID++
	return m.lastRunID
}

func (m *Machine) codecs() codecs { return codecs{m.codec, m.staged.keyspaces} }

// output describes the tables that a job writes.
func (m *Machine) output(tier uint8, lo, hi pages.Seq) output {
	l := &m.limits
	o := pages.TableOptions{LeafBytes: l.LeafBytes, InnerBytes: l.InnerBytes, FilterBitsPerKey: l.FilterBits,
		SeqLo: lo, SeqHi: hi, Tier: tier}
	if l.FilterBits == 0 {
		o.FilterBitsPerKey = -1
	}
	return output{backend: m.backend, files: m.files, options: o, limit: l.TableBytes, codec: m.codec}
}

// open makes the tables of files that a job wrote.
func (m *Machine) open(metas []pages.TableMeta) []*pages.Table {
	tables := make([]*pages.Table, len(metas))
	for i := range metas {
		tables[i] = openTable(m.backend, metas[i], m.cache)
	}
	return tables
}

// debt is what txcoord slows writers by.
func (m *Machine) debt() int { return m.policy.debt(m.sizes(), 16*m.limits.IndexBytes) }

// Close gives the files back. The actor has stopped, and no reader starts a load any more.
func (m *Machine) Close() error {
	for _, r := range m.staged.runs {
		for _, t := range r.Tables {
			t.Retire()
		}
	}
	for _, t := range m.leaving {
		t.Retire()
	}
	for _, t := range m.retired {
		t.Retire()
	}
	return nil
}

package actors

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/aegis-storage/aegis/evictor"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
	"github.com/aegis-storage/aegis/walwriter"
)

// Machines are the four machines of a store. Walwriter is nil when the log is switched off; a
// store that only reads has no machine but the evictor.
type Machines struct {
	Txcoord   *txcoord.Machine
	Walwriter *walwriter.Machine
	Flusher   *flusher.Machine
	Evictor   *evictor.Machine
}

// Graph is the running engine: the machines in their actors, and the edges between them.
type Graph struct {
	rt       Runtime
	machines Machines
	pub      *versions.Published

	tx    *actor[messages.ToTxcoord]
	wal   *actor[messages.ToWalwriter] // nil without a log
	flush *actor[messages.ToFlusher]
	evict *actor[messages.ToEvictor]

	txOut    txcoord.Outbox
	walOut   walwriter.Outbox
	flushOut flusher.Outbox
	evictOut evictor.Outbox

	marks     messages.Watermarks // what was published last
	news      evictorNews
	gathering gathering

	inbox int                             // commits that the coordinator may hold back before clients wait outside
	held  atomic.Pointer[<-chan struct{}] // closed when clients may come in again; nil: they may
	admit func()                          // closes held

	stopping atomic.Bool
	jobs     atomic.Int64
	jobsDone chan struct{} // one signal when the last job ended after stopping was set

	failed    chan struct{} // closed when a machine broke an invariant
	failedErr atomic.Pointer[error]
	poison    atomic.Pointer[error] // what txcoord has to hear of; not by its mailbox, which may be what is full
	onFailure func(error)
	observer  Observer
	stall     stall
}

// New wires the machines. onFailure is told of a machine that broke an invariant, once.
func New(rt Runtime, limits messages.Limits, pub *versions.Published, m Machines, onFailure func(error)) *Graph {
	g := &Graph{
		rt: rt, machines: m, pub: pub, onFailure: onFailure, inbox: limits.Inbox,
		jobsDone: make(chan struct{}, 1), failed: make(chan struct{}), observer: nobody{},
	}
	// Walwriter answers each Append with a Written and at most one Durable, and at most TurnLimit
	// Appends are out; the rest of an inner mailbox is for rare messages, each of which its
	// receiver's answer must pass before the next is sent.
	const rare = 64
	turn := limits.TurnLimit
	if m.Txcoord != nil {
		g.tx = newActor[messages.ToTxcoord](txcoordName, rt, 2*turn+rare, limits.Inbox, turn)
		g.tx.step, g.tx.failed, g.tx.check = g.stepTxcoord, g.fail, m.Txcoord.Check
		g.tx.waits = m.Txcoord.Waits
		g.tx.collect, g.tx.waiting = g.collectPoison, func() bool { return g.poison.Load() != nil }
		g.tx.tick = func(t messages.Tick) messages.ToTxcoord { return t }
	}
	if m.Walwriter != nil {
		g.wal = newActor[messages.ToWalwriter](walwriterName, rt, turn+rare, limits.Inbox, turn)
		g.wal.step, g.wal.failed, g.wal.check = g.stepWalwriter, g.fail, m.Walwriter.Check
		g.wal.waits = m.Walwriter.Waits
		if rt.Inline() {
			g.wal.before = func() { g.gathering.wait(rt) }
		}
		g.wal.tick = func(t messages.Tick) messages.ToWalwriter { return t }
	}
	if m.Flusher != nil {
		g.flush = newActor[messages.ToFlusher](flusherName, rt, turn+rare, limits.Inbox, turn)
		g.flush.step, g.flush.failed, g.flush.check = g.stepFlusher, g.fail, m.Flusher.Check
		g.flush.waits = m.Flusher.Waits
		g.flush.tick = func(t messages.Tick) messages.ToFlusher { return t }
	}
	g.evict = newActor[messages.ToEvictor](evictorName, rt, rare, limits.Inbox, turn)
	g.evict.step, g.evict.failed, g.evict.check = g.stepEvictor, g.fail, m.Evictor.Check
	g.evict.tick = func(t messages.Tick) messages.ToEvictor { return t }
	g.evict.collect, g.evict.waiting = g.news.collect, g.news.waiting
	g.news.index.Store(-1)
	return g
}

// Start delivers the machines' first effects and starts the actors, downstream first.
func (g *Graph) Start() {
	if g.flush != nil {
		g.machines.Flusher.Start(&g.flushOut)
		g.deliverFlusher()
	}
	if g.wal != nil {
		g.machines.Walwriter.Start(&g.walOut)
		g.deliverWalwriter()
	}
	g.rt.Start(g.evict)
	if g.flush != nil {
		g.rt.Start(g.flush)
	}
	if g.wal != nil {
		g.rt.Start(g.wal)
	}
	if g.tx != nil {
		g.rt.Start(g.tx)
	}
}

// Stop ends the actors, upstream first, after their mailboxes are empty; jobs give up at their
// next yield. The flusher's last message to the log writer comes after the one to the coordinator
// that lets Close go on, so it is upstream of both. Nothing of the graph runs when it returns. The caller sees to it that no request
// is under way.
func (g *Graph) Stop() error {
	if g.tx != nil {
		g.tx.end()
	}
	g.stopping.Store(true)
	if g.jobs.Load() > 0 {
		g.rt.Wait(background, AllJobs, "their end", func() bool { return len(g.jobsDone) > 0 })
		<-g.jobsDone
	}
	var err error
	if g.flush != nil {
		g.flush.end()
		err = g.machines.Flusher.Close()
	}
	if g.wal != nil {
		g.wal.end()
		err = errors.Join(err, g.machines.Walwriter.Close())
	}
	g.evict.end()
	return err
}

// fail poisons the engine after a machine broke an invariant.
func (g *Graph) fail(err error) {
	broken := fmt.Errorf("%w in %w", messages.ErrBroken, err)
	wrapped := fmt.Errorf("%w: %w", messages.ErrPoisoned, broken)
	if !g.failedErr.CompareAndSwap(nil, &wrapped) {
		return
	}
	close(g.failed)
	if g.tx != nil && !g.tx.dead.Load() {
		g.poison.Store(&broken)
		g.tx.wakeUp()
	}
	g.onFailure(wrapped)
}

// collectPoison is the part of txcoord's mailbox that always has room.
func (g *Graph) collectPoison(batch []messages.ToTxcoord) []messages.ToTxcoord {
	if err := g.poison.Swap(nil); err != nil {
		batch = append(batch, messages.Poisoned{Err: *err})
	}
	return batch
}

// job runs long work; done delivers its end to the machine's mailbox.
func (g *Graph) job(j job, done func(error)) {
	// Counted first, then looked: the other way round, Stop could find no job in between.
	g.jobs.Add(1)
	if g.stopping.Load() {
		g.jobEnded()
		return
	}
	name := reflect.TypeOf(j).String()
	g.rt.Job(name, func() {
		done(g.observed(name, j))
		g.jobEnded()
	})
}

// jobEnded counts a job out, and tells Stop of the last one.
func (g *Graph) jobEnded() {
	if g.jobs.Add(-1) == 0 && g.stopping.Load() {
		select {
		case g.jobsDone <- struct{}{}:
		default:
		}
	}
}

// runJob turns a panic of a job into the engine's failure.
func (g *Graph) runJob(run func(messages.Yield) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("job: %v", r)
			g.fail(err)
		}
	}()
	return run(g.yield)
}

// yield lets others run between two pieces of a job.
func (g *Graph) yield() bool {
	if g.stopping.Load() {
		return false
	}
	g.rt.Park(background, nil)
	g.pace()
	return true
}

// evictorNews is the evictor's part of the mailbox that coalesces: however much happens, one
// message of each kind waits.
type evictorNews struct {
	loaded, retired atomic.Bool
	index           atomic.Int64 // bytes; below zero: nothing new
}

func (n *evictorNews) waiting() bool {
	return n.loaded.Load() || n.retired.Load() || n.index.Load() >= 0
}

func (n *evictorNews) collect(batch []messages.ToEvictor) []messages.ToEvictor {
	if n.loaded.Swap(false) {
		batch = append(batch, messages.PagesLoaded{})
	}
	if n.retired.Swap(false) {
		batch = append(batch, messages.TablesRetired{})
	}
	if v := n.index.Swap(-1); v >= 0 {
		batch = append(batch, messages.IndexBytes{Bytes: v})
	}
	return batch
}

// PagesLoaded tells the evictor that fresh pages wait. It is the cache's wake-up.
func (g *Graph) PagesLoaded() {
	g.news.loaded.Store(true)
	g.evict.wakeUp()
}

// Depths are the numbers of messages that wait, by actor.
func (g *Graph) Depths() map[string]int {
	d := make(map[string]int)
	depth(d, g.tx)
	depth(d, g.wal)
	depth(d, g.flush)
	depth(d, g.evict)
	return d
}

func depth[M any](d map[string]int, a *actor[M]) {
	if a != nil {
		d[a.name] = len(a.inner) + len(a.outer)
	}
}

// Taken are the numbers of messages that the actors have taken so far, by actor.
func (g *Graph) Taken() map[string]uint64 {
	t := make(map[string]uint64)
	taken(t, g.tx)
	taken(t, g.wal)
	taken(t, g.flush)
	taken(t, g.evict)
	return t
}

func taken[M any](t map[string]uint64, a *actor[M]) {
	if a != nil {
		t[a.name] = a.taken.Load()
	}
}

// raise stores a watermark, which only rises, and reports whether it did.
func raise(w *atomic.Uint64, to pages.Seq) bool {
	old := w.Load()
	if old > uint64(to) {
		panic(fmt.Sprintf("actors: a watermark falls from %d to %d", old, to))
	}
	if old < uint64(to) {
		w.Store(uint64(to))
	}
	return old < uint64(to)
}

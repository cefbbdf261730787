package txcoord

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// world drives a machine the way the shell does, and plays everybody around it. It checks what
// must hold after every Step and between any two effects.
type world struct {
	fail   func(format string, args ...any)
	rng    *rand.Rand
	limits messages.Limits
	m      *Machine
	pub    *versions.Published
	out    Outbox
	model  *model
	wal    *fakeWal // nil: no log
	flush  *fakeFlusher

	inner, outer []messages.ToTxcoord
	quiet        bool // no random readers
	large        bool // commits that make indexes of hundreds of kilobytes
	sized        bool // tables have sizes: snapshots may end for them
	armed        bool // an Alarm was asked for and has not rung
	requests     map[messages.Reply[messages.CommitResult]]*request
	waits        map[messages.Reply[error]]*wait
	open         []*openSnapshot
	durable      pages.Seq // highest Durable (without a log: Covered) that was handed to the machine
	sent         pages.Seq // last record in an Append
	counts       map[string]int
}

// wait is an Await or a Checkpoint under way.
type wait struct {
	checkpoint bool
	final      bool
	upTo       pages.Seq // what it must cover
	answers    int
	err        error
}

type openSnapshot struct {
	*versions.Snapshot
	view      *versions.View // also once it has expired
	readWrite bool
}

// smallLimits make everything happen within a few commits.
func smallLimits() messages.Limits {
	return messages.Limits{
		IndexBytes: 4 << 10, MaxFrozen: 2, LogBytes: 16 << 10, SegmentBytes: 2 << 10, FirstSegment: 1 << 10,
		GatherBytes: 300, ChunkBytes: 256, TurnLimit: 4, MaxRuns: 8, FanIn: 2, RetainIndexes: 2,
	}.Or(messages.DefaultLimits())
}

func newWorld(fail func(string, ...any), seed uint64, limits messages.Limits, log bool) *world {
	w := &world{
		fail: fail, rng: rand.New(rand.NewPCG(seed, seed^0x9E3779B97F4A7C15)), limits: limits,
		pub: &versions.Published{}, model: newModel(),
		requests: make(map[messages.Reply[messages.CommitResult]]*request),
		waits:    make(map[messages.Reply[error]]*wait), counts: make(map[string]int),
	}
	w.m = New(Config{
		Limits: limits, Published: w.pub, Active: versions.NewIndex(0, versions.IndexOptions{ChunkBytes: limits.ChunkBytes}), Log: log,
	})
	w.flush = &fakeFlusher{w: w}
	if log {
		w.wal = &fakeWal{w: w, segment: limits.SegmentBytes}
		w.wal.start(limits.FirstSegment)
	}
	return w
}

func (w *world) fatalf(format string, args ...any) { w.fail(format, args...) }

func (w *world) must(err error) {
	if err != nil {
		w.fatalf("%v", err)
	}
}

func (w *world) n(n int) int           { return w.rng.IntN(n) }
func (w *world) chance(oneIn int) bool { return w.rng.IntN(oneIn) == 0 }
func (w *world) count(what string)     { w.counts[what]++ }

// send is an edge from walwriter or flusher.
func (w *world) send(m messages.ToTxcoord) { w.inner = append(w.inner, m) }

// turn steps the machine over at most n waiting messages, those from inside first.
func (w *world) turn(n int) {
	var batch []messages.ToTxcoord
	k := min(n, len(w.inner))
	batch, w.inner = append(batch, w.inner[:k]...), w.inner[k:]
	k = min(n-k, len(w.outer))
	batch, w.outer = append(batch, w.outer[:k]...), w.outer[k:]
	if len(batch) > 0 {
		w.step(batch...)
	}
}

// tick rings the alarm.
func (w *world) tick() {
	w.armed = false
	w.step(messages.Tick{})
}

func (w *world) step(batch ...messages.ToTxcoord) {
	queue := slices.Clone(w.m.held)
	for _, msg := range batch {
		switch msg := msg.(type) {
		case *messages.Commit:
			queue = append(queue, msg)
		case messages.Durable:
			w.durable = max(w.durable, msg.UpTo)
		case messages.Flushed:
			if w.wal == nil {
				w.durable = max(w.durable, msg.Covered)
			}
		}
	}
	before, inFlight := w.m.applied, slices.Clone(w.m.inFlight)
	alive := w.alive()
	w.must(w.m.Step(batch, &w.out))
	w.settle(queue, before)
	w.must(w.m.Check())
	w.checkBounds()
	w.checkKeep(before, inFlight)
	w.checkPins(alive)
	w.deliver()
	w.checkCredit()
}

// deliver does what the shell does, with others coming in between two effects.
func (w *world) deliver() {
	out := &w.out
	for _, m := range out.Walwriter {
		w.checkAppend(m)
		w.wal.mailbox = append(w.wal.mailbox, m)
		w.between()
	}
	for _, m := range out.Flusher {
		w.flush.receive(m)
		w.between()
	}
	if out.View != nil {
		w.must(out.View.Check())
		if old := w.pub.View.Load(); out.View.Epoch <= old.Epoch || out.View.RunSeq < old.RunSeq || uint64(out.View.RunSeq) > w.pub.Visible.Load() {
			w.fatalf("view %d at run seq %d after view %d at %d, visible %d",
				out.View.Epoch, out.View.RunSeq, old.Epoch, old.RunSeq, w.pub.Visible.Load())
		}
		w.pub.View.Store(out.View)
		w.between()
	}
	w.raise("applied", w.pub.Applied.Load(), out.Applied, w.pub.Applied.Store)
	w.raise("visible", w.pub.Visible.Load(), out.Visible, w.pub.Visible.Store)
	w.raise("durable", w.pub.Durable.Load(), out.Durable, w.pub.Durable.Store)
	for _, r := range out.Commits {
		w.answered(r)
		w.between()
	}
	for _, r := range out.Replies {
		w.resolved(r)
		w.between()
	}
	if out.Alarm > 0 {
		w.armed = true
	}
	out.Reset()
}

func (w *world) raise(what string, old uint64, to pages.Seq, store func(uint64)) {
	if uint64(to) < old {
		w.fatalf("%s falls from %d to %d", what, old, to)
	}
	store(uint64(to))
	if d, v, a := w.pub.Durable.Load(), w.pub.Visible.Load(), w.pub.Applied.Load(); d > v || v > a {
		w.fatalf("published: durable %d, visible %d, applied %d", d, v, a)
	}
	w.between()
}

// answered checks the answer to a commit.
func (w *world) answered(r CommitReply) {
	q := w.requests[r.To]
	if q == nil {
		w.fatalf("an answer to nobody")
	}
	q.answers++
	q.result = r.Result
	if q.answers > 1 {
		w.fatalf("commit %d is answered again", q.seq)
	}
	if r.Result.Err == nil {
		if r.Result.Seq != q.seq || q.seq == 0 {
			w.fatalf("commit %d is answered as %d", q.seq, r.Result.Seq)
		}
		if w.wal != nil && q.c.Durability == messages.Sync && q.seq > w.wal.synced {
			w.fatalf("commit %d is answered, synced is %d", q.seq, w.wal.synced)
		}
		if uint64(q.seq) > w.pub.Visible.Load() {
			w.fatalf("commit %d is answered at visible %d", q.seq, w.pub.Visible.Load())
		}
	}
	if q.seq > 0 && r.Result.Err == nil != (q.c.Durability == messages.NoSync || w.wal == nil) && q.answers == 0 {
		w.fatalf("commit %d", q.seq)
	}
	if !q.c.Adopted {
		for i := range q.c.Batch {
			q.c.Batch[i] = 0xEE // the client uses it again
		}
	}
}

// resolved checks the answer to an Await or a Checkpoint.
func (w *world) resolved(r messages.ErrorReply) {
	q := w.waits[r.To]
	if q == nil {
		w.fatalf("an answer to nobody")
	}
	q.answers++
	q.err = r.Err
	switch {
	case q.answers > 1:
		w.fatalf("a wait up to %d is answered again", q.upTo)
	case r.Err != nil:
	case q.checkpoint && w.flush.covered < q.upTo:
		w.fatalf("a checkpoint of %d is answered at %d", q.upTo, w.flush.covered)
	case q.final && !w.flush.final:
		w.fatalf("the last checkpoint is answered before it is published")
	case q.final && w.flush.covered != w.m.applied:
		w.fatalf("the last checkpoint is answered at %d, applied is %d", w.flush.covered, w.m.applied)
	case !q.checkpoint && w.durable < q.upTo:
		w.fatalf("an await of %d is answered at %d", q.upTo, w.durable)
	}
}

// checkAppend checks that records leave without a gap, and not more of them than fit.
func (w *world) checkAppend(msg messages.ToWalwriter) {
	a, ok := msg.(messages.Append)
	if !ok {
		return
	}
	if a.Count > 0 {
		if a.First != w.sent+1 {
			w.fatalf("append from %d after %d", a.First, w.sent)
		}
		w.sent = a.Last
	}
	if n, _ := w.wal.outstanding(); n >= w.limits.TurnLimit {
		w.fatalf("%d appends wait at a turn limit of %d", n+1, w.limits.TurnLimit)
	}
}

// checkCredit verifies that no credit leaks: what walwriter granted is with the machine, with
// records on their way, or in a Written on its way.
func (w *world) checkCredit() {
	if w.wal == nil || w.m.poisoned != nil || w.wal.poisoned {
		return
	}
	_, charged := w.wal.outstanding()
	total := w.m.credit + w.m.group.charged + charged
	for _, msg := range w.inner {
		if written, ok := msg.(messages.Written); ok {
			total += written.Credit
		}
	}
	if total != w.wal.granted {
		w.fatalf("credit of %d is accounted for, walwriter granted %d", total, w.wal.granted)
	}
}

// checkKeep verifies that trimming left what readers see while the Step runs, and what they can
// be shown once it is delivered.
func (w *world) checkKeep(applied pages.Seq, inFlight []pages.Seq) {
	if !w.m.keepReady {
		return
	}
	inFlight = slices.DeleteFunc(inFlight, func(seq pages.Seq) bool { return seq <= w.m.visible })
	for _, seq := range append(inFlight, applied, pages.Seq(w.pub.Visible.Load())) {
		if _, found := slices.BinarySearch(w.m.keep.Seqs, seq); !found {
			w.fatalf("versions at %d could be trimmed: visible %d, applied %d, in flight %v, kept %v",
				seq, w.pub.Visible.Load(), applied, inFlight, w.m.keep.Seqs)
		}
	}
}

// checkBounds verifies that lists stay short, and hold on to nothing that was let go.
func (w *world) checkBounds() {
	m := w.m
	if len(m.held) > 0 && m.debt >= m.limits.MaxRuns {
		w.count("stopped by runs")
	} else if len(m.held) > 0 && m.slowed() {
		w.count("slowed")
	}
	if len(m.frozen) > m.limits.MaxFrozen+1 || len(m.retained) > m.limits.RetainIndexes {
		w.fatalf("%d frozen and %d retained indexes", len(m.frozen), len(m.retained))
	}
	for _, f := range m.frozen {
		if f.index.Len() == 0 && !f.final {
			w.fatalf("an empty index was frozen at %d", f.upTo)
		}
	}
	for _, list := range [][]frozen{m.frozen, m.retained} {
		for _, f := range list[len(list):cap(list)] {
			if f.index != nil {
				w.fatalf("an index up to %d is held on to behind a list of %d", f.upTo, len(list))
			}
		}
	}
	for _, c := range m.held[len(m.held):cap(m.held)] {
		if c != nil {
			w.fatalf("an answered commit is held on to")
		}
	}
	for _, p := range m.pinned[len(m.pinned):cap(m.pinned)] {
		if p.index != nil {
			w.fatalf("an index is held on to that nobody pins")
		}
	}
	for _, r := range m.retired[len(m.retired):cap(m.retired)] {
		if r.tables != nil {
			w.fatalf("reclaimed tables are held on to")
		}
	}
}

// between lets readers come in between two effects.
func (w *world) between() {
	if w.quiet {
		return
	}
	switch w.n(12) {
	case 0:
		w.readOnce()
	case 1:
		w.readSnapshot()
	case 2:
		w.acquire()
	case 3:
		w.release()
	}
}

func (w *world) acquire() *openSnapshot {
	if len(w.open) >= 6 {
		return w.open[w.n(len(w.open))]
	}
	return w.acquireAs(w.chance(2))
}

func (w *world) acquireAs(readWrite bool) *openSnapshot {
	s := &openSnapshot{Snapshot: w.pub.Acquire(readWrite, time.Time{}), readWrite: readWrite}
	s.view = s.View()
	w.open = append(w.open, s)
	return s
}

func (w *world) release() {
	if len(w.open) == 0 {
		return
	}
	i := w.n(len(w.open))
	w.open[i].Release()
	w.open = slices.Delete(w.open, i, i+1)
}

// readOnce is a one-shot Get at visible.
func (w *world) readOnce() {
	key := w.key()
	seq := pages.Seq(w.pub.Visible.Load())
	value, kind, got, ok, err := w.pub.Get(context.Background(), []byte(key), pages.Hash([]byte(key)))
	w.must(err)
	w.compare("get", key, seq, w.pub.View.Load().RunSeq, versions.Version{Value: value, Kind: kind, Seq: got}, ok)
}

func (w *world) readSnapshot() {
	if len(w.open) == 0 {
		return
	}
	s, key := w.open[w.n(len(w.open))], w.key()
	w.readIn(s, key)
}

// compare checks one read. What was flushed is in no run here, and so must not be found.
func (w *world) compare(what, key string, seq, runSeq pages.Seq, got versions.Version, ok bool) {
	want, there := w.model.at(key, max(seq, runSeq))
	there = there && want.seq > runSeq
	if ok != there || ok && (got.Seq != want.seq || got.Kind != want.kind || !bytes.Equal(got.Value, want.value)) {
		w.fatalf("%s of %q at %d (runs up to %d): %v (there: %t), want seq %d (there: %t)", what, key, seq, runSeq, got, ok, want.seq, there)
	}
}

// quiesce lets everything on its way arrive, and Ticks come that were asked for, until nothing
// moves. What is not answered then never will be.
func (w *world) quiesce() {
	if w.wal != nil {
		w.wal.full, w.wal.oversize = false, 0
	}
	w.flush.failing = false
	for idle := 0; idle < 200; idle++ {
		for w.move() {
		}
		if w.unanswered() == 0 && len(w.m.retired)+len(w.m.pinned) == 0 {
			return
		}
		for len(w.open) > 0 {
			w.release()
		}
		if w.wal != nil && w.wal.failed != nil {
			w.wal.tick()
		} else if w.armed {
			w.tick()
		} else if w.unanswered() > 0 {
			break
		}
	}
	if w.wal != nil && len(w.m.held) > 0 {
		w.fatalf("commits are held for ever: the first costs %d at a credit of %d, reserved %d, space %v; the log: %+v",
			messages.CreditFor(len(w.m.held[0].Batch)), w.m.credit, w.m.reserved, w.m.noSpace, *w.wal)
	}
	w.fatalf("%d requests will not be answered: %d held, %d wait, %d awaits, %d checkpoints; credit %d, frozen %d, retired %d, group of %d",
		w.unanswered(), len(w.m.held), len(w.m.waiting), len(w.m.awaits), len(w.m.checkpoints), w.m.credit, len(w.m.frozen),
		len(w.m.retired), w.m.group.count)
}

// move makes one step of whoever has something to do.
func (w *world) move() bool {
	switch {
	case len(w.inner)+len(w.outer) > 0:
		w.turn(1 + w.n(w.limits.TurnLimit))
	case w.wal != nil && len(w.wal.mailbox) > 0:
		w.wal.take(1+w.n(4), false)
	case w.wal != nil && w.wal.busy():
		w.wal.prepared()
	case len(w.flush.queue) > 0:
		w.flush.publish()
	case w.flush.debt > 0:
		w.flush.merge()
	default:
		return false
	}
	return true
}

func (w *world) unanswered() (n int) {
	for _, q := range w.requests {
		if q.answers == 0 {
			n++
		}
	}
	for _, q := range w.waits {
		if q.answers == 0 {
			n++
		}
	}
	return n
}

// finish checks what must hold once everything is answered.
func (w *world) finish() {
	for _, q := range w.requests {
		if q.answers != 1 {
			w.fatalf("a commit (seq %d) got %d answers", q.seq, q.answers)
		}
		if q.seq > 0 && q.result.Err != nil && !errors.Is(q.result.Err, messages.ErrPoisoned) {
			w.fatalf("commit %d is applied and answered with %v", q.seq, q.result.Err)
		}
	}
	if w.flush.seen != w.flush.no {
		w.fatalf("%d messages of flusher are acknowledged of %d", w.flush.seen, w.flush.no)
	}
	if w.m.pinnedBytes != 0 {
		w.fatalf("%d bytes are pinned by nobody", w.m.pinnedBytes)
	}
	if len(w.m.retired) == 0 && len(w.m.born) != len(w.flush.live) {
		w.fatalf("%d tables are remembered, %d are there", len(w.m.born), len(w.flush.live))
	}
	w.must(w.m.active.Check())
	w.must(w.m.Close())
}

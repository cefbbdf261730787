package aegis

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/aegis-storage/aegis/actors"
)

// The events that Options.Logger receives. The name is the record's message; names and fields stay as
// they are from one version to the next, new ones may come. Each record has dir, the directory that
// was given to Open, besides:
//
//	event                 level        fields
//	aegis.open            Info         clean, read_only, seq, took
//	aegis.recovery        Info         records, bytes, torn_bytes, orphans: after a crash
//	aegis.close           Info, Error  uptime, error if there is one
//	aegis.flush           Debug        bytes, tables, seq, took
//	aegis.merge           Debug        bytes, tables, runs, moved, last, took: each step
//	aegis.checkpoint      Debug        number, bytes, runs, tables, seq, took
//	aegis.job             Warn, Info   job, and as below: other jobs, only if they fail
//	aegis.stall.begin     Warn         for, held, lasted
//	aegis.stall.end       Info         for, lasted, shorter
//	aegis.space.low       Warn         error: no log segment can be prepared, commits are refused
//	aegis.space.back      Info         lasted
//	aegis.snapshot.ended  Warn         seq, age, reason, read_write, origin if it is recorded
//	aegis.damage          Error        file, offset, what: each place once, of 1000 places
//	aegis.poison          Error        error: the store only reads from here on
//	aegis.events.dropped  Warn         events, panics: since Open; the handler was too slow, or panicked
//
// A flush, a merge, a checkpoint or another job that fails has the event at level Warn with error,
// failures and took: failures counts those in a row. It is tried again, every second as a rule. Further
// failures are told of after 10 s, 20 s, 40 s and so on, up to an hour, and at once when their cause is
// a new one. The first one that succeeds has the event at level Info, with failures and lasted besides.
//
// took, age, lasted and uptime are durations; seqs, counts and bytes are integers; clean, read_only,
// read_write and last are booleans; the rest are strings. A stall is reported when commits were held
// back for 100 ms, at most once a second; for is what the first of them waits for: "log space",
// "flush" or "merges"; shorter counts the stalls before it that were not reported. reason is "age"
// (Options.MaxSnapshotAge) or "held" (Options.MemoryBudget).
//
// Records carry the time of the event by the Runtime's clock. They are handed over one at a time, in
// order, aside from the engine's work. A handler may be slow or panic: events that find 256 waiting
// are dropped and counted, which aegis.events.dropped tells, also at growing intervals. Close waits for
// it for a second at most.
const (
	EventOpen          = "aegis.open"
	EventRecovery      = "aegis.recovery"
	EventClose         = "aegis.close"
	EventFlush         = "aegis.flush"
	EventMerge         = "aegis.merge"
	EventCheckpoint    = "aegis.checkpoint"
	EventJob           = "aegis.job"
	EventStallBegin    = "aegis.stall.begin"
	EventStallEnd      = "aegis.stall.end"
	EventSpaceLow      = "aegis.space.low"
	EventSpaceBack     = "aegis.space.back"
	EventSnapshotEnded = "aegis.snapshot.ended"
	EventDamage        = "aegis.damage"
	EventPoison        = "aegis.poison"
	EventsDropped      = "aegis.events.dropped"
)

const (
	keptEvents    = 32  // for the debug page, of Debug and Info, and as many of Warn and Error
	queuedEvents  = 256 // that wait for the handler
	closePatience = time.Second
)

// EventStats count what went wrong in telling events.
type EventStats struct {
	Dropped uint64 // events that Options.Logger did not get, as its handler was too slow
	Panics  uint64 // of the handler, and of Observer.Span around the engine's own work
}

// event is one event. Its number tells it from others for the debug page.
type event struct {
	no    uint64
	at    time.Time
	level slog.Level
	name  string
	attrs []slog.Attr
}

// events keeps the last events and hands them to the handler. All methods but drain return at once,
// whoever calls them.
type events struct {
	rt      Runtime
	handler slog.Handler // nil: there is none
	dir     string

	mu      sync.Mutex
	count   uint64
	routine ring // Debug and Info
	grave   ring // Warn and Error
	queue   []event
	busy    bool   // a job hands the queue over
	idle    func() // called when it has ended; nil: nobody waits
	stats   EventStats
	told    EventStats // what the handler knows of stats
	dropped spacing    // of telling it
}

// newEvents returns the events of the store in dir.
func newEvents(rt Runtime, dir string, log *slog.Logger) *events {
	e := &events{rt: rt, dir: dir}
	if log != nil && log.Handler() != slog.DiscardHandler {
		e.handler = log.Handler()
	}
	return e
}

// ring holds the last events.
type ring struct {
	all  [keptEvents]event
	next int
}

func (r *ring) add(e event) {
	r.all[r.next%len(r.all)] = e
	r.next++
}

// appendTo appends what the ring holds to dst.
func (r *ring) appendTo(dst []event) []event {
	return append(dst, r.all[:min(r.next, len(r.all))]...)
}

// emit tells an event.
func (e *events) emit(level slog.Level, name string, attrs ...slog.Attr) {
	now := e.rt.Now()
	e.mu.Lock()
	e.count++
	ev := event{no: e.count, at: now, level: level, name: name, attrs: attrs}
	if level < slog.LevelWarn {
		e.routine.add(ev)
	} else {
		e.grave.add(ev)
	}
	start := false
	switch {
	case e.handler == nil:
	case len(e.queue) >= queuedEvents:
		e.stats.Dropped++
	default:
		e.queue = append(e.queue, ev)
		start = !e.busy
		e.busy = true
	}
	e.mu.Unlock()
	if start {
		e.rt.Job("events", e.deliver)
	}
}

// deliver hands the queue over until it is empty.
func (e *events) deliver() {
	ended := false
	defer func() {
		if !ended { // the handler ended the goroutine: the next event begins another job
			e.mu.Lock()
			e.busy = false
			e.mu.Unlock()
		}
	}()
	for {
		ev, ok := e.take()
		if !ok {
			ended = true
			return
		}
		e.handle(ev)
	}
}

// take returns the next event for the handler. false: there is none, and the job ends.
func (e *events) take() (ev event, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) > 0 {
		ev = e.queue[0]
		e.queue = e.queue[1:]
		return ev, true
	}
	e.queue = nil
	if now := e.rt.Now(); e.stats != e.told && e.dropped.due(now) {
		e.told = e.stats
		return event{at: now, level: slog.LevelWarn, name: EventsDropped, attrs: []slog.Attr{
			slog.Uint64("events", e.stats.Dropped), slog.Uint64("panics", e.stats.Panics),
		}}, true
	}
	e.busy = false
	if e.idle != nil {
		e.idle()
		e.idle = nil
	}
	return event{}, false
}

// handle calls the handler, which is the host's and may do anything.
func (e *events) handle(ev event) {
	done := false
	defer func() {
		if done {
			return
		}
		if recover() != nil {
			e.mu.Lock()
			e.stats.Panics++
			if ev.name == EventsDropped { // or a handler that panics at everything would never be left alone
				e.told = e.stats
			}
			e.mu.Unlock()
		}
	}()
	ctx := context.Background()
	if e.handler.Enabled(ctx, ev.level) {
		r := slog.NewRecord(ev.at, ev.level, ev.name, 0)
		r.AddAttrs(slog.String("dir", e.dir))
		r.AddAttrs(ev.attrs...)
		_ = e.handler.Handle(ctx, r) // there is nobody to tell
	}
	done = true
}

// drain waits until the handler has all events, or patience ends.
func (e *events) drain(patience time.Duration) {
	over := actors.NewLatch()
	open := sync.OnceFunc(over.Open)
	e.mu.Lock()
	e.dropped = spacing{} // the last chance to tell
	start := !e.busy && e.handler != nil && e.stats != e.told
	e.busy = e.busy || start
	if !e.busy {
		e.mu.Unlock()
		return
	}
	e.idle = open
	e.mu.Unlock()
	if start {
		e.rt.Job("events", e.deliver)
	}
	stop := e.rt.After(patience, open)
	over.Wait(e.rt)
	stop()
}

// panicked counts a panic of the host's code that went no further.
func (e *events) panicked() {
	e.mu.Lock()
	e.stats.Panics++
	e.mu.Unlock()
}

// figures returns what went wrong so far.
func (e *events) figures() EventStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// recent returns the last events of both rings, the newest first: what is routine pushes nothing grave
// out.
func (e *events) recent() []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.grave.appendTo(e.routine.appendTo(nil))
	slices.SortFunc(all, func(a, b event) int { return cmp.Compare(b.no, a.no) })
	return all
}

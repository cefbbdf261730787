package aegis

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
)

// The names that the machines' jobs have in a Runtime.
const (
	flushJob   = "*flusher.flushJob"
	mergeJob   = "*flusher.stepJob"
	publishJob = "*flusher.publishJob"
	prepareJob = "*walwriter.prepareJob"
)

// watcher makes figures, events and spans of what the actors tell. It implements actors.Observer.
type watcher struct {
	events  *events
	latency *latencies
	span    func(ctx context.Context, name string) (context.Context, func(error)) // nil: there are no spans
	rt      Runtime

	lowSince atomic.Int64 // Unix nanoseconds of the first failure to prepare log space; 0: there is space
	poisoned atomic.Bool

	mu       sync.Mutex
	damaged  map[place]bool      // that an event has told of
	troubles map[string]*trouble // by the names of jobs, those that have ever failed
}

// place is where something is damaged.
type place struct {
	file   string
	offset int64
}

// damagedPlaces bounds how many damaged places are told of.
const damagedPlaces = 1000

func newWatcher(db *DB) *watcher {
	return &watcher{
		events: db.events, latency: &db.latency, span: db.opts.Observer.Span, rt: db.rt,
		damaged: map[place]bool{}, troubles: map[string]*trouble{},
	}
}

// Begin implements actors.Observer.
func (w *watcher) Begin(work string) (end func(error)) {
	return w.beginSpan(spanOf(work))
}

// beginSpan begins a span of the engine's own work. A panic of the host's code stays there.
func (w *watcher) beginSpan(name string) func(error) {
	if w.span == nil {
		return nil
	}
	var theirs func(error)
	w.guard(func() { _, theirs = w.span(context.Background(), name) })
	if theirs == nil {
		return nil
	}
	return func(err error) { w.guard(func() { theirs(err) }) }
}

// guard calls the host's code.
func (w *watcher) guard(f func()) {
	done := false
	defer func() {
		if !done && recover() != nil {
			w.events.panicked()
		}
	}()
	f()
	done = true
}

func spanOf(work string) string {
	switch work {
	case actors.LogSync:
		return SpanLogSync
	case flushJob:
		return SpanFlush
	case mergeJob:
		return SpanMerge
	case publishJob:
		return SpanCheckpoint
	case prepareJob:
		return SpanLogPrepare
	}
	return SpanRemove
}

// Done implements actors.Observer.
func (w *watcher) Done(work actors.Work) {
	w.latency.observe(work)
	if work.Name == actors.LogSync || errors.Is(work.Err, messages.ErrClosed) {
		return // Close ended it: it is done again by the next Open
	}
	name, fields := eventOf(work)
	level := slog.LevelDebug
	if name == EventJob {
		fields = []slog.Attr{slog.String("job", spanOf(work.Name))}
	}
	if work.Err != nil {
		var damage *CorruptionError
		if errors.As(work.Err, &damage) {
			w.damage(damage)
		}
		failures, tell := w.failed(work)
		if !tell {
			return
		}
		level = slog.LevelWarn
		if name != EventJob {
			fields = nil
		}
		fields = append(fields, slog.String("error", work.Err.Error()), slog.Int("failures", failures))
	} else if failures, lasted := w.works(work.Name); failures > 0 {
		level = slog.LevelInfo
		fields = append(fields, slog.Int("failures", failures), slog.Duration("lasted", lasted))
	} else if name == EventJob {
		return
	}
	w.events.emit(level, name, append(fields, slog.Duration("took", work.Took))...)
}

// failed takes a failed job in. It returns how many have failed in a row, and whether to tell of it:
// each is tried again, for as long as it fails.
func (w *watcher) failed(work actors.Work) (failures int, tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.troubles[work.Name]
	if t == nil {
		t = &trouble{}
		w.troubles[work.Name] = t
	}
	tell = t.failed(work.Err, w.rt.Now())
	return t.failures, tell
}

// works takes a job in that succeeded. When it failed before, and that was told, it returns how often in
// a row, and for how long.
func (w *watcher) works(job string) (failures int, lasted time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.troubles[job]; t != nil {
		if failures = t.over(); failures > 0 {
			lasted = w.rt.Now().Sub(t.since)
		}
	}
	return failures, lasted
}

// failing is a kind of job whose last one failed.
type failing struct {
	Job      string // the name of its span
	Failures int    // in a row
	Lasted   time.Duration
	Error    string // of the last one
}

// failing returns the kinds of jobs that fail, in the order of their names.
func (w *watcher) failing() []failing {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := []failing{}
	for _, name := range slices.Sorted(maps.Keys(w.troubles)) {
		if t := w.troubles[name]; t.failures > 0 {
			all = append(all, failing{spanOf(name), t.failures, w.rt.Now().Sub(t.since), t.err.Error()})
		}
	}
	return all
}

// eventOf names the event of a job, and what it tells of one that succeeded.
func eventOf(work actors.Work) (name string, fields []slog.Attr) {
	r := &work.Report
	bytes, tables, seq := slog.Int64("bytes", r.Bytes), slog.Int("tables", r.Tables), slog.Uint64("seq", uint64(r.Seq))
	switch work.Name {
	case flushJob:
		return EventFlush, []slog.Attr{bytes, tables, seq}
	case mergeJob:
		return EventMerge, []slog.Attr{bytes, tables, slog.Int("runs", r.Runs), slog.Int("moved", r.Moved), slog.Bool("last", r.Last)}
	case publishJob:
		return EventCheckpoint, []slog.Attr{slog.Uint64("number", r.Number), bytes, slog.Int("runs", r.Runs), tables, seq}
	}
	return EventJob, nil
}

// Stall implements actors.Observer.
func (w *watcher) Stall(s actors.Stall) {
	cause, lasted := slog.String("for", s.For), slog.Duration("lasted", s.Lasted)
	if s.Over {
		w.events.emit(slog.LevelInfo, EventStallEnd, cause, lasted, slog.Int("shorter", s.Shorter))
		return
	}
	w.events.emit(slog.LevelWarn, EventStallBegin, cause, slog.Int("held", s.Held), lasted)
}

// Space implements actors.Observer. Failures repeat while the medium is full; one is told.
func (w *watcher) Space(err error) {
	switch since := w.lowSince.Load(); {
	case err != nil && since == 0:
		w.lowSince.Store(w.rt.Now().UnixNano())
		w.events.emit(slog.LevelWarn, EventSpaceLow, slog.String("error", err.Error()))
	case err == nil && since != 0:
		w.lowSince.Store(0)
		w.events.emit(slog.LevelInfo, EventSpaceBack, slog.Duration("lasted", w.rt.Now().Sub(time.Unix(0, since))))
	}
}

// Poisoned implements actors.Observer. The first cause is told.
func (w *watcher) Poisoned(err error) {
	if !w.poisoned.Swap(true) {
		w.events.emit(slog.LevelError, EventPoison, slog.String("error", err.Error()))
	}
}

// SnapshotEnded implements actors.Observer.
func (w *watcher) SnapshotEnded(e txcoord.Ended) {
	reason := "held"
	if e.ForAge {
		reason = "age"
	}
	s := &e.Snapshot
	fields := []slog.Attr{
		slog.Uint64("seq", uint64(s.Seq)), slog.Duration("age", w.rt.Now().Sub(s.Since)),
		slog.String("reason", reason), slog.Bool("read_write", s.ReadWrite),
	}
	if s.Origin != nil {
		fields = append(fields, slog.String("origin", describeOrigin(s.Origin)))
	}
	w.events.emit(slog.LevelWarn, EventSnapshotEnded, fields...)
}

// damage tells of a damaged place, once.
func (w *watcher) damage(err *pages.CorruptionError) {
	at := place{err.File, err.Offset}
	w.mu.Lock()
	known := w.damaged[at] || len(w.damaged) >= damagedPlaces
	if !known {
		w.damaged[at] = true
	}
	w.mu.Unlock()
	if !known {
		w.events.emit(slog.LevelError, EventDamage, slog.String("file", err.File), slog.Int64("offset", err.Offset), slog.String("what", err.What))
	}
}

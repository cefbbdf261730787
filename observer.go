package aegis

import (
	"context"
	"errors"
)

// Observer is told what a store does. Every field may be nil.
type Observer struct {
	// Progress is told how far the long parts of Open and Close are, from one goroutine at a time. It
	// must not call back into the store. Default: nil: nobody is told.
	Progress func(Progress)

	// Span is called at the beginning of each piece of work that the Span constants name, and what it
	// returns at its end, with the error if the work failed. The context that it returns goes on into
	// the work, so spans nest: a Commit lies within its Update. It is called on the goroutine that
	// works, by several at a time: both functions must be quick and must not use the store. Spans of
	// the engine's own work have context.Background(), and a panic there is counted in
	// Stats.Events.Panics and goes no further; a job that Close gives up ends with ErrClosed. The nested module metrics makes a Span from a
	// tracer of OpenTelemetry. Default: nil: there are no spans.
	Span func(ctx context.Context, name string) (context.Context, func(error))

	// SnapshotOrigins records where each transaction begins, for SnapshotStats.Origin. That takes
	// about a microsecond and an allocation for each. Default: false.
	SnapshotOrigins bool
}

// The names that Observer.Span is called with.
const (
	SpanUpdate     = "aegis.update"      // Update and UpdateWith, all attempts together
	SpanView       = "aegis.view"        // View
	SpanCommit     = "aegis.commit"      // Commit, and a Put or Delete outside a transaction; not CommitAsync
	SpanRecovery   = "aegis.recovery"    // Open, from the lock to the first answer
	SpanLogSync    = "aegis.log.sync"    // a group of commits: its write and its sync
	SpanLogPrepare = "aegis.log.prepare" // a log segment is made ready
	SpanFlush      = "aegis.flush"       // a version index becomes a run
	SpanMerge      = "aegis.merge"       // one step of a merge
	SpanCheckpoint = "aegis.checkpoint"  // a checkpoint is published
	SpanRemove     = "aegis.remove"      // files that nobody needs are removed
)

// Progress is how far a long operation is.
type Progress struct {
	Stage       string // what is done: "recovery", "checkpoint", …
	Done, Total int64  // in Unit; Total is 0 while it is not known
	Unit        string // "bytes", "files", …
}

// effective returns a copy of o in which Progress can be called. It accepts nil.
func (o *Observer) effective() *Observer {
	var e Observer
	if o != nil {
		e = *o
	}
	if e.Progress == nil {
		e.Progress = func(Progress) {}
	}
	return &e
}

// errPanicked ends the span of a call whose function panicked.
var errPanicked = errors.New("aegis: the function panicked")

// spanned runs f within a span; Span is set. A panic of f ends the span and goes on.
func (o *Observer) spanned(ctx context.Context, name string, f func(ctx context.Context) error) (err error) {
	inner, end := o.Span(ctx, name)
	if inner == nil {
		inner = ctx
	}
	if end == nil {
		return f(inner)
	}
	err = errPanicked
	defer func() { end(err) }()
	err = f(inner)
	return err
}

package metrics

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/aegis-storage/aegis"
)

// Spans returns an aegis.Observer.Span that starts a span of tracer for each transaction and each job
// of the engine, by the names of the aegis.Span constants. Spans of transactions are children of the
// span in the caller's context; a Commit is a child of its Update. Those of the engine's own work are
// roots: a sampler that follows parents leaves them to its root sampler.
//
// A failed piece of work gets the error as an event, the status Error and the error's text, and the
// attribute aegis.conflict if it was a conflict, which Update tries again by itself. A job that Close
// gives up is done again by the next Open: its status stays unset, and it has the attribute
// aegis.given_up. It is safe for concurrent use. A nil tracer gives nil: there are no spans.
func Spans(tracer trace.Tracer) func(ctx context.Context, name string) (context.Context, func(error)) {
	if tracer == nil {
		return nil
	}
	return func(ctx context.Context, name string) (context.Context, func(error)) {
		ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(system))
		return ctx, func(err error) {
			if err != nil {
				record(span, name, err)
			}
			span.End()
		}
	}
}

// record notes why a piece of work failed.
func record(span trace.Span, name string, err error) {
	if errors.Is(err, aegis.ErrClosed) && !clients[name] {
		span.SetAttributes(attribute.Bool("aegis.given_up", true))
		return
	}
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	if errors.Is(err, aegis.ErrConflict) {
		span.SetAttributes(attribute.Bool("aegis.conflict", true))
	}
}

// clients has the spans of what a program asks for. The others are of the engine's own work.
var clients = map[string]bool{aegis.SpanUpdate: true, aegis.SpanView: true, aegis.SpanCommit: true}

// system is what OpenTelemetry's conventions call a database's kind.
var system = attribute.String("db.system.name", "aegis")

package metrics_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/metrics"
)

// traced opens a store whose spans land in memory.
func traced(t *testing.T) (*aegis.DB, *tracetest.InMemoryExporter, trace.Tracer) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	tracer := provider.Tracer("test")
	db, err := aegis.Open("", &aegis.Options{
		Backend: backends.NewMemory(), Observer: &aegis.Observer{Span: metrics.Spans(tracer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, spans, tracer
}

func find(t *testing.T, all tracetest.SpanStubs, name string) tracetest.SpanStub {
	t.Helper()
	i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no span %s", name)
	}
	return all[i]
}

// TestSpansNest: the caller's span holds Update, which holds its Commit; jobs stand alone.
func TestSpansNest(t *testing.T) {
	db, exported, tracer := traced(t)
	ctx, request := tracer.Start(t.Context(), "request")
	err := db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("k"), []byte("v")) })
	request.End()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	all := exported.GetSpans()
	outer, update, commit := find(t, all, "request"), find(t, all, aegis.SpanUpdate), find(t, all, aegis.SpanCommit)
	if update.Parent.SpanID() != outer.SpanContext.SpanID() || commit.Parent.SpanID() != update.SpanContext.SpanID() {
		t.Errorf("parents: update %v, commit %v", update.Parent.SpanID(), commit.Parent.SpanID())
	}
	for _, name := range []string{aegis.SpanRecovery, aegis.SpanLogSync, aegis.SpanLogPrepare, aegis.SpanFlush, aegis.SpanCheckpoint} {
		if s := find(t, all, name); s.Parent.IsValid() {
			t.Errorf("%s has a parent", name)
		}
	}
	for _, s := range all {
		if s.EndTime.IsZero() || s.Name != "request" && !slices.Contains(s.Attributes, attribute.String("db.system.name", "aegis")) {
			t.Errorf("span %s: ended %v, attributes %v", s.Name, s.EndTime, s.Attributes)
		}
	}
}

// TestSpansErrors: what fails ends with the error.
func TestSpansErrors(t *testing.T) {
	db, exported, _ := traced(t)
	defer db.Close()
	mine := errors.New("mine")
	if err := db.View(t.Context(), func(*aegis.Tx) error { return mine }); !errors.Is(err, mine) {
		t.Fatal(err)
	}
	first, err := db.Begin(t.Context(), aegis.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Get([]byte("k")); !errors.Is(err, aegis.ErrNotFound) {
		t.Fatal(err)
	}
	if err := db.Put(context.Background(), []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	exportedSoFar := len(exported.GetSpans())
	if err := errors.Join(first.Put([]byte("k"), nil), first.Commit()); !errors.Is(err, aegis.ErrConflict) {
		t.Fatal(err)
	}
	view := find(t, exported.GetSpans(), aegis.SpanView)
	if view.Status.Code != codes.Error || view.Status.Description != "mine" || len(view.Events) != 1 {
		t.Errorf("view: %+v, %d events", view.Status, len(view.Events))
	}
	commit := find(t, exported.GetSpans()[exportedSoFar:], aegis.SpanCommit)
	if commit.Status.Code != codes.Error || !slices.Contains(commit.Attributes, attribute.Bool("aegis.conflict", true)) {
		t.Errorf("commit: %+v, attributes %v", commit.Status, commit.Attributes)
	}
}

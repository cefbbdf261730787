package metrics_test

import (
	"context"
	"errors"
	"fmt"
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

// ended returns the span of a name that ended with err.
func ended(t *testing.T, name string, err error) tracetest.SpanStub {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
	_, end := metrics.Spans(tracer)(t.Context(), name)
	if n := len(spans.GetSpans()); n != 0 {
		t.Fatalf("%d spans ended too early", n)
	}
	end(err)
	all := spans.GetSpans()
	if len(all) != 1 || all[0].Name != name || all[0].SpanKind != trace.SpanKindInternal {
		t.Fatalf("spans %+v", all)
	}
	return all[0]
}

// TestSpansOfClosedStore: a job that Close gives up did not fail; a transaction on a closed store did.
func TestSpansOfClosedStore(t *testing.T) {
	closed := fmt.Errorf("merge: %w", aegis.ErrClosed)
	for name, want := range map[string]codes.Code{
		aegis.SpanUpdate: codes.Error, aegis.SpanView: codes.Error, aegis.SpanCommit: codes.Error,
		aegis.SpanMerge: codes.Unset, aegis.SpanLogPrepare: codes.Unset, aegis.SpanFlush: codes.Unset,
	} {
		s := ended(t, name, closed)
		given := slices.Contains(s.Attributes, attribute.Bool("aegis.given_up", true))
		if s.Status.Code != want || given != (want == codes.Unset) || len(s.Events) != map[bool]int{true: 0, false: 1}[given] {
			t.Errorf("%s: status %v, attributes %v, %d events", name, s.Status, s.Attributes, len(s.Events))
		}
	}
	if s := ended(t, aegis.SpanMerge, errors.New("mine")); s.Status.Code != codes.Error || s.Status.Description != "mine" {
		t.Errorf("a merge that failed: %v", s.Status)
	}
	if s := ended(t, aegis.SpanMerge, nil); s.Status.Code != codes.Unset || len(s.Events) != 0 || len(s.Attributes) != 1 {
		t.Errorf("a merge that succeeded: %v, %v", s.Status, s.Attributes)
	}
}

// TestSpansOfRollback: an Update whose function fails has a span with the error, and no Commit; one that
// conflicts has a Commit for each attempt.
func TestSpansOfRollback(t *testing.T) {
	db, exported, _ := traced(t)
	defer db.Close()
	exported.Reset()
	mine := errors.New("mine")
	if err := db.Update(t.Context(), func(*aegis.Tx) error { return mine }); !errors.Is(err, mine) {
		t.Fatal(err)
	}
	tx, err := db.Begin(t.Context(), aegis.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.Put([]byte("k"), nil), tx.Rollback()); err != nil {
		t.Fatal(err)
	}
	if all := exported.GetSpans(); len(all) != 1 || all[0].Name != aegis.SpanUpdate || all[0].Status.Description != "mine" ||
		slices.ContainsFunc(all[0].Attributes, func(a attribute.KeyValue) bool { return a.Key == "aegis.conflict" }) {
		t.Errorf("spans %+v", all)
	}
	exported.Reset()
	tries := 0
	err = db.Update(t.Context(), func(tx *aegis.Tx) error {
		if _, err := tx.Get([]byte("k")); err != nil && !errors.Is(err, aegis.ErrNotFound) {
			return err
		}
		if tries++; tries == 1 {
			if err := db.Put(context.Background(), []byte("k"), []byte("other")); err != nil {
				return err
			}
		}
		return tx.Put([]byte("k"), []byte("mine"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var states []codes.Code
	update := find(t, exported.GetSpans(), aegis.SpanUpdate)
	for _, s := range exported.GetSpans() {
		if s.Name == aegis.SpanCommit && s.Parent.SpanID() == update.SpanContext.SpanID() {
			states = append(states, s.Status.Code)
		}
	}
	if !slices.Equal(states, []codes.Code{codes.Error, codes.Unset}) || update.Status.Code != codes.Unset {
		t.Errorf("the commits ended with %v, the update with %v", states, update.Status)
	}
}

// TestSpansWithoutTracer: there are none.
func TestSpansWithoutTracer(t *testing.T) {
	if metrics.Spans(nil) != nil {
		t.Error("a Span of no tracer")
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

package metrics_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/metrics"
)

func ExampleCollector() {
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	stores := metrics.NewCollector(0)
	stores.Add("users", db)
	registry := prometheus.NewRegistry()
	registry.MustRegister(stores)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	if err := db.Put(context.Background(), []byte("k"), []byte("v")); err != nil {
		log.Fatal(err)
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "aegis_commits_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// aegis_commits_total{store="users"} 1
}

func ExampleSpans() {
	finished := tracetest.NewInMemoryExporter() // a program exports to its collector instead
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(finished))
	db, err := aegis.Open("", &aegis.Options{
		Backend:  backends.NewMemory(),
		Observer: &aegis.Observer{Span: metrics.Spans(provider.Tracer("aegis"))},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	finished.Reset()
	if err := db.View(context.Background(), func(*aegis.Tx) error { return nil }); err != nil {
		log.Fatal(err)
	}
	for _, s := range finished.GetSpans() {
		if s.Name == aegis.SpanView {
			fmt.Println(s.Name)
		}
	}
	// Output:
	// aegis.view
}

package explore

import (
	"context"
	"testing"

	"github.com/aegis-storage/aegis/sim"
)

// The bars on two cores: 5 s, 20 s and 60 s for one of each.

func BenchmarkBoundaries50(b *testing.B) {
	measure(b, Config{Plan: sim.Plan{Each: 25}}, bank(2, true), Boundaries)
}

func BenchmarkNested10(b *testing.B) {
	measure(b, Config{Plan: sim.Plan{Each: 5}}, bank(2, true), Nested)
}

func BenchmarkInterleavings2x3(b *testing.B) {
	measure(b, Config{Plan: sim.Plan{Each: 3}}, bank(2, true), Interleavings)
}

// measure explores everything, and says how much that was.
func measure(b *testing.B, c Config, subject sim.Subject, f explore) {
	b.ReportAllocs()
	var res *Result
	for b.Loop() {
		var err error
		if res, err = f(context.Background(), c, subject); err != nil {
			b.Fatal(err)
		}
		for _, f := range res.Failures {
			b.Fatalf("%v\ntoken %s", f.Failure, f.Plan.Token())
		}
	}
	b.Log(res)
	b.ReportMetric(float64(res.Runs)/res.Elapsed.Seconds(), "runs/s")
}

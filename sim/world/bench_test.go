package world

import (
	"testing"

	"github.com/aegis-storage/aegis/sim/trace"
)

// BenchmarkSwitch is what it costs to choose among n tasks and to resume one. The bar is two
// million a second and core, 500 ns each.
func BenchmarkSwitch(b *testing.B) {
	for _, c := range []struct {
		name   string
		tasks  int
		strict bool
	}{{"2", 2, false}, {"8", 8, false}, {"8strict", 8, true}} {
		b.Run(c.name, func(b *testing.B) {
			w := New(Config{Seed: 1, Log: &trace.Log{}, Strategy: Strategy{Yield: 1}, Strict: c.strict, MaxSteps: 1 << 40})
			defer w.Close()
			defer w.Reap()
			var left int
			b.ReportAllocs()
			w.Live(CrashAt{}, false, func() {
				for range c.tasks {
					w.Go("task", true, func() {
						for ; left > 0; left-- {
							w.Park(background, nil)
						}
					})
				}
				left = b.N
			}, endless, endless)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "M/s")
		})
	}
}

// BenchmarkTask is what it costs to start a task, to run it, and to reap it where it waits.
func BenchmarkTask(b *testing.B) {
	for _, reaped := range []bool{false, true} {
		name := "ends"
		if reaped {
			name = "reaped"
		}
		b.Run(name, func(b *testing.B) {
			w := newWorld(1, Strategy{})
			defer w.Close()
			b.ReportAllocs()
			for range b.N {
				w.Live(CrashAt{}, false, func() {
					if reaped {
						w.Park(background, endless)
					}
				}, endless, func() bool { return true })
				w.Reap()
			}
		})
	}
}

package measure

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	longest = 10 * time.Minute
	// Two digits are a resolution of 0.8 %, and 34 KB for each client: with 256 of them the
	// harness stays small beside the engine.
	digits = 2
)

// Latency counts durations, from a nanosecond to ten minutes, with a resolution of 0.8 %. It is for
// one goroutine.
type Latency struct{ counts *hdrhistogram.Histogram }

// NewLatency returns an empty Latency.
func NewLatency() *Latency {
	return &Latency{hdrhistogram.New(1, int64(longest), digits)}
}

// Record counts d. What is shorter or longer than can be counted counts as the shortest or longest.
func (l *Latency) Record(d time.Duration) {
	// The only error is that of a value out of range.
	_ = l.counts.RecordValue(int64(min(max(d, 1), longest)))
}

// Reset forgets all that was recorded.
func (l *Latency) Reset() { l.counts.Reset() }

// Merge adds what other has recorded.
func (l *Latency) Merge(other *Latency) { l.counts.Merge(other.counts) }

// Count returns how many durations were recorded.
func (l *Latency) Count() int64 { return l.counts.TotalCount() }

// Fill sets the percentiles of r.
func (l *Latency) Fill(r *Result) {
	r.P50 = l.counts.ValueAtQuantile(50)
	r.P90 = l.counts.ValueAtQuantile(90)
	r.P99 = l.counts.ValueAtQuantile(99)
	r.P999 = l.counts.ValueAtQuantile(99.9)
	r.Max = l.counts.Max()
}

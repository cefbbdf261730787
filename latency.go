package aegis

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latency is a histogram of durations, lock-free. Bucket i counts durations below 2^(i/4)
// microseconds or so: four buckets to each doubling.
type latency struct {
	buckets [latencyBuckets]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
	seen    atomic.Uint64
}

const (
	latencyBuckets = 128
	// sampleNoSync: one in so many NoSync commits is timed, as reading the clock twice would cost
	// a tenth of such a commit.
	sampleNoSync = 16
)

// start returns the time, or zero if this commit is not timed.
func (l *latency) start(rt Runtime, d Durability) time.Time {
	if d == NoSync && l.seen.Add(1)%sampleNoSync != 0 {
		return time.Time{}
	}
	return rt.Now()
}

func (l *latency) stop(rt Runtime, start time.Time) {
	if start.IsZero() {
		return
	}
	d := rt.Now().Sub(start)
	l.buckets[latencyBucket(d)].Add(1)
	l.sum.Add(int64(d))
}

// latencyBucket: the position of the highest bit of d in units of 64 ns, and the two bits after
// it.
func latencyBucket(d time.Duration) int {
	n := uint64(max(d, 0)) >> 6
	if n < 4 {
		return int(n)
	}
	high := bits.Len64(n) - 1
	return min(high*4-4+int(n>>(high-2)&3), latencyBuckets-1)
}

// latencyBound is the upper bound of bucket i.
func latencyBound(i int) time.Duration {
	if i < 4 {
		return time.Duration(i+1) << 6
	}
	high, part := (i+4)/4, (i+4)%4
	return time.Duration(uint64(5+part)<<(high-2)) << 6
}

// Latency is what a histogram says, each figure within a quarter of the truth.
type Latency struct {
	Count              uint64
	Mean               time.Duration
	P50, P90, P99, Max time.Duration
}

func (l *latency) figures() (f Latency) {
	var counts [latencyBuckets]uint64
	for i := range counts {
		counts[i] = l.buckets[i].Load()
		f.Count += counts[i]
	}
	if f.Count == 0 {
		return f
	}
	f.Mean = time.Duration(uint64(l.sum.Load()) / f.Count)
	var below uint64
	for i, n := range counts {
		if n == 0 {
			continue
		}
		for _, q := range []struct {
			share float64
			to    *time.Duration
		}{{0.5, &f.P50}, {0.9, &f.P90}, {0.99, &f.P99}} {
			if want := q.share * float64(f.Count); float64(below) < want && float64(below+n) >= want {
				*q.to = latencyBound(i)
			}
		}
		below += n
		f.Max = latencyBound(i)
	}
	return f
}

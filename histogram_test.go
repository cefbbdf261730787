package aegis

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestHistogramBuckets: the buckets lie one behind the other without a gap, and each is at most a
// quarter as wide as its durations are long.
func TestHistogramBuckets(t *testing.T) {
	for i := range histogramBuckets - 1 {
		top := bucketMax(i)
		if bucketOf(top) != i || bucketOf(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %v, but that is in %d and the next in %d", i, top, bucketOf(top), bucketOf(top+1))
		}
		if least := top + 1; bucketMax(i+1) > least+least/4 {
			t.Errorf("bucket %d reaches from %v to %v", i+1, least, bucketMax(i+1))
		}
	}
	if top := bucketMax(histogramBuckets - 1); top < 6*24*time.Hour || bucketOf(math.MaxInt64) != histogramBuckets-1 {
		t.Errorf("the last bucket ends at %v and takes up to bucket %d", top, bucketOf(math.MaxInt64))
	}
}

// TestHistogramFigures compares with a sorted list, at sizes where the quantiles are edges.
func TestHistogramFigures(t *testing.T) {
	if got := new(histogram).figures(); !reflect.DeepEqual(got, Latency{}) {
		t.Errorf("nothing gives %+v", got)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 99, 100, 101, 1000} {
		var h histogram
		var all []time.Duration
		var sum time.Duration
		for range n {
			d := time.Duration(math.Exp(rng.Float64() * 30)) // 1 ns to hours
			all, sum = append(all, d), sum+d
			h.record(d)
		}
		slices.Sort(all)
		f := h.figures()
		if f.Count != uint64(n) || f.Mean != sum/time.Duration(n) {
			t.Errorf("%d durations of %v on average: %+v", n, sum/time.Duration(n), f)
		}
		for percent, got := range map[int]time.Duration{50: f.P50, 90: f.P90, 99: f.P99, 100: f.Max} {
			want := all[(n*percent+99)/100-1]
			if got < want || got > want+want/4 {
				t.Errorf("of %d durations %d%% are up to %v, not %v", n, percent, want, got)
			}
		}
	}
}

// TestHistogramStretchOnce: two goroutines that find a stretch missing make one.
func TestHistogramStretchOnce(t *testing.T) {
	var h histogram
	if first := h.makeStretch(20); h.makeStretch(31) != first || h.makeStretch(32) == first {
		t.Error("stretches are not made once each")
	}
}

// TestHistogramConcurrent: no duration is lost, and a clock that goes back counts as none.
func TestHistogramConcurrent(t *testing.T) {
	var h histogram
	var wg sync.WaitGroup
	const each = 200_000
	start := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			<-start
			for range each {
				h.record(time.Microsecond)
				h.record(-time.Hour)
			}
		})
	}
	close(start)
	wg.Wait()
	if f := h.figures(); f.Count != 8*each || f.Mean != time.Microsecond/2 || f.P50 != 0 || f.Max < time.Microsecond {
		t.Errorf("%+v after %d times 1µs and as many of nothing", f, 4*each)
	}
}

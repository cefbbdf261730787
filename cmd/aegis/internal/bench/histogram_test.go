package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogram: a quantile is at most a sixteenth above the truth, and never below.
func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h, half histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(r.Uint64N(1 << (r.Uint64N(40) + 1)))
		all = append(all, d)
		if i%2 == 0 {
			h.add(d)
		} else {
			half.add(d)
		}
	}
	h.merge(&half)
	slices.Sort(all)
	for _, share := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		truth := all[min(int(share*float64(len(all))), len(all)-1)]
		if got := h.quantile(share); got < truth || got > truth+truth/16 {
			t.Errorf("quantile %v is %v, want %v", share, got, truth)
		}
	}
	for _, d := range []time.Duration{0, 1, 15, 16, 17, 1000, 1<<63 - 1} {
		b := bucketOf(d)
		if upper(b) < d || b > 0 && upper(b-1) >= d {
			t.Errorf("%d is in the bucket up to %d", d, upper(b))
		}
	}
	if (&histogram{}).quantile(0.5) != 0 {
		t.Error("nothing took some time")
	}
}

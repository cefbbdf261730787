package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that are at most a sixteenth wide.
type histogram struct {
	buckets [64 * perOctave]uint64
	count   uint64
	max     time.Duration
}

const (
	octaveBits = 4
	perOctave  = 1 << octaveBits
)

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < perOctave {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - octaveBits
	return (shift+1)*perOctave + int(n>>shift) - perOctave
}

// upper is the longest duration of a bucket.
func upper(bucket int) time.Duration {
	if bucket < perOctave {
		return time.Duration(bucket)
	}
	shift := bucket/perOctave - 1
	return time.Duration((uint64(bucket%perOctave+perOctave+1) << shift) - 1)
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile returns what a share of the durations, 0 to 1, is at most: a sixteenth above the truth at
// most.
func (h *histogram) quantile(share float64) time.Duration {
	rank, seen := uint64(share*float64(h.count)), uint64(0)
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen > rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

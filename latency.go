package aegis

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/pages"
)

// LatencyStats tell how long operations took since Open, by the Runtime's clock, also those that
// failed. A Count is of what was timed: where that is one call in so many, clients' goroutines
// count their calls apart, and the first one of each is timed.
type LatencyStats struct {
	Commit    Latency // Commit, Put and Delete, which wait: each Sync one, one NoSync one in 16
	Get       Latency // of all kinds, own writes included: one in 64
	ScanFirst Latency // one scan in 8, until it has its first entry or knows that there is none
	Scan      Latency // one scan in 8, with all that the loop's body does
	PageLoad  Latency // each cache miss: a page read, checked and decoded
	LogSync   Latency // each synced group of commits: its write and its sync
	Flush     Latency // each table-writing flush of a version index
	MergeStep Latency // each step of a merge
	// Checkpoint is each publication of a checkpoint: after a flush, a merge step or a bulk load.
	Checkpoint Latency
}

// Latency is what a histogram says: each figure but Count and Mean, which are exact, is at most a
// quarter above the truth.
type Latency struct {
	Count              uint64
	Mean, Sum          time.Duration
	P50, P90, P99, Max time.Duration
	Buckets            []LatencyBucket // those that counted something, the shortest first
}

// LatencyBucket counts the durations up to UpTo and above the bucket before it. There are four to each
// doubling, and each one's UpTo is the same in every store.
type LatencyBucket struct {
	UpTo  time.Duration
	Count uint64
}

// Reading the clock twice takes 100 ns: a tenth of a NoSync commit, a seventh of a cached get, a
// fiftieth of a loop over a hundred entries.
const (
	sampleNoSync = 16
	sampleGet    = 64
	sampleScan   = 8
)

// latencies are a store's histograms.
type latencies struct {
	rt               Runtime
	noSyncs, gets    pages.Striped
	scans            pages.Striped
	commit, get      histogram
	scanFirst, scan  histogram
	load, sync       histogram
	flush, step, ckp histogram
	group            histogram // of commits, not of time
}

// observe takes what the actors report. The jobs are the ones that their machines name so.
func (l *latencies) observe(work actors.Work) {
	switch work.Name {
	case actors.LogSync:
		l.sync.record(work.Took)
		l.group.record(time.Duration(work.Commits))
	case flushJob:
		l.flush.record(work.Took)
	case mergeJob:
		l.step.record(work.Took)
	case publishJob:
		l.ckp.record(work.Took)
	}
}

func (l *latencies) stats() LatencyStats {
	return LatencyStats{
		Commit: l.commit.figures(), Get: l.get.figures(), ScanFirst: l.scanFirst.figures(), Scan: l.scan.figures(),
		PageLoad: l.load.figures(), LogSync: l.sync.figures(), Flush: l.flush.figures(),
		MergeStep: l.step.figures(), Checkpoint: l.ckp.figures(),
	}
}

// stopwatch times one operation, or does not.
type stopwatch struct {
	start   time.Time
	running bool
}

func (l *latencies) startCommit(d Durability) stopwatch {
	if d == NoSync && l.noSyncs.Add()%sampleNoSync != 1 {
		return stopwatch{}
	}
	return stopwatch{l.rt.Now(), true}
}

func (l *latencies) startGet() stopwatch {
	if l.gets.Add()%sampleGet != 1 {
		return stopwatch{}
	}
	return stopwatch{l.rt.Now(), true}
}

func (l *latencies) startScan() stopwatch {
	if l.scans.Add()%sampleScan != 1 {
		return stopwatch{}
	}
	return stopwatch{l.rt.Now(), true}
}

// stop records what a running stopwatch shows.
func (l *latencies) stop(w stopwatch, h *histogram) {
	if w.running {
		h.record(l.rt.Now().Sub(w.start))
	}
}

// histogram counts durations, lock-free: four buckets to each doubling, up to six days. Memory is
// taken for the stretches of buckets only in which something was counted.
type histogram struct {
	stretches [histogramBuckets / stretchBuckets]atomic.Pointer[stretch]
	sum       atomic.Int64 // nanoseconds
}

const (
	histogramBuckets = 192
	stretchBuckets   = 16
)

// stretch is the counts of neighbouring buckets.
type stretch [stretchBuckets]atomic.Uint64

func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	i := bucketOf(d)
	s := h.stretches[i/stretchBuckets].Load()
	if s == nil {
		s = h.makeStretch(i)
	}
	s[i%stretchBuckets].Add(1)
	h.sum.Add(int64(d))
}

// makeStretch returns the stretch of bucket i, which this or another goroutine makes.
func (h *histogram) makeStretch(i int) *stretch {
	at := &h.stretches[i/stretchBuckets]
	at.CompareAndSwap(nil, new(stretch))
	return at.Load()
}

// count is how many durations bucket i has.
func (h *histogram) count(i int) uint64 {
	if s := h.stretches[i/stretchBuckets].Load(); s != nil {
		return s[i%stretchBuckets].Load()
	}
	return 0
}

// bucketOf is the position of d's highest bit and the two bits after it. Each duration below 4 ns
// has a bucket of its own; the last bucket takes what is above all.
func bucketOf(d time.Duration) int {
	n := uint64(d)
	if n < 4 {
		return int(n)
	}
	high := bits.Len64(n) - 1
	return min(high*4-4+int(n>>(high-2)&3), histogramBuckets-1)
}

// bucketMax is the longest duration of bucket i.
func bucketMax(i int) time.Duration {
	if i < 4 {
		return time.Duration(i)
	}
	high, part := (i+4)/4, (i+4)%4
	return time.Duration(uint64(5+part)<<(high-2)) - 1
}

func (h *histogram) figures() (f Latency) {
	var counts [histogramBuckets]uint64
	for i := range counts {
		counts[i] = h.count(i)
		f.Count += counts[i]
	}
	if f.Count == 0 {
		return f
	}
	f.Sum = time.Duration(h.sum.Load())
	f.Mean = time.Duration(uint64(f.Sum) / f.Count)
	var below uint64
	for i, n := range counts {
		if n == 0 {
			continue
		}
		f.Buckets = append(f.Buckets, LatencyBucket{UpTo: bucketMax(i), Count: n})
		for _, q := range []struct {
			percent uint64
			to      *time.Duration
		}{{50, &f.P50}, {90, &f.P90}, {99, &f.P99}} {
			if want := q.percent * f.Count; below*100 < want && (below+n)*100 >= want {
				*q.to = bucketMax(i)
			}
		}
		below += n
		f.Max = bucketMax(i)
	}
	return f
}

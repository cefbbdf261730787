package metrics

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aegis-storage/aegis"
)

// A Store is what a Collector asks: an *aegis.DB.
type Store interface {
	Stats(ctx context.Context) (aegis.Stats, error)
}

// Collector gives the figures of stores to Prometheus. All its metrics begin with aegis_ and have the
// label store. Counters are since the store was opened, times are seconds and sizes are bytes.
// aegis_up is 1 while a store gives figures and 0 while it does not, because it is closed or its
// engine has stopped; then it has no other metric. It is safe for concurrent use. The zero value has no
// stores and waits for DefaultTimeout.
type Collector struct {
	timeout time.Duration

	mu     sync.Mutex
	stores map[string]Store
}

// DefaultTimeout is how long a scrape waits for a store.
const DefaultTimeout = 5 * time.Second

// NewCollector returns a Collector without stores. A scrape waits for at most timeout for each store; 0
// and below are DefaultTimeout. Register it once, and Add stores to it.
func NewCollector(timeout time.Duration) *Collector { return &Collector{timeout: timeout} }

// Add has the collector ask db from the next scrape on. Its metrics have the label store=name; a store
// of the same name is replaced. What is no UTF-8 in the name becomes U+FFFD.
func (c *Collector) Add(name string, db Store) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stores == nil {
		c.stores = map[string]Store{}
	}
	c.stores[label(name)] = db
}

// label returns what Prometheus takes as a label's value.
func label(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// Remove has the collector forget the store: call it when the store is closed for good.
func (c *Collector) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.stores, label(name))
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- up
	for i := range values {
		ch <- values[i].desc
	}
	for i := range latencies {
		ch <- latencies[i].desc
	}
	for _, d := range []*prometheus.Desc{groupSize, waiting, messages, runs, snapshots} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It asks the stores side by side.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	stores := maps.Clone(c.stores)
	c.mu.Unlock()
	var asked sync.WaitGroup
	for name, db := range stores {
		asked.Go(func() { c.collect(ch, name, db) })
	}
	asked.Wait()
}

func (c *Collector) collect(ch chan<- prometheus.Metric, store string, db Store) {
	timeout := c.timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	s, err := db.Stats(ctx)
	if err != nil {
		ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, 0, store)
		return
	}
	ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, 1, store)
	for i := range values {
		v := &values[i]
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, v.of(&s), store)
	}
	for i := range latencies {
		l := latencies[i].of(&s.Latency)
		ch <- prometheus.MustNewConstHistogram(latencies[i].desc, l.Count, l.Sum.Seconds(), secondsBuckets(l.Buckets), store)
	}
	n, sum, buckets := groupBuckets(s.Commits)
	ch <- prometheus.MustNewConstHistogram(groupSize, n, sum, buckets, store)
	for _, actor := range slices.Sorted(maps.Keys(s.Mailboxes)) {
		ch <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(s.Mailboxes[actor]), store, actor)
		ch <- prometheus.MustNewConstMetric(messages, prometheus.CounterValue, float64(s.Messages[actor]), store, actor)
	}
	for tier, n := range s.Tables.RunsPerTier {
		ch <- prometheus.MustNewConstMetric(runs, prometheus.GaugeValue, float64(n), store, strconv.Itoa(tier))
	}
	modes := map[bool]int{}
	for _, o := range s.Snapshots {
		modes[o.ReadWrite]++
	}
	ch <- prometheus.MustNewConstMetric(snapshots, prometheus.GaugeValue, float64(modes[false]), store, "read_only")
	ch <- prometheus.MustNewConstMetric(snapshots, prometheus.GaugeValue, float64(modes[true]), store, "read_write")
}

// The bounds of histograms: powers of two, in nanoseconds from about a microsecond to about 17
// seconds, and in commits from 1 to 1024. They coincide with bounds of the store's own buckets, of
// which there are four to each doubling, so nothing is counted in the wrong one.
const (
	shortest, longest = 10, 34
	largestGroup      = 10
)

func secondsBuckets(fine []aegis.LatencyBucket) map[float64]uint64 {
	coarse := make(map[float64]uint64, longest-shortest+1)
	var below uint64
	i := 0
	for power := shortest; power <= longest; power++ {
		bound := time.Duration(1) << power
		for ; i < len(fine) && fine[i].UpTo <= bound; i++ {
			below += fine[i].Count
		}
		coarse[bound.Seconds()] = below
	}
	return coarse
}

// groupBuckets are the sizes of synced groups. A bucket of several sizes counts in the sum with its
// upper bound; up to seven commits there are none.
func groupBuckets(c aegis.CommitStats) (count uint64, sum float64, coarse map[float64]uint64) {
	coarse = make(map[float64]uint64, largestGroup+1)
	i := 0
	fine := c.GroupSizes
	for power := 0; power <= largestGroup; power++ {
		bound := uint64(1)<<power - 1
		for ; i < len(fine) && fine[i].UpTo <= bound; i++ {
			count += fine[i].Count
			sum += float64(fine[i].UpTo * fine[i].Count)
		}
		if power > 0 {
			coarse[float64(bound)] = count
		}
	}
	for ; i < len(fine); i++ {
		count += fine[i].Count
		sum += float64(fine[i].UpTo * fine[i].Count)
	}
	return count, sum, coarse
}

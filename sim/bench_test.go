package sim

import (
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// BenchmarkCycle is the cycle of the design's bar: an empty disk, a life in which 3 clients commit 9
// transactions, a power cut, and a life that recovers and audits. The bar is 5,000 a second on two
// cores, 400 µs each.
func BenchmarkCycle(b *testing.B) {
	steps := int64(0)
	b.ReportAllocs()
	for n := range b.N {
		plan := Plan{Seed: uint64(n + 1), Profile: "torn", Each: 3, Lives: 1, Ends: []End{{Life: 1, Kind: Power}}}
		res, err := Execute(plan, counter(false), Fast)
		if err != nil || res.Failure != nil {
			b.Fatal(err, res.Failure)
		}
		steps += res.Steps
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cycles/s")
	b.ReportMetric(float64(steps)/float64(b.N), "steps/op")
}

// BenchmarkRecover opens a store and audits it, in one life after the other on one disk. The bar is
// 15,000 lives a second on two cores, 133 µs each.
func BenchmarkRecover(b *testing.B) {
	const lives = 50
	var ends []End
	for n := range lives {
		ends = append(ends, End{Life: n + 1, Kind: Power, Idle: n > 0})
	}
	b.ReportAllocs()
	var spent time.Duration
	for n := range b.N {
		acked := map[string]byte{}
		first := time.Time{}
		_, err := Execute(Plan{Seed: uint64(n + 1), Profile: "torn", Each: 3, Lives: lives, Ends: ends}, func() func(*Life) {
			return func(l *Life) {
				db, err := aegis.Open("", l.Options())
				l.Must(err)
				if l.Number() == 2 {
					first = time.Now()
				}
				audit(l, db, acked)
				l.Go("a", func(c *Client) {
					for c.Next() {
						acked["a"] = increment(c, db, false)
					}
				})
			}
		}, Fast)
		if err != nil {
			b.Fatal(err)
		}
		spent += time.Since(first)
	}
	b.ReportMetric(float64(b.N*(lives-1))/spent.Seconds(), "lives/s")
}

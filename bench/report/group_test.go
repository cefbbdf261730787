package report

import (
	"math"
	"testing"

	"github.com/aegis-storage/aegis/bench/measure"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{4}, spread{4, 4, 4}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{8, 2, 4, 100}, spread{6, 2, 100}},
	} {
		if got := spreadOf(c.in); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestFiguresAreMediansOfRoundsAndMemoryIsThePeak(t *testing.T) {
	var rounds []measure.Result
	for i, ops := range []int64{3000, 1000, 2000} {
		rounds = append(rounds, measure.Result{
			Engine: aegis, Workload: "load", Clients: 1, Round: i, Keys: 10, ValueBytes: 84,
			Ops: ops, Seconds: 2, CPUSeconds: float64(ops) / 1000 * float64(i+1), P50: ops, P99: 2 * ops, P999: 3 * ops,
			CacheBytes: 100, PeakAnonBytes: ops, WrittenBytes: 4 * ops, UserBytes: 1000, DiskBytes: ops, PeakDiskBytes: 2 * ops,
		})
	}
	groups := collect(rounds)
	if len(groups) != 1 || len(groups[0].entries) != 1 {
		t.Fatalf("%d groups, want one with one engine", len(groups))
	}
	e := groups[0].entries[0]
	for name, c := range map[string]struct{ got, want float64 }{
		"rate": {e.rate.median, 1000}, "lowest": {e.rate.low, 500}, "highest": {e.rate.high, 1500},
		"time": {e.opTime.median, 0.001}, "bytes": {e.bytes, 100_000}, "p50": {e.p50, 2000}, "p99": {e.p99, 4000},
		"p99.9": {e.p999, 6000}, "cpu": {e.cpu, 0.002}, "anon": {e.anon, 3000}, "of set": {e.overall, 30},
		"written": {e.written, 8000}, "written by": {e.writeBy, 8}, "disk": {e.disk, 2000}, "space": {e.spaceBy, 2}, "peak space": {e.peakBy, 6},
	} {
		if math.Abs(c.got-c.want) > 1e-9*c.want {
			t.Errorf("%s is %v, want %v", name, c.got, c.want)
		}
	}
}

func TestGroupsAreByAllThatMakesFiguresComparable(t *testing.T) {
	base := one(aegis, "get-cold", 1)
	all := []measure.Result{base, base,
		with(base, func(r *measure.Result) { r.Workload = "get-cached" }),
		with(base, func(r *measure.Result) { r.Clients = 16 }),
		with(base, func(r *measure.Result) { r.Keys = 5 }),
		with(base, func(r *measure.Result) { r.ValueBytes = 7 }),
		with(base, func(r *measure.Result) { r.Compressed = !r.Compressed }),
		with(base, func(r *measure.Result) { r.Durable = !r.Durable }),
	}
	groups := collect(all)
	if len(groups) != 7 {
		t.Fatalf("%d groups, want 7", len(groups))
	}
	labels := map[string]bool{}
	for i := range groups {
		labels[groups[i].label(groups)] = true
	}
	if len(labels) != 7 {
		t.Errorf("labels of 7 groups: %v", labels)
	}
}

func TestRatioIsToTheBestPeer(t *testing.T) {
	rate := func(engine, workload string, ops int64) measure.Result {
		return with(one(engine, workload, 1), func(r *measure.Result) { r.Ops, r.Seconds = ops, 1 })
	}
	all := []measure.Result{rate(aegis, "load", 300), rate("lmdb", "load", 100), rate("pebble", "load", 200),
		rate(raw, "load", 9000), with(rate("badger", "load", 9000), func(r *measure.Result) { r.Limited = "no" })}
	groups := collect(all)
	if got := groups[0].toBestPeer(groups[0].entry(aegis)); got != 1.5 {
		t.Errorf("ratio is %v, want 1.5: neither raw nor an engine without part is a peer", got)
	}
	for i := range all {
		all[i].Workload = "reopen"
	}
	groups = collect(all)
	if got := groups[0].toBestPeer(groups[0].entry(aegis)); math.Abs(got-2.0/3) > 1e-9 {
		t.Errorf("ratio of times is %v, want 2/3", got)
	}
	alone := collect(all[:1])
	if got := alone[0].toBestPeer(alone[0].entry(aegis)); got != 0 {
		t.Errorf("ratio without peers is %v, want 0", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{perSecond(1_234_567), "1.23 M"}, {perSecond(999_600), "1.00 M"}, {perSecond(99_960), "100 K"}, {perSecond(0), absent},
		{perSecond(0.25), "0.25"}, {seconds(0.0123), "12.3 ms"}, {nanoseconds(870), "870 ns"}, {size(1000), "0.98 KiB"},
		{size(512), "512 B"}, {size(64 << 20), "64.0 MiB"}, {length(10_000), "10 kB"}, {length(1 << 20), "1 MiB"},
		{times(0.954), "0.95×"}, {times(0.012), "0.012×"}, {times(12.34), "12.3×"}, {times(0), absent},
		{count(1_500_000), "1.5 M"}, {count(256), "256"}, {trimmed("1.50 ms"), "1.5 ms"}, {trimmed("100 ms"), "100 ms"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

package report

import (
	"math"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/bench/measure"
)

// at gives an engine a rate.
func at(engine, workload string, clients int, rate int64) measure.Result {
	return with(one(engine, workload, clients), func(r *measure.Result) { r.Ops, r.Seconds = rate, 1 })
}

// find returns the one outcome of a bar whose requirement holds a text.
func find(t *testing.T, all []Outcome, bar, required string) Outcome {
	t.Helper()
	var found []Outcome
	for _, o := range all {
		if o.Bar == bar && strings.Contains(o.Required, required) {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d outcomes of %q with %q, want 1: %+v", len(found), bar, required, found)
	}
	return found[0]
}

func TestBarsAreMetOrMissed(t *testing.T) {
	sec := func(engine string, s float64) measure.Result {
		return with(one(engine, "reopen", 1), func(r *measure.Result) { r.Ops, r.Seconds = 1, s })
	}
	disk := func(engine string, bytes int64) measure.Result {
		return with(one(engine, "load", 1), func(r *measure.Result) { r.DiskBytes, r.WrittenBytes = bytes, 2*bytes })
	}
	for _, c := range []struct {
		name, bar, required string
		results             []measure.Result
		state               State
		margin              float64
	}{
		{"exactly", "load", "2.0", []measure.Result{at(aegis, "load", 1, 200), at("lmdb", "load", 1, 100)}, Met, 0},
		{"below", "load", "2.0", []measure.Result{at(aegis, "load", 1, 199), at("lmdb", "load", 1, 100)}, Missed, -0.005},
		{"the best peer counts", "load", "2.0", []measure.Result{at(aegis, "load", 1, 300), at("lmdb", "load", 1, 100),
			at("pebble", "load", 1, 200)}, Missed, -0.25},
		{"other clients", "put-durable, 16 clients", "1.5", []measure.Result{at(aegis, "put-durable", 16, 300), at("lmdb", "put-durable", 16, 100),
			at("pebble", "put-durable", 1, 900)}, Met, 1},
		{"the bare loop", "put-durable, 1 client", "raw-overwrite", []measure.Result{at(aegis, "put-durable", 1, 81), at(raw, "raw-overwrite", 1, 100)}, Missed, -0.1},
		{"only those that compress", "get-cold, 1 client", "compresses", []measure.Result{at(aegis, "get-cold", 1, 130), at("badger", "get-cold", 1, 100),
			at("lmdb", "get-cold", 1, 900)}, Met, 0},
		{"only lmdb", "get-cold-plain, 1 client", "lmdb", []measure.Result{at(aegis, "get-cold-plain", 1, 60), at("lmdb", "get-cold-plain", 1, 100),
			at("pebble", "get-cold-plain", 1, 900)}, Met, 0},
		{"a rate of its own", "mem-get, 16 clients", "2 M/s", []measure.Result{at(aegis, "mem-get", 16, 1_000_000)}, Missed, -0.5},
		{"less is better", "reopen", "pebble", []measure.Result{sec(aegis, 0.2), sec("pebble", 1), sec("lmdb", 0.001)}, Met, 0.5},
		{"too slow to open", "reopen", "pebble", []measure.Result{sec(aegis, 0.5), sec("pebble", 1)}, Missed, -0.25},
		{"disk", "on disk after load", "lmdb", []measure.Result{disk(aegis, 110), disk("lmdb", 100), disk("bbolt", 1)}, Missed, -0.1},
		{"written", "written by load", "lmdb", []measure.Result{disk(aegis, 50), disk("badger", 100)}, Met, 0.5},
	} {
		o := find(t, Bars(c.results), c.bar, c.required)
		if o.State != c.state || math.Abs(o.Margin-c.margin) > 1e-9 {
			t.Errorf("%s: %v by %v (%s), want %v by %v", c.name, o.State, o.Margin, o.Measured, c.state, c.margin)
		}
	}
}

func TestBarsWithoutFiguresAreNotMeasured(t *testing.T) {
	limited := with(at(aegis, "load", 1, 0), func(r *measure.Result) { r.Limited = "out of order" })
	for name, results := range map[string][]measure.Result{
		"nothing": nil, "no peer": {at(aegis, "load", 1, 100)}, "no aegis": {at("lmdb", "load", 1, 100)},
		"only raw": {at(aegis, "load", 1, 100), at(raw, "load", 1, 100)}, "limited": {limited, at("lmdb", "load", 1, 100)},
	} {
		if o := find(t, Bars(results), "load", "2.0"); o.State != NotMeasured || o.verdict() != "not measured" {
			t.Errorf("%s: %v (%s), want not measured", name, o.State, o.Measured)
		}
	}
	for _, o := range Bars(nil) {
		if o.State != NotMeasured {
			t.Errorf("%s of no results: %v", o.Bar, o.State)
		}
	}
	if got, want := len(Bars(nil)), len(bars); got != want {
		t.Errorf("%d outcomes of no results, want one for each of %d bars", got, want)
	}
}

func TestBarsThatHoldInEachWorkload(t *testing.T) {
	figures := func(engine, workload string, p999, anon int64) measure.Result {
		return with(one(engine, workload, 1), func(r *measure.Result) { r.P999, r.PeakAnonBytes, r.CacheBytes = p999, anon, 100 })
	}
	all := Bars([]measure.Result{
		figures(aegis, "load", 10, 130), figures("lmdb", "load", 10, 900),
		figures(aegis, "full-scan", 11, 131), figures("lmdb", "full-scan", 10, 5),
		figures(aegis, "reopen", 99, 50), figures("lmdb", "reopen", 1, 5),
		figures(raw, "raw-overwrite", 1, 5), figures(aegis, "growth-get", 99, 900), figures("lmdb", "growth-get", 1, 5),
	})
	got := map[string]State{}
	for _, o := range all {
		if o.Bar == memoryBar || o.Bar == tailBar {
			got[o.Bar+": "+o.Group] = o.State
		}
	}
	want := map[string]State{
		"memory over budget: load, 1 client": Met, "memory over budget: full-scan, 1 client": Missed, "memory over budget: reopen, 1 client": Met,
		"tail, p99.9: load, 1 client": Met, "tail, p99.9: full-scan, 1 client": Missed,
	}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s: %v, want %v", name, got[name], state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
}

func TestGrowthBarsTakeTheirGroups(t *testing.T) {
	grown := func(workload string, keys int, compressed bool) measure.Result {
		return with(one(aegis, workload, 1), func(r *measure.Result) {
			r.Keys, r.Compressed, r.UserBytes, r.WrittenBytes = keys, compressed, 100, 900
			data := int64(keys) * int64(keyBytes+r.ValueBytes)
			r.DiskBytes, r.PeakDiskBytes = data*13/10, data*14/10
		})
	}
	all := Bars([]measure.Result{grown("growth-update", 1e6, true), grown("growth-update", 30e6, true),
		grown("growth-load", 1e6, true), grown("growth-load", 1e6, false)})
	for bar, want := range map[string]State{"growth: written per byte, 30 M keys": Missed,
		"growth: on disk per byte, loading": Met, "growth: on disk per byte, settled": Missed} {
		if o := find(t, all, bar, ""); o.State != want {
			t.Errorf("%s: %v, want %v", bar, o.State, want)
		}
	}
}

func TestEveryBarIsAboutAWorkloadThatIsKnown(t *testing.T) {
	for _, b := range bars {
		for _, name := range []string{b.workload, b.against.workload} {
			if _, title, _ := lookup(name); name != "" && title == otherTitle {
				t.Errorf("%s: workload %q is not in the catalogue", b.name, name)
			}
		}
		if b.required <= 0 || b.of.of == nil {
			t.Errorf("%s requires nothing", b.name)
		}
	}
}

package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/bench/measure"
)

func TestChartsAreXMLWithoutNonsense(t *testing.T) {
	odd := with(one("new & <odd>", "load", 1), func(r *measure.Result) { r.Ops, r.P999 = 0, 0 })
	paths, err := Charts(filepath.Join(t.TempDir(), "charts"), append(madeUp(), odd))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".svg"))
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkXML(t, path, string(text))
		for _, bad := range []string{"NaN", "Inf", "%!", "http://localhost", "<image"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if !strings.Contains(string(text), "prefers-color-scheme:dark") {
			t.Errorf("%s has no dark style", path)
		}
	}
	want := []string{"write", "read", "ycsb", "transfers", "cold", "memory-backend", "reopen", "tail", "memory",
		"growth-keys", "growth-clients", "growth-values"}
	if !slices.Equal(names, want) {
		t.Errorf("charts %v, want %v", names, want)
	}
}

// checkXML fails if a picture is not well-formed.
func checkXML(t *testing.T, path, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}

func TestChartsOfNothing(t *testing.T) {
	limited := with(one("badger", "load", 1), func(r *measure.Result) { r.Limited = "no" })
	for name, results := range map[string][]measure.Result{"nothing": nil, "none took part": {limited}} {
		if paths, err := Charts(t.TempDir(), results); err != nil || len(paths) != 0 {
			t.Errorf("%s: %v, %v; want no charts", name, paths, err)
		}
	}
}

func TestChartsOfOneResult(t *testing.T) {
	only := with(one(aegis, "growth-get", 1), func(r *measure.Result) { r.Clients = 1 })
	if paths, err := Charts(t.TempDir(), []measure.Result{only}); err != nil || len(paths) != 0 {
		t.Errorf("%v, %v; one point is no curve", paths, err)
	}
	if paths, err := Charts(t.TempDir(), []measure.Result{one(aegis, "load", 1)}); err != nil || len(paths) != 3 {
		t.Errorf("%v, %v; want bars, tail and memory", paths, err)
	}
}

func TestCurvesTakeOneLineThroughTheGroups(t *testing.T) {
	groups := collect(madeUpGrowth())
	for i, want := range []int{4, 5, 6} {
		if got := dimensions[i].line(groups, "growth-get"); len(got) != want {
			t.Errorf("%s: %d points, want %d", dimensions[i].title, len(got), want)
		}
	}
	groups = collect(append(madeUpGrowth(), with(one(aegis, "growth-get", 1), func(r *measure.Result) { r.Keys, r.Compressed = 10, false })))
	for _, g := range dimensions[2].line(groups, "growth-get") {
		if g.valueBytes == 100 && g.keys != 1_000_000 {
			t.Errorf("of values of 100 B the group of %d keys was taken, want 1 M", g.keys)
		}
	}
}

func TestAxes(t *testing.T) {
	up := linear(93, 0, 100)
	if up.from != 0 || up.to != 100 || up.at(50) != 50 || up.at(1000) != 100 {
		t.Errorf("linear: %+v, 50 is at %v", up, up.at(50))
	}
	log := logarithmic(0.03, 400, 0, 100)
	if math.Abs(log.from-0.02) > 1e-9 || math.Abs(log.to-500) > 1e-9 || log.at(log.from) != 0 || log.at(log.to) != 100 {
		t.Errorf("logarithmic: %+v", log)
	}
	for _, x := range []axis{up, log, logarithmic(5, 5, 0, 1), logarithmic(1, 1e12, 0, 1)} {
		ticks := x.ticks(6)
		if len(ticks) < 2 || len(ticks) > 7 || !slices.IsSorted(ticks) {
			t.Errorf("ticks of %+v: %v", x, ticks)
		}
	}
}

package main

import (
	"bytes"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/bench/engines"
	"github.com/aegis-storage/aegis/bench/run"
	"github.com/aegis-storage/aegis/bench/workload"
)

// parse returns the points that a command line chooses, as text.
func parse(t *testing.T, args ...string) ([]string, error) {
	t.Helper()
	var f flags
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.define(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	f.given = map[string]bool{}
	set.Visit(func(one *flag.Flag) { f.given[one.Name] = true })
	_, points, err := f.chosen(append(engines.All(), workload.Raw))
	var texts []string
	for _, p := range points {
		texts = append(texts, describe(p))
	}
	return texts, err
}

func describe(p run.Point) string {
	return fmt.Sprintf("%s %d %d %d", p.Workload.Name, p.Clients, p.Keys, p.ValueBytes)
}

func TestFlagsChoosePoints(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-workloads ^put-nosync$", "put-nosync 1 1000000 100,put-nosync 16 1000000 100"},
		{"-workloads ^put- -quick -keys 5e4", "put-nosync 16 50000 100,put-durable 1 50000 100,put-durable 16 50000 100"},
		{"-workloads ^put- -clients 64 -values 1000", "put-durable 64 1000000 1000"},
		{"-engines raw", "raw-overwrite 1 1000000 100,raw-append 1 1000000 100"},
		{"-growth -workloads load|update -keys 10,20", "growth-load 1 10 100,growth-update 1 10 100,growth-load 1 20 100,growth-update 1 20 100"},
		{"-growth -workloads load -values 10,1048576", "growth-load 1 1000000 10,growth-load 1 255 1048576"},
		{"-growth -workloads put|scan -clients 4,2", "growth-put 2 1000000 100,growth-put 4 1000000 100,growth-put-durable 2 1000000 100,growth-put-durable 4 1000000 100"},
	} {
		got, err := parse(t, strings.Fields(c.args)...)
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%s: %q, %v; want %s", c.args, got, err, c.want)
		}
	}
}

func TestFlagsThatAreWrong(t *testing.T) {
	for _, args := range []string{
		"-engines none", "-workloads (", "-workloads nothing", "-keys 1,2", "-keys 0", "-keys 1.5", "-values 7",
		"-clients x", "-growth -keys 1,x", "-growth -values 1", "-quick -engines raw -workloads load",
	} {
		if got, err := parse(t, strings.Fields(args)...); err == nil {
			t.Errorf("%s is taken: %q", args, got)
		}
	}
}

func TestGrowthMeasuresNoPointTwiceAndUpdatesLast(t *testing.T) {
	got, err := parse(t, "-growth")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(got)))); n != len(got) {
		t.Errorf("%d points, %d different ones", len(got), n)
	}
	used := map[string]bool{}
	for _, p := range got {
		var name, size string
		var clients, keys, value int
		fmt.Sscan(p, &name, &clients, &keys, &value)
		size = fmt.Sprint(keys, value)
		if used[size] {
			t.Errorf("%s comes after the store was used up", p)
		}
		used[size] = name == "growth-update"
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	var f flags
	var out bytes.Buffer
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(&out)
	f.define(set)
	set.Usage()
	set.VisitAll(func(one *flag.Flag) {
		if n := strings.Count(out.String(), "\n  -"+one.Name+" "); n != 1 {
			t.Errorf("-%s is explained %d times", one.Name, n)
		}
	})
}

func TestListNamesWorkloadsAndEngines(t *testing.T) {
	var out bytes.Buffer
	if err := list(&out, engines.All()); err != nil {
		t.Fatal(err)
	}
	for _, w := range workload.All() {
		if strings.Contains(out.String(), "\n"+w.Name+" ") == w.Hidden {
			t.Errorf("%s is listed: %v, hidden: %v", w.Name, !w.Hidden, w.Hidden)
		}
	}
	for _, d := range engines.All() {
		if !strings.Contains(out.String(), "\n"+d.Name+" ") {
			t.Errorf("%s is not listed", d.Name)
		}
	}
}

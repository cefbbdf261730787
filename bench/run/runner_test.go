package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/internal/fake"
	"github.com/aegis-storage/aegis/bench/measure"
	"github.com/aegis-storage/aegis/bench/workload"
)

// childVariable makes this test program a child.
const childVariable = "BENCH_TEST_CHILD"

var drivers = []engine.Driver{
	fake.Driver("good", fake.None), fake.Driver("other", fake.None), fake.Driver("racing", fake.Races),
	fake.Driver("hanging", fake.Hangs), fake.Driver("failing", fake.FailsOpen), fake.Driver("plain", fake.NoUpdate),
	workload.Raw,
}

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	if err := Child(os.Stdin, os.Stdout, drivers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func choose(names ...string) []engine.Driver {
	var chosen []engine.Driver
	for _, n := range names {
		d, err := find(drivers, n)
		if err != nil {
			panic(err)
		}
		chosen = append(chosen, d)
	}
	return chosen
}

func point(name string, clients int) Point {
	w, found := workload.Find(name)
	if !found {
		panic("no workload " + name)
	}
	return Point{w, clients, 2000, 100}
}

// start runs jobs, and returns the results, the progress, and what is left in the directory.
func start(t *testing.T, jobs []Job, change func(*Runner)) (results []measure.Result, progress string, err error) {
	t.Helper()
	t.Setenv(childVariable, "1")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	dir := t.TempDir()
	r := &Runner{
		Command: []string{program}, Dir: dir, MemoryDir: dir, CacheBytes: 1 << 20,
		Duration: 20 * time.Millisecond, Warmup: 5 * time.Millisecond, Limit: time.Minute,
		Emit:     func(m measure.Result) error { results = append(results, m); return nil },
		Progress: &told,
	}
	if change != nil {
		change(r)
	}
	err = r.Run(t.Context(), jobs)
	left, readErr := os.ReadDir(dir)
	if readErr != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, readErr)
	}
	return results, told.String(), err
}

func TestChildrenMeasure(t *testing.T) {
	var points []Point
	for _, name := range []string{"load", "put-nosync", "raw-append", "get-cached", "get-cold-plain", "transfers-hot-nosync", "mem-get", "reopen"} {
		points = append(points, point(name, 1))
	}
	results, progress, err := start(t, Schedule(points, choose("good", "raw"), 2), nil)
	if err != nil || len(results) != 16 {
		t.Fatalf("%d results: %v\n%s", len(results), err, progress)
	}
	for _, m := range results {
		if m.Limited != "" || m.Ops <= 0 || m.Seconds <= 0 || m.Round < 1 || m.Round > 2 || (m.Engine == "raw") != strings.HasPrefix(m.Workload, "raw") {
			t.Errorf("result %+v", m)
		}
		if m.Workload == "reopen" && m.Ops != 3 {
			t.Errorf("reopen counts %d, want 3", m.Ops)
		}
	}
}

func TestCopiesAreDeletedAtOnceAndStoresWhenUnused(t *testing.T) {
	var left []int
	jobs := Schedule([]Point{point("put-nosync", 1), point("raw-append", 1), point("get-cached", 1), point("transfers-nosync", 1)}, choose("good", "raw"), 1)
	_, _, err := start(t, jobs, func(r *Runner) {
		r.Emit = func(measure.Result) error {
			stores, err := os.ReadDir(r.root)
			left = append(left, len(stores))
			return err
		}
	})
	// A store is dropped after its last result is emitted.
	if want := []int{1, 1, 1, 0}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%d stores after the measurements, want %d: %v", left, want, err)
	}
}

func TestGrowthMakesItsStoreOnceEachRound(t *testing.T) {
	var points []Point
	for _, w := range workload.All() {
		if w.Growth {
			points = append(points, Point{w, 1, 2000, 100})
		}
	}
	results, progress, err := start(t, ScheduleBySize(points, choose("good"), 2), nil)
	if err != nil || len(results) != 2*len(points) {
		t.Fatalf("%d results: %v\n%s", len(results), err, progress)
	}
	for _, m := range results {
		if m.Limited != "" || m.Ops <= 0 {
			t.Errorf("result %+v", m)
		}
	}
}

func TestFailuresAreToldAndOthersGoOn(t *testing.T) {
	jobs := Schedule([]Point{point("transfers-hot-nosync", 8), point("get-cached", 1)}, choose("racing", "failing", "good"), 1)
	results, progress, err := start(t, jobs, nil)
	if !errors.Is(err, ErrFailed) || len(results) != 6 {
		t.Fatalf("%d results, %v\n%s", len(results), err, progress)
	}
	want := map[string]string{
		"racing transfers-hot-nosync": "lost update", "failing transfers-hot-nosync": "no luck", "good transfers-hot-nosync": "",
		"racing get-cached": "", "failing get-cached": "no luck", "good get-cached": "",
	}
	for _, m := range results {
		w := want[m.Engine+" "+m.Workload]
		if (w == "") != (m.Limited == "") || !strings.Contains(m.Limited, w) {
			t.Errorf("%s %s: %q, want %q", m.Engine, m.Workload, m.Limited, w)
		}
	}
}

func TestLimits(t *testing.T) {
	jobs := Schedule([]Point{point("transfers-nosync", 2), point("get-cached", 1)}, choose("hanging"), 1)
	results, progress, err := start(t, jobs, func(r *Runner) { r.Limit = 200 * time.Millisecond })
	if err != nil || len(results) != 2 {
		t.Fatalf("%d results, %v\n%s", len(results), err, progress)
	}
	for _, m := range results {
		if !strings.Contains(m.Limited, "did not end within 200ms") {
			t.Errorf("%s: %q", m.Workload, m.Limited)
		}
	}
	results, _, err = start(t, Schedule([]Point{point("transfers-nosync", 2)}, choose("plain"), 1), nil)
	if err != nil || len(results) != 1 || results[0].Limited == "" || strings.Contains(results[0].Limited, "failed") {
		t.Errorf("without transactions: %+v, %v", results, err)
	}
}

func TestRunEndsInTime(t *testing.T) {
	jobs := Schedule([]Point{point("raw-append", 1)}, choose("raw"), 50)
	results, progress, err := start(t, jobs, func(r *Runner) { r.Within = time.Nanosecond })
	if err != nil || len(results) > 1 || !strings.Contains(progress, "left out") {
		t.Errorf("%d results, %v: %s", len(results), err, progress)
	}
}

func TestRunStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	jobs := Schedule([]Point{point("raw-append", 1)}, choose("raw"), 50)
	t.Setenv(childVariable, "1")
	dir := t.TempDir()
	seen := 0
	r := &Runner{
		Command: []string{os.Args[0]}, Dir: dir, MemoryDir: dir, Limit: time.Minute, Duration: time.Millisecond,
		Emit:     func(measure.Result) error { seen++; cancel(); return nil },
		Progress: &bytes.Buffer{},
	}
	if err := r.Run(ctx, jobs); !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("%d results, %v", seen, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestChildRefusesNonsense(t *testing.T) {
	for _, in := range []string{"", "{", `{"engine":"none","workload":"load"}`, `{"engine":"good","workload":"none"}`} {
		if err := Child(strings.NewReader(in), &bytes.Buffer{}, drivers); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

func TestEnginesTakeTurns(t *testing.T) {
	engines := choose("good", "other", "plain")
	jobs := Schedule([]Point{point("load", 1), point("put-nosync", 1), point("put-nosync", 16)}, engines, 3)
	if len(jobs) != 27 {
		t.Fatalf("%d jobs, want 27", len(jobs))
	}
	// At each point, each engine is once in each place.
	places := map[string][]int{}
	for i, j := range jobs {
		if want := i/9 + 1; j.Round != want {
			t.Errorf("job %d is of round %d, want %d", i, j.Round, want)
		}
		name := fmt.Sprint(j.Workload.Name, j.Clients, j.Engine.Name)
		places[name] = append(places[name], i%3)
	}
	for name, at := range places {
		if slices.Sort(at); !slices.Equal(at, []int{0, 1, 2}) {
			t.Errorf("%s is in places %v, want each once", name, at)
		}
	}
}

func TestBySizeAnEngineEndsOneSizeFirst(t *testing.T) {
	small, large := point("growth-load", 1), point("growth-get", 1)
	large.Keys = 5000
	update := point("growth-update", 1)
	var got []string
	for _, j := range ScheduleBySize([]Point{small, large, update}, choose("good", "other"), 1) {
		got = append(got, fmt.Sprint(j.Keys, " ", j.Engine.Name, " ", j.Workload.Name))
	}
	want := []string{
		"2000 good growth-load", "2000 good growth-update", "2000 other growth-load", "2000 other growth-update",
		"5000 other growth-get", "5000 good growth-get",
	}
	if !slices.Equal(got, want) {
		t.Errorf("jobs %q, want %q", got, want)
	}
}

func TestTailKeepsBothEnds(t *testing.T) {
	short := tail{limit: 10}
	fmt.Fprint(&short, "abc")
	if got := short.String(); got != "abc" {
		t.Errorf("%q", got)
	}
	long := tail{limit: 4}
	for i := range 10 {
		fmt.Fprint(&long, i)
	}
	if got := long.String(); got != "0123\n…\n6789" {
		t.Errorf("%q", got)
	}
}

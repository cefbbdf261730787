package metrics_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/metrics"
)

// fixed is a store whose figures a test chooses.
type fixed struct {
	stats aegis.Stats
	err   error
}

func (f fixed) Stats(context.Context) (aegis.Stats, error) { return f.stats, f.err }

func opened(t *testing.T) *aegis.DB {
	t.Helper()
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for i := range 10 {
		if err := db.Put(t.Context(), fmt.Append(nil, i), []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// TestCollectorOfStore: a real store's metrics have good names and helps, and register once.
func TestCollectorOfStore(t *testing.T) {
	c := metrics.NewCollector(0)
	c.Add("main", opened(t))
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather() // a pedantic registry compares what comes with Describe
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "aegis_") {
			t.Errorf("%s does not begin with aegis_", f.GetName())
		}
	}
	if len(families) < 60 {
		t.Errorf("only %d metrics", len(families))
	}
	want := `
# HELP aegis_commits_total Commits that were applied.
# TYPE aegis_commits_total counter
aegis_commits_total{store="main"} 10
# HELP aegis_up 1 if the store gives figures, 0 if it is closed or its engine has stopped.
# TYPE aegis_up gauge
aegis_up{store="main"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "aegis_commits_total", "aegis_up"); err != nil {
		t.Error(err)
	}
}

// TestCollectorLabels: stores come and go, and one without figures does not hide another.
func TestCollectorLabels(t *testing.T) {
	c := metrics.NewCollector(time.Minute)
	closed := opened(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	c.Add("closed", closed)
	c.Add("one", fixed{stats: aegis.Stats{Commits: aegis.CommitStats{Commits: 7}}})
	c.Add("two", fixed{stats: aegis.Stats{Commits: aegis.CommitStats{Commits: 8}, Err: errors.New("poisoned")}})
	c.Add("gone", fixed{})
	c.Remove("gone")
	want := `
# HELP aegis_commits_total Commits that were applied.
# TYPE aegis_commits_total counter
aegis_commits_total{store="one"} 7
aegis_commits_total{store="two"} 8
# HELP aegis_failed 1 if the store only reads after a failure, or refuses writes for lack of space.
# TYPE aegis_failed gauge
aegis_failed{store="one"} 0
aegis_failed{store="two"} 1
# HELP aegis_up 1 if the store gives figures, 0 if it is closed or its engine has stopped.
# TYPE aegis_up gauge
aegis_up{store="closed"} 0
aegis_up{store="one"} 1
aegis_up{store="two"} 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "aegis_commits_total", "aegis_failed", "aegis_up"); err != nil {
		t.Error(err)
	}
}

// TestCollectorFigures: histograms, and metrics of several labels.
func TestCollectorFigures(t *testing.T) {
	c := metrics.NewCollector(0)
	c.Add("s", fixed{stats: aegis.Stats{
		Mailboxes: map[string]int{"txcoord": 3}, Messages: map[string]uint64{"txcoord": 40},
		Tables:    aegis.TableStats{RunsPerTier: []int{5, 1}},
		Snapshots: []aegis.SnapshotStats{{Age: 3 * time.Second}, {Age: time.Second, ReadWrite: true}, {}},
		Commits:   aegis.CommitStats{GroupSizes: []aegis.SizeBucket{{UpTo: 1, Count: 4}, {UpTo: 3, Count: 2}, {UpTo: 9, Count: 1}, {UpTo: 4095, Count: 1}}},
		Latency: aegis.LatencyStats{Flush: aegis.Latency{Count: 7, Sum: 3 * time.Minute, Buckets: []aegis.LatencyBucket{
			{UpTo: 1<<19 - 1, Count: 2}, {UpTo: 1<<20 - 1, Count: 1}, {UpTo: 5<<18 - 1, Count: 3}, {UpTo: 1<<40 - 1, Count: 1},
		}}},
	}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	scrape := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := scrape.Body.String()
	for _, want := range []string{
		`aegis_mailbox_messages{actor="txcoord",store="s"} 3`, `aegis_actor_messages_total{actor="txcoord",store="s"} 40`,
		`aegis_runs{store="s",tier="0"} 5`, `aegis_runs{store="s",tier="1"} 1`,
		`aegis_open_snapshots{mode="read_only",store="s"} 2`, `aegis_open_snapshots{mode="read_write",store="s"} 1`,
		`aegis_oldest_snapshot_age_seconds{store="s"} 3`,
		`aegis_commit_group_commits_bucket{store="s",le="1"} 4`, `aegis_commit_group_commits_bucket{store="s",le="3"} 6`,
		`aegis_commit_group_commits_bucket{store="s",le="7"} 6`, `aegis_commit_group_commits_bucket{store="s",le="15"} 7`,
		`aegis_commit_group_commits_bucket{store="s",le="+Inf"} 8`, `aegis_commit_group_commits_count{store="s"} 8`,
		`aegis_commit_group_commits_sum{store="s"} 4114`,
		`aegis_flush_duration_seconds_bucket{store="s",le="0.000262144"} 0`, `aegis_flush_duration_seconds_bucket{store="s",le="0.000524288"} 2`,
		`aegis_flush_duration_seconds_bucket{store="s",le="0.001048576"} 3`, `aegis_flush_duration_seconds_bucket{store="s",le="0.002097152"} 6`,
		`aegis_flush_duration_seconds_bucket{store="s",le="17.179869184"} 6`, `aegis_flush_duration_seconds_bucket{store="s",le="+Inf"} 7`,
		`aegis_flush_duration_seconds_sum{store="s"} 180`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// fill sets every figure below v to another number, in their order.
func fill(v reflect.Value, next *int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Int, reflect.Int64:
		*next++
		v.SetInt(*next * int64(scaleOf(v)))
	case reflect.Uint64:
		*next++
		v.SetUint(uint64(*next))
	case reflect.Float64:
		*next++
		v.SetFloat(float64(*next))
	}
}

// scaleOf makes durations of seconds, so that one in another unit is seen.
func scaleOf(v reflect.Value) time.Duration {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return time.Second
	}
	return 1
}

// TestCollectorText: the whole of a scrape in which every figure is another one is as it was read by a
// person: names, helps, types, labels and units. With -update it is written anew.
func TestCollectorText(t *testing.T) {
	s := aegis.Stats{
		Mailboxes: map[string]int{"txcoord": 901, "evictor": 902}, Messages: map[string]uint64{"txcoord": 903, "evictor": 904},
		Snapshots: []aegis.SnapshotStats{{Age: 905 * time.Second}, {Age: time.Second, ReadWrite: true}, {Age: time.Second, ReadWrite: true}},
		Err:       aegis.ErrNoSpace,
	}
	var next int64
	fill(reflect.ValueOf(&s).Elem(), &next)
	s.Tables.RunsPerTier = []int{907, 908}
	s.Commits.GroupSizes = []aegis.SizeBucket{{UpTo: 1, Count: 909}, {UpTo: 1023, Count: 910}}
	l := reflect.ValueOf(&s.Latency).Elem()
	for i := range l.NumField() {
		l.Field(i).Addr().Interface().(*aegis.Latency).Buckets = []aegis.LatencyBucket{{UpTo: 1<<(12+i) - 1, Count: uint64(920 + i)}}
	}
	c := metrics.NewCollector(0)
	c.Add("s", fixed{stats: s})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	scrape := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	const golden = "testdata/scrape.txt"
	if *update {
		if err := os.WriteFile(golden, scrape.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, lines := strings.Split(scrape.Body.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(lines)) {
		if i >= len(got) || i >= len(lines) || got[i] != lines[i] {
			t.Fatalf("line %d differs:\ngot  %q\nwant %q", i+1, got[min(i, len(got)-1)], lines[min(i, len(lines)-1)])
		}
	}
}

var update = flag.Bool("update", false, "write testdata/scrape.txt anew")

// TestCollectorOfClosingStore: scrapes go on while a store is closed, and after; another store in the
// same registry keeps its figures.
func TestCollectorOfClosingStore(t *testing.T) {
	c := metrics.NewCollector(0)
	closing, stays := opened(t), opened(t)
	c.Add("closing", closing)
	c.Add("stays", stays)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if err := registry.Register(c); !errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		t.Errorf("registered twice: %v", err)
	}
	var scraper sync.WaitGroup
	first, over := make(chan struct{}), make(chan struct{})
	scraper.Go(func() {
		for n := 0; ; n++ {
			if _, err := registry.Gather(); err != nil {
				t.Error(err)
			}
			if n == 0 {
				close(first)
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	<-first
	if err := closing.Close(); err != nil {
		t.Error(err)
	}
	close(over)
	scraper.Wait()
	want := `
# HELP aegis_commits_total Commits that were applied.
# TYPE aegis_commits_total counter
aegis_commits_total{store="stays"} 10
# HELP aegis_up 1 if the store gives figures, 0 if it is closed or its engine has stopped.
# TYPE aegis_up gauge
aegis_up{store="closing"} 0
aegis_up{store="stays"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "aegis_commits_total", "aegis_up"); err != nil {
		t.Error(err)
	}
}

// TestCollectorZero: the zero value works, takes any name, and waits long enough.
func TestCollectorZero(t *testing.T) {
	for _, c := range []*metrics.Collector{{}, metrics.NewCollector(-1)} {
		if n := testutil.CollectAndCount(c); n != 0 {
			t.Errorf("%d metrics without a store", n)
		}
		c.Remove("none")
		c.Add("\xff", opened(t))
		want := "# HELP aegis_up 1 if the store gives figures, 0 if it is closed or its engine has stopped.\n# TYPE aegis_up gauge\naegis_up{store=\"\uFFFD\"} 1\n"
		if err := testutil.CollectAndCompare(c, strings.NewReader(want), "aegis_up"); err != nil {
			t.Error(err)
		}
		c.Remove("\xff")
		if n := testutil.CollectAndCount(c); n != 0 {
			t.Errorf("%d metrics of a store that was removed", n)
		}
	}
}

// TestCollectorTimeout: a store that does not answer ends a scrape no later than asked for.
func TestCollectorTimeout(t *testing.T) {
	c := metrics.NewCollector(time.Millisecond)
	c.Add("stuck", stuck{})
	if n := testutil.CollectAndCount(c); n != 1 {
		t.Errorf("%d metrics of a store that does not answer, want aegis_up alone", n)
	}
}

// stuck answers when it is given up.
type stuck struct{}

func (stuck) Stats(ctx context.Context) (aegis.Stats, error) {
	<-ctx.Done()
	return aegis.Stats{}, ctx.Err()
}

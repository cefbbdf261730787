package aegis_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
)

// virtualTime is a Runtime whose clock stands still until somebody moves it.
type virtualTime struct {
	actors.Goroutines
	now *atomic.Int64 // nanoseconds
}

func (v virtualTime) Now() time.Time { return time.Time{}.Add(time.Duration(v.now.Load())) }

// slowDisk takes virtual time to sync log files and to read tables, once it is armed.
type slowDisk struct {
	backends.Backend
	armed      atomic.Bool
	now        atomic.Int64
	sync, read time.Duration
}

func (d *slowDisk) Create(name string) (backends.File, error) {
	f, err := d.Backend.Create(name)
	return slowFile{f, d, name}, err
}

func (d *slowDisk) Open(name string) (backends.File, error) {
	f, err := d.Backend.Open(name)
	return slowFile{f, d, name}, err
}

func (d *slowDisk) take(t time.Duration) {
	if d.armed.Load() {
		d.now.Add(int64(t))
	}
}

type slowFile struct {
	backends.File
	disk *slowDisk
	name string
}

func (f slowFile) Sync() error {
	if strings.HasPrefix(f.name, "wal-") {
		f.disk.take(f.disk.sync)
	}
	return f.File.Sync()
}

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	if strings.HasPrefix(f.name, "table-") {
		f.disk.take(f.disk.read)
	}
	return f.File.ReadAt(p, off)
}

// slowOpen opens a store on a slowDisk. Nothing is measured before a spare segment is there, as
// its preparation syncs too.
func slowOpen(t *testing.T, disk *slowDisk) *aegis.DB {
	t.Helper()
	disk.armed.Store(false)
	db, err := aegis.Open("", &aegis.Options{Backend: disk, Runtime: virtualTime{now: &disk.now}})
	if err != nil {
		t.Fatal(err)
	}
	for statsOf(t, db).Log.Spares == 0 {
		runtime.Gosched()
	}
	disk.armed.Store(true)
	return db
}

func statsOf(t *testing.T, db *aegis.DB) aegis.Stats {
	t.Helper()
	s, err := db.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantLatency holds a histogram of equal durations to what was measured.
func wantLatency(t *testing.T, what string, got aegis.Latency, count uint64, each time.Duration) {
	t.Helper()
	if got.Count != count {
		t.Errorf("%s: %d were timed, not %d", what, got.Count, count)
	}
	if count > 0 && got.Mean != each {
		t.Errorf("%s: took %v on average, not %v", what, got.Mean, each)
	}
	for _, d := range []time.Duration{got.P50, got.P90, got.P99, got.Max} {
		if count > 0 && (d < each || d > each+each/4) {
			t.Errorf("%s: %+v, where each took %v", what, got, each)
		}
	}
}

// TestLatencyOfCommits times commits and syncs by the Runtime's clock.
func TestLatencyOfCommits(t *testing.T) {
	disk := &slowDisk{Backend: backends.NewMemory(), sync: 8 * time.Millisecond}
	db := slowOpen(t, disk)
	const n = 10
	for i := range n {
		must(t, db.Put(ctx, fmt.Append(nil, i), []byte("v")))
	}
	s := statsOf(t, db)
	wantLatency(t, "commits", s.Latency.Commit, n, disk.sync)
	wantLatency(t, "syncs", s.Latency.LogSync, n, disk.sync)
	for what, l := range map[string]aegis.Latency{
		"gets": s.Latency.Get, "scans": s.Latency.Scan, "first entries": s.Latency.ScanFirst,
		"page loads": s.Latency.PageLoad, "flushes": s.Latency.Flush, "merge steps": s.Latency.MergeStep,
	} {
		wantLatency(t, what, l, 0, 0)
	}

	noSync := aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}
	const many = 320
	for i := range many {
		must(t, db.UpdateWith(ctx, noSync, func(tx *aegis.Tx) error { return tx.Put([]byte{byte(i)}, []byte("v")) }))
	}
	sampled(t, "NoSync commits", statsOf(t, db).Latency.Commit.Count-n, many/16)
	must(t, db.Close())
}

// sampled allows for a goroutine that changes its cell of the counter when its stack moves.
func sampled(t *testing.T, what string, got, want uint64) {
	t.Helper()
	if got < want || got > want+3 {
		t.Errorf("%s: %d were timed, not %d", what, got, want)
	}
}

// TestLatencyOfReads times gets, scans and page loads.
func TestLatencyOfReads(t *testing.T) {
	disk := &slowDisk{Backend: backends.NewMemory(), read: time.Millisecond}
	db := slowOpen(t, disk)
	for i := range 100 {
		must(t, db.Put(ctx, fmt.Appendf(nil, "%03d", i), make([]byte, 1000)))
	}
	must(t, db.Close())

	db = slowOpen(t, disk)
	get := func(key string) {
		if _, err := db.Get(ctx, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	get("050")
	s := statsOf(t, db)
	loads := uint64(s.Cache.Misses)
	wantLatency(t, "page loads", s.Latency.PageLoad, loads, disk.read)
	wantLatency(t, "the first get", s.Latency.Get, 1, time.Duration(loads)*disk.read)
	for range 639 {
		get("050")
	}
	sampled(t, "gets", statsOf(t, db).Latency.Get.Count, 640/64)

	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		for range tx.Range([]byte("050"), []byte("051")) {
			disk.now.Add(int64(time.Second)) // the body counts too
		}
		return nil
	}))
	s = statsOf(t, db)
	first := time.Duration(uint64(s.Cache.Misses)-loads) * disk.read
	wantLatency(t, "the first entry", s.Latency.ScanFirst, 1, first)
	wantLatency(t, "the scan", s.Latency.Scan, 1, first+time.Second)
	_ = db.View(ctx, func(tx *aegis.Tx) error {
		for range 40 { // with the one before, 81
			for range tx.Range([]byte("x"), nil) {
				t.Error("an entry that is not there")
			}
			for range tx.RangeBackward(nil, nil) {
				break
			}
		}
		return nil
	})
	s = statsOf(t, db)
	sampled(t, "scans", s.Latency.Scan.Count, 81/8)
	if l := s.Latency; l.ScanFirst.Count != l.Scan.Count || l.PageLoad.Count != uint64(s.Cache.Misses) {
		t.Errorf("%d scans and %d first entries, %d page loads of %d",
			l.Scan.Count, l.ScanFirst.Count, l.PageLoad.Count, s.Cache.Misses)
	}
	must(t, db.Close())
}

// TestLatencyOfJobs: every flush, merge step and checkpoint is timed.
func TestLatencyOfJobs(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	for i := range 3 {
		must(t, db.Put(ctx, []byte("k"), fmt.Append(nil, i)))
		must(t, db.Checkpoint(ctx))
	}
	must(t, db.Compact(ctx, nil))
	s := statsOf(t, db)
	got := [3]uint64{s.Latency.Flush.Count, s.Latency.MergeStep.Count, s.Latency.Checkpoint.Count}
	if got != [3]uint64{s.Tables.Flushes, s.Tables.MergeSteps, s.Tables.Checkpoints} || got[0] != 3 || got[1] == 0 || got[2] < 4 {
		t.Errorf("timed %d flushes, merge steps and checkpoints, of %+v", got, s.Tables)
	}
	if s.Latency.Flush.Max < s.Latency.Flush.P50 || s.Latency.Flush.Mean <= 0 {
		t.Errorf("flushes took %+v", s.Latency.Flush)
	}
}

package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
)

// steered is the production Runtime with a clock that a test moves on.
type steered struct {
	actors.Goroutines
	ahead *atomic.Int64 // nanoseconds
}

func (s steered) Now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// byLevel returns the events of a name, at a level.
func (l *eventLog) byLevel(name string, level slog.Level) (found []map[string]slog.Value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		if r.Message == name && r.Level == level {
			fields := map[string]slog.Value{}
			r.Attrs(func(a slog.Attr) bool { fields[a.Key] = a.Value; return true })
			found = append(found, fields)
		}
	}
	return found
}

// failures waits until so many more flushes, merges or checkpoints have failed.
func failures(t *testing.T, db *aegis.DB, more uint64) {
	t.Helper()
	want := statsOf(t, db).Tables.Failures + more
	limit := time.Now().Add(20 * time.Second)
	for statsOf(t, db).Tables.Failures < want {
		if time.Now().After(limit) {
			t.Fatalf("no %d more failures", more)
		}
	}
}

// TestFailuresAreSpaced: a flush that fails is tried again and again, and told at once, at growing
// intervals, when its cause is another one, and when it works again.
func TestFailuresAreSpaced(t *testing.T) {
	life, log := newCrashDisk().life(1, 0), newEventLog()
	rt := steered{ahead: new(atomic.Int64)}
	db := open(t, "", aegis.Options{
		Backend: life, Logger: slog.New(log), Runtime: rt, Limits: &aegis.Limits{RetryInterval: time.Millisecond},
	})
	warned := func(want int, after string) {
		t.Helper()
		failures(t, db, 5)
		if got := log.byLevel(aegis.EventFlush, slog.LevelWarn); len(got) != want {
			t.Fatalf("%s %d failures are told, want %d", after, len(got), want)
		}
	}
	must(t, db.Put(ctx, []byte("k"), []byte("v")))
	life.setFail(crashFailing("write", "table-", errInjected))
	if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	log.wait(t, aegis.EventFlush)
	warned(1, "at once")
	rt.ahead.Add(int64(11 * time.Second))
	warned(2, "after 11 s")
	rt.ahead.Add(int64(11 * time.Second))
	warned(2, "after 22 s")
	rt.ahead.Add(int64(11 * time.Second))
	warned(3, "after 33 s")
	life.setFail(crashFailing("write", "table-", errors.New("another cause")))
	warned(4, "with another cause")
	h := aegis.DebugHandler(db)
	a, _ := answerOf(t, h)
	if len(a.Failing) != 1 || a.Failing[0].Job != aegis.SpanFlush || a.Failing[0].Failures < 20 || a.Failing[0].Lasted < 33*time.Second ||
		!strings.Contains(a.Failing[0].Error, "another cause") || a.State != "background work fails" {
		t.Errorf("the page says %+v, %q", a.Failing, a.State)
	}
	life.setFail(nil)
	must(t, db.Checkpoint(ctx))
	must(t, db.Close())
	log.check(t)
	last := log.byLevel(aegis.EventFlush, slog.LevelWarn)[3]
	back := log.byLevel(aegis.EventFlush, slog.LevelInfo)
	if len(back) != 1 || back[0]["failures"].Int64() <= last["failures"].Int64() || back[0]["lasted"].Duration() < 33*time.Second || back[0]["bytes"].Int64() <= 0 {
		t.Errorf("the end of it: %v, after %v", back, last)
	}
	if a, _ := answerOf(t, h); len(a.Failing) != 0 || a.State != "closed" {
		t.Errorf("the page then says %+v, %q", a.Failing, a.State)
	}
}

// TestFailuresInTurns: a job that fails and succeeds in turns is not told of each time.
func TestFailuresInTurns(t *testing.T) {
	life, log := newCrashDisk().life(1, 0), newEventLog()
	rt := steered{ahead: new(atomic.Int64)}
	db := open(t, "", aegis.Options{Backend: life, Logger: slog.New(log), Runtime: rt, Limits: &aegis.Limits{RetryInterval: time.Millisecond}})
	for i := range 20 {
		must(t, db.Put(ctx, []byte("k"), fmt.Append(nil, i)))
		life.setFail(crashFailing("write", "table-", errInjected))
		if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		life.setFail(nil)
		must(t, db.Compact(ctx, nil)) // its merges need the flush
		must(t, db.Checkpoint(ctx))
		rt.ahead.Add(int64(time.Second))
	}
	must(t, db.Close())
	log.check(t)
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelInfo} {
		if got := log.byLevel(aegis.EventFlush, level); len(got) < 1 || len(got) > 3 {
			t.Errorf("20 failures in so many seconds, each with its end: %d at level %s", len(got), level)
		}
	}
}

// TestOtherJobsTellTheirEnd: preparing log segments fails, and works again.
func TestOtherJobsTellTheirEnd(t *testing.T) {
	life, log := newCrashDisk().life(1, 0), newEventLog()
	db := open(t, "", aegis.Options{Backend: life, Logger: slog.New(log), Limits: spaceLimits(), MemoryBudget: 16 << 20})
	life.setFail(crashFailing("create", "wal-", errInjected))
	for _, next := log.find(aegis.EventJob); next != nil; _, next = log.find(aegis.EventJob) {
		_ = db.Put(ctx, []byte("k"), make([]byte, 4<<10)) // fills one segment after the other
	}
	wantFields(t, "job", log.wait(t, aegis.EventJob), map[string]any{"job": aegis.SpanLogPrepare, "failures": int64(1)})
	life.setFail(nil)
	for limit := time.Now().Add(20 * time.Second); len(log.byLevel(aegis.EventJob, slog.LevelInfo)) == 0 && time.Now().Before(limit); {
		_ = db.Put(ctx, []byte("k"), make([]byte, 4<<10))
	}
	must(t, db.Close())
	log.check(t)
	if back := log.byLevel(aegis.EventJob, slog.LevelInfo); len(back) != 1 || back[0]["failures"].Int64() < 1 {
		t.Errorf("the end of it: %v", back)
	}
}

// TestPanicsOfSpanAreSpaced: a Span that panics at each sync does not make an event of each.
func TestPanicsOfSpanAreSpaced(t *testing.T) {
	rude := func(ctx context.Context, name string) (context.Context, func(error)) {
		if name == aegis.SpanLogSync {
			panic("Span")
		}
		return ctx, nil
	}
	log := newEventLog()
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Logger: slog.New(log), Observer: &aegis.Observer{Span: rude}})
	for round := 1; round <= 20; round++ {
		must(t, db.Put(ctx, []byte("k"), nil))
		must(t, db.Checkpoint(ctx))
		for len(log.byLevel(aegis.EventCheckpoint, slog.LevelDebug)) < round {
			runtime.Gosched()
		}
	}
	panics := statsOf(t, db).Events.Panics
	must(t, db.Close())
	log.check(t)
	told := log.byLevel(aegis.EventsDropped, slog.LevelWarn)
	if len(told) < 1 || len(told) > 2 { // the second one at the end
		t.Fatalf("%d panics are told %d times", panics, len(told))
	}
	if last := told[len(told)-1]["panics"].Uint64(); panics < 20 || last < panics {
		t.Errorf("of %d panics %d are told", panics, last)
	}
}

// panicking is a backend whose log panics when it is synced.
type panicking struct {
	backends.Backend
	now *atomic.Bool
}

type panickingFile struct {
	backends.File
	now *atomic.Bool
}

func (p panicking) Create(name string) (backends.File, error) {
	f, err := p.Backend.Create(name)
	if err == nil && strings.HasPrefix(name, "wal-") {
		f = panickingFile{f, p.now}
	}
	return f, err
}

func (f panickingFile) Sync() error {
	if f.now.Load() {
		panic("the medium")
	}
	return f.File.Sync()
}

// TestSpanOfBrokenLog: a log writer that breaks an invariant ends its span, with an error.
func TestSpanOfBrokenLog(t *testing.T) {
	s, log := newSpans(), newEventLog()
	disk := panicking{backends.NewMemory(), new(atomic.Bool)}
	db, err := aegis.Open("", &aegis.Options{Backend: disk, Observer: &aegis.Observer{Span: s.span}, Logger: slog.New(log)})
	must(t, err)
	defer db.Close()
	disk.now.Store(true)
	if err := db.Put(ctx, []byte("k"), nil); !errors.Is(err, aegis.ErrPoisoned) {
		t.Fatal(err)
	}
	log.wait(t, aegis.EventPoison)
	if n, end := s.last(aegis.SpanLogSync); n != 1 || end == nil {
		t.Errorf("%d syncs ended, with %v", n, end)
	}
	if a, _ := answerOf(t, aegis.DebugHandler(db)); a.State != "read-only after a failure" {
		t.Errorf("the page says %q", a.State)
	}
}

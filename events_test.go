package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// eventLog is a slog.Handler that keeps everything.
type eventLog struct {
	mu  sync.Mutex
	all []slog.Record
	new chan struct{} // closed at the next record
}

func newEventLog() *eventLog { return &eventLog{new: make(chan struct{})} }

func (l *eventLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *eventLog) WithAttrs([]slog.Attr) slog.Handler       { panic("not used") }
func (l *eventLog) WithGroup(string) slog.Handler            { panic("not used") }

func (l *eventLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
	close(l.new)
	l.new = make(chan struct{})
	return nil
}

// find returns the fields of the first event with the name.
func (l *eventLog) find(name string) (fields map[string]slog.Value, next chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		if r.Message == name {
			fields = map[string]slog.Value{}
			r.Attrs(func(a slog.Attr) bool { fields[a.Key] = a.Value; return true })
			return fields, nil
		}
	}
	return nil, l.new
}

// wait returns the fields of the first event with the name, when it is there.
func (l *eventLog) wait(t *testing.T, name string) map[string]slog.Value {
	t.Helper()
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		fields, next := l.find(name)
		if fields != nil {
			return fields
		}
		select {
		case <-next:
		case <-limit.Done():
			t.Fatalf("no %s: %s", name, l)
		}
	}
}

func (l *eventLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, r := range l.all {
		names = append(names, r.Message)
	}
	return strings.Join(names, ", ")
}

// documented is a row of the table in events.go.
type documented struct {
	levels           []slog.Level
	fields, optional []string
}

// The fields that the text below the table adds to a job's event, by its level.
var jobFields = map[slog.Level][]string{
	slog.LevelWarn: {"error", "failures", "took"},
	slog.LevelInfo: {"failures", "lasted", "took"},
}

// eventTable reads the table in events.go.
func eventTable(t *testing.T) map[string]documented {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, parser.ParseComments)
	must(t, err)
	table := map[string]documented{}
	for _, group := range file.Comments {
		for line := range strings.Lines(group.Text()) {
			words := strings.Fields(line)
			if len(words) < 3 || !strings.HasPrefix(words[0], "aegis.") {
				continue
			}
			table[words[0]] = documentedAs(t, strings.Join(words[1:], " "))
		}
	}
	if len(table) != 15 {
		t.Fatalf("the table has %d events", len(table))
	}
	return table
}

// documentedAs reads "Info, Warn field, field if …: text" or a part of it.
func documentedAs(t *testing.T, row string) (d documented) {
	t.Helper()
	for {
		word, rest, _ := strings.Cut(row, " ")
		var level slog.Level
		if level.UnmarshalText([]byte(strings.TrimSuffix(word, ","))) != nil {
			break
		}
		d.levels, row = append(d.levels, level), rest
	}
	row, _, _ = strings.Cut(row, ":")
	for field := range strings.SplitSeq(row, ", ") {
		name, condition, _ := strings.Cut(field, " ")
		switch {
		case field == "and as below":
		case condition != "":
			d.optional = append(d.optional, name)
		default:
			d.fields = append(d.fields, name)
		}
	}
	if len(d.levels) == 0 || len(d.fields) == 0 {
		t.Fatalf("no row of a table: %q", row)
	}
	return d
}

// want returns the fields that an event has at a level, without dir, and those that it may have.
func (d documented) want(name string, level slog.Level) (fields, optional []string, ok bool) {
	switch name {
	case aegis.EventFlush, aegis.EventMerge, aegis.EventCheckpoint:
		switch level {
		case slog.LevelWarn:
			return jobFields[level], nil, true
		case slog.LevelInfo:
			return slices.Concat(d.fields, []string{"failures", "lasted"}), nil, true
		}
	case aegis.EventJob:
		return slices.Concat(d.fields, jobFields[level]), nil, slices.Contains(d.levels, level)
	}
	return d.fields, d.optional, slices.Contains(d.levels, level)
}

// check compares what came with the table in events.go.
func (l *eventLog) check(t *testing.T) {
	t.Helper()
	table := eventTable(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.all {
		fields, optional, ok := table[r.Message].want(r.Message, r.Level)
		if !ok {
			t.Errorf("%s at level %s is not in the table", r.Message, r.Level)
		}
		var got []string
		r.Attrs(func(a slog.Attr) bool { got = append(got, a.Key); return true })
		if got[0] != "dir" || r.Time.IsZero() {
			t.Errorf("%s has the fields %v at %v", r.Message, got, r.Time)
		}
		rest := slices.DeleteFunc(got[1:], func(s string) bool { return slices.Contains(optional, s) })
		if want := slices.Sorted(slices.Values(fields)); !slices.Equal(slices.Sorted(slices.Values(rest)), want) {
			t.Errorf("%s at level %s has the fields %v, the table has %v", r.Message, r.Level, rest, want)
		}
	}
}

// TestEventTables: docs/watch.md has the table of events.go.
func TestEventTables(t *testing.T) {
	text, err := os.ReadFile("docs/watch.md")
	must(t, err)
	table, rows := eventTable(t), 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `aegis.") {
			continue
		}
		cells := strings.SplitN(strings.ReplaceAll(line, "`", ""), "|", 5)
		name := strings.TrimSpace(cells[1])
		rows++
		got := documentedAs(t, strings.TrimSpace(cells[2])+" "+strings.TrimSpace(cells[3]))
		if want := table[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: docs/watch.md has %+v, events.go %+v", name, got, want)
		}
	}
	if rows != len(table) {
		t.Errorf("docs/watch.md has %d events, events.go %d", rows, len(table))
	}
}

// wantFields compares some fields of an event.
func wantFields(t *testing.T, name string, got map[string]slog.Value, want map[string]any) {
	t.Helper()
	for key, v := range want {
		if got[key].Any() != v {
			t.Errorf("%s: %s is %v, want %v", name, key, got[key], v)
		}
	}
}

// TestEventsOfLife: what a store tells from Open to Close.
func TestEventsOfLife(t *testing.T) {
	log, dir := newEventLog(), t.TempDir()
	db := open(t, dir, aegis.Options{Logger: slog.New(log)})
	for i := range 3 {
		must(t, db.Put(ctx, []byte("k"), fmt.Appendf(nil, "%d", i)))
		must(t, db.Checkpoint(ctx))
	}
	must(t, db.Compact(ctx, nil))
	must(t, db.Close())
	log.check(t)
	wantFields(t, "open", log.wait(t, aegis.EventOpen), map[string]any{"dir": dir, "clean": true, "read_only": false, "seq": uint64(0)})
	wantFields(t, "flush", log.wait(t, aegis.EventFlush), map[string]any{"tables": int64(1), "seq": uint64(1)})
	wantFields(t, "merge", log.wait(t, aegis.EventMerge), map[string]any{"last": true, "tables": int64(1)})
	wantFields(t, "checkpoint", log.wait(t, aegis.EventCheckpoint), map[string]any{"runs": int64(1), "tables": int64(1), "seq": uint64(1)})
	if log.wait(t, aegis.EventFlush)["bytes"].Int64() <= 0 || log.wait(t, aegis.EventCheckpoint)["number"].Uint64() <= 1 {
		t.Error("a flush without bytes, or a checkpoint without a number")
	}
	last := log.all[len(log.all)-1]
	if last.Message != aegis.EventClose || last.Level != slog.LevelInfo {
		t.Errorf("the last event is %s", last.Message)
	}
	if commits, _, _ := strings.Cut(log.String(), aegis.EventClose); strings.Count(commits, "aegis.") > 20 {
		t.Errorf("so many events: %s", commits)
	}
}

// TestEventsOfRecovery: after a crash Open tells what it replayed.
func TestEventsOfRecovery(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	db := open(t, "", aegis.Options{Backend: life})
	for range 5 {
		must(t, db.Put(ctx, []byte("k"), []byte("v")))
	}
	disk := life.end(true)
	_ = db.Close()
	log := newEventLog()
	db = open(t, "", aegis.Options{Backend: disk.life(2, 0), Logger: slog.New(log)})
	wantFields(t, "recovery", log.wait(t, aegis.EventRecovery), map[string]any{"records": int64(5)})
	wantFields(t, "open", log.wait(t, aegis.EventOpen), map[string]any{"clean": false, "seq": uint64(5)})
	must(t, db.Close())
	log.check(t)
}

// TestEventsOfFailures: a flush that fails, and then the log.
func TestEventsOfFailures(t *testing.T) {
	life, log := newCrashDisk().life(1, 0), newEventLog()
	db := open(t, "", aegis.Options{Backend: life, Logger: slog.New(log), Limits: &aegis.Limits{RetryInterval: time.Millisecond}})
	must(t, db.Put(ctx, []byte("k"), []byte("v")))
	life.setFail(crashFailing("write", "table-", errInjected))
	if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	if e := log.wait(t, aegis.EventFlush)["error"].String(); !strings.Contains(e, errInjected.Error()) {
		t.Errorf("the flush failed with %q", e)
	}
	life.setFail(crashFailing("sync", "wal-", errInjected))
	if err := db.Put(ctx, []byte("k"), []byte("v")); !errors.Is(err, aegis.ErrPoisoned) {
		t.Fatal(err)
	}
	if e := log.wait(t, aegis.EventPoison)["error"].String(); !strings.Contains(e, errInjected.Error()) {
		t.Errorf("poisoned by %q", e)
	}
	err := db.Close()
	if e := log.wait(t, aegis.EventClose)["error"]; err == nil || e.String() != err.Error() {
		t.Errorf("closed with %v, told %v", err, e)
	}
	log.check(t)
}

// TestEventsOfSpace: a full medium is told once, and so is its end.
func TestEventsOfSpace(t *testing.T) {
	quota, log := backends.Limit(backends.NewMemory(), 300<<10), newEventLog()
	limits := spaceLimits()
	limits.IndexBytes, limits.LogBytes = 4<<20, 4<<20 // nothing is flushed: it is the log that finds no space
	db := open(t, "", aegis.Options{
		Backend: quota, Limits: limits, MemoryBudget: 16 << 20, Compression: aegis.NoCompression, Logger: slog.New(log),
	})
	m := newSpaceModel()
	m.fill(t, db)
	log.wait(t, aegis.EventSpaceLow)
	if before, _, _ := strings.Cut(log.String(), aegis.EventSpaceBack); strings.Count(before, aegis.EventSpaceLow) != 1 {
		t.Errorf("told more than once: %s", before)
	}
	quota.SetLimit(8 << 20)
	goesOn(t, "with more space", func() error { return m.add(ctx, db) })
	log.wait(t, aegis.EventSpaceBack)
	must(t, db.Close())
	log.check(t)
}

// heldTables is a backend on which no table can be made until it is told so.
type heldTables struct {
	backends.Backend
	free chan struct{}
}

func (h heldTables) Create(name string) (backends.File, error) {
	if strings.HasPrefix(name, "table-") {
		<-h.free
	}
	return h.Backend.Create(name)
}

// TestEventsOfStall: commits that wait for a flush are told of while they wait, without anybody
// asking, and afterwards.
func TestEventsOfStall(t *testing.T) {
	held, log := heldTables{backends.NewMemory(), make(chan struct{})}, newEventLog()
	db := open(t, "", aegis.Options{Backend: held, MemoryBudget: 1 << 20, Durability: aegis.NoSync, Logger: slog.New(log)})
	free := sync.OnceFunc(func() { close(held.free) })
	t.Cleanup(free) // before the store is closed, if the test ends early
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 100 { // more than three indexes hold
			if err := db.Put(ctx, fmt.Appendf(nil, "%04d", i), make([]byte, 10<<10)); err != nil {
				t.Error(err)
			}
		}
	})
	begin := log.wait(t, aegis.EventStallBegin)
	free()
	writer.Wait()
	wantFields(t, "stall", begin, map[string]any{"for": "flush", "held": int64(1)})
	if d := begin["lasted"].Duration(); d < 100*time.Millisecond {
		t.Errorf("told after %v", d)
	}
	end := log.wait(t, aegis.EventStallEnd)
	wantFields(t, "stall", end, map[string]any{"for": "flush"})
	if d := end["lasted"].Duration(); d < begin["lasted"].Duration() {
		t.Errorf("ended after %v, began after %v", d, begin["lasted"])
	}
	must(t, db.Close())
	log.check(t)
}

// TestEventsOfSnapshot: a transaction that is over its age is told of, with where it began.
func TestEventsOfSnapshot(t *testing.T) {
	log := newEventLog()
	db := open(t, "", aegis.Options{
		Backend: backends.NewMemory(), MaxSnapshotAge: 5 * time.Millisecond, Logger: slog.New(log),
		Observer: &aegis.Observer{SnapshotOrigins: true},
	})
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	defer tx.Rollback()
	_ = db.Put(ctx, []byte("k"), nil) // the coordinator looks at ages when it has something to do
	got := log.wait(t, aegis.EventSnapshotEnded)
	wantFields(t, "snapshot", got, map[string]any{"reason": "age", "read_write": false, "seq": uint64(0)})
	if !strings.Contains(got["origin"].String(), "events_test.go:") || got["age"].Duration() < 5*time.Millisecond {
		t.Errorf("origin %v, age %v", got["origin"], got["age"])
	}
	log.check(t)
}

// TestEventsOfDamage: a damaged page is told of once, however often it is read.
func TestEventsOfDamage(t *testing.T) {
	disk := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: disk})
	must(t, db.Put(ctx, []byte("k"), []byte("value")))
	must(t, db.Close())
	files, err := disk.List()
	must(t, err)
	for _, info := range files {
		if strings.HasPrefix(info.Name, "table-") {
			f, err := disk.Open(info.Name)
			must(t, err)
			_, err = f.WriteAt([]byte{0xFF, 0xFF, 0xFF}, 8)
			must(t, errors.Join(err, f.Close()))
		}
	}
	log := newEventLog()
	db = open(t, "", aegis.Options{Backend: disk, Logger: slog.New(log)})
	for range 3 {
		var damage *aegis.CorruptionError
		if _, err := db.Get(ctx, []byte("k")); !errors.As(err, &damage) {
			t.Fatal(err)
		}
		wantFields(t, "damage", log.wait(t, aegis.EventDamage), map[string]any{"file": damage.File, "offset": damage.Offset})
	}
	_ = db.Close()
	if n := strings.Count(log.String(), aegis.EventDamage); n != 1 {
		t.Errorf("told %d times", n)
	}
	log.check(t)
}

// rudeHandler calls a function for each record.
type rudeHandler func(slog.Record)

func (rudeHandler) Enabled(context.Context, slog.Level) bool        { return true }
func (h rudeHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h rudeHandler) WithGroup(string) slog.Handler                 { return h }
func (h rudeHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }

// TestRudeHandlers: one that panics, one that ends its goroutine, one that closes the store and one
// that never returns: the store works on, and Close returns.
func TestRudeHandlers(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	var db *aegis.DB
	for name, handle := range map[string]rudeHandler{
		"panics":  func(slog.Record) { panic("handler") },
		"goexit":  func(slog.Record) { runtime.Goexit() },
		"hangs":   func(slog.Record) { <-stuck },
		"reenter": func(r slog.Record) { _, _ = db.Stats(ctx) },
		"closes": func(r slog.Record) {
			if r.Message == aegis.EventFlush {
				_ = db.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer crashWatch(t, t.Name(), 20*time.Second)()
			ready := make(chan struct{})
			var err error
			db, err = aegis.Open("", &aegis.Options{
				Backend: backends.NewMemory(), Logger: slog.New(rudeHandler(func(r slog.Record) { <-ready; handle(r) })),
			})
			close(ready)
			must(t, err)
			for i := range 5 {
				if err := db.Put(ctx, []byte("k"), nil); err != nil && name != "closes" {
					t.Errorf("put %d: %v", i, err)
				}
				if err := db.Checkpoint(ctx); err != nil && name != "closes" {
					t.Errorf("checkpoint %d: %v", i, err)
				}
			}
			if name == "panics" {
				for statsOf(t, db).Events.Panics < 3 {
					runtime.Gosched()
				}
			}
			must(t, db.Close())
		})
	}
}

// TestEventsDropped: what a slow handler does not take is counted, and told when it is back.
func TestEventsDropped(t *testing.T) {
	log, gate := newEventLog(), make(chan struct{})
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Logger: slog.New(rudeHandler(func(r slog.Record) {
		<-gate
		_ = log.Handle(ctx, r)
	}))})
	for range 200 { // two events each
		must(t, db.Put(ctx, []byte("k"), nil))
		must(t, db.Checkpoint(ctx))
	}
	dropped := statsOf(t, db).Events.Dropped
	if dropped < 100 {
		t.Errorf("%d events were dropped", dropped)
	}
	close(gate)
	if told := log.wait(t, aegis.EventsDropped)["events"].Uint64(); told < dropped {
		t.Errorf("told of %d dropped events, there were %d", told, dropped)
	}
	must(t, db.Close())
	log.check(t)
}

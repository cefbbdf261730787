package aegis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// spanKey marks a context with the name of its span.
type spanKey struct{}

// spans records what Observer.Span is told.
type spans struct {
	mu    sync.Mutex
	begun map[string]int
	ended map[string][]error
	under map[string]string // name → the span that its context was in
}

func newSpans() *spans {
	return &spans{begun: map[string]int{}, ended: map[string][]error{}, under: map[string]string{}}
}

func (s *spans) span(ctx context.Context, name string) (context.Context, func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[name]++
	s.under[name], _ = ctx.Value(spanKey{}).(string)
	return context.WithValue(ctx, spanKey{}, name), func(err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended[name] = append(s.ended[name], err)
	}
}

// last returns how the last span of a name ended, and how many did.
func (s *spans) last(name string) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = len(s.ended[name]); n > 0 {
		err = s.ended[name][n-1]
	}
	return n, err
}

// all returns how the spans of a name ended, and parent under which one the last of them was.
func (s *spans) all(name string) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended[name])
}

func (s *spans) parent(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under[name]
}

// TestSpans: each kind of work has a span, which ends once, with what went wrong.
func TestSpans(t *testing.T) {
	s := newSpans()
	disk := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: disk, Observer: &aegis.Observer{Span: s.span}})
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		aegis.SpanUpdate:  {func() error { return db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("a"), nil) }) }, nil},
		aegis.SpanView:    {func() error { return db.View(ctx, func(*aegis.Tx) error { return mine }) }, mine},
		aegis.SpanCommit:  {func() error { return db.Put(ctx, []byte("b"), nil) }, nil},
		"aegis.update/2":  {func() error { return db.Update(ctx, func(*aegis.Tx) error { return mine }) }, mine},
		"aegis.commit/2":  {func() error { return db.Delete(ctx, nil) }, nil},
		"aegis.view/ro/3": {func() error { return db.View(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("x"), nil) }) }, aegis.ErrReadOnly},
	} {
		span, _, _ := strings.Cut(name, "/")
		before, _ := s.last(span)
		err := c.do()
		if c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n, end := s.last(span); n != before+1 || end != err {
			t.Errorf("%s: %d spans ended, the last with %v, want one more than %d, with %v", name, n, end, before, err)
		}
	}
	must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("a"), []byte("1")) }))
	if parent := s.parent(aegis.SpanCommit); parent != aegis.SpanUpdate {
		t.Errorf("the commit of an Update is under %q", parent)
	}
	must(t, db.Checkpoint(ctx))
	must(t, db.Close())
	for _, name := range []string{aegis.SpanRecovery, aegis.SpanLogSync, aegis.SpanLogPrepare, aegis.SpanFlush, aegis.SpanCheckpoint} {
		if n, err := s.last(name); n == 0 || err != nil && !errors.Is(err, aegis.ErrClosed) {
			t.Errorf("%s: %d spans, the last ended with %v", name, n, err)
		}
		if parent := s.parent(name); parent != "" {
			t.Errorf("%s is under %s", name, parent)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.begun {
		if n != len(s.ended[name]) {
			t.Errorf("%s: %d begun, %d ended", name, n, len(s.ended[name]))
		}
	}
}

// TestSpanOfConflict: an Update that is tried again is one span, with a Commit for each attempt.
func TestSpanOfConflict(t *testing.T) {
	s := newSpans()
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: &aegis.Observer{Span: s.span}})
	tries := 0
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		if _, err := tx.Get([]byte("k")); err != nil && !errors.Is(err, aegis.ErrNotFound) {
			return err
		}
		if tries++; tries == 1 {
			must(t, db.Put(ctx, []byte("k"), []byte("other")))
		}
		return tx.Put([]byte("k"), []byte("mine"))
	}))
	commits := s.all(aegis.SpanCommit)
	if len(commits) != 3 || commits[0] != nil || !errors.Is(commits[1], aegis.ErrConflict) || commits[2] != nil {
		t.Errorf("commits ended with %v", commits)
	}
	if updates := s.all(aegis.SpanUpdate); len(updates) != 1 || updates[0] != nil {
		t.Errorf("updates ended with %v", updates)
	}
}

// TestSpanOfPanic: a panic of the caller's function ends the span and comes out; one of Span around
// the engine's own work goes no further.
func TestSpanOfPanic(t *testing.T) {
	s := newSpans()
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: &aegis.Observer{Span: s.span}})
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = db.View(ctx, func(*aegis.Tx) error { panic("mine") })
	}()
	if n, err := s.last(aegis.SpanView); n != 1 || err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("%d views ended, the last with %v", n, err)
	}

	rude := func(ctx context.Context, name string) (context.Context, func(error)) {
		switch name {
		case aegis.SpanLogSync, aegis.SpanRecovery:
			panic("Span")
		case aegis.SpanFlush:
			return nil, func(error) { panic("its end") }
		}
		return nil, nil
	}
	db = open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: &aegis.Observer{Span: rude}})
	must(t, db.Put(ctx, []byte("k"), []byte("v")))
	must(t, db.View(ctx, func(tx *aegis.Tx) error { _, err := tx.Get([]byte("k")); return err }))
	must(t, db.Checkpoint(ctx))
	if n := statsOf(t, db).Events.Panics; n < 3 {
		t.Errorf("%d panics are counted", n)
	}
	must(t, db.Close())
}

// TestObserverIsCopied: changing it after Open has no effect.
func TestObserverIsCopied(t *testing.T) {
	o := &aegis.Observer{}
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: o})
	o.Span = func(context.Context, string) (context.Context, func(error)) { panic("called") }
	must(t, db.Put(ctx, []byte("k"), nil))
}

// TestSnapshotOrigins: Stats tells the line that began each transaction, whichever way it was begun.
func TestSnapshotOrigins(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Observer: &aegis.Observer{SnapshotOrigins: true}})
	origin := regexp.MustCompile(`observer_test\.go:[1-9]\d*$`)
	tx, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	defer tx.Rollback()
	must(t, db.View(ctx, func(*aegis.Tx) error {
		return db.Update(ctx, func(*aegis.Tx) error {
			lines := map[string]bool{}
			for _, o := range statsOf(t, db).Snapshots {
				if !origin.MatchString(o.Origin) || !filepath.IsAbs(o.Origin) {
					t.Errorf("origin %q", o.Origin)
				}
				lines[o.Origin] = true
			}
			if len(lines) != 3 {
				t.Errorf("three transactions have the origins %v", slices.Sorted(maps.Keys(lines)))
			}
			return nil
		})
	}))
	without := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	other, err := without.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	defer other.Rollback()
	if o := statsOf(t, without).Snapshots; len(o) != 1 || o[0].Origin != "" {
		t.Errorf("without SnapshotOrigins: %+v", o)
	}
}

// TestLayout: the runs and tables are those that Stats counts, with keys in order.
func TestLayout(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), Limits: &aegis.Limits{TableBytes: 16 << 10}})
	if runs := db.Layout(); len(runs) != 0 {
		t.Errorf("an empty store has %v", runs)
	}
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		space, err := tx.CreateKeyspace("other", aegis.KeyspaceOptions{})
		for i := range 2000 {
			err = errors.Join(err, space.Put(fmt.Appendf(nil, "%06d", i*7919%100003), fmt.Appendf(nil, "%d", i*i)))
		}
		return err
	}))
	must(t, db.Compact(ctx, nil))
	runs, s := db.Layout(), statsOf(t, db)
	if len(runs) != 1 || !runs[0].Bottom || len(runs[0].Tables) != s.Tables.Tables || s.Tables.Tables < 2 {
		t.Fatalf("%d runs, %d tables", len(runs), s.Tables.Tables)
	}
	var bytes, raw int64
	var entries uint64
	after := ""
	for _, table := range runs[0].Tables {
		bytes, raw, entries = bytes+table.Bytes, raw+table.RawBytes, entries+table.Entries
		low, high := fmt.Sprintf("%08d %s", table.Min.Keyspace, table.Min.Key), fmt.Sprintf("%08d %s", table.Max.Keyspace, table.Max.Key)
		if low <= after || high < low || table.SeqHi < table.SeqLo || !strings.HasPrefix(table.File, "table-") {
			t.Errorf("%+v after %q", table, after)
		}
		after = high
	}
	if bytes != s.Tables.Bytes || raw != s.Tables.RawBytes || entries != s.Tables.Entries {
		t.Errorf("%d bytes, %d raw, %d entries, but Stats has %+v", bytes, raw, entries, s.Tables)
	}
}

// TestStatsOfActors: messages are counted, and so are the sizes of groups.
func TestStatsOfActors(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	before := statsOf(t, db)
	for range 10 {
		must(t, db.Put(ctx, []byte("k"), nil))
	}
	s := statsOf(t, db)
	for _, actor := range []string{"txcoord", "walwriter", "flusher", "evictor"} {
		least := before.Messages[actor] + 1 // the request for these figures
		if actor == "txcoord" || actor == "walwriter" {
			least += 10
		}
		if s.Messages[actor] < least {
			t.Errorf("%s took %d messages, before %d", actor, s.Messages[actor], before.Messages[actor])
		}
	}
	if g := s.Commits.GroupSizes; len(g) != 1 || g[0] != (aegis.SizeBucket{UpTo: 1, Count: 10}) {
		t.Errorf("one client's groups are %v", g)
	}
	l := s.Latency.Commit
	var n uint64
	for i, b := range l.Buckets {
		if n += b.Count; b.Count == 0 || i > 0 && b.UpTo <= l.Buckets[i-1].UpTo {
			t.Errorf("buckets %v", l.Buckets)
		}
	}
	if n != l.Count || l.Sum/10 != l.Mean {
		t.Errorf("%d in buckets, %d in all; the sum is %v, the mean %v", n, l.Count, l.Sum, l.Mean)
	}
}

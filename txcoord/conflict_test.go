package txcoord

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// judge sends a commit that writes "own" and returns how it is judged.
func (w *world) judge(t *testing.T, c *messages.Commit) error {
	t.Helper()
	c.Durability = messages.NoSync
	q := w.submit(c, []string{"own"}, 1)
	w.all()
	if q.answers != 1 {
		t.Fatal("not answered at once")
	}
	return q.result.Err
}

func point(key string) []messages.Point {
	return []messages.Point{{Hash: pages.Hash([]byte(key)), Key: []byte(key)}}
}

// history is: b at 1, d at 2, b at 3.
func history(t *testing.T) *world {
	w := testWorld(t, true, func(l *messages.Limits) { l.SegmentBytes, l.FirstSegment = 1<<20, 1<<20 })
	w.credit()
	for _, key := range []string{"b", "d", "b"} {
		w.put(key, 1, messages.NoSync)
	}
	w.all()
	return w
}

func TestConflicts(t *testing.T) {
	key := func(s string) []byte { return []byte(s) }
	for name, c := range map[string]struct {
		commit messages.Commit
		want   error
	}{
		"blind":                       {messages.Commit{Snapshot: pages.MaxSeq, CheckWrites: true, Points: point("b")}, nil},
		"nothing checked":             {messages.Commit{}, nil},
		"point read before":           {messages.Commit{Snapshot: 2, Points: point("b")}, messages.ErrConflict},
		"point read after":            {messages.Commit{Snapshot: 3, Points: point("b")}, nil},
		"point not written":           {messages.Commit{Snapshot: 0, Points: point("c")}, nil},
		"point written once before":   {messages.Commit{Snapshot: 2, Points: point("d")}, nil},
		"second point":                {messages.Commit{Snapshot: 2, Points: append(point("x"), point("b")...)}, messages.ErrConflict},
		"range with a later write":    {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("a"), Hi: key("c")}}}, messages.ErrConflict},
		"range of earlier writes":     {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("c"), Hi: key("z")}}}, nil},
		"range begins at the key":     {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("b"), Hi: key("b\x00")}}}, messages.ErrConflict},
		"range ends before the key":   {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("a"), Hi: key("b")}}}, nil},
		"range begins after the key":  {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("b\x00"), Hi: key("z")}}}, nil},
		"empty range":                 {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("b"), Hi: key("b")}}}, nil},
		"range without an end":        {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{Lo: key("b")}}}, messages.ErrConflict},
		"range of everything":         {messages.Commit{Snapshot: 2, Ranges: []messages.Range{{}}}, messages.ErrConflict},
		"range of everything, at the": {messages.Commit{Snapshot: 3, Ranges: []messages.Range{{}}}, nil},
		"second range": {messages.Commit{Snapshot: 2, Ranges: []messages.Range{
			{Lo: key("0"), Hi: key("1")}, {Lo: key("b"), Hi: key("c")}}}, messages.ErrConflict},
		"between two ranges": {messages.Commit{Snapshot: 2, Ranges: []messages.Range{
			{Lo: key("a"), Hi: key("b")}, {Lo: key("c"), Hi: key("d")}}}, nil},
		"joined ranges": {messages.Commit{Snapshot: 2, Ranges: []messages.Range{
			{Lo: key("a"), Hi: key("b")}, {Lo: key("b"), Hi: key("c")}}}, messages.ErrConflict},
		"range validated by the client":        {messages.Commit{Snapshot: 0, RangesUpTo: 3, Ranges: []messages.Range{{}}}, nil},
		"range validated in part":              {messages.Commit{Snapshot: 0, RangesUpTo: 2, Ranges: []messages.Range{{}}}, messages.ErrConflict},
		"points are not validated with ranges": {messages.Commit{Snapshot: 2, RangesUpTo: 3, Points: point("b"), Ranges: []messages.Range{{}}}, messages.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := history(t)
			commit := c.commit
			if err := w.judge(t, &commit); !errors.Is(err, c.want) {
				t.Errorf("judged %v, want %v", err, c.want)
			}
		})
	}
}

func TestFirstCommitterWins(t *testing.T) {
	w := history(t)
	snapshot := w.m.applied
	if err := w.judge(t, &messages.Commit{Snapshot: snapshot, CheckWrites: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: snapshot, CheckWrites: true}); !errors.Is(err, messages.ErrConflict) {
		t.Fatalf("the second committer gets %v", err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: snapshot}); err != nil {
		t.Fatalf("a commit whose writes are not checked gets %v", err)
	}
	if w.m.stats.Conflicts != 1 {
		t.Errorf("%d conflicts are counted", w.m.stats.Conflicts)
	}
}

// Two commits of one Turn meet as those of two Turns do.
func TestConflictWithinATurn(t *testing.T) {
	w := history(t)
	first := w.submit(&messages.Commit{Snapshot: 3, CheckWrites: true}, []string{"x"}, 1)
	second := w.submit(&messages.Commit{Snapshot: 3, CheckWrites: true}, []string{"x"}, 1)
	w.all()
	w.wantErr(t, second, messages.ErrConflict)
	w.end(t)
	w.wantErr(t, first, nil)
}

// freezeAll flushes everything applied.
func (w *world) freezeAll() {
	w.checkpoint(false)
	for w.move() {
	}
}

// A flushed index is kept for the transactions that are older than it, some of them; who comes
// from below has to try again.
func TestRetainedIndexes(t *testing.T) {
	w := history(t)
	old := w.acquireAs(true)       // at 3
	w.put("b", 1, messages.NoSync) // 4
	w.all()
	for i := range w.limits.RetainIndexes {
		w.freezeAll()
		if len(w.m.retained) != i+1 || w.m.floor != 0 {
			t.Fatalf("%d retained, floor %d", len(w.m.retained), w.m.floor)
		}
		w.put("x", 1, messages.NoSync)
		w.all()
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 3, Points: point("d")}); err != nil {
		t.Fatalf("a point that was not written gives %v", err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 3, Points: point("b")}); !errors.Is(err, messages.ErrConflict) {
		t.Fatalf("a write in a retained index gives %v", err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 3, Ranges: []messages.Range{{Lo: []byte("a"), Hi: []byte("c")}}}); !errors.Is(err, messages.ErrConflict) {
		t.Fatalf("a range over a write in a retained index gives %v", err)
	}
	w.freezeAll() // one too many
	if len(w.m.retained) != w.limits.RetainIndexes || w.m.floor != 4 {
		t.Fatalf("%d retained, floor %d", len(w.m.retained), w.m.floor)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 3, Points: point("d")}); !errors.Is(err, messages.ErrConflict) {
		t.Fatalf("a transaction from below the floor gets %v", err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 4, Points: point("d")}); err != nil {
		t.Fatalf("a transaction from the floor gets %v", err)
	}
	w.open = nil
	old.Release()
	w.step(messages.Tick{})
	if len(w.m.retained) != 0 || w.m.floor < 4 {
		t.Fatalf("nobody is old: %d retained, floor %d", len(w.m.retained), w.m.floor)
	}
	w.end(t)
}

// A frozen index that is not flushed yet is looked at too.
func TestConflictInFrozenIndex(t *testing.T) {
	w := history(t)
	w.checkpoint(false)
	w.all()
	if len(w.m.frozen) != 1 {
		t.Fatal("nothing is frozen")
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 2, Points: point("b")}); !errors.Is(err, messages.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	if err := w.judge(t, &messages.Commit{Snapshot: 3, Points: point("b")}); err != nil {
		t.Fatalf("got %v", err)
	}
	w.end(t)
}

// A machine over a recovered state judges nobody by what it cannot know.
func TestFloorAfterRecovery(t *testing.T) {
	pub := &versions.Published{}
	m := New(Config{Limits: smallLimits(), Published: pub, Active: versions.NewIndex(3, versions.IndexOptions{}), RunSeq: 3, Last: 7, Log: true})
	if pub.Applied.Load() != 7 || pub.Durable.Load() != 7 || pub.Visible.Load() != 7 || pub.View.Load().RunSeq != 3 {
		t.Fatalf("published %d %d %d, runs up to %d", pub.Applied.Load(), pub.Durable.Load(), pub.Visible.Load(), pub.View.Load().RunSeq)
	}
	var out Outbox
	c := &messages.Commit{Snapshot: 6, Points: point("a"), Reply: messages.NewReply[messages.CommitResult]()}
	if err := m.Step([]messages.ToTxcoord{messages.Written{Credit: 1 << 10}, c}, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Commits) != 1 || !errors.Is(out.Commits[0].Result.Err, messages.ErrConflict) {
		t.Fatalf("answers %v", out.Commits)
	}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
}

// RangeWritten against every key of an index, one by one.
func TestRangeWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := versions.NewIndex(0, versions.IndexOptions{ChunkBytes: 256})
		d := newModel()
		keys := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 30).Draw(t, "keys")
		for i, k := range keys {
			key := fmt.Appendf(nil, "%02d", k)
			x.Put(pages.Hash(key), key, nil, pages.KindValue, pages.Seq(i+1), nil)
			batch, _ := messages.AppendOp(nil, nil, pages.KindValue, 0, key, nil)
			if err := d.apply(batch); err != nil {
				t.Fatal(err)
			}
		}
		var ranges []messages.Range
		at := 0
		for range rapid.IntRange(1, 4).Draw(t, "ranges") {
			lo := at + rapid.IntRange(0, 5).Draw(t, "gap")
			at = lo + rapid.IntRange(0, 6).Draw(t, "length")
			ranges = append(ranges, messages.Range{Lo: fmt.Appendf(nil, "%02d", lo), Hi: fmt.Appendf(nil, "%02d", at)})
		}
		if rapid.Bool().Draw(t, "to the end") {
			ranges[len(ranges)-1].Hi = nil
		}
		after := pages.Seq(rapid.IntRange(0, len(keys)).Draw(t, "after"))
		want := false
		for _, r := range ranges {
			want = want || d.writtenIn(r, after)
		}
		if got := RangeWritten(x, ranges, after, d.applied()); got != want {
			t.Fatalf("written in %q after %d: %t, want %t", ranges, after, got, want)
		}
	})
}

// Replay inserts as commits do, large batches and small.
func TestInsert(t *testing.T) {
	for _, size := range []int{1, 1000} {
		for _, clone := range []bool{false, true} {
			x := versions.NewIndex(0, versions.IndexOptions{ChunkBytes: 256})
			value := make([]byte, size)
			batch, ops := messages.AppendOp(nil, nil, pages.KindValue, pages.Hash([]byte("a")), []byte("a"), value)
			batch, ops = messages.AppendOp(batch, ops, pages.KindTombstone, pages.Hash([]byte("b")), []byte("b"), nil)
			adopted := Insert(x, batch, ops, 1, 256, nil, clone)
			if adopted != (size > 128) {
				t.Errorf("size %d: adopted %t", size, adopted)
			}
			if !adopted || clone {
				for i := range batch {
					batch[i] = 0xEE
				}
			}
			a, okA, _ := x.Get(pages.Hash([]byte("a")), []byte("a"), 1)
			b, okB, _ := x.Get(pages.Hash([]byte("b")), []byte("b"), 1)
			if !okA || !okB || string(a.Value) != string(value) || b.Kind != pages.KindTombstone {
				t.Errorf("size %d, clone %t: %v %v", size, clone, a, b)
			}
		}
	}
}

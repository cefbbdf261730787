package versions

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }

// newRun builds a run with one table that holds the given keys, all with seq as their value.
func newRun(t testing.TB, seq pages.Seq, keys ...string) *pages.Run {
	t.Helper()
	return newRunOpened(t, nil, seq, keys...)
}

// newRunOpened calls opened when the table's file is opened.
func newRunOpened(t testing.TB, opened func(), seq pages.Seq, keys ...string) *pages.Run {
	t.Helper()
	var buf bytes.Buffer
	b := pages.NewBuilder(&buf, pages.TableOptions{ID: pages.FileID(seq), SeqLo: 1, SeqHi: seq})
	for _, k := range keys {
		if err := b.Add([]byte(k), binary.BigEndian.AppendUint64(nil, uint64(seq)), pages.KindValue); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	open := func() (pages.File, error) {
		if opened != nil {
			opened()
		}
		return memFile{bytes.NewReader(buf.Bytes())}, nil
	}
	return &pages.Run{SeqLo: 1, SeqHi: seq, Tables: []*pages.Table{pages.NewTable(m, open, pages.NewCache(nil, nil))}}
}

func TestReadsGoThroughTheView(t *testing.T) {
	older, newer, active := NewIndex(10, IndexOptions{}), NewIndex(20, IndexOptions{}), NewIndex(30, IndexOptions{})
	put(older, "\x02older", 12, nil)
	put(older, "\x02both", 13, nil)
	older.Freeze(20)
	put(newer, "\x02both", 22, nil)
	newer.Put(pages.Hash([]byte("\x02dead")), []byte("\x02dead"), nil, pages.KindTombstone, 23, nil)
	newer.Freeze(30)
	put(active, "\x02both", 32, nil)
	put(active, "\x02later", 34, nil)
	v := &View{Epoch: 7, Active: active, Frozen: []*Index{newer, older}, RunSeq: 10,
		Runs: []*pages.Run{newRun(t, 9, "\x02dead", "\x02run"), newRun(t, 5, "\x02deep", "\x02run")}}
	if err := v.Check(); err != nil {
		t.Fatal(err)
	}
	p := &Published{}
	p.Applied.Store(34)
	for _, c := range []struct {
		visible uint64
		key     string
		seq     pages.Seq
		kind    pages.Kind
	}{
		{33, "\x02both", 32, pages.KindValue},
		{31, "\x02both", 22, pages.KindValue},
		{21, "\x02both", 13, pages.KindValue},
		{12, "\x02both", 0, 0},
		{33, "\x02older", 12, pages.KindValue},
		{11, "\x02older", 0, 0},
		{33, "\x02dead", 23, pages.KindTombstone},
		{22, "\x02dead", 10, pages.KindValue},
		{33, "\x02run", 10, pages.KindValue},
		{33, "\x02deep", 10, pages.KindValue},
		{4, "\x02deep", 10, pages.KindValue}, // the runs are what is oldest
		{33, "\x02later", 0, 0},
		{34, "\x02later", 34, pages.KindValue},
		{33, "\x02none", 0, 0},
	} {
		p.Visible.Store(c.visible)
		p.View.Store(v)
		key, hash := []byte(c.key), pages.Hash([]byte(c.key))
		value, kind, seq, ok, err := p.Get(t.Context(), key, hash)
		if ok != (c.kind != 0) || kind != c.kind || ok && seq != c.seq || err != nil || (kind == pages.KindValue) != (value != nil) {
			t.Errorf("one-shot %q at %d: %d %d %t %v, want %d %d", c.key, c.visible, kind, seq, ok, err, c.kind, c.seq)
		}
		s := p.Acquire(false, time.Time{})
		if want := max(pages.Seq(c.visible), 10); s.Seq != want || s.View() != v {
			t.Errorf("snapshot at %d, want %d", s.Seq, want)
		}
		got, ok, err := s.Get(t.Context(), key, hash)
		if ok != (c.kind != 0) || got.Kind != c.kind || ok && got.Seq != c.seq || err != nil {
			t.Errorf("snapshot %q at %d: %v %t %v, want %d %d", c.key, c.visible, got, ok, err, c.kind, c.seq)
		}
		s.Release()
	}
	s := p.Acquire(true, time.Time{})
	if got, ok, _ := s.Get(t.Context(), []byte("\x02later"), pages.Hash([]byte("\x02later"))); !ok || got.Seq != 34 {
		t.Errorf("a read-write snapshot sees %v, %t", got, ok)
	}
	if !bytes.Equal(must(s.Get(t.Context(), []byte("\x02run"), pages.Hash([]byte("\x02run")))).Value, []byte{0, 0, 0, 0, 0, 0, 0, 9}) {
		t.Error("the older of two runs answered")
	}
}

func must(v Version, ok bool, err error) Version {
	if !ok || err != nil {
		panic(fmt.Sprint(ok, err))
	}
	return v
}

func TestViewCheck(t *testing.T) {
	frozen := NewIndex(5, IndexOptions{})
	frozen.Freeze(9)
	for name, v := range map[string]*View{
		"no active":         {},
		"frozen that isn't": {Active: NewIndex(9, IndexOptions{}), Frozen: []*Index{NewIndex(5, IndexOptions{})}},
		"overlap":           {Active: NewIndex(8, IndexOptions{}), Frozen: []*Index{frozen}},
		"runs too new":      {Active: NewIndex(9, IndexOptions{}), Frozen: []*Index{frozen}, RunSeq: 6},
	} {
		if v.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (&View{Active: NewIndex(9, IndexOptions{}), Frozen: []*Index{frozen}, RunSeq: 5}).Check(); err != nil {
		t.Error(err)
	}
}

func TestRetiredTable(t *testing.T) {
	p := newPublished(10)
	run := newRun(t, 5, "\x02k")
	p.View.Store(&View{Active: NewIndex(10, IndexOptions{}), Runs: []*pages.Run{run}, RunSeq: 10})
	run.Tables[0].Retire()
	key, hash := []byte("\x02k"), pages.Hash([]byte("\x02k"))
	if _, _, _, _, err := p.Get(t.Context(), key, hash); !errors.Is(err, pages.ErrTableGone) {
		t.Errorf("a retired table in the current View: %v", err)
	}
	s := p.Acquire(false, time.Time{})
	if _, ok, err := s.Get(t.Context(), key, hash); ok || !errors.Is(err, pages.ErrTableGone) {
		t.Errorf("snapshot: %t, %v", ok, err)
	}
}

// A table that is retired between a one-shot read's look at the View and its page load: the read
// goes on in the View that came meanwhile.
func TestTableRetiredUnderOneShotGet(t *testing.T) {
	p := newPublished(10)
	active := NewIndex(10, IndexOptions{})
	old, merged := newRun(t, 5, "\x02k"), newRun(t, 9, "\x02k")
	newer := newRunOpened(t, func() {
		p.View.Store(&View{Epoch: 2, Active: active, Runs: []*pages.Run{merged}, RunSeq: 10})
		old.Tables[0].Retire()
	}, 9, "\x02a", "\x02z")
	p.View.Store(&View{Epoch: 1, Active: active, Runs: []*pages.Run{newer, old}, RunSeq: 10})
	key := []byte("\x02k")
	value, _, seq, ok, err := p.Get(t.Context(), key, pages.Hash(key))
	if !ok || err != nil || seq != 10 || binary.BigEndian.Uint64(value) != 9 {
		t.Errorf("%x at %d, %t, %v", value, seq, ok, err)
	}
}

// rotation freezes the engine's index now and then and "flushes" the older of two frozen ones:
// every commit writes all hot keys, so a run with them at the freeze seq is all that is below. A
// table is retired when no registered snapshot has a View that names it.
type rotation struct {
	t     *testing.T
	e     *engine
	left  int
	gone  []*pages.Run // no longer in the View, oldest first
	since []uint64     // epoch of the first View without it
}

func (r *rotation) step() {
	if r.left--; r.left > 0 {
		return
	}
	r.left = 20
	old := r.e.p.View.Load()
	r.e.x.Freeze(r.e.seq)
	r.e.x = NewIndex(r.e.seq, IndexOptions{ChunkBytes: 1024})
	v := &View{Epoch: old.Epoch + 1, Active: r.e.x, Frozen: append([]*Index{old.Active}, old.Frozen...), Runs: old.Runs, RunSeq: old.RunSeq}
	if len(v.Frozen) > 2 {
		v.RunSeq, _ = v.Frozen[2].Frozen()
		v.Frozen = v.Frozen[:2]
		for uint64(v.RunSeq) > r.e.p.Visible.Load() {
			r.e.show(1)
		}
		r.gone, r.since = append(r.gone, v.Runs...), append(r.since, v.Epoch)
		v.Runs = []*pages.Run{newRun(r.t, v.RunSeq, r.e.hot...)}
	}
	if err := v.Check(); err != nil {
		r.t.Error(err)
	}
	r.e.p.View.Store(v)
	lowest, ok := r.e.p.Snapshots.MinEpoch()
	for len(r.gone) > 0 && (!ok || lowest >= r.since[0]) {
		r.gone[0].Tables[0].Retire()
		r.gone, r.since = r.gone[1:], r.since[1:]
	}
}

func newRotation(t *testing.T) *rotation {
	e := newEngine(IndexOptions{ChunkBytes: 1024}, 1, 0)
	r := &rotation{t: t, e: e, left: 1}
	e.x.Freeze(e.seq)
	e.x = NewIndex(e.seq, IndexOptions{})
	e.p.View.Store(&View{Epoch: 2, Active: e.x, Runs: []*pages.Run{newRun(t, e.seq, e.hot...)}, RunSeq: e.seq})
	e.between = r.step
	return r
}

// Snapshots beside a writer that changes the View: the seq and the View belong together, and the
// tables of the View are not retired. Fails if Acquire loads the View first, if it does not load
// it again after it registered the epoch, or if the seq is not raised to the View's RunSeq.
func TestAcquireAgainstNewViews(t *testing.T) {
	crowd(t)
	r := newRotation(t)
	hash := pages.Hash([]byte(r.e.hot[0]))
	r.e.run(t, 6, 300_000/raceFactor, func(reader, round int) error {
		s := r.e.p.Acquire(reader%3 == 0, time.Time{})
		defer s.Release()
		table := s.View().Runs[0].Tables[0]
		if !table.TryPin() {
			return fmt.Errorf("snapshot at %d: a table of its View %d is retired", s.Seq, s.View().Epoch)
		}
		table.Unpin()
		v, ok, err := s.Get(context.Background(), []byte(r.e.hot[0]), hash)
		if !ok || err != nil || v.Seq != s.Seq {
			return fmt.Errorf("snapshot at %d in view %d sees %d, %t, %v", s.Seq, s.View().Epoch, v.Seq, ok, err)
		}
		return nil
	})
}

// One-shot reads beside a writer that changes the View and retires tables.
func TestOneShotGetAgainstNewViews(t *testing.T) {
	crowd(t)
	r := newRotation(t)
	key := []byte(r.e.hot[0])
	hash := pages.Hash(key)
	r.e.run(t, 6, 300_000/raceFactor, func(reader, round int) error {
		before := pages.Seq(r.e.p.Visible.Load())
		_, _, seq, ok, err := r.e.p.Get(context.Background(), key, hash)
		after := pages.Seq(r.e.p.Visible.Load())
		if !ok || err != nil || seq < before || seq > after {
			return fmt.Errorf("one-shot get saw seq %d, %t, %v; visible went from %d to %d", seq, ok, err, before, after)
		}
		return nil
	})
}

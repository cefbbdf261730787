package flusher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// tinyLimits makes every table, step and merge happen within a few dozen entries.
func tinyLimits() messages.Limits {
	return messages.Limits{
		TableBytes: 2 << 10, LeafBytes: 256, InnerBytes: 256, MergeStep: 1 << 10, FanIn: 3,
		MaxRuns: 8, IndexBytes: 1 << 10,
	}.Or(messages.DefaultLimits())
}

// world is what the store should hold: all keys, as of each freeze seq.
type world struct {
	rng     *rand.Rand
	seq     pages.Seq
	now     map[string]string
	at      map[pages.Seq]map[string]string
	index   *versions.Index
	dropped map[pages.KeyspaceID]bool
	named   map[pages.KeyspaceID]pages.Seq // since when; for bulk loads
}

func newWorld(rng *rand.Rand) *world {
	w := &world{rng: rng, now: map[string]string{}, at: map[pages.Seq]map[string]string{0: {}}, dropped: map[pages.KeyspaceID]bool{}, named: map[pages.KeyspaceID]pages.Seq{}}
	w.index = versions.NewIndex(0, versions.IndexOptions{})
	return w
}

func (w *world) put(key []byte, value string) {
	w.seq++
	w.now[string(key)] = value
	w.index.Put(pages.Hash(key), key, []byte(value), pages.KindValue, w.seq, nil)
}

func (w *world) delete(key []byte) {
	w.seq++
	delete(w.now, string(key))
	w.index.Put(pages.Hash(key), key, nil, pages.KindTombstone, w.seq, nil)
}

// name makes a keyspace, drop drops it.
func (w *world) name(id pages.KeyspaceID, c pages.Codec) {
	w.put(pages.NameKey(fmt.Sprint(id)), string(pages.CatalogEntry{ID: id, Codec: c}.AppendEntry(nil)))
}

func (w *world) drop(id pages.KeyspaceID) {
	w.delete(pages.NameKey(fmt.Sprint(id)))
	w.put(pages.DropKey(id), "")
	w.dropped[id] = true
	maps.DeleteFunc(w.now, func(k, _ string) bool { return keyspaceOf(k) == id })
}

func keyspaceOf(key string) pages.KeyspaceID {
	id, _, err := pages.SplitKey([]byte(key))
	if err != nil {
		panic(err)
	}
	return id
}

// write makes n random puts and deletes of keys of a keyspace.
func (w *world) write(n int, id pages.KeyspaceID, keys int) {
	for range n {
		key := pages.AppendKey(nil, id, fmt.Appendf(nil, "key-%04d", w.rng.IntN(keys)))
		if w.rng.IntN(4) == 0 {
			w.delete(key)
		} else {
			w.put(key, fmt.Sprintf("value-%d-%0*d", w.seq, w.rng.IntN(40), 0))
		}
	}
}

// freeze ends the index.
func (w *world) freeze() messages.Flush {
	w.index.Freeze(w.seq)
	f := messages.Flush{Index: w.index, UpTo: w.seq}
	w.at[w.seq] = maps.Clone(w.now)
	w.index = versions.NewIndex(w.seq, versions.IndexOptions{})
	return f
}

// driver runs a machine, its jobs in any order, and plays txcoord.
type driver struct {
	t       *testing.T
	world   *world
	backend backends.Backend
	m       *Machine
	out     Outbox
	rng     *rand.Rand
	jobs    []messages.FlusherJob
	now     time.Time

	runs        []*pages.Run
	covered     pages.Seq
	retired     []*pages.Table
	released    messages.Release
	failures    []error
	mergeFailed bool
	replies     int
	alarm       time.Duration
	flushed     int
	debt        int

	hold       bool   // Reclaim is not sent by itself
	starved    bool   // nor is Seen
	published  func() // called after every Flushed
	unverified bool
	bulkFailed bool
}

// newDriver opens the store on b, or makes it.
func newDriver(t *testing.T, b backends.Backend, w *world, limits messages.Limits) *driver {
	t.Helper()
	d := &driver{t: t, world: w, backend: b, rng: w.rng, now: time.Unix(1000, 0)}
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *driver) open(limits messages.Limits) error {
	c, err := Load(d.backend)
	if err != nil {
		return err
	}
	if c == nil {
		c = &Checkpoint{Log: true, NextFile: 1}
	}
	cache := pages.NewCache(nil, nil)
	runs, err := Open(d.backend, c, cache)
	if err != nil {
		return err
	}
	if _, err := RemoveOrphans(d.backend, c); err != nil {
		return err
	}
	c.Epoch++
	c.Clean = false
	if err := Publish(d.backend, c); err != nil {
		return err
	}
	d.runs, d.covered, d.jobs, d.retired = runs, c.Freeze, nil, nil
	d.m = New(Config{Backend: d.backend, Limits: limits, Cache: cache, Checkpoint: c, Runs: runs})
	d.m.Start(&d.out)
	d.deliver()
	return nil
}

func (d *driver) step(batch ...messages.ToFlusher) {
	d.t.Helper()
	if err := d.m.Step(batch, &d.out); err != nil {
		d.t.Fatal(err)
	}
	if err := d.m.Check(); err != nil {
		d.t.Fatal(err)
	}
	d.deliver()
}

func (d *driver) deliver() {
	d.t.Helper()
	var told uint64
	for _, msg := range d.out.Txcoord {
		switch msg := msg.(type) {
		case messages.Flushed:
			told = msg.No
			d.runs, d.covered, d.debt = msg.Runs, msg.Covered, msg.Debt
			d.flushed++
			d.retired = append(d.retired, msg.Retired...)
			if !d.unverified {
				d.verify(d.runs, d.covered)
			}
			if d.published != nil {
				d.published()
			}
		case messages.FlushFailed:
			told = msg.No
			d.failures = append(d.failures, msg.Err)
			d.mergeFailed = d.mergeFailed || msg.Merge
		}
	}
	for _, msg := range d.out.Walwriter {
		r := msg.(messages.Release)
		if r.UpTo < d.released.UpTo {
			d.t.Fatalf("the log is released up to %d after %d", r.UpTo, d.released.UpTo)
		}
		d.released = r
	}
	d.jobs = append(d.jobs, d.out.Jobs...)
	for _, r := range d.out.Replies {
		r.To.Resolve(r.Err)
		d.replies++
	}
	for _, r := range d.out.Holds {
		r.To.Resolve(r.Held)
	}
	for _, r := range d.out.Stats {
		r.To.Resolve(r.Stats)
	}
	d.alarm = d.out.Alarm
	d.out.Reset()
	if told > 0 && !d.starved {
		d.step(messages.Seen{UpTo: told})
	}
	if !d.hold && len(d.retired) > 0 {
		tables := d.retired
		d.retired = nil
		d.step(messages.Reclaim{Tables: tables})
	}
}

// runJob runs one of the jobs that are out, any of them, and feeds its result back.
func (d *driver) runJob() {
	d.t.Helper()
	i := d.rng.IntN(len(d.jobs))
	job := d.jobs[i]
	d.jobs = slices.Delete(d.jobs, i, i+1)
	err := job.Run(func() bool { return true })
	d.step(messages.FlusherJobDone{Job: job, Err: err})
}

// drain runs jobs until none is out.
func (d *driver) drain() {
	d.t.Helper()
	for n := 0; len(d.jobs) > 0; n++ {
		if n > 20000 {
			d.t.Fatalf("no end of jobs: %T", d.jobs[0])
		}
		d.runJob()
	}
}

// wait lets time pass until an alarm has rung.
func (d *driver) wait() {
	d.t.Helper()
	if d.alarm == 0 {
		d.t.Fatal("nothing waits for time")
	}
	d.now = d.now.Add(d.alarm)
	d.step(messages.Tick{Now: d.now})
}

// compact compacts, however often it has to be asked for.
func (d *driver) compact() error {
	d.t.Helper()
	c := &messages.Compact{Reply: messages.NewReply[error]()}
	d.step(c)
	d.drain()
	if !c.Reply.Ready() {
		d.t.Fatal("compact is not answered")
	}
	return <-c.Reply.Done()
}

// lookup reads a key as a View does.
func lookup(runs []*pages.Run, key []byte) (string, bool, error) {
	for _, r := range runs {
		v, kind, ok, err := r.Get(context.Background(), key, pages.Hash(key))
		if err != nil {
			return "", false, err
		}
		if ok {
			return string(v), kind == pages.KindValue, nil
		}
	}
	return "", false, nil
}

// scan reads everything as a View does.
func scan(runs []*pages.Run) (map[string]string, error) {
	all, seen := map[string]string{}, map[string]bool{}
	for _, r := range runs {
		c := r.NewCursor(pages.CursorOptions{})
		last := ""
		for ok := c.First(context.Background()); ok; ok = c.Next(context.Background()) {
			key := string(c.Key())
			if key <= last {
				return nil, fmt.Errorf("key %q after %q", key, last)
			}
			last = key
			if !seen[key] && c.Kind() == pages.KindValue {
				all[key] = string(c.Value())
			}
			seen[key] = true
		}
		if c.Err() != nil {
			return nil, c.Err()
		}
	}
	return all, nil
}

func (d *driver) verify(runs []*pages.Run, at pages.Seq) {
	d.t.Helper()
	if err := d.world.matches(runs, at); err != nil {
		d.t.Fatal(err)
	}
}

// ignores reports whether keys of a keyspace may be there or not at a seq: it was dropped, or
// bulk-loaded and not published.
func (w *world) ignores(id pages.KeyspaceID, at pages.Seq) bool {
	return w.dropped[id] || at < w.named[id]
}

// matches compares the runs with the world as of a freeze seq.
func (w *world) matches(runs []*pages.Run, at pages.Seq) error {
	want, ok := w.at[at]
	if !ok {
		return fmt.Errorf("nothing was frozen at seq %d", at)
	}
	for i, r := range runs {
		if err := r.Check(); err != nil {
			return err
		}
		if i > 0 && runs[i-1].SeqLo < r.SeqHi {
			return fmt.Errorf("run %d covers up to %d, the newer one from %d", i, r.SeqHi, runs[i-1].SeqLo)
		}
	}
	got, err := scan(runs)
	if err != nil {
		return err
	}
	alive := func(m map[string]string) map[string]string {
		m = maps.Clone(m)
		maps.DeleteFunc(m, func(k, _ string) bool { return w.ignores(keyspaceOf(k), at) })
		return m
	}
	want, got = alive(want), alive(got)
	if !maps.Equal(want, got) {
		return fmt.Errorf("at seq %d the runs scan as %d keys, want %d: %s", at, len(got), len(want), difference(want, got))
	}
	for _, key := range slices.Sorted(maps.Keys(w.now)) {
		v, ok, err := lookup(runs, []byte(key))
		if err != nil {
			return err
		}
		if wv, wok := want[key]; !w.ignores(keyspaceOf(key), at) && (ok != wok || ok && v != wv) {
			return fmt.Errorf("at seq %d key %q reads as %q, %v, want %q, %v", at, key, v, ok, wv, wok)
		}
	}
	return nil
}

func difference(want, got map[string]string) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok || v != want[k] {
			return fmt.Sprintf("%q is %q (%v), want %q", k, v, ok, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("%q is %q, want none", k, got[k])
		}
	}
	return "no difference"
}

// reload opens what b holds, as a recovery does, and compares it with the world; whole has every
// page of every table verified as well.
func (w *world) reload(b backends.Backend, whole bool) (*Checkpoint, error) {
	c, err := Load(b)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, nil
	}
	runs, err := Open(b, c, pages.NewCache(nil, nil))
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		for _, t := range r.Tables {
			if !whole {
				break
			}
			if errs := t.Verify(context.Background(), nil); len(errs) > 0 {
				return nil, errors.Join(errs...)
			}
		}
	}
	return c, w.matches(runs, c.Freeze)
}

package evictor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

var ctx = context.Background()

// store is a cache with tables and the machine that is stepped by hand.
type store struct {
	t      testing.TB
	cache  *pages.Cache
	m      *Machine
	tables []*pages.Table
	woken  bool // the cache has pages to drain; only for tests with one goroutine
	out    Outbox
}

func newStore(t testing.TB, budget int64) *store {
	s := &store{t: t}
	s.cache = pages.NewCache(nil, func() { s.woken = true })
	s.m = New(Config{Cache: s.cache, Budget: budget})
	return s
}

// file is a table file in memory; before, if set, runs before each read.
type file struct {
	io.ReaderAt
	before func()
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.before != nil {
		f.before()
	}
	return f.ReaderAt.ReadAt(p, off)
}

func (f *file) Close() error { return nil }

func key(i int) []byte { return fmt.Appendf(nil, "\x02key%08d", i) }

// addTable builds a table of n entries in small pages.
func (s *store) addTable(n, valueBytes int) (*pages.Table, *file) {
	s.t.Helper()
	var buf bytes.Buffer
	o := pages.TableOptions{LeafBytes: 512, InnerBytes: 1024, FilterBitsPerKey: 10, ID: pages.FileID(len(s.tables) + 1)}
	b := pages.NewBuilder(&buf, o)
	value := make([]byte, valueBytes)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		if err := b.Add(key(i), value, pages.KindValue); err != nil {
			s.t.Fatal(err)
		}
	}
	meta, err := b.Finish()
	if err != nil {
		s.t.Fatal(err)
	}
	f := &file{ReaderAt: bytes.NewReader(buf.Bytes())}
	t := pages.NewTable(meta, func() (pages.File, error) { return f, nil }, s.cache)
	s.tables = append(s.tables, t)
	return t, f
}

func (s *store) get(t *pages.Table, i int) {
	s.t.Helper()
	k := key(i)
	if _, _, ok, err := t.Get(ctx, k, pages.Hash(k)); err != nil || !ok {
		s.t.Fatalf("Get(%q): found %v, %v", k, ok, err)
	}
}

// step hands messages to the machine and returns the alarm it asks for, as whether it does.
func (s *store) step(batch ...messages.ToEvictor) (more bool) {
	s.t.Helper()
	if err := s.m.Step(batch, &s.out); err != nil {
		s.t.Fatal(err)
	}
	more = s.out.Alarm > 0
	s.out.Reset()
	return more
}

// settle steps until the machine has nothing left to do, then checks everything.
func (s *store) settle(batch ...messages.ToEvictor) {
	s.t.Helper()
	for n := 0; s.step(batch...); n++ {
		batch = []messages.ToEvictor{messages.Tick{}}
		if n > 10000 {
			s.t.Fatalf("the sweep does not end: %+v", s.m.stats())
		}
	}
	s.woken = false
	s.check()
}

// check recounts: the machine's own invariants, and the pages that can be reached from their
// tables. A page whose parent was evicted first could not be reached.
func (s *store) check() {
	s.t.Helper()
	if err := s.m.Check(); err != nil {
		s.t.Fatal(err)
	}
	reached := int64(0)
	for _, t := range s.tables {
		t.Residents(func(p *pages.Page) { reached += p.Bytes() })
	}
	if resident := s.cache.Resident(); reached != resident {
		s.t.Fatalf("%d bytes can be reached from their tables, %d count as resident", reached, resident)
	}
}

func (s *store) stats() messages.EvictorStats {
	r := messages.NewReply[messages.EvictorStats]()
	if err := s.m.Step([]messages.ToEvictor{&messages.EvictorStatsRequest{Reply: r}}, &s.out); err != nil {
		s.t.Fatal(err)
	}
	defer s.out.Reset()
	if len(s.out.Stats) != 1 {
		s.t.Fatalf("%d answers to a request for figures", len(s.out.Stats))
	}
	return s.out.Stats[0].Stats
}

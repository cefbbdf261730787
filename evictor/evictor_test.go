package evictor

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// The budget holds under random loads, whatever the order of loads and Steps.
func TestBudget(t *testing.T) {
	s := newStore(t, 256<<10)
	a, _ := s.addTable(20000, 100)
	b, _ := s.addTable(5000, 300)
	rng := rand.New(rand.NewPCG(3, 4))
	most := int64(0)
	for range 30000 {
		if rng.IntN(3) == 0 {
			s.get(b, rng.IntN(5000))
		} else {
			s.get(a, rng.IntN(20000))
		}
		most = max(most, s.cache.Resident())
		if s.woken {
			s.woken = false
			s.step(messages.PagesLoaded{})
		}
	}
	s.settle()
	st := s.stats()
	if st.Resident > st.Target {
		t.Errorf("%d resident, the target is %d", st.Resident, st.Target)
	}
	if st.Resident < st.Target*8/10 {
		t.Errorf("only %d resident of %d: the sweep goes too far", st.Resident, st.Target)
	}
	if most > st.Hard+4096 {
		t.Errorf("up to %d resident, the hard limit is %d", most, st.Hard)
	}
	if st.Evicted < 1000 || st.EvictedBytes == 0 || st.Sweeps == 0 || st.Sweeps > st.Evicted/5 {
		t.Errorf("figures do not fit the load: %+v", st)
	}
}

// Pages in use survive a scan over many times the budget.
func TestHotPagesSurviveScan(t *testing.T) {
	s := newStore(t, 512<<10)
	hot, _ := s.addTable(500, 100) // about 70 KiB
	cold, _ := s.addTable(50000, 100)
	use := func() (loads int64) {
		before := s.cache.Stats().Misses
		for i := range 500 {
			s.get(hot, i)
		}
		return s.cache.Stats().Misses - before
	}
	use()
	s.settle()
	before := s.cache.Stats().Misses
	lost := int64(0)
	run := &pages.Run{Tables: []*pages.Table{cold}}
	c := run.NewCursor(pages.CursorOptions{ScanCold: true})
	scanned := 0
	for ok := c.First(ctx); ok; ok = c.Next(ctx) {
		if scanned++; scanned%500 == 0 {
			lost += use()
		}
		if s.woken {
			s.woken = false
			s.step(messages.PagesLoaded{})
		}
	}
	if c.Err() != nil || scanned != 50000 {
		t.Fatalf("scanned %d: %v", scanned, c.Err())
	}
	if lost != 0 {
		t.Errorf("%d times was a hot page evicted by the scan", lost)
	}
	leaves := int64(50000 * 120 / 700)
	if loads := s.cache.Stats().Misses - before; loads < leaves {
		t.Errorf("the scan loaded %d pages, want above %d: it did not scan", loads, leaves)
	}
	s.settle()
}

// The target follows the bytes of the indexes and the collector's share, down to a floor.
func TestLimits(t *testing.T) {
	ratio := 1.0
	cache := pages.NewCache(nil, nil)
	m := New(Config{Cache: cache, Budget: 64 << 20, LiveRatio: func() float64 { return ratio }})
	for _, c := range []struct {
		ratio  float64
		index  int64
		target int64
	}{
		{1, 0, 64 << 20},
		{0.5, 0, 32 << 20},
		{0.5, 8 << 20, 24 << 20},
		{0.5, 31 << 20, 8 << 20}, // floor
		{0.5, 1 << 40, 8 << 20},
		{0, 0, 8 << 20},
		{-3, 0, 8 << 20},
		{7, 0, 64 << 20},
		{1, 1 << 20, 63 << 20},
	} {
		ratio = c.ratio
		var out Outbox
		if err := m.Step([]messages.ToEvictor{messages.IndexBytes{Bytes: c.index}}, &out); err != nil {
			t.Fatal(err)
		}
		st := cache.Stats()
		if st.TargetBytes != c.target || st.HardBytes <= c.target || st.HardBytes > c.target*5/4 {
			t.Errorf("ratio %g, indexes of %d: target %d, hard %d, want target %d", c.ratio, c.index, st.TargetBytes, st.HardBytes, c.target)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
	}
	tiny := New(Config{Cache: pages.NewCache(nil, nil), Budget: 1000})
	if tiny.target != 1000 {
		t.Errorf("target of a tiny budget is %d", tiny.target)
	}
}

// When the budget collapses, each Step does bounded work, asks to be stepped again, and in the
// end all is gone, parents after their children.
func TestStepIsBounded(t *testing.T) {
	s := newStore(t, 64<<20)
	a, _ := s.addTable(60000, 100)
	for i := range 60000 {
		s.get(a, i)
	}
	s.settle()
	st := s.stats()
	if st.Pages < 2*workPerStep {
		t.Fatalf("only %d pages are resident", st.Pages)
	}
	s.m.budget = 1000
	steps := 0
	for more := true; more; steps++ {
		before := s.m.evicted
		more = s.step(messages.Tick{})
		if n := s.m.evicted - before; n > workPerStep {
			t.Fatalf("one Step evicted %d pages", n)
		}
	}
	// One turn to clear the stamps, one to evict.
	if least := 2 * st.Pages / workPerStep; steps < least || steps > 3*least {
		t.Errorf("%d steps for %d pages", steps, st.Pages)
	}
	if st := s.stats(); st.Resident > 1000 {
		t.Errorf("%d bytes are left", st.Resident)
	}
	s.settle()
}

// Pages of a retired table go on TablesRetired, though there is room, and no others.
func TestRetiredTables(t *testing.T) {
	s := newStore(t, 64<<20)
	a, _ := s.addTable(40000, 100)
	b, _ := s.addTable(2000, 100)
	for i := range 40000 {
		s.get(a, i)
		s.get(b, i%2000)
	}
	s.settle()
	kept := int64(0)
	b.Residents(func(p *pages.Page) { kept += p.Bytes() })
	if s.cache.Resident() < 4*kept {
		t.Fatal("the first table is not resident")
	}
	a.Retire()
	if !s.step(messages.TablesRetired{}) {
		t.Error("a purge of more pages than one Step examines asks for no Tick")
	}
	s.settle()
	if left := s.cache.Resident(); left != kept {
		t.Errorf("%d bytes are left, want the other table's %d", left, kept)
	}
	misses := s.cache.Stats().Misses
	for i := range 2000 {
		s.get(b, i)
	}
	if n := s.cache.Stats().Misses - misses; n != 0 {
		t.Errorf("%d pages of the other table went too", n)
	}
}

// A page that lands after its table was retired and purged goes as well, and so do its parents.
func TestRetiredDuringLoad(t *testing.T) {
	s := newStore(t, 64<<20)
	a, f := s.addTable(5000, 100)
	s.get(a, 2500) // the inner pages
	s.settle()
	f.before = func() {
		f.before = nil
		a.Retire()
		s.settleLoading(messages.TablesRetired{})
	}
	s.get(a, 2510)
	if f.before != nil {
		t.Fatal("nothing was loaded")
	}
	if s.cache.Resident() == 0 {
		t.Fatal("the page did not land after the purge")
	}
	s.settle(messages.PagesLoaded{})
	if left := s.cache.Resident(); left != 0 {
		t.Errorf("%d bytes of a retired table are left", left)
	}
}

// settleLoading is settle in the midst of a load, when nothing can be recounted.
func (s *store) settleLoading(batch ...messages.ToEvictor) {
	for n := 0; s.step(batch...) && n < 100; n++ {
		batch = nil
	}
}

// An inner page whose child is being loaded cannot go: the Step gives up after a few turns and
// comes back later.
func TestNothingToEvict(t *testing.T) {
	s := newStore(t, 500)
	a, f := s.addTable(5000, 100)
	reads, tried := 0, false
	f.before = func() {
		if reads++; reads < 3 || tried {
			return
		}
		// The filter and the root are resident. The filter can go, the root alone is above the target.
		tried = true
		if err := s.m.Step([]messages.ToEvictor{messages.PagesLoaded{}}, &s.out); err != nil {
			t.Fatal(err)
		}
		if s.out.Alarm != later {
			t.Errorf("alarm %s of a sweep that can evict nothing (%+v), want %s", s.out.Alarm, s.m.stats(), later)
		}
	}
	s.cache.SetLimits(500, 1<<30) // the reader itself shall not wait
	s.get(a, 2500)
	if !tried {
		t.Fatal("the load needed no third read")
	}
	s.settle(messages.Tick{})
	if r := s.cache.Resident(); r > 500 {
		t.Errorf("%d bytes are left", r)
	}
}

// Pages that are all in steady use go all the same when the budget wants it.
func TestStampsDoNotPin(t *testing.T) {
	s := newStore(t, 64<<20)
	a, _ := s.addTable(1000, 100)
	for i := range 1000 {
		s.get(a, i)
	}
	s.settle()
	s.m.target, s.m.idle = 0, patientTurns*(s.m.ring.len()+1)
	for range s.m.ring.len() { // a root may come first
		for i := range 1000 {
			s.get(a, i)
		}
		if s.m.sweepOne(); s.m.evicted > 0 {
			return
		}
	}
	t.Error("no page in use was evicted after patient turns")
}

// A value larger than the whole target is read, goes, and wedges nobody.
func TestOversizeValue(t *testing.T) {
	s := newStore(t, 100<<10)
	big := bytes.Repeat([]byte("x"), 1<<20)
	var buf bytes.Buffer
	b := pages.NewBuilder(&buf, pages.TableOptions{ID: 9})
	for i := range 10 {
		if err := b.Add(key(i), big, pages.KindValue); err != nil {
			t.Fatal(err)
		}
	}
	meta, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	f := &file{ReaderAt: bytes.NewReader(buf.Bytes())}
	a := pages.NewTable(meta, func() (pages.File, error) { return f, nil }, s.cache)
	s.tables = append(s.tables, a)
	for i := range 10 {
		k := key(i)
		v, _, ok, err := a.Get(ctx, k, pages.Hash(k))
		if err != nil || !ok || len(v) != len(big) {
			t.Fatalf("value %d: %d bytes, %v", i, len(v), err)
		}
		if s.cache.Resident() < 1<<20 {
			t.Fatalf("the value does not count as resident")
		}
		s.settle(messages.PagesLoaded{})
		if st := s.stats(); st.Resident > st.Target {
			t.Fatalf("%d bytes stay above the target of %d", st.Resident, st.Target)
		}
		if len(v) != len(big) || v[0] != 'x' || v[len(v)-1] != 'x' {
			t.Fatal("a value changed when its page was evicted")
		}
	}
}

func TestCheckCatches(t *testing.T) {
	for name, breakIt := range map[string]func(*store){
		"page lost":     func(s *store) { s.m.ring.pop() },
		"page twice":    func(s *store) { s.m.ring.push(s.m.ring.at(0)) },
		"wrong bytes":   func(s *store) { s.m.ring.bytes++ },
		"evicted aside": func(s *store) { s.m.ring.at(s.m.ring.len() - 1).Evict() },
		"no target":     func(s *store) { s.m.target = 0 },
		"no headroom":   func(s *store) { s.m.hard = s.m.target },
	} {
		s := newStore(t, 1<<20)
		a, _ := s.addTable(100, 100)
		s.get(a, 5)
		s.settle()
		breakIt(s)
		if s.m.Check() == nil {
			t.Errorf("%s: Check finds nothing", name)
		}
	}
}

func TestClose(t *testing.T) {
	s := newStore(t, 1<<20)
	if err := s.m.Close(); err != nil {
		t.Fatal(err)
	}
}

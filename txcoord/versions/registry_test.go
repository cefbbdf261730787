package versions

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

func newPublished(seq pages.Seq) *Published {
	p := &Published{}
	p.Applied.Store(uint64(seq))
	p.Visible.Store(uint64(seq))
	p.View.Store(&View{Epoch: 1, Active: NewIndex(0, IndexOptions{})})
	return p
}

func TestRegistryShowsOpenSnapshots(t *testing.T) {
	p := newPublished(0)
	r := &p.Snapshots
	empty := func() {
		t.Helper()
		_, seq := r.MinSeq()
		_, epoch := r.MinEpoch()
		if seq || epoch || len(r.Seqs(nil)) != 0 || len(r.List()) != 0 {
			t.Errorf("an empty registry shows %v", r.List())
		}
	}
	empty()
	first := p.Acquire(false, time.Unix(100, 5)) // seq 0 counts too
	var open []*Snapshot
	for i := range 30 {
		p.Applied.Store(uint64(10 + i/2))
		p.Visible.Store(uint64(9 + i/2))
		p.View.Store(&View{Epoch: uint64(2 + i), Active: p.View.Load().Active})
		open = append(open, p.Acquire(i%2 == 1, time.Unix(int64(200-i), 0)))
	}
	if seqs := r.Seqs(nil); len(seqs) != 17 || seqs[0] != 0 || seqs[1] != 9 || seqs[16] != 24 || !slices.IsSorted(seqs) {
		t.Errorf("seqs %v", seqs)
	}
	if seq, ok := r.MinSeq(); !ok || seq != 0 {
		t.Errorf("lowest seq %d, %t", seq, ok)
	}
	if epoch, ok := r.MinEpoch(); !ok || epoch != 1 {
		t.Errorf("lowest epoch %d, %t", epoch, ok)
	}
	first.Release()
	if epoch, ok := r.MinEpoch(); !ok || epoch != 2 {
		t.Errorf("lowest epoch %d, %t", epoch, ok)
	}
	list := r.List()
	if want := (SnapshotInfo{24, 31, time.Unix(171, 0), true, false, nil}); len(list) != 30 || list[0] != want {
		t.Errorf("%d snapshots, the oldest %v, want %v", len(list), list[0], want)
	}
	for _, s := range open {
		s.Release()
	}
	empty()
}

func TestReleasedSlotsAreUsedAgain(t *testing.T) {
	p := newPublished(1)
	var open []*Snapshot
	for range 100 {
		open = append(open, p.Acquire(false, time.Time{}))
	}
	seen := map[*Snapshot]bool{}
	for _, s := range open {
		if seen[s] {
			t.Fatal("one slot for two snapshots")
		}
		seen[s] = true
		s.Release()
		if s.View() != nil {
			t.Fatal("a free slot keeps its View alive")
		}
	}
	for range 100 {
		if s := p.Acquire(true, time.Time{}); !seen[s] {
			t.Fatal("a new slot while others are free")
		}
	}
}

// A slot that is taken again does not show where it was taken before.
func TestOriginIsForgotten(t *testing.T) {
	p := newPublished(1)
	s := p.Acquire(false, time.Time{})
	s.SetOrigin(&Origin{7})
	if list := p.Snapshots.List(); len(list) != 1 || list[0].Origin == nil || *list[0].Origin != (Origin{7}) {
		t.Errorf("list %v", list)
	}
	s.Release()
	again := p.Acquire(true, time.Time{})
	if list := p.Snapshots.List(); again != s || len(list) != 1 || list[0].Origin != nil {
		t.Errorf("the same slot: %t, list %v", again == s, list)
	}
	again.Release()
}

func TestExpire(t *testing.T) {
	p := newPublished(1)
	x := p.View.Load().Active
	put(x, "\x02k", 1, nil)
	key, hash := []byte("\x02k"), pages.Hash([]byte("\x02k"))
	old := p.Acquire(false, time.Unix(100, 0))
	young := p.Acquire(true, time.Unix(200, 0))
	old.SetOrigin(&Origin{7})
	var ended []SnapshotInfo
	n := p.Snapshots.Expire(func(i SnapshotInfo) bool { return i.Since.Before(time.Unix(150, 0)) }, func(i SnapshotInfo) { ended = append(ended, i) })
	if len(ended) != 1 || ended[0].Seq != 1 || *ended[0].Origin != (Origin{7}) || !ended[0].Since.Equal(time.Unix(100, 0)) {
		t.Errorf("told of %v", ended)
	}
	if n != 1 || !old.Expired() || young.Expired() || old.View() != nil || young.View() == nil {
		t.Fatalf("%d expired, old: %t, young: %t", n, old.Expired(), young.Expired())
	}
	if _, ok, err := old.Get(t.Context(), key, hash); ok || !errors.Is(err, ErrTooOld) {
		t.Errorf("an expired snapshot reads: %t, %v", ok, err)
	}
	if _, ok, err := young.Get(t.Context(), key, hash); !ok || err != nil {
		t.Errorf("a young one: %t, %v", ok, err)
	}
	list := p.Snapshots.List()
	if len(list) != 2 || !list[0].Expired || list[0].Seq != 1 || list[1].Expired {
		t.Errorf("list %v", list)
	}
	young.Release()
	if seqs := p.Snapshots.Seqs(nil); len(seqs) != 0 {
		t.Errorf("an expired snapshot protects %v", seqs)
	}
	if _, ok := p.Snapshots.MinEpoch(); ok {
		t.Error("an expired snapshot protects files")
	}
	if n := p.Snapshots.Expire(func(SnapshotInfo) bool { return true }, func(SnapshotInfo) {}); n != 0 {
		t.Errorf("%d expired twice", n)
	}
	old.Release()
	if again := p.Acquire(false, time.Time{}); again.Expired() {
		t.Error("a new snapshot is expired from the start")
	}
}

// Expire beside owners that take slots and give them back: only what it was asked for expires, a
// snapshot that did not has its View, and no slot is lost or given out twice. Fails if Release does
// not wait for the View to be taken away, or does not leave the slot to Expire.
func TestExpireAgainstRelease(t *testing.T) {
	crowd(t)
	p := newPublished(2)
	p.Applied.Store(3)
	var owned [64]atomic.Bool // by slot
	var expired atomic.Int64
	var owners sync.WaitGroup
	var done atomic.Bool
	for g := range 6 {
		owners.Go(func() {
			for i := range 300_000 / raceFactor {
				s := p.Acquire(i%2 == 1, time.Time{}) // an odd seq, or an even one
				if owned[s.no].Swap(true) {
					t.Error("a slot was given out twice")
					return
				}
				for range (i + g) % 3 {
					runtime.Gosched()
				}
				if view := s.View(); s.Expired() {
					expired.Add(1)
				} else if view == nil {
					t.Error("a View was taken away from a snapshot that did not expire")
					return
				}
				if s.Seq == 3 && s.Expired() {
					t.Error("a snapshot expired that nobody asked for")
					return
				}
				owned[s.no].Store(false)
				s.Release()
			}
		})
	}
	go func() { owners.Wait(); done.Store(true) }()
	for !done.Load() {
		p.Snapshots.Expire(func(i SnapshotInfo) bool { return i.Seq == 2 }, func(SnapshotInfo) {})
	}
	if len(p.Snapshots.List()) != 0 || expired.Load() == 0 {
		t.Errorf("%d snapshots are left, %d expired", len(p.Snapshots.List()), expired.Load())
	}
	free := 0
	for head := uint32(p.Snapshots.free.Load()); head != 0; free++ {
		head = p.Snapshots.slot(head - 1).next.Load()
	}
	if free != 8 {
		t.Errorf("%d slots are free of 8", free)
	}
}

// A snapshot that was expired for the View it had for a moment, while it was being acquired, begins
// again. Fails if Acquire does not look at the end whether it has expired.
func TestExpireDuringAcquire(t *testing.T) {
	crowd(t)
	p := newPublished(1)
	var oldest atomic.Uint64 // snapshots of older Views are expired
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 6 {
		readers.Go(func() {
			for range 500_000 / raceFactor {
				s := p.Acquire(false, time.Time{})
				if epoch := s.epoch.Load() - 1; s.Expired() && epoch >= oldest.Load() {
					t.Errorf("a snapshot of View %d was expired, the oldest allowed is %d", epoch, oldest.Load())
					s.Release()
					return
				}
				s.Release()
			}
		})
	}
	go func() { readers.Wait(); done.Store(true) }()
	for epoch := uint64(2); !done.Load(); epoch++ {
		p.View.Store(&View{Epoch: epoch})
		oldest.Store(epoch)
		p.Snapshots.Expire(func(i SnapshotInfo) bool { return i.Epoch < epoch }, func(SnapshotInfo) {})
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	p := newPublished(1)
	s := p.Acquire(false, time.Time{})
	s.Release()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	s.Release()
}

func TestAcquireAllocatesNothing(t *testing.T) {
	p := newPublished(1)
	p.Acquire(false, time.Time{}).Release()
	if n := testing.AllocsPerRun(100, func() { p.Acquire(true, time.Time{}).Release() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A slot has one owner at a time, in whatever order slots are taken and given back. Fails
// without the counter in the free stack's head.
func TestSlotsHaveOneOwner(t *testing.T) {
	crowd(t)
	p := newPublished(1)
	var owned sync.Map // *Snapshot → *atomic.Bool
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var mine []*Snapshot
			for i := range 300_000 / raceFactor {
				if len(mine) > (i+g)%5 {
					s := mine[i%len(mine)]
					mine = slices.DeleteFunc(mine, func(o *Snapshot) bool { return o == s })
					flag, _ := owned.Load(s)
					flag.(*atomic.Bool).Store(false)
					s.Release()
					continue
				}
				s := p.Acquire(false, time.Time{})
				flag, _ := owned.LoadOrStore(s, new(atomic.Bool))
				if flag.(*atomic.Bool).Swap(true) {
					t.Error("a slot was given out twice")
					return
				}
				mine = append(mine, s)
			}
		})
	}
	wg.Wait()
}

// A registration that comes while TrimHorizon is above its seq goes round again, and only after
// it has registered: until then nothing would protect it.
func TestAcquireLooksAtTheHorizonAfterItRegistered(t *testing.T) {
	p := newPublished(5)
	p.TrimHorizon.Store(10)
	got := make(chan *Snapshot)
	go func() { got <- p.Acquire(false, time.Time{}) }()
	for {
		if seq, ok := p.Snapshots.MinSeq(); ok {
			if seq != 5 {
				t.Errorf("registered at %d", seq)
			}
			break
		}
		runtime.Gosched()
	}
	p.Visible.Store(10)
	s := <-got
	if s.Seq != 10 {
		t.Errorf("snapshot at %d, below the horizon 10", s.Seq)
	}
	s.Release()
}

// Horizon stores TrimHorizon before it scans: whoever registers after seeing the new horizon is
// still found by a scan that has not come to its slot. The other way round it never would be.
func TestHorizonIsStoredBeforeTheScan(t *testing.T) {
	if runtime.NumCPU() == 1 {
		t.Skip("needs two threads at once")
	}
	crowd(t)
	p := newPublished(5)
	var last *Snapshot
	for range 1<<16 - 1<<firstBlockBits { // full blocks: the last slot is scanned last
		if s := p.Acquire(false, time.Time{}); last == nil || s.no > last.no {
			last = s
		}
	}
	var keep Keep
	for try := uint64(0); try < 10_000; try++ {
		last.word.Store(0)
		h := 20 + 2*try
		p.Visible.Store(h)
		done := make(chan bool)
		go func() {
			p.Horizon(pages.Seq(h), nil, &keep)
			close(done)
		}()
		for p.TrimHorizon.Load() != h {
			runtime.Gosched()
		}
		last.word.Store(slotWord(pages.Seq(h-1), false))
		if <-done; slices.Contains(keep.Seqs, pages.Seq(h-1)) {
			return
		}
	}
	t.Error("a snapshot that registered after TrimHorizon was stored was never found")
}

func TestHorizon(t *testing.T) {
	p := newPublished(20)
	a := p.Acquire(false, time.Time{})
	p.Visible.Store(30)
	p.Acquire(false, time.Time{})
	p.Applied.Store(40)
	p.Acquire(true, time.Time{})
	p.Acquire(true, time.Time{})
	keep := Keep{Seqs: []pages.Seq{1, 2, 3}}
	for _, c := range []struct {
		visible pages.Seq
		horizon uint64
		want    []pages.Seq
	}{
		{30, 30, []pages.Seq{20, 30, 35, 40}},
		{35, 30, []pages.Seq{20, 30, 35, 40}}, // the shell has not stored 35 yet
		{25, 30, []pages.Seq{20, 25, 30, 35, 40}},
	} {
		p.Horizon(c.visible, []pages.Seq{35, 40}, &keep)
		if p.TrimHorizon.Load() != c.horizon || !slices.Equal(keep.Seqs, c.want) {
			t.Errorf("visible %d: horizon %d, keep %v, want %d, %v", c.visible, p.TrimHorizon.Load(), keep.Seqs, c.horizon, c.want)
		}
	}
	a.Release()
	p.Horizon(30, nil, &keep)
	if fmt.Sprint(keep.Seqs) != "[30 40]" {
		t.Errorf("keep %v after a release", keep.Seqs)
	}
	if n := testing.AllocsPerRun(100, func() { p.Horizon(30, nil, &keep) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who stores a new View and then looks for the lowest epoch learns of every snapshot with an
// older View. Fails if Acquire does not load the View again after it registered the epoch.
func TestEpochsAgainstNewViews(t *testing.T) {
	crowd(t)
	p := newPublished(1)
	var gone atomic.Uint64 // files of Views with lower epochs are removed
	var readers sync.WaitGroup
	var done atomic.Bool
	for range 6 {
		readers.Go(func() {
			for range 500_000 / raceFactor {
				s := p.Acquire(false, time.Time{})
				if g := gone.Load(); g > s.View().Epoch {
					t.Errorf("snapshot in view %d, removed below %d", s.View().Epoch, g)
					s.Release()
					return
				}
				s.Release()
			}
		})
	}
	go func() { readers.Wait(); done.Store(true) }()
	for epoch := uint64(2); !done.Load(); epoch++ {
		p.View.Store(&View{Epoch: epoch})
		lowest, ok := p.Snapshots.MinEpoch()
		if !ok || lowest > epoch {
			lowest = epoch
		}
		gone.Store(lowest)
	}
}

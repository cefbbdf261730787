package actors

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/messages"
)

// counter is an actor that adds up what it is sent, and says when that is all.
func counter(rt Runtime, limit, outer, total int) (a *actor[int], all chan struct{}, turns *atomic.Int64) {
	a = newActor[int]("counter", rt, 8, outer, limit)
	all, turns = make(chan struct{}), &atomic.Int64{}
	sum, running := 0, atomic.Bool{}
	a.step = func(batch []int) error {
		if running.Swap(true) {
			panic("two Turns at a time")
		}
		turns.Add(1)
		for _, n := range batch {
			sum += n
		}
		if sum == total {
			close(all)
		}
		running.Store(false)
		return nil
	}
	a.tick = func(messages.Tick) int { return 0 }
	return a, all, turns
}

// Clients that take Turns themselves, clients that wake, and the actor's own goroutine: whatever
// is sent is stepped, though nobody looks again by himself.
func TestNoLostWakeUp(t *testing.T) {
	for _, limit := range []int{1, 3, 100} {
		const clients, each = 8, 3000
		a, all, _ := counter(Goroutines{}, limit, 2, clients*each)
		a.failed = func(err error) { t.Error(err) }
		Goroutines{}.Start(a)
		var sending sync.WaitGroup
		for c := range clients {
			sending.Go(func() {
				for i := range each {
					a.outer <- 1
					if (c+i)%2 == 0 {
						a.turn(limit, true)
					} else {
						a.wakeUp()
					}
				}
			})
		}
		sending.Wait()
		within(t, all, "the actor")
		a.end()
		noneLeft(t)
	}
}

// What is in the mailbox when the actor is told to stop is stepped first.
func TestEndDrains(t *testing.T) {
	a, all, turns := counter(Goroutines{}, 1, 10, 18)
	a.failed = func(err error) { t.Error(err) }
	for range 10 {
		a.outer <- 1
	}
	for range 8 {
		a.send(1)
	}
	Goroutines{}.Start(a)
	a.end()
	within(t, all, "the actor")
	if turns.Load() != 18 {
		t.Errorf("%d Turns of one message each", turns.Load())
	}
}

func TestSendToAFullMailbox(t *testing.T) {
	a, _, _ := counter(Goroutines{}, 1, 1, 100)
	defer func() {
		if r, ok := recover().(string); !ok || !strings.Contains(r, "counter") {
			t.Errorf("recovered %q", r)
		}
	}()
	for range 9 {
		a.send(1)
	}
}

// Messages from inside come before those of clients, and a Turn takes no more than its limit.
func TestDrainOrder(t *testing.T) {
	a := newActor[int]("order", Goroutines{}, 4, 4, 3)
	var got []int
	a.step = func(batch []int) error { got = append(append(got, batch...), 0); return nil }
	for i := 1; i <= 4; i++ {
		a.outer <- 10 * i
		a.send(i)
	}
	for a.Turn(0) {
	}
	want := []int{1, 2, 3, 0, 4, 10, 20, 0, 30, 40, 0}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if len(a.batch) != 0 && a.batch[0] != 0 {
		t.Error("the batch holds on to messages")
	}
}

// A machine that panics or gives up fails once; its mailbox is still emptied.
func TestActorFails(t *testing.T) {
	for name, step := range map[string]func([]int) error{
		"panic": func([]int) error { panic("broken invariant") },
		"error": func([]int) error { return errors.New("broken invariant") },
	} {
		t.Run(name, func(t *testing.T) {
			a := newActor[int]("bad", Goroutines{}, 4, 4, 1)
			var failures []error
			a.step, a.failed = step, func(err error) { failures = append(failures, err) }
			for range 3 {
				a.send(1)
			}
			for a.Turn(0) {
			}
			if len(failures) != 1 || !strings.Contains(failures[0].Error(), "bad: broken invariant") {
				t.Errorf("failures %v", failures)
			}
			if a.Pending() || !a.dead.Load() {
				t.Error("a dead actor's mailbox is not emptied")
			}
		})
	}
}

// Goexit in a Turn is the end of a simulated life: no failure.
func TestActorGoexit(t *testing.T) {
	a := newActor[int]("gone", Goroutines{}, 4, 4, 1)
	a.step = func([]int) error { runtime.Goexit(); return nil }
	a.failed = func(err error) { t.Error(err) }
	a.send(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Turn(0)
	}()
	within(t, done, "the Turn")
	if a.dead.Load() {
		t.Error("the machine counts as failed")
	}
}

// fakeTimers is a Runtime whose timers ring by hand.
type fakeTimers struct {
	Goroutines
	set     []time.Duration
	ring    []func()
	stopped int
}

func (f *fakeTimers) After(d time.Duration, ring func()) func() {
	f.set, f.ring = append(f.set, d), append(f.ring, ring)
	return func() { f.stopped++ }
}

func TestAlarm(t *testing.T) {
	f := &fakeTimers{}
	a := newActor[int]("clock", f, 4, 4, 9)
	ticks := 0
	a.step = func(batch []int) error { ticks += len(batch); return nil }
	a.tick = func(messages.Tick) int { return 1 }
	a.setAlarm(0)
	a.setAlarm(100)
	a.setAlarm(200) // the one that rings earlier serves as well
	a.setAlarm(100)
	if len(f.set) != 1 {
		t.Fatalf("timers set: %v", f.set)
	}
	a.setAlarm(10)
	if len(f.set) != 2 || f.stopped != 1 || a.Pending() {
		t.Fatalf("timers set: %v, %d stopped, pending %t", f.set, f.stopped, a.Pending())
	}
	f.ring[1]()
	f.ring[0]() // Ticks coalesce
	if len(a.wake) != 1 || !a.Pending() {
		t.Fatal("not woken")
	}
	if a.Turn(0) || ticks != 1 {
		t.Fatalf("%d ticks", ticks)
	}
	a.setAlarm(50)
	if len(f.set) != 3 {
		t.Fatalf("timers set: %v", f.set)
	}
}

func TestParallel(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100} {
		var called [100]atomic.Int64
		Goroutines{}.Parallel(n, func(i int) { called[i].Add(1) })
		for i := range called {
			if want := int64(0); i < n {
				want = 1
				if called[i].Load() != want {
					t.Errorf("n %d: %d was called %d times", n, i, called[i].Load())
				}
			}
		}
	}
}

func TestAfter(t *testing.T) {
	rang := make(chan struct{})
	Goroutines{}.After(1, func() { close(rang) })
	within(t, rang, "the timer")
	stop := Goroutines{}.After(time.Hour, func() { t.Error("rang") })
	stop()
	if d := time.Since(Goroutines{}.Now()); d < 0 || d > time.Hour {
		t.Errorf("the time is off by %v", d)
	}
	Goroutines{}.Park(context.Background(), func() bool { return false }) // returns at once
}

func TestGate(t *testing.T) {
	for range 200 {
		g := NewGate()
		var inside, after atomic.Int64
		var callers sync.WaitGroup
		start := make(chan struct{})
		shut := make(chan struct{})
		for range 4 {
			callers.Go(func() {
				<-start
				for range 100 {
					if !g.Enter() {
						after.Add(1)
						continue
					}
					inside.Add(1)
					runtime.Gosched()
					inside.Add(-1)
					g.Leave()
				}
			})
		}
		close(start)
		go func() {
			defer close(shut)
			g.Shut(Goroutines{})
			if n := inside.Load(); n != 0 {
				t.Errorf("%d are inside a gate that is shut", n)
			}
		}()
		within(t, shut, "Shut")
		callers.Wait()
		if !g.IsShut() || g.Enter() {
			t.Fatal("the gate is open")
		}
	}
}

// Shut waits for who is inside, and for nobody else.
func TestGateWaits(t *testing.T) {
	g := NewGate()
	for range 2 {
		if !g.Enter() {
			t.Fatal("an open gate lets nobody in")
		}
	}
	shut := make(chan struct{})
	go func() {
		defer close(shut)
		g.Shut(Goroutines{})
	}()
	for !g.IsShut() {
		runtime.Gosched()
	}
	if g.Enter() {
		t.Fatal("entered a gate that is being shut")
	}
	g.Leave()
	select {
	case <-shut:
		t.Fatal("shut with somebody inside")
	default:
	}
	g.Leave()
	within(t, shut, "Shut")
}

func TestLiveRatio(t *testing.T) {
	if r := (Goroutines{}).LiveRatio(); r <= 0 || r > 1 {
		t.Errorf("ratio %v", r)
	}
}

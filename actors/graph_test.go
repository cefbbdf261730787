package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// client runs operations of all sorts, and checks that it reads what it wrote.
func (s *store) client(t *testing.T, name string, operations int, rng *rand.Rand) map[string]string {
	ctx, wrote := context.Background(), make(map[string]string)
	fail := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %s: %v", name, what, err)
		}
	}
	var pending []*messages.Commit
	for i := range operations {
		k, v := key("%s-%d", name, rng.IntN(20)), fmt.Sprintf("%d-%0*d", i, rng.IntN(200), 0)
		switch rng.IntN(12) {
		case 0:
			fail("await", s.Await(ctx, &messages.Await{UpTo: pages.MaxSeq, Reply: messages.NewReply[error]()}))
		case 1:
			if rng.IntN(8) == 0 {
				fail("checkpoint", s.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()}))
			}
		case 2:
			_, err := s.Stats(ctx)
			fail("stats", err)
		case 3:
			if rng.IntN(20) == 0 {
				fail("compact", s.Compact(ctx, &messages.Compact{Reply: messages.NewReply[error]()}))
			}
		case 4:
			v += strings.Repeat("x", 12<<10) // oversize
			fail("large commit", s.put(ctx, k, v, messages.Sync))
			wrote[k] = v
		case 5, 6:
			c := newCommit(k, v, messages.Durability(rng.IntN(2)))
			fail("enqueue", s.Enqueue(ctx, c))
			pending = append(pending, c)
			wrote[k] = v
		default:
			fail("commit", s.put(ctx, k, v, messages.Durability(rng.IntN(2))))
			wrote[k] = v
			if got, err := s.get(ctx, k); err != nil || got != v {
				t.Errorf("%s reads %.20q after writing %.20q, error %v", name, got, v, err)
			}
		}
	}
	for _, c := range pending {
		r, _ := s.AwaitCommit(ctx, c)
		fail("pending commit", r.Err)
	}
	return wrote
}

// TestStress runs clients against a graph with tiny limits: whatever is asked is answered, and
// nothing is left when it stops.
func TestStress(t *testing.T) {
	for _, turn := range []int{1, 2, 256} {
		t.Run(fmt.Sprint(turn), func(t *testing.T) {
			limits := tinyLimits()
			limits.TurnLimit, limits.Inbox = turn, turn
			b := backends.NewMemory()
			s, err := open(Goroutines{}, b, limits)
			if err != nil {
				t.Fatal(err)
			}
			const clients = 6
			var wrote [clients]map[string]string
			var running sync.WaitGroup
			for c := range clients {
				running.Go(func() {
					wrote[c] = s.client(t, fmt.Sprint("client-", c), 150, rand.New(rand.NewPCG(uint64(c), uint64(turn))))
				})
			}
			done := make(chan struct{})
			go func() { running.Wait(); close(done) }()
			within(t, done, "a client")
			if err := s.finish(); err != nil {
				t.Fatal(err)
			}
			noneLeft(t)
			if len(s.failures) > 0 {
				t.Fatal(s.failures)
			}
			s.reopened(t, wrote[:])
		})
	}
}

// reopened reads a closed store again.
func (s *store) reopened(t *testing.T, wrote []map[string]string) {
	again, err := open(Goroutines{}, s.backend, tinyLimits())
	if err != nil {
		t.Fatal(err)
	}
	if len(again.replayed) > 0 {
		t.Errorf("%d keys were replayed after a last checkpoint", len(again.replayed))
	}
	for _, m := range wrote {
		for k, v := range m {
			if got, err := again.get(context.Background(), k); err != nil || got != v {
				t.Errorf("%q is %.20q after a reopen, want %.20q, error %v", k, got, v, err)
			}
		}
	}
	if err := again.finish(); err != nil {
		t.Error(err)
	}
	noneLeft(t)
}

// A client alone commits without waking anybody: its own goroutine takes the Turns.
func TestInlineCommit(t *testing.T) {
	s, err := open(Goroutines{}, backends.NewMemory(), messages.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := s.put(context.Background(), key("%d", i), "v", messages.Durability(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Stats(context.Background())
	if err != nil || st.Txcoord.Commits != 100 || st.Walwriter.Syncs == 0 || st.Evictor.Budget == 0 {
		t.Fatalf("%+v, error %v", st, err)
	}
	if d := s.Depths(); len(d) != 4 || d["txcoord"] != 0 {
		t.Errorf("depths %v", d)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
}

// slowDown has f called before every Step of a running actor.
func slowDown[M any](a *actor[M], f func()) {
	for !a.token.CompareAndSwap(false, true) {
		runtime.Gosched()
	}
	step := a.step
	a.step = func(batch []M) error { f(); return step(batch) }
	a.token.Store(false)
	a.wakeUp()
}

// What clients hand over without waiting is bounded: they wait outside while the coordinator
// holds an inbox full of commits back.
func TestHeldCommitsAreBounded(t *testing.T) {
	limits := tinyLimits()
	limits.Inbox = 5
	s, err := open(Goroutines{}, backends.NewMemory(), limits)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	gate := make(chan struct{})
	slowDown(s.wal, func() { <-gate }) // a log that stands still
	var pending []*messages.Commit
	for s.held.Load() == nil && len(pending) < 1000 {
		c := newCommit(key("%d", len(pending)), strings.Repeat("v", 900), messages.NoSync)
		if err := s.Enqueue(ctx, c); err != nil {
			t.Fatal(err)
		}
		pending = append(pending, c)
	}
	go cancel()
	if err := s.Enqueue(ctx, newCommit(key("late"), "v", messages.NoSync)); !errors.Is(err, context.Canceled) {
		t.Errorf("one more commit is let in after %d: %v", len(pending), err)
	}
	close(gate)
	for _, c := range pending {
		if r, _ := s.AwaitCommit(context.Background(), c); r.Err != nil {
			t.Error(r.Err)
		}
	}
	if err := s.put(context.Background(), key("late"), "v", messages.NoSync); err != nil {
		t.Error(err)
	}
	if err := s.finish(); err != nil {
		t.Error(err)
	}
	noneLeft(t)
}

// A commit that nobody waits for gathers with others. When they leave, the log writer is told,
// though no client goes with them, and no Tick is near.
func TestGatheredCommitsLeave(t *testing.T) {
	limits := tinyLimits()
	limits.SyncInterval, limits.GatherBytes, limits.IndexBytes, limits.LogBytes = time.Hour, 1<<10, 1<<20, 1<<20
	s, err := open(Goroutines{}, backends.NewMemory(), limits)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			if err := s.put(context.Background(), key("%d", i), strings.Repeat("v", 300), messages.NoSync); err != nil {
				t.Error(err)
			}
		}
	}()
	within(t, done, "the client")
	if err := s.finish(); err != nil {
		t.Error(err)
	}
}

// A client that waits for the log hears of a machine that fails meanwhile.
func TestWaitingClientHearsOfFailure(t *testing.T) {
	s, err := open(Goroutines{}, backends.NewMemory(), tinyLimits())
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	slowDown(s.wal, func() { <-gate })
	answered := make(chan struct{}, 3)
	for _, ask := range []func() error{
		func() error { return s.put(context.Background(), key("a"), "v", messages.Sync) },
		func() error {
			return s.Checkpoint(context.Background(), &messages.Checkpoint{Reply: messages.NewReply[error]()})
		},
	} {
		go func() {
			if err := ask(); !errors.Is(err, messages.ErrPoisoned) {
				t.Errorf("a client that waits gets %v", err)
			}
			answered <- struct{}{}
		}()
		for s.pub.Applied.Load() == 0 {
			runtime.Gosched()
		}
	}
	s.tx.send(messages.Durable{UpTo: pages.MaxSeq})
	s.tx.wakeUp()
	<-s.failed
	for i := range 2 {
		select {
		case <-answered:
		case <-time.After(60 * time.Second):
			t.Fatalf("%d clients were answered", i)
		}
		if i == 0 {
			close(gate) // the first client stands in the log writer's Turn itself, perhaps
		}
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	noneLeft(t)
}

// A job that starts while the graph stops either ends before Stop returns or does not begin.
func TestJobsWhileStopping(t *testing.T) {
	for range 300 {
		s, err := open(Goroutines{}, backends.NewMemory(), tinyLimits())
		if err != nil {
			t.Fatal(err)
		}
		var stopped atomic.Bool
		var starting sync.WaitGroup
		starting.Go(func() {
			for range 20 {
				s.job(jobFunc(func(yield messages.Yield) error {
					if stopped.Load() {
						t.Error("a job runs after Stop")
					}
					yield()
					return nil
				}), func(error) {
					if stopped.Load() {
						t.Error("a job ends after Stop")
					}
				})
			}
		})
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		stopped.Store(true)
		starting.Wait()
	}
}

// jobFunc is a job of a few lines.
type jobFunc func(yield messages.Yield) error

func (f jobFunc) Run(yield messages.Yield) error { return f(yield) }

// A context that ends before a request is in cancels it; one that ends after leaves the outcome
// open.
func TestContexts(t *testing.T) {
	s, err := open(Goroutines{}, backends.NewMemory(), tinyLimits())
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if r, abandoned := s.Commit(ended, newCommit(key("a"), "v", messages.Sync)); !errors.Is(r.Err, context.Canceled) ||
		errors.Is(r.Err, ErrOutcomeUnknown) || abandoned {
		t.Errorf("error %v, abandoned %t", r.Err, abandoned)
	}
	// Nobody answers this one: it was never handed over.
	if r, abandoned := s.AwaitCommit(ended, newCommit(key("a"), "v", messages.Sync)); !errors.Is(r.Err, context.Canceled) ||
		!errors.Is(r.Err, ErrOutcomeUnknown) || !abandoned {
		t.Errorf("error %v, abandoned %t", r.Err, abandoned)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithCancel(context.Background())
	s.tx.outer <- newCommit(key("a"), "v", messages.Sync) // nobody drains any more
	s.tx.outer <- newCommit(key("a"), "v", messages.Sync)
	go cancel()
	if r, _ := s.Commit(late, newCommit(key("a"), "v", messages.Sync)); !errors.Is(r.Err, context.Canceled) {
		t.Errorf("error %v", r.Err)
	}
}

// A machine that breaks an invariant poisons the engine: everybody who waits and everybody who
// comes gets ErrPoisoned, onFailure is told once, and Stop returns.
func TestMachineFails(t *testing.T) {
	for name, breakIt := range map[string]func(*store){
		"txcoord": func(s *store) {
			s.tx.send(messages.Durable{UpTo: pages.MaxSeq})
			s.tx.wakeUp()
		},
		"walwriter": func(s *store) {
			s.wal.send(messages.WalJobDone{})
			s.wal.wakeUp()
		},
		"flusher": func(s *store) {
			s.flush.send(messages.FlusherJobDone{})
			s.flush.wakeUp()
		},
		"job": func(s *store) {
			s.job(jobFunc(func(messages.Yield) error { panic("broken job") }), func(error) {})
		},
	} {
		t.Run(name, func(t *testing.T) { machineFails(t, breakIt) })
	}
}

func machineFails(t *testing.T, breakIt func(*store)) {
	s, err := open(Goroutines{}, backends.NewMemory(), tinyLimits())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := s.put(ctx, key("before"), "v", messages.Sync); err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	var committed atomic.Int64
	for c := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				if err := s.put(ctx, key("%d-%d", c, i), strings.Repeat("v", 100), messages.Durability(i%2)); err != nil {
					if !errors.Is(err, messages.ErrPoisoned) {
						t.Errorf("a client gets %v", err)
					}
					return
				}
				if committed.Add(1) == 50 {
					breakIt(s)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	within(t, done, "a client")
	<-s.failed
	if err := s.put(ctx, key("after"), "v", messages.NoSync); !errors.Is(err, messages.ErrPoisoned) || !errors.Is(err, messages.ErrBroken) {
		t.Errorf("a commit after the failure gives %v", err)
	}
	c := &messages.Checkpoint{Reply: messages.NewReply[error]()}
	if err := s.Checkpoint(ctx, c); !errors.Is(err, messages.ErrPoisoned) {
		t.Errorf("a checkpoint after the failure gives %v", err)
	}
	if got, err := s.get(ctx, key("before")); err != nil || got != "v" {
		t.Errorf("what is durable reads as %q, error %v", got, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = s.finish()
	}()
	within(t, stopped, "Stop")
	noneLeft(t)
	if len(s.failures) != 1 || !errors.Is(s.failures[0], messages.ErrBroken) {
		t.Errorf("onFailure was told %v", s.failures)
	}
}

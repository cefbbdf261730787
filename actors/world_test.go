package actors

import (
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"github.com/aegis-storage/aegis/messages"
)

// world is a Runtime that runs everything on one goroutine at a time, in an order that its seed
// decides: the simulator in small. Actors, jobs and clients are coroutines that yield in Park. A
// channel operation that would block after Park ended would stop the process for good.
type world struct {
	rng    *rand.Rand
	now    time.Time
	tasks  []*worldTask
	timers []*worldTimer
	run    *worldTask // that runs now
	picks  int
	trace  uint64 // of every choice
	hurry  int    // the higher, the more often txcoord and the main task come before others
	crash  int    // the life ends at this pick; 0: it does not
	dead   bool
}

type worldTask struct {
	name   string
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	event  func() bool     // nil: can run
	ctx    context.Context // nil: none
	pcs    [8]uintptr      // where it waits
}

type worldTimer struct {
	at      time.Time
	ring    func()
	stopped bool
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0), trace: 14695981039346656037}
}

// spawn makes a task that runs f.
func (w *world) spawn(name string, f func()) {
	t := &worldTask{name: name}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		f()
	})
	w.tasks = append(w.tasks, t)
}

func (t *worldTask) ready() bool {
	return t.event == nil || t.event() || t.ctx != nil && t.ctx.Err() != nil
}

// loop runs tasks until none is left; it reports what hangs.
func (w *world) loop() error {
	for len(w.tasks) > 0 {
		var ready []int
		for i, t := range w.tasks {
			if t.ready() {
				ready = append(ready, i)
			}
		}
		if w.picks++; w.picks == w.crash {
			return nil
		}
		if len(ready) == 0 || len(w.timers) > 0 && w.rng.IntN(50) == 0 {
			if !w.ring() && len(ready) == 0 {
				return fmt.Errorf("a wake-up was lost, all wait: %s", w.names())
			}
			continue
		}
		i := ready[w.rng.IntN(len(ready))]
		for tries := 0; tries < w.hurry && w.tasks[i].name != "main" && w.tasks[i].name != "txcoord"; tries++ {
			i = ready[w.rng.IntN(len(ready))]
		}
		t := w.tasks[i]
		w.note(t.name)
		t.event, t.ctx, w.run = nil, nil, t
		_, more := t.resume()
		if w.run = nil; !more {
			w.tasks = append(w.tasks[:i], w.tasks[i+1:]...)
		}
	}
	return nil
}

// ring lets the next timer ring.
func (w *world) ring() bool {
	next := -1
	for i, t := range w.timers {
		if !t.stopped && (next < 0 || t.at.Before(w.timers[next].at)) {
			next = i
		}
	}
	if next < 0 {
		w.timers = nil
		return false
	}
	t := w.timers[next]
	w.timers = append(w.timers[:next], w.timers[next+1:]...)
	w.now = t.at
	w.note("timer")
	t.ring()
	return true
}

// note adds to the trace.
func (w *world) note(what string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x %s %d", w.trace, what, w.now.UnixNano())
	w.trace = h.Sum64()
}

func (w *world) names() string {
	var all []string
	for _, t := range w.tasks {
		frames := runtime.CallersFrames(t.pcs[:])
		for {
			f, more := frames.Next()
			all = append(all, fmt.Sprintf("%s at %s:%d", t.name, f.Function, f.Line))
			if !more {
				break
			}
		}
	}
	return strings.Join(all, "\n")
}

// reap ends every task where it stands: Park calls Goexit, so that neither an error nor a panic
// tells the code that its life is over.
func (w *world) reap() {
	w.dead = true
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		w.tasks = w.tasks[1:]
		done := make(chan struct{})
		go func() {
			defer close(done)
			t.stop()
		}()
		<-done
	}
}

// Park implements Runtime.
func (w *world) Park(ctx context.Context, event func() bool) {
	t := w.run
	if w.dead {
		runtime.Goexit()
	}
	if t == nil {
		panic("a wait outside of all tasks")
	}
	t.event, t.ctx = event, ctx
	if event != nil {
		runtime.Callers(2, t.pcs[:])
	}
	if !t.yield(struct{}{}) {
		runtime.Goexit()
	}
}

// Wait implements Runtime.
func (w *world) Wait(ctx context.Context, _, _ string, event func() bool) { w.Park(ctx, event) }

// Effect implements Runtime: others may come in, and the trace knows what it was.
func (w *world) Effect(from, to string, what messages.Message) {
	w.note(from + to + what.String())
	w.Park(background, nil)
}

// Start implements Runtime: an actor takes Turns only when it was woken.
func (w *world) Start(a Actor) {
	w.spawn(a.Name(), func() {
		for {
			w.Park(background, func() bool { return len(a.Woken()) > 0 || isClosed(a.Stopping()) })
			if len(a.Woken()) > 0 {
				<-a.Woken()
				a.Turn(1 + w.rng.IntN(3))
				continue
			}
			for a.Pending() {
				a.Turn(0)
			}
			a.Ended()
			return
		}
	})
}

// Job implements Runtime.
func (w *world) Job(name string, run func()) { w.spawn(name, run) }

// LiveRatio is the same whatever GOGC this process has.
func (w *world) LiveRatio() float64 { return 0.5 }

// Parallel implements Runtime.
func (w *world) Parallel(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

// Inline implements Runtime.
func (w *world) Inline() bool { return false }

// Yield is for paced jobs: another task may come in.
func (w *world) Yield() { w.Park(context.Background(), nil) }

// Now implements Runtime.
func (w *world) Now() time.Time { return w.now }

// After implements Runtime.
func (w *world) After(d time.Duration, f func()) func() {
	t := &worldTimer{at: w.now.Add(d), ring: f}
	w.timers = append(w.timers, t)
	return func() { t.stopped = true }
}

package actors

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aegis-storage/aegis/messages"
)

// Runtime is the seam between production and the simulator: everything that starts, waits or
// tells the time. Goroutines is the one that stores use unless Options say otherwise.
type Runtime interface {
	// Start begins to run the actor: it takes a Turn whenever the actor was woken, until it is
	// stopped.
	Start(a Actor)
	// Job runs long work of an actor aside, until it returns. The name tells whose work of what kind.
	Job(name string, run func())
	// Park is called where another task may come in. A nil event is a pure yield. Otherwise Park
	// returns when event answers true, which means that the channel operation that follows will not
	// block, or when ctx (nil: none) ends. Goroutines returns at once: there the channel operation
	// itself waits.
	Park(ctx context.Context, event func() bool)
	// Wait is called before every wait of the public API: it is Park for an event that somebody
	// brings about. on names an actor, or is AllCalls or AllJobs, or is empty if it is nobody in
	// particular; what tells what is waited for. So a Runtime in which nobody can go on can say who
	// waits for whom.
	Wait(ctx context.Context, on, what string, event func() bool)
	// Effect is called after each effect of a Turn, and after each message of a client: from sent
	// what to the mailbox of to, or answered a client, or published something for all (to is
	// empty). A client's from is empty. The simulator records it and may let other tasks come in;
	// what must not be kept. Goroutines does nothing.
	Effect(from, to string, what messages.Message)
	// Parallel calls f(0) … f(n-1), perhaps at the same time, and returns when all are done.
	Parallel(n int, f func(i int))
	// Yield lets other tasks run for a moment.
	Yield()
	// Inline reports whether a client may take the Turns of idle actors itself.
	Inline() bool
	// LiveRatio is the part of a memory budget that may be alive when the collector starts.
	LiveRatio() float64
	// Now is the time, for deadlines and figures.
	Now() time.Time
	// After calls f once, d from now, unless stop is called before.
	After(d time.Duration, f func()) (stop func())
}

// Groups that Runtime.Wait may name in place of one actor.
const (
	AllCalls = "all calls" // whoever is inside a call of the store
	AllJobs  = "all jobs"
)

// Actor is what a Runtime sees of one machine in its shell.
type Actor interface {
	// Name tells the actor: "txcoord", "walwriter", "flusher" or "evictor".
	Name() string
	// Turn drains at most limit waiting messages (0: the actor's own limit), steps the machine and
	// delivers its effects. It reports whether messages are left. It does nothing while another
	// task holds the actor's turn, which will see to the rest.
	Turn(limit int) (more bool)
	// Pending reports whether a Turn would find messages.
	Pending() bool
	// Check verifies the machine's invariants, all of them, in time that grows with its state. It
	// does nothing while a Turn is under way.
	Check() error
	// Waits tells what the machine waits for; nothing while a Turn is under way.
	Waits() []messages.Wait
	// Mailbox counts the messages that wait, and those of clients for which there is room in all.
	Mailbox() (waiting, room int)
	// Woken is signalled when messages wait; one signal may stand for many.
	Woken() <-chan struct{}
	// Stopping is closed when the actor shall end after its mailbox is empty.
	Stopping() <-chan struct{}
	// Ended is called by the Runtime once no further Turn will run.
	Ended()
}

// Goroutines is the production Runtime: a goroutine per actor and per job. The zero value is
// ready, and one value may serve many stores.
type Goroutines struct{}

// Start runs the actor's loop on a goroutine of its own.
func (Goroutines) Start(a Actor) {
	go func() {
		defer a.Ended()
		for {
			select {
			case <-a.Woken():
				for a.Turn(0) {
				}
			case <-a.Stopping():
				for a.Pending() {
					if !a.Turn(0) {
						runtime.Gosched()
					}
				}
				return
			}
		}
	}()
}

// Job runs on a goroutine of its own.
func (Goroutines) Job(_ string, run func()) { go run() }

// Park does nothing: the channel operation that follows waits by itself.
func (Goroutines) Park(context.Context, func() bool) {}

// Wait does nothing, as Park.
func (Goroutines) Wait(context.Context, string, string, func() bool) {}

// Effect does nothing.
func (Goroutines) Effect(_, _ string, _ messages.Message) {}

// Yield gives the processor to another goroutine that is ready.
func (Goroutines) Yield() { runtime.Gosched() }

// Parallel runs f on up to GOMAXPROCS goroutines.
func (Goroutines) Parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error { f(i); return nil })
	}
	_ = g.Wait() // f keeps its errors by index
}

// Inline is true: one client then commits without a single wake-up.
func (Goroutines) Inline() bool { return true }

// Now is time.Now.
func (Goroutines) Now() time.Time { return time.Now() }

// After uses a timer of the Go runtime.
func (Goroutines) After(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}

package world

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/trace"
)

// Config is what a World is made of.
type Config struct {
	Seed     uint64
	Salt     uint64 // of the schedule: it changes which task runs next and where one gives way, no more
	Strategy Strategy
	Log      *trace.Log // records and hashes; not nil
	// Words makes the events' texts, which costs more than all the rest; without it the hash covers
	// what the I/O calls wrote, and every choice.
	Words bool
	// Strict finds out which goroutine calls, at every yield, and reports those that are not the
	// world's. It costs some nanoseconds each, and about a microsecond where a task yields at a place
	// on its stack for the first time.
	Strict bool
	// Preempts and Faults keep only the named choices; nil keeps all.
	Preempts, Faults Filter
	// Observe is told of every effect; nil: nobody.
	Observe func(from, to string, what messages.Message)
	// Struck is told of every fault; nil: nobody.
	Struck func(class disk.Class)
	// Sequential takes the schedule from Switches alone: without any, each task runs until it waits.
	// They are in the order of their At. The Strategy's order and rates of yields do not count then.
	Sequential bool
	Switches   []Switch
	// Choice is told, in a sequential schedule, of every choice behind the last of the Switches at
	// which others could have run; nil: nobody. It is not told of a calm life's.
	Choice func(life int, at int64, others int)
	// Boundary is told of each boundary of an I/O call before the life may end there; nil: nobody.
	// code is a number that rises whenever other code than the engine's may have run: where it is the
	// same, so is the memory of clients.
	Boundary func(io int64, code uint64)
	// MaxSteps ends a life that does not end: 0 means a million.
	MaxSteps int64
}

// Filter is a set of choices, by their keys.
type Filter map[uint32]bool

// CrashAt says where a life ends. The first that is reached counts; zero fields never are.
type CrashAt struct {
	IO   int64 // this boundary of an I/O call: two a call, before and after its effect
	Step int64 // this step of the life
	Once int   // any boundary, once in so many; Config.Faults holds for it
}

// World runs one life after the other. It is for one goroutine at a time.
type World struct {
	cfg   Config
	life  int
	now   time.Duration
	steps int64 // of all lives
	since int64 // steps when this life began
	io    int64 // boundaries of this life
	crash CrashAt
	calm  bool // no faults strike

	tasks   []*task
	current *task
	names   map[string]int // tasks of this life so far, by name
	timers  timers
	ready   []*task      // scratch
	spare   []*coroutine // that run no task
	closed  bool

	dead    bool
	over    error // why the life is over, if it is a failure
	asking  bool  // a task that is resumed tells where it stands, and gives way again
	crashed bool

	outside  uint64 // choices made while no task runs
	lastOp   uint64 // key of the client operation that ran last
	preempts []uint32
	strikes  []uint32
	beat     atomic.Int64
	foreign  atomic.Pointer[string]
	idle     func() bool // whether a life may end because nothing is left to do

	choices    int64    // of a sequential schedule
	departures []Switch // that are still to come
	chosen     *task    // by a Switch: runs next
	order      uint64   // last rank that was given
	code       uint64   // see Config.Boundary
	ownCalls   bool
}

// task is what one coroutine runs.
type task struct {
	name    string
	id      uint64 // of its name: the same whatever others there are
	client  bool
	engine  bool   // runs none but the engine's code
	op      uint64 // key of its present operation; an actor's is that of the client that ran last
	yields  uint64 // within op
	f       func()
	co      *coroutine      // nil: it has not begun
	resting bool            // an actor that waits to be woken
	event   func() bool     // nil: can run
	ctx     context.Context // nil: none
	low     uint64          // priority; the lower runs first
	whole   bool            // its function returned
	pcs     []uintptr       // where it stands, once it was asked
	on      string          // whose doing it waits for, see Wait
	what    string
	actor   actors.Actor // that it runs; nil: none
}

// New returns a World in which nothing has happened.
func New(cfg Config) *World {
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 1 << 20
	}
	return &World{cfg: cfg, names: map[string]int{}, departures: cfg.Switches}
}

// Life is what became of one.
type Life struct {
	Crashed bool // the crash point was reached
	Err     error
	Steps   int64
	IO      int64 // boundaries
}

// Live runs one life: main, and all that it starts, until the crash point, or until done answers
// true, which is asked between two steps, or until nothing is left to run. When all wait and no
// timer is set, idle tells whether that is the end; if not, Err is a *StallError. It is a
// *ForeignError after a call from a goroutine that is no task. What is left stands still until Reap.
func (w *World) Live(crash CrashAt, calm bool, main func(), done, idle func() bool) Life {
	w.life++
	w.dead, w.crashed, w.over = false, false, nil
	w.idle, w.chosen = idle, nil
	w.crash, w.calm, w.io, w.since = crash, calm, 0, w.steps
	w.lastOp = hash(w.cfg.Seed, uint64(w.life))
	w.timers.clear()
	clear(w.names)
	w.Go("main", false, main)
	w.loop(done)
	return Life{Crashed: w.crashed, Err: w.over, Steps: w.steps - w.since, IO: w.io}
}

// Number is the present life's, from 1.
func (w *World) Number() int { return w.life }

// Beat counts up while the world moves. It may be read by another goroutine.
func (w *World) Beat() int64 { return w.beat.Load() }

// Preempts are the keys of the switches that were not needed: another task came in where the
// present one could have gone on. Faults are those of the faults that struck.
func (w *World) Preempts() []uint32 { return w.preempts }

// Faults are the keys of the faults that struck.
func (w *World) Faults() []uint32 { return w.strikes }

// Steps is how many steps all lives took.
func (w *World) Steps() int64 { return w.steps }

// Go starts a task. A client's operations are told apart by BeginOp.
func (w *World) Go(name string, client bool, f func()) {
	n := w.names[name] + 1
	w.names[name] = n
	t := &task{name: name, client: client, f: f, id: hash(hashString(name), uint64(n))}
	if n > 1 {
		t.name = name + "#" + strconv.Itoa(n)
	}
	t.op = hash(t.id, uint64(w.life))
	t.low = hash(w.cfg.Seed^w.cfg.Salt, t.id) >> 2
	if w.cfg.Sequential {
		w.order++
		t.low = w.order
	}
	t.engine = !client && name != "main"
	w.tasks = append(w.tasks, t)
}

// taskBody runs a task. A goroutine is a task's if this is on its stack, see onTask.
//
//go:noinline
func (w *World) taskBody(t *task) {
	defer w.ended(t)
	t.f()
	t.whole = true
}

// ended ends the life after a panic of a task, and notes a Goexit, which ends the caller of Live,
// too. Both are what reaping does, so then they say nothing.
func (w *World) ended(t *task) {
	switch r := recover(); {
	case t.whole || w.dead || w.over != nil:
	case r != nil:
		w.over = &PanicError{Text: fmt.Sprintf("%s: %v\n%s", t.name, r, debug.Stack())}
	default:
		w.over = &GoexitError{Text: fmt.Sprintf("%s ended its goroutine by runtime.Goexit, as t.Fatal does: use Failf of Life or Client\n%s", t.name, debug.Stack())}
	}
}

// Over is why the life is over, if that is a failure. It is for the caller of Live, where a
// GoexitError has kept Live from returning.
func (w *World) Over() error { return w.over }

// BeginOp tells that the present task, a client, begins its n-th operation, and returns the
// operation's key.
func (w *World) BeginOp(n int) uint32 {
	t := w.current
	t.op, t.yields = hash(t.id, uint64(w.life)<<32|uint64(n)), 0
	w.lastOp = t.op
	return uint32(t.op >> 40)
}

// CrashOnce lets this life end at any boundary from here on, once in so many.
func (w *World) CrashOnce(once int) { w.crash.Once = once }

// OwnCalls tells that clients call the disk themselves, so that code of theirs may run between any
// two calls.
func (w *World) OwnCalls() { w.ownCalls = true }

// Stand keeps the present task from ever going on. The life has to end, see done of Live.
func (w *World) Stand() {
	w.MustLive()
	w.current.event = never
	w.giveWay()
}

func never() bool { return false }

// loop picks a task, resumes it until it gives way, and so on.
func (w *World) loop(done func() bool) {
	for !done() {
		next := w.pick()
		if next == nil {
			return
		}
		next.event, next.ctx, w.current = nil, nil, next
		if !next.engine {
			w.code++
		}
		if next.client {
			w.lastOp = next.op
		} else if next.op != w.lastOp {
			next.op, next.yields = w.lastOp, 0
		}
		more := w.run(next)
		w.current = nil
		if !more {
			w.tasks = slices.DeleteFunc(w.tasks, func(t *task) bool { return t == next })
		}
		if w.crashed || w.over != nil {
			return
		}
		if err := w.Foreign(); err != nil {
			w.over = err
			return
		}
	}
}

// step counts a step of the scheduler. It reports whether the life may go on.
func (w *World) step() bool {
	w.steps++
	w.beat.Store(w.steps)
	n := w.steps - w.since
	if n == w.crash.Step {
		w.crashed = true
		return false
	}
	if n > w.cfg.MaxSteps {
		w.over = &StallError{Waits: w.waits(), Tasks: w.describe(), Steps: n}
		return false
	}
	return true
}

// pick returns the task that runs next; nil: the life is over.
func (w *World) pick() *task {
	for {
		if !w.step() {
			return nil
		}
		w.ready = w.ready[:0]
		for _, t := range w.tasks {
			if t.canRun() {
				w.ready = append(w.ready, t)
			}
		}
		if len(w.ready) == 0 {
			if len(w.tasks) == 0 {
				return nil
			}
			if !w.ring() {
				if w.idle() {
					return nil
				}
				w.over = &StallError{Waits: w.waits(), Tasks: w.describe()}
				return nil
			}
			continue
		}
		if n := w.cfg.Strategy.Timers; n > 0 && !w.cfg.Sequential && !w.timers.empty() && hash(w.lastOp, uint64(w.steps))%uint64(n) == 0 {
			w.ring()
			continue
		}
		t := w.choose()
		w.cfg.Log.Mix(t.id)
		return t
	}
}

var _ actors.Runtime = (*World)(nil)

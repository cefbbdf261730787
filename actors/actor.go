package actors

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/messages"
)

// actor is one machine with its mailbox. M is the inbox's message interface.
type actor[M any] struct {
	name  string
	rt    Runtime
	inner chan M // from actors and jobs: never full
	outer chan M // from clients: its capacity is their admission
	limit int

	token atomic.Bool
	taken atomic.Uint64 // messages that Turns have drained
	wake  chan struct{}
	stop  chan struct{}
	ended chan struct{}

	batch   []M
	inline  bool                  // the present Turn is taken by a client
	before  func()                // called when a Turn begins; nil: nothing
	collect func(batch []M) []M   // adds what does not come by channel; nil: nothing
	waiting func() bool           // whether collect would add something; nil: no
	step    func(batch []M) error // one Step, and its delivery
	tick    func(messages.Tick) M
	check   func() error
	waits   func() []messages.Wait // what the machine waits for; nil: never anything
	failed  func(error)            // the machine panicked or gave up
	dead    atomic.Bool            // no Step any more: messages are dropped, their senders are told by Graph.failed

	alarm     atomic.Int64 // nanoseconds of the alarm that is armed; 0: none
	rang      atomic.Bool
	stopAlarm atomic.Pointer[func()]
}

func newActor[M any](name string, rt Runtime, inner, outer, limit int) *actor[M] {
	return &actor[M]{
		name: name, rt: rt, limit: limit,
		inner: make(chan M, inner), outer: make(chan M, outer),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// Name tells which actor this is.
func (a *actor[M]) Name() string { return a.name }

// Woken is signalled when messages wait.
func (a *actor[M]) Woken() <-chan struct{} { return a.wake }

// Stopping is closed by Graph.Stop.
func (a *actor[M]) Stopping() <-chan struct{} { return a.stop }

// Ended tells Graph.Stop that no Turn runs any more.
func (a *actor[M]) Ended() { close(a.ended) }

// Check verifies the machine's invariants, unless a Turn is under way.
func (a *actor[M]) Check() error {
	if a.dead.Load() || !a.token.CompareAndSwap(false, true) {
		return nil
	}
	err := a.check()
	a.token.Store(false)
	if a.Pending() {
		a.wakeUp()
	}
	return err
}

// Waits tells what the machine waits for, unless a Turn is under way.
func (a *actor[M]) Waits() (all []messages.Wait) {
	if a.waits == nil || a.dead.Load() || !a.token.CompareAndSwap(false, true) {
		return nil
	}
	all = a.waits()
	a.token.Store(false)
	return all
}

// Mailbox counts the messages that wait, and those of clients for which there is room in all.
func (a *actor[M]) Mailbox() (waiting, room int) { return len(a.inner) + len(a.outer), cap(a.outer) }

// Pending reports whether messages wait.
func (a *actor[M]) Pending() bool {
	return len(a.inner) > 0 || len(a.outer) > 0 || a.rang.Load() || (a.waiting != nil && a.waiting())
}

// send delivers a message from inside the graph. It never blocks.
func (a *actor[M]) send(m M) {
	select {
	case a.inner <- m:
	default:
		panic(fmt.Sprintf("actors: mailbox of %s is full (%d messages) at %T", a.name, cap(a.inner), m))
	}
}

// offer puts a client's message into the mailbox if there is room.
func (a *actor[M]) offer(m M) bool {
	select {
	case a.outer <- m:
		return true
	default:
		return false
	}
}

// wakeUp makes sure that a Turn will come.
func (a *actor[M]) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Turn takes one turn if the token is free. After it has given the token back it looks at the
// mailbox once more, because whoever sent in between found the token taken and relied on it:
//
//	holder                        sender
//	drains: empty
//	                              sends
//	                              token is taken: leaves
//	gives the token back
//	sees the message, wakes
func (a *actor[M]) Turn(limit int) (more bool) { return a.turn(limit, false) }

// turn is Turn; inline says that a client takes it, who will see to the actors downstream.
func (a *actor[M]) turn(limit int, inline bool) (more bool) {
	if !a.token.CompareAndSwap(false, true) {
		return false
	}
	if limit <= 0 {
		limit = a.limit
	}
	a.inline = inline
	if a.before != nil {
		a.before()
	}
	a.batch = a.drain(a.batch[:0], limit)
	if len(a.batch) > 0 {
		a.taken.Add(uint64(len(a.batch)))
		a.run(a.batch)
		clear(a.batch)
	}
	a.token.Store(false)
	if a.Pending() {
		a.wakeUp()
		return true
	}
	return false
}

// drain takes waiting messages, those from inside first: they free what clients wait for.
func (a *actor[M]) drain(batch []M, limit int) []M {
	if a.rang.Load() {
		a.rang.Store(false)
		batch = append(batch, a.tick(messages.Tick{Now: a.rt.Now()}))
	}
	if a.collect != nil {
		batch = a.collect(batch)
	}
	for _, ch := range [2]chan M{a.inner, a.outer} {
		for n := len(ch); n > 0 && len(batch) < limit; n-- {
			batch = append(batch, <-ch)
		}
	}
	return batch
}

// run steps the machine; a panic or an error of its Step ends the machine, not the process.
func (a *actor[M]) run(batch []M) {
	if a.dead.Load() {
		return
	}
	done := false
	defer func() {
		if done {
			return
		}
		r := recover()
		if r == nil {
			return // Goexit: the simulator ended this life; neither an error nor a panic
		}
		a.dead.Store(true)
		a.failed(fmt.Errorf("%s: %v\n%s", a.name, r, debug.Stack()))
	}()
	if err := a.step(batch); err != nil {
		panic(err)
	}
	done = true
}

// setAlarm arranges a Tick d from now. An alarm that rings earlier serves as well, and takes the
// place of one that rings later: a machine asks anew after a Tick.
func (a *actor[M]) setAlarm(d time.Duration) {
	if d <= 0 {
		return
	}
	if armed := a.alarm.Load(); armed != 0 && armed <= int64(d) {
		return
	}
	a.alarm.Store(int64(d))
	stop := a.rt.After(d, func() {
		a.alarm.Store(0)
		a.rang.Store(true)
		a.wakeUp()
	})
	if later := a.stopAlarm.Swap(&stop); later != nil {
		(*later)()
	}
}

// end stops the actor after its mailbox is empty and waits for it.
func (a *actor[M]) end() {
	close(a.stop)
	a.wakeUp()
	a.rt.Wait(context.Background(), a.name, "its end", func() bool { return isClosed(a.ended) })
	<-a.ended
	if stop := a.stopAlarm.Load(); stop != nil {
		(*stop)()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

package world

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/trace"
)

// background is for waits that nothing ends but their event.
var background = context.Background()

// Park implements actors.Runtime.
func (w *World) Park(ctx context.Context, event func() bool) {
	w.MustLive()
	if !w.current.engine {
		w.code++
	}
	if event == nil {
		if w.preempt(w.cfg.Strategy.Yield) {
			w.giveWay()
		}
		return
	}
	if (event() || ctx != nil && ctx.Err() != nil) && !w.preempt(w.cfg.Strategy.Wait) {
		return
	}
	w.current.event, w.current.ctx = event, ctx // who comes in may take away what was there
	w.giveWay()
}

// giveWay lets the scheduler choose. It does not return to a life that is over.
func (w *World) giveWay() {
	if !w.pause() {
		runtime.Goexit()
	}
}

// pause is giveWay, and returns to a life that is over: it reports whether it goes on.
func (w *World) pause() bool {
	t := w.current
	for t.co.yield(struct{}{}) {
		if !w.asking {
			return !w.dead
		}
		t.stand()
	}
	return false
}

// MustLive ends the calling task if its life is over, and refuses goroutines that are not tasks.
func (w *World) MustLive() {
	if w.dead {
		runtime.Goexit()
	}
	t := w.current
	if t == nil || w.cfg.Strict && !t.owns() {
		w.refuse()
	}
}

// refuse reports a call from a goroutine that is no task, and stops that goroutine for good: it
// must not touch a store whose tasks run one at a time.
func (w *World) refuse() {
	buf := make([]byte, 8<<10)
	text := fmt.Sprintf("the store was called from a goroutine that the simulator did not start; use Life.Go instead of go:\n%s", buf[:runtime.Stack(buf, false)])
	w.foreign.CompareAndSwap(nil, &text)
	runtime.Goexit()
}

// owns reports whether the calling goroutine is the task's. It knows places on the task's stack: a
// place that was found to be on it once still is, and other goroutines have other stacks. Only when a
// stack has moved could another goroutine call from the same place, and not be found out that once.
//
//go:noinline
func (t *task) owns() bool {
	var here byte
	place := uintptr(unsafe.Pointer(&here))
	known := &t.co.places[place>>3%uintptr(len(t.co.places))]
	if *known == place {
		return true
	}
	if !onTask() {
		return false
	}
	*known = place
	return true
}

// onTask reports whether the calling goroutine is one of a World's: taskBody is among the outermost
// callers. As tasks run one at a time it then is the present one.
func onTask() bool {
	var pcs [128]uintptr
	all := pcs[:runtime.Callers(0, pcs[:])]
	if len(all) == len(pcs) {
		return bytes.Contains(debug.Stack(), []byte("world.(*World).taskBody"))
	}
	const outer = 8 // package iter and the runtime put some frames below it
	for _, pc := range all[max(0, len(all)-outer):] {
		if runtime.FuncForPC(pc-1).Entry() == bodyEntry {
			return true
		}
	}
	return false
}

var bodyEntry = reflect.ValueOf((*World).taskBody).Pointer()

// Effect implements actors.Runtime.
func (w *World) Effect(from, to string, what messages.Message) {
	w.MustLive()
	if from == "" {
		from = w.current.name
	}
	if w.cfg.Observe != nil {
		w.cfg.Observe(from, to, what)
	}
	if w.cfg.Words {
		kind := trace.Send
		switch to {
		case "":
			kind = trace.Publish
		case "client":
			kind = trace.Answer
		}
		w.Record(trace.Event{Kind: kind, From: from, To: to, Text: what.String()})
	}
	if w.preempt(w.cfg.Strategy.Effect) {
		w.giveWay()
	}
}

// Record adds an event to the trace; the world fills in when it was, and who, if From is empty.
func (w *World) Record(e trace.Event) {
	if w.dead && w.current != nil {
		return // what deferred functions say after the end has not happened
	}
	e.Step, e.Life, e.Time = w.steps, w.life, w.now
	if e.From == "" {
		e.From = "world"
		if w.current != nil {
			e.From = w.current.name
		}
	}
	w.cfg.Log.Add(e)
}

// Words reports whether texts are wanted.
func (w *World) Words() bool { return w.cfg.Words }

// Start implements actors.Runtime: an actor takes Turns when it was woken.
func (w *World) Start(a actors.Actor) {
	wake, stop := a.Woken(), a.Stopping()
	woken := func() bool { return len(wake) > 0 || isClosed(stop) }
	w.Go(a.Name(), false, func() {
		for {
			if !w.rest(woken) {
				return
			}
			if len(a.Woken()) == 0 {
				break
			}
			<-a.Woken()
			a.Turn(w.batch())
			w.check(a)
		}
		for a.Pending() {
			a.Turn(0)
		}
		w.check(a)
		a.Ended()
	})
	w.tasks[len(w.tasks)-1].actor = a
}

// rest is Park for an actor that waits to be woken: at the end of the life it returns, and answers
// false.
func (w *World) rest(woken func() bool) bool {
	w.MustLive()
	if woken() && !w.preempt(w.cfg.Strategy.Wait) {
		return true
	}
	t := w.current
	t.event, t.resting = woken, true
	live := w.pause()
	t.resting = false
	return live
}

// batch draws how many messages a Turn drains.
func (w *World) batch() int {
	n := w.cfg.Strategy.Batch
	if n == 0 {
		return 0
	}
	return 1 + int(w.key(forBatch)%uint64(n))
}

// check has a machine check its invariants, now and then.
func (w *World) check(a actors.Actor) {
	n := w.cfg.Strategy.Check
	if n == 0 || w.key(forCheck)%uint64(n) != 0 {
		return
	}
	if err := a.Check(); err != nil {
		w.Fail(fmt.Errorf("an invariant of %s does not hold: %w", a.Name(), err))
	}
}

// Fail ends the run with an error.
func (w *World) Fail(err error) {
	if w.over == nil {
		w.over = err
	}
	w.giveWay()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// Job implements actors.Runtime. The task of a "*flusher.flushJob" is called "job flush".
func (w *World) Job(name string, run func()) {
	_, kind, _ := strings.Cut(name, ".")
	w.Go("job "+strings.TrimSuffix(kind, "Job"), false, run)
}

// Parallel implements actors.Runtime: one after the other, others may come in between.
func (w *World) Parallel(n int, f func(i int)) {
	for i := range n {
		f(i)
		w.Park(background, nil)
	}
}

// Yield implements actors.Runtime. A microsecond goes by, so that who waits by the clock and
// yields comes to an end.
func (w *World) Yield() {
	w.now += time.Microsecond
	w.Park(background, nil)
}

// Inline implements actors.Runtime.
func (w *World) Inline() bool { return w.cfg.Strategy.Inline }

// LiveRatio is the same whatever the collector of this process is set to.
func (w *World) LiveRatio() float64 { return 0.5 }

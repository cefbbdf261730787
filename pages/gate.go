package pages

import (
	"context"
	"slices"
	"sync"
)

// Waiter is the part of the engine's Runtime that readers need. In production it does nothing.
type Waiter interface {
	// Park lets another task come in, until event is true (nil: once) or ctx ends.
	Park(ctx context.Context, event func() bool)
	// Wait comes before every wait: Park for an event that an actor brings about, on (empty: nobody in particular); what
	// tells what is waited for.
	Wait(ctx context.Context, on, what string, event func() bool)
}

// noWait is the Waiter of a cache that was given none.
type noWait struct{}

func (noWait) Park(context.Context, func() bool) {}

func (noWait) Wait(context.Context, string, string, func() bool) {}

// gate lets goroutines wait until an event has come, or their context has ended. The event is
// a condition on atomics; whoever makes it true calls open afterwards.
//
// Why no wake-up is lost: a waiter joins and then looks at the event again.
//
//	waiter                     opener
//	join the list
//	event()? no, so it was    …
//	not true before:          makes event true
//	receive ◄──────────────── open: takes the list, with the waiter on it, and sends
//
// The mutex guards the list alone; it is never held across a wait.
type gate struct {
	mu      sync.Mutex
	waiters []chan struct{}
}

// wait returns nil once event is true, or the context's error. on and what are Waiter's.
func (g *gate) wait(ctx context.Context, w Waiter, on, what string, event func() bool) error {
	for {
		w.Wait(ctx, on, what, event)
		if event() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		g.sleep(ctx, event)
	}
}

// sleep returns after the next open, or when the context ends, or at once if event is true.
func (g *gate) sleep(ctx context.Context, event func() bool) {
	ch := make(chan struct{}, 2) // one signal from open and one from the context: no sender waits
	g.mu.Lock()
	g.waiters = append(g.waiters, ch)
	g.mu.Unlock()
	if event() {
		g.leave(ch)
		return
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { ch <- struct{}{} })
		defer stop()
	}
	<-ch
	g.leave(ch)
}

func (g *gate) leave(ch chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiters, ch); i >= 0 {
		g.waiters = slices.Delete(g.waiters, i, i+1)
	}
}

// open wakes everyone who waits now.
func (g *gate) open() {
	g.mu.Lock()
	waiters := g.waiters
	g.waiters = nil
	g.mu.Unlock()
	for _, ch := range waiters {
		ch <- struct{}{}
	}
}

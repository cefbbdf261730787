// Package group lets one of several waiting callers do the work of all: a group commit for engines
// that are called through C, where a goroutine that waits in C holds an OS thread.
package group

import (
	"runtime"
	"sync"
)

// Group runs one call of its function at a time, each with all requests that gathered meanwhile.
// A lone caller runs the function at once and in its own goroutine.
type Group[R any] struct {
	run func([]R)

	mu   sync.Mutex
	busy bool       // a caller is in run, or is about to be
	open *gather[R] // what waits for it to end
	free *gather[R] // one that has served
	lone [1]R       // the request of a lone caller, which holds busy
}

// gather is a set of requests that run together. The caller that was first in it runs them.
type gather[R any] struct {
	requests []R
	lead     chan struct{} // tells the first caller that it is its turn
	done     chan struct{} // closed when all have been run; nil if there is no second caller
}

// New returns a group that serves requests by run. run leaves each outcome in its request.
func New[R any](run func([]R)) *Group[R] {
	return &Group[R]{run: run, open: newGather[R]()}
}

func newGather[R any]() *gather[R] { return &gather[R]{lead: make(chan struct{}, 1)} }

// Do returns when request has been run. It is safe for concurrent use; the request must not call
// Do of the same group.
func (g *Group[R]) Do(request R) {
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		defer g.pass(nil, nil)
		g.lone[0] = request
		g.run(g.lone[:])
		return
	}
	mine := g.open
	mine.requests = append(mine.requests, request)
	if len(mine.requests) > 1 {
		if mine.done == nil {
			mine.done = make(chan struct{})
		}
		done := mine.done
		g.mu.Unlock()
		<-done
		return
	}
	g.mu.Unlock()
	<-mine.lead
	// The callers that were served last run before this one goes on, and may have more to add.
	runtime.Gosched()
	g.mu.Lock()
	g.open, g.free = g.free, nil
	if g.open == nil {
		g.open = newGather[R]()
	}
	g.mu.Unlock()
	defer g.pass(mine, mine.done)
	g.run(mine.requests)
}

// pass gives the turn to the callers that wait, and releases those that were served by the set
// that has ended. It runs when the caller's goroutine ends within run, too.
func (g *Group[R]) pass(ended *gather[R], done chan struct{}) {
	if ended != nil {
		clear(ended.requests)
		ended.requests, ended.done = ended.requests[:0], nil
	}
	g.mu.Lock()
	clear(g.lone[:])
	if ended != nil {
		g.free = ended
	}
	g.busy = len(g.open.requests) > 0
	if g.busy {
		g.open.lead <- struct{}{}
	}
	g.mu.Unlock()
	if done != nil {
		close(done)
	}
}

package actors

import (
	"context"
	"sync/atomic"
)

// Gate admits calls until it is shut, and lets whoever shuts it wait for those inside.
type Gate struct {
	inside atomic.Int64
	shut   atomic.Bool
	empty  chan struct{}
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{empty: make(chan struct{}, 1)} }

// Enter admits a call, or answers false once the gate is shut. Every true is followed by one
// Leave.
func (g *Gate) Enter() bool {
	g.inside.Add(1)
	if g.shut.Load() {
		g.Leave()
		return false
	}
	return true
}

// Leave ends a call.
func (g *Gate) Leave() {
	if g.inside.Add(-1) == 0 && g.shut.Load() {
		select {
		case g.empty <- struct{}{}:
		default:
		}
	}
}

// IsShut reports whether Shut was called.
func (g *Gate) IsShut() bool { return g.shut.Load() }

// Shut closes the gate and returns when nobody is inside. It is called once.
func (g *Gate) Shut(rt Runtime) {
	g.shut.Store(true)
	for g.inside.Load() > 0 {
		rt.Wait(context.Background(), AllCalls, "their end", func() bool { return len(g.empty) > 0 })
		<-g.empty
	}
}

// Latch lets any number of callers wait for one thing that happens once.
type Latch struct{ happened chan struct{} }

// NewLatch returns a Latch whose thing has not happened.
func NewLatch() *Latch { return &Latch{happened: make(chan struct{})} }

// Open tells that it has happened. It is called once.
func (l *Latch) Open() { close(l.happened) }

// Wait returns when it has happened.
func (l *Latch) Wait(rt Runtime) {
	rt.Wait(context.Background(), "", "what another call is doing", func() bool { return isClosed(l.happened) })
	<-l.happened
}

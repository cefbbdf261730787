package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/trace"
)

// Life is one process on the simulated machine: from its start to its crash or its end. The
// subject is called with it, as main would be: it opens its store on Options or Backend, audits
// what it finds, starts clients by Go, and returns. All of Life is for the subject and its clients,
// which run one at a time; no other goroutine may call it, or the store.
type Life struct {
	run     *run
	number  int
	last    bool
	mounted *disk.Mounted
	options aegis.Options
	before  int // faults that had struck when it began

	closers []func() error
	busy    int // main, from before it begins, and clients that have not ended
	closing bool
	closed  bool
	gaveUp  bool
	linger  int64 // step at which the life ends after the clients are done
}

// Options returns options for aegis.Open on this life's disk and in its world: small, so that
// flushes, merges and rotations happen within a few operations. The caller may change what it
// wants, but Backend and Runtime have to stay.
func (l *Life) Options() *aegis.Options {
	o := l.options
	limits := *o.Limits
	o.Limits = &limits
	return &o
}

// Backend returns this life's disk, for those who test a store or a Backend of their own.
func (l *Life) Backend() backends.Backend {
	l.run.world.OwnCalls()
	return l.mounted
}

// Context returns a context that never ends. A life that is over ends its tasks where they stand.
func (l *Life) Context() context.Context { return context.Background() }

// Now is the time of day in the world. It goes on from life to life.
func (l *Life) Now() time.Time { return l.run.world.Now() }

// Number counts the lives of a run from 1.
func (l *Life) Number() int { return l.number }

// Last reports whether this is the last life: no faults, no crash, and Client.Next answers false.
// It is there for the audit.
func (l *Life) Last() bool { return l.last }

// Before tells how the life before this one ended; Drawn in the first.
func (l *Life) Before() EndKind { return l.run.before }

// Seed is the run's. Subjects draw from it what they want to vary from run to run, by Intn.
func (l *Life) Seed() uint64 { return l.run.plan.Seed }

// Mode is Plan.Mode.
func (l *Life) Mode() uint8 { return l.run.plan.Mode }

// Profile is the disk's.
func (l *Life) Profile() disk.Profile { return l.run.drawn.profile }

// Calm reports whether no fault but crashes has struck in this run so far. Then every error of
// the store is a failure, and a store that has lost something has no excuse.
func (l *Life) Calm() bool { return l.strikes() == 0 }

// strikes counts the faults so far, crashes left out.
func (l *Life) strikes() int { return l.run.struck }

// Intn returns a number in [0, n) that the seed and the name decide: the same in each life.
func (l *Life) Intn(name string, n int) int { return dice{l.run.plan.Seed}.n("subject "+name, n) }

// Go starts a client. The life goes on until all of them have returned, or to its crash. f runs
// as ordinary blocking code on its own stack. It must not hold a mutex while it calls the store:
// another client that wants it would block the whole world.
func (l *Life) Go(name string, f func(c *Client)) {
	l.run.clients++
	c := &Client{life: l, name: name}
	l.busy++
	l.run.world.Go(name, true, func() {
		c.begin()
		l.guard(func() { f(c) })
		c.end("")
		l.busy--
	})
}

// AtClose has f called when the life ends in an orderly way: after all clients returned, the last
// one added first. An error of f is a failure unless a fault explains it. A life that has none
// never ends in an orderly way.
func (l *Life) AtClose(f func() error) { l.closers = append(l.closers, f) }

// Must is for errors that must not be. nil does nothing. An error that faults of the disk explain
// ends this life, like a program that gives up; any other ends the run as a failure. It returns
// only for nil.
func (l *Life) Must(err error) {
	if err == nil {
		return
	}
	if l.explained(err) {
		l.GiveUp(err.Error())
	}
	l.Fail("error", "%v", err)
}

// Excuse is Must for an error that the caller can go on after: an error that faults of the disk
// explain is let pass, any other ends the run as a failure.
func (l *Life) Excuse(err error) {
	if !l.Explained(err) {
		l.Must(err)
	}
}

// GiveUp ends this life here, like a program that exits. It does not return.
func (l *Life) GiveUp(why string) {
	l.run.world.MustLive()
	l.run.note(trace.Note, "gives up: "+why)
	l.gaveUp = true
	l.run.stand()
}

// explained reports whether err is one that a store may answer after the faults that struck.
func (l *Life) explained(err error) bool {
	var corrupt *aegis.CorruptionError
	p := &l.run.drawn.profile
	if errors.Is(err, messages.ErrBroken) {
		return false // no fault of the disk explains a defect of the engine
	}
	if errors.As(err, &corrupt) {
		return (p.Has(disk.Media) || p.Has(disk.Lying)) && l.run.struck > 0
	}
	damaged := p.Has(disk.Lying) || p.Has(disk.Media) && l.run.struck > 0 // for good, so also in later lives
	if l.run.struck == l.before && !damaged {
		return false
	}
	for _, known := range []error{syscall.EIO, syscall.ENOSPC, aegis.ErrNoSpace, aegis.ErrPoisoned, aegis.ErrStalled} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// Explained reports whether err is one that a store may answer after the faults that struck in this
// life; nil is.
func (l *Life) Explained(err error) bool { return err == nil || l.explained(err) }

// Failf ends the run as a failure of the subject's own. It does not return.
func (l *Life) Failf(format string, args ...any) { l.Fail("subject", format, args...) }

// Fail is Failf with the name of the check that found it: shrinking keeps to failures of one
// check. It does not return.
func (l *Life) Fail(check, format string, args ...any) {
	l.run.world.MustLive()
	l.run.fail(check, fmt.Sprintf(format, args...))
	l.run.stand()
}

// Observe has f told of every message of the actors and their answers to clients in this life, in
// the order in which they take effect. from is the sending actor or client, to the receiving actor,
// "client", or "" for what is published. f must neither wait nor keep what. It may end the run by
// Fail. Those that were given earlier are told, too.
func (l *Life) Observe(f func(from, to string, what messages.Message)) {
	l.run.observers = append(l.run.observers, f)
}

// Traced reports whether the run's trace is kept, so that remarks that cost something can be left
// out where nobody will read them.
func (l *Life) Traced() bool { return l.run.world.Words() }

// Logf adds a remark to the trace.
func (l *Life) Logf(format string, args ...any) {
	if l.run.world.Words() {
		l.run.note(trace.Note, fmt.Sprintf(format, args...))
	}
}

// Cover adds n to a named count of the run, see Result.Cover.
func (l *Life) Cover(name string, n uint64) {
	if n > 0 {
		l.run.cover[name] += n
	}
}

// Step is a clock for histories: each call returns a higher number, also from life to life. What was
// stamped before something else happened before it.
func (l *Life) Step() int64 {
	l.run.clock++
	return l.run.clock
}

// guard turns a panic into a failure. A Goexit, the end of a life, passes.
func (l *Life) guard(f func()) {
	defer func() {
		if r := recover(); r != nil {
			l.Fail("panic", "%v\n%s", r, debug.Stack())
		}
	}()
	f()
}

// begin runs the subject.
func (l *Life) begin(subject func(*Life)) {
	l.guard(func() { subject(l) })
	l.busy--
}

// done is asked between two steps whether the life is over.
func (l *Life) done() bool {
	switch {
	case l.gaveUp || l.run.failure != nil:
		return true
	case l.busy > 0:
		return false
	case l.closing:
		return l.closed
	case l.wantsClose():
		l.closing = true
		l.run.world.Go("close", true, func() { l.guard(l.close) })
		return false
	}
	// In some lives work in the background goes on for a while before the end.
	w := l.run.world
	if l.linger == 0 {
		if l.linger = w.Steps(); w.Draw(4) == 0 {
			l.linger += int64(w.Draw(200))
		}
	}
	return w.Steps() >= l.linger
}

// idle reports whether the life may end because nothing is left to do.
func (l *Life) idle() bool { return l.busy == 0 && !l.closing }

func (l *Life) wantsClose() bool {
	e := &l.run.end
	return len(l.closers) > 0 && (l.last || e.Kind == Close || e.inClose || e.At.IO > 0)
}

func (l *Life) close() {
	if l.run.end.inClose {
		l.run.world.CrashOnce(l.run.end.At.Once)
	}
	for i := len(l.closers) - 1; i >= 0; i-- {
		l.Must(l.closers[i]())
	}
	l.closed = true
}

package world

import (
	"runtime"
	"testing"
)

// settles waits until there are as many goroutines as before: they end a moment after they were
// stopped.
func settles(t *testing.T, before int) {
	t.Helper()
	for range 1_000_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
}

// Tasks that come one after the other run on one coroutine, also those of later lives; Close ends it.
func TestCoroutinesAreReused(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(1, Strategy{})
	ran := 0
	for range 3 {
		w.Live(CrashAt{}, false, func() {
			for range 20 {
				done := false
				w.Go("task", false, func() { ran, done = ran+1, true })
				w.Park(background, func() bool { return done })
			}
		}, endless, endless)
		w.Reap()
	}
	if ran != 60 || len(w.spare) != 2 || runtime.NumGoroutine() > before+2 {
		t.Errorf("%d tasks ran on %d coroutines, there are %d goroutines more", ran, len(w.spare), runtime.NumGoroutine()-before)
	}
	w.Close()
	settles(t, before)
}

// A task whose end comes after Close leaves no coroutine behind.
func TestReapAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(1, Strategy{})
	woken := func() bool { return false }
	w.Live(CrashAt{}, false, func() {
		w.Go("actor", false, func() { w.rest(woken) })
	}, endless, func() bool { return true })
	w.Close()
	w.Reap()
	settles(t, before)
}

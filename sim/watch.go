package sim

import (
	"runtime"
	"time"
)

// blockedAfter is how long the world may stand still, by the process's clock.
const blockedAfter = 30 * time.Second

// blockedCheck is the check that finds a world that stands still.
const blockedCheck = "blocked"

// watched runs all lives, on a goroutine of their own, and returns what became of them. When the
// world does not move any more, because a client waits for something that is not the store's, it
// says so, and leaves that goroutine behind.
func (r *run) watched(lives func()) *Result {
	ended := make(chan bool, 1)
	go func() {
		whole := false
		defer func() { ended <- whole }()
		lives()
		whole = true
	}()
	watch := time.NewTimer(blockedAfter)
	defer watch.Stop()
	for beat := int64(-1); ; {
		select {
		case whole := <-ended:
			if !whole && r.failure == nil {
				r.fail("goexit", "a client ended its goroutine by runtime.Goexit, as t.Fatal does: use Failf of Life or Client")
			}
			return r.finished()
		case <-watch.C:
			now := r.world.Beat()
			if now != beat {
				beat = now
				watch.Reset(blockedAfter)
				continue
			}
			return &Result{Plan: r.plan, Profile: r.drawn.profile.Name, Failure: &Failure{Check: blockedCheck, Text: blockedText()}}
		}
	}
}

// blockedText says where all goroutines stand.
func blockedText() string {
	buf := make([]byte, 64<<10)
	return "a client waits for something that is not the store's: a mutex that another client holds across a call of the store, or a channel. All stacks:\n" +
		string(buf[:runtime.Stack(buf, true)])
}

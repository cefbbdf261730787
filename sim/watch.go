package sim

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// blockedAfter is how long the world may stand still, by the process's clock. It is looked at
// blockedLooks times meanwhile: a process that gets no processor misses looks, and its world is not blocked.
var blockedAfter = 30 * time.Second

const blockedLooks = 60

// blockedCheck is the check that finds a world that stands still.
const blockedCheck = "blocked"

// watched runs all lives, on a goroutine of their own, and returns what became of them. When the
// world does not move any more, because a client waits for something that is not the store's, it
// says so, and leaves that goroutine behind.
func (r *run) watched(lives func()) *Result {
	ended := make(chan struct{})
	go func() {
		whole := false
		defer func() {
			if !whole {
				r.cutShort(recover())
			}
			close(ended)
		}()
		lives()
		whole = true
	}()
	watch := time.NewTicker(blockedAfter / blockedLooks)
	defer watch.Stop()
	beat := int64(-1)
	for still := 0; still < blockedLooks; {
		select {
		case <-ended:
			return r.finished()
		case <-watch.C:
			if now := r.world.Beat(); now != beat {
				beat, still = now, 0
			}
			still++
		}
	}
	return &Result{Plan: r.plan, Profile: r.drawn.profile.Name, Failure: r.blocked()}
}

// cutShort tells why the lives have not ended by themselves: the subject's constructor panicked, or
// a Goexit of a task has ended everything.
func (r *run) cutShort(panicked any) {
	switch err := r.world.Over(); {
	case panicked != nil:
		r.fail("panic", fmt.Sprintf("%v\n%s", panicked, debug.Stack()))
	case err != nil:
		r.fail(checkOf(err), err.Error())
	default:
		r.fail("goexit", "the subject ended its goroutine by runtime.Goexit, as t.Fatal does: use Failf of Life")
	}
	r.world.Reap()
}

// blocked tells why the world stands still.
func (r *run) blocked() *Failure {
	if err := r.world.Foreign(); err != nil { // somebody waits for that goroutine
		return &Failure{Check: checkOf(err), Text: err.Error()}
	}
	return &Failure{Check: blockedCheck, Text: blockedText()}
}

// blockedText says where all goroutines stand.
func blockedText() string {
	buf := make([]byte, 64<<10)
	return "a client waits for something that is not the store's: a mutex that another client holds across a call of the store, or a channel. All stacks:\n" +
		string(buf[:runtime.Stack(buf, true)])
}

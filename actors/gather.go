package actors

import (
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/messages"
)

// gathering lets the log writer wait a few microseconds before it closes a group, until about as
// many commits are there as clients took part lately. Without it clients split into two cohorts:
// while one waits for its sync the other gathers, and every sync carries half of them.
//
// It only decides when a Turn begins, never what it does, so the simulator needs none of it.
type gathering struct {
	queued atomic.Int64 // commits in Appends that walwriter has not drained
	want   atomic.Int64 // commits of the last synced group, and of those that waited behind it
}

// gatherBase and gatherEach bound the wait: about what a client takes to hear of its commit and
// to make the next.
const (
	gatherBase = 2 * time.Microsecond
	gatherEach = 2 * time.Microsecond
	gatherMost = 50 * time.Microsecond
)

// wait yields until enough commits are queued, or the time is up. One client never waits: its
// own commit is all that it waits for.
func (t *gathering) wait(rt Runtime) {
	want := t.want.Load()
	if queued := t.queued.Load(); queued == 0 || queued >= want {
		return
	}
	start := rt.Now()
	limit := min(gatherBase+time.Duration(want)*gatherEach, gatherMost)
	for t.queued.Load() < want && rt.Now().Sub(start) < limit {
		rt.Yield()
	}
}

// drained takes the Appends of a Turn off the queue and returns their commits.
func (t *gathering) drained(batch []messages.ToWalwriter) (commits int64, synced bool) {
	for _, m := range batch {
		if a, ok := m.(messages.Append); ok {
			commits += int64(a.Count)
			synced = synced || a.Sync
		}
	}
	t.queued.Add(-commits)
	return commits, synced
}

// written notes how many clients there seem to be, at the end of a synced group.
func (t *gathering) written(commits int64) { t.want.Store(commits + t.queued.Load()) }

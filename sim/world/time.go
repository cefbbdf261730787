package world

import (
	"context"
	"time"

	"github.com/aegis-storage/aegis/sim/trace"
)

// epoch is when every run begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// timers are few, so they are a list.
type timers struct {
	list []*timer
	made uint64
}

type timer struct {
	at      time.Duration
	number  uint64
	ring    func()
	stopped bool
}

func (t *timers) clear() { t.list = t.list[:0] }

// empty drops stopped timers from the end, and reports whether none is left there.
func (t *timers) empty() bool {
	for n := len(t.list); n > 0 && t.list[n-1].stopped; n-- {
		t.list = t.list[:n-1]
	}
	return len(t.list) == 0
}

// take removes the timer that rings first; nil: there is none.
func (t *timers) take() *timer {
	best := -1
	kept := t.list[:0]
	for _, x := range t.list {
		if x.stopped {
			continue
		}
		if best < 0 || x.at < kept[best].at || x.at == kept[best].at && x.number < kept[best].number {
			best = len(kept)
		}
		kept = append(kept, x)
	}
	t.list = kept
	if best < 0 {
		return nil
	}
	x := kept[best]
	kept[best] = kept[len(kept)-1]
	t.list = kept[:len(kept)-1]
	return x
}

// ring lets the next timer ring.
func (w *World) ring() bool {
	t := w.timers.take()
	if t == nil {
		return false
	}
	w.now = max(w.now, t.at)
	w.cfg.Log.Mix(uint64(w.now))
	if w.cfg.Words {
		w.Record(trace.Event{Kind: trace.Time, Text: "a timer rings"})
	}
	t.ring()
	return true
}

// Now implements actors.Runtime.
func (w *World) Now() time.Time { return epoch.Add(w.now) }

// Elapsed is the virtual time since the run began.
func (w *World) Elapsed() time.Duration { return w.now }

// After implements actors.Runtime. f runs between two steps and must not wait.
func (w *World) After(d time.Duration, f func()) (stop func()) {
	w.timers.made++
	t := &timer{at: w.now + max(d, 0), number: w.timers.made, ring: f}
	w.timers.list = append(w.timers.list, t)
	return func() { t.stopped = true }
}

// Sleep lets virtual time go by.
func (w *World) Sleep(d time.Duration) {
	woken := false
	w.After(d, func() { woken = true })
	w.Park(context.Background(), func() bool { return woken })
}

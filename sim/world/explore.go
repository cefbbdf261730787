package world

// Switch is a departure from the sequential schedule: at the choice of this number, the task that
// would have run falls to the end of the order, and another one runs instead.
type Switch struct {
	At int64 // choices count from 1, over all lives
	To int   // which of the others that can run, in the order in which they were started
}

// The sequential schedule is the one that a World with Config.Sequential follows. A task runs until
// it has to wait. Then the first in order runs, and all stand in the order in which they were
// started. Timers ring when nothing else can run. What a Switch has left stands behind all that are
// started later, too: it runs again when it is chosen, or when nothing else can. So one Switch that
// leaves a task in the middle and one that comes back to it stop it for any stretch of the run.

// fallen is set in the rank of a task that a Switch has left.
const fallen = 1 << 63

// first returns the task that the sequential schedule runs next; a choice may change that.
func (w *World) first() *task {
	if chosen := w.chosen; chosen != nil {
		w.chosen = nil
		return chosen
	}
	best := w.ready[0]
	for _, t := range w.ready[1:] {
		if t.low < best.low {
			best = t
		}
	}
	if other := w.choice(best); other != nil {
		return other
	}
	return best
}

// switches decides whether the present task gives way although it can go on.
func (w *World) switches() bool {
	other := w.choice(w.current)
	w.chosen = other
	return other != nil
}

// choice counts a point at which another task than t may run. It returns that one if there is a
// Switch here.
func (w *World) choice(t *task) *task {
	w.choices++
	if len(w.departures) > 0 {
		if w.departures[0].At != w.choices {
			return nil
		}
		to := w.departures[0].To
		w.departures = w.departures[1:]
		for _, other := range w.tasks {
			if other == t || !other.canRun() {
				continue
			}
			if to == 0 {
				w.order++
				t.low = fallen | w.order
				return other
			}
			to--
		}
		return nil
	}
	if w.cfg.Choice == nil || w.calm {
		return nil
	}
	others := 0
	for _, other := range w.tasks {
		if other != t && other.canRun() {
			others++
		}
	}
	if others > 0 {
		w.cfg.Choice(w.life, w.choices, others)
	}
	return nil
}

// canRun reports whether what the task waits for is there.
func (t *task) canRun() bool {
	return t.event == nil || t.event() || t.ctx != nil && t.ctx.Err() != nil
}

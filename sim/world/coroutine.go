package world

import "iter"

// coroutine runs one task after the other: the next one finds a stack that is grown already.
type coroutine struct {
	resume func() (struct{}, bool) // runs its task until that gives way or has ended
	stop   func()
	yield  func(struct{}) bool
	task   *task        // nil: it has ended
	places *[32]uintptr // with Strict: on its stack, see owns
}

// coroutine returns one that has no task.
func (w *World) coroutine() *coroutine {
	if n := len(w.spare); n > 0 {
		c := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return c
	}
	c := &coroutine{}
	if w.cfg.Strict {
		c.places = new([32]uintptr)
	}
	c.resume, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		grow(w.life)
		for more := true; more; more = yield(struct{}{}) {
			w.taskBody(c.task)
			c.task = nil
		}
	})
	return c
}

// grow makes the stack large enough for most tasks, while there is next to nothing on it to be moved.
//
//go:noinline
func grow(at int) byte {
	var room [taskStack]byte // the index keeps it from being left out
	return room[at%taskStack]
}

// taskStack is how much stack a task finds, in bytes.
const taskStack = 8 << 10

// run resumes a task until it gives way, and reports whether it goes on.
func (w *World) run(t *task) (more bool) {
	c := t.co
	if c == nil {
		c = w.coroutine()
		t.co, c.task = c, t
	}
	c.resume()
	if c.task != nil {
		return true
	}
	if w.closed {
		c.stop()
	} else {
		w.spare = append(w.spare, c)
	}
	return false
}

// Reap ends every task where it stands. Deferred functions run; their waits and their I/O end them
// at once.
func (w *World) Reap() {
	w.dead = true
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		w.tasks = w.tasks[1:]
		if t.co == nil { // it never ran
			continue
		}
		w.current = t
		if t.resting { // it returns
			w.run(t)
			continue
		}
		// stop hands the Goexit on to its caller, so each task is ended on a goroutine of its own.
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			t.co.stop()
		}()
		<-ended
	}
	w.current = nil
}

// Close lets go of the coroutines of tasks that have ended. It comes after the last life.
func (w *World) Close() {
	w.closed = true
	for _, c := range w.spare {
		c.stop()
	}
	w.spare = nil
}

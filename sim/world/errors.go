package world

import (
	"fmt"
	"runtime"
	"strings"
)

// StallError: nothing can run, and no timer will change that; or the life took too many steps.
type StallError struct {
	Waits []string // who waits for whom: a cycle first, if there is one
	Tasks []string // each with where it stands
	Steps int64    // above zero: so many steps went by
}

func (e *StallError) Error() string {
	text := "all tasks wait, and no timer is set:"
	if e.Steps > 0 {
		text = fmt.Sprintf("the life did not end within %d steps:", e.Steps)
	}
	if len(e.Waits) > 0 {
		text += "\n  " + strings.Join(e.Waits, "\n  ") + "\nwhere they stand:"
	}
	return text + "\n  " + strings.Join(e.Tasks, "\n  ")
}

// ForeignError: a goroutine that the world did not start called the store.
type ForeignError struct{ Text string }

func (e *ForeignError) Error() string { return e.Text }

// PanicError: a task panicked. Text has its stack.
type PanicError struct{ Text string }

func (e *PanicError) Error() string { return e.Text }

// GoexitError: a task ended its goroutine. Text has its stack.
type GoexitError struct{ Text string }

func (e *GoexitError) Error() string { return e.Text }

// Foreign is the first call from a goroutine that the world did not start; nil: there was none. Any
// goroutine may ask.
func (w *World) Foreign() error {
	if text := w.foreign.Load(); text != nil {
		return &ForeignError{Text: *text}
	}
	return nil
}

// describe says for each task where it stands.
func (w *World) describe() []string {
	var all []string
	for _, t := range w.tasks {
		all = append(all, t.name+" "+w.state(t))
	}
	return all
}

// state asks a task where it stands.
func (w *World) state(t *task) string {
	if t.co == nil {
		return "has not begun"
	}
	w.asking, w.current = true, t
	t.co.resume()
	w.asking, w.current = false, nil
	where := strings.Join(places(t.pcs), " ← ")
	switch {
	case where == "" && t.actor != nil && t.actor.Pending():
		return "was not woken, though messages wait for it"
	case where == "":
		return "is idle: nothing was sent to it"
	case t.canRun():
		return "can go on in " + where
	}
	return "waits in " + where
}

// stand notes where the present task stands.
func (t *task) stand() {
	var pcs [40]uintptr
	t.pcs = append(t.pcs[:0], pcs[:runtime.Callers(3, pcs[:])]...)
}

// places names the callers, the innermost first, without the scheduler's own frames.
func places(pcs []uintptr) []string {
	const most = 10
	var where []string
	frames := runtime.CallersFrames(pcs)
	for more := len(pcs) > 0; more && len(where) < most; {
		var f runtime.Frame
		f, more = frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
		if strings.HasPrefix(name, "world.(*World).") || strings.HasPrefix(name, "iter.") || strings.HasPrefix(name, "runtime.") {
			continue
		}
		where = append(where, fmt.Sprintf("%s (%s:%d)", name, f.File[strings.LastIndexByte(f.File, '/')+1:], f.Line))
	}
	return where
}

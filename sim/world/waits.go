package world

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/actors"
)

// Wait implements actors.Runtime.
func (w *World) Wait(ctx context.Context, on, what string, event func() bool) {
	w.MustLive()
	t := w.current
	t.on, t.what = on, what
	w.Park(ctx, event)
	t.on, t.what = "", ""
}

// waitFor is one thing that a task waits for.
type waitFor struct {
	words string  // "client-1 waits for txcoord (the answer to its Commit)"
	by    []*task // who could bring it about
}

// waitGraph tells who waits for whom.
type waitGraph struct {
	waits   map[*task][]waitFor
	reached []*task // from clients and jobs, each once
	cycle   []string
}

// waits says who waits for whom, a line each: a cycle first, if there is one, then from the clients
// to where the chains end. Nothing, if nobody has told what he waits for.
func (w *World) waits() []string {
	g := &waitGraph{waits: map[*task][]waitFor{}}
	for _, t := range w.tasks {
		if t.actor == nil && t.what != "" && !t.canRun() {
			g.walk(w, t, nil, nil)
		}
	}
	var all []string
	if g.cycle != nil {
		all = append(all, "they wait for each other: "+strings.Join(g.cycle, "; "))
	}
	for _, t := range g.reached {
		for _, f := range g.waits[t] {
			all = append(all, f.words)
		}
		if len(g.waits[t]) == 0 {
			all = append(all, t.idle())
		}
	}
	const most = 16
	if n := len(all) - most; n > 1 {
		all = append(all[:most], fmt.Sprintf("and %d more", n))
	}
	return all
}

// walk follows what a task waits for, depth first. path are the tasks that lead to it, said what each
// of them waits for; a task that is on it already closes a cycle.
func (g *waitGraph) walk(w *World, t *task, path []*task, said []string) {
	if at := slices.Index(path, t); at >= 0 {
		if g.cycle == nil {
			g.cycle = slices.Clone(said[at:])
		}
		return
	}
	if slices.Contains(g.reached, t) {
		return // a cycle through it was found when it was reached first
	}
	g.reached = append(g.reached, t)
	g.waits[t] = w.waitsOf(t)
	for _, f := range g.waits[t] {
		for _, next := range f.by {
			g.walk(w, next, append(path[:len(path):len(path)], t), append(said[:len(said):len(said)], f.words))
		}
	}
}

// waitsOf returns what a task waits for.
func (w *World) waitsOf(t *task) []waitFor {
	if t.actor == nil {
		if t.what == "" || t.canRun() {
			return nil
		}
		return []waitFor{w.waitOn(t, t.on, t.what)}
	}
	if t.unheard() {
		return nil
	}
	var all []waitFor
	for _, f := range t.actor.Waits() {
		all = append(all, w.waitOn(t, f.On, f.For))
	}
	return all
}

// waitOn is what a task waits for, in words and with whose doing it is.
func (w *World) waitOn(t *task, on, what string) waitFor {
	if on == "" {
		return waitFor{words: t.name + " waits for " + what}
	}
	by := w.tasksOf(t, on)
	if what == actors.WaitRoom && len(by) > 0 && by[0].actor != nil {
		waiting, room := by[0].actor.Mailbox()
		what = fmt.Sprintf("%s: %d wait, there is room for %d", what, waiting, room)
	}
	words := fmt.Sprintf("%s waits for %s (%s)", t.name, on, what)
	if len(by) == 0 {
		words += ", which is not there: it has ended, or never began"
	}
	return waitFor{words: words, by: by}
}

// tasksOf returns those that a task waits for. Of a client that waits for all calls, and is alone, it
// is the client's own call.
func (w *World) tasksOf(t *task, on string) []*task {
	var all []*task
	for _, o := range w.tasks {
		job := strings.HasPrefix(o.name, "job ")
		switch {
		case on == actors.AllCalls && o != t && !job && o.actor == nil,
			on == actors.AllJobs && job,
			o.name == on, strings.HasPrefix(o.name, on+"#"):
			all = append(all, o)
		}
	}
	if on == actors.AllCalls && all == nil {
		return []*task{t}
	}
	return all
}

// unheard reports whether a task is an actor that rests though messages wait for it. Whatever it waits
// for may be among them.
func (t *task) unheard() bool { return t.resting && t.actor.Pending() && !t.canRun() }

// idle says of a task that waits for nobody why it does nothing.
func (t *task) idle() string {
	switch {
	case t.canRun():
		return t.name + " waits for nobody: it can go on"
	case t.actor == nil:
		return t.name + " has not said what it waits for: see where it stands"
	}
	if t.unheard() {
		return t.name + " waits for nobody: its mailbox is not empty, but it was not woken"
	}
	return t.name + " waits for nobody: its mailbox is empty, whatever it owes"
}

package world

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/messages"
)

// stuck is an actor that nobody wakes.
type stuck struct {
	name    string
	waits   []messages.Wait
	waiting int // messages that it was not woken for
	mailbox int // all that wait
}

func (s *stuck) Name() string              { return s.name }
func (s *stuck) Turn(int) bool             { return false }
func (s *stuck) Pending() bool             { return s.waiting > 0 }
func (s *stuck) Check() error              { return nil }
func (s *stuck) Waits() []messages.Wait    { return s.waits }
func (s *stuck) Mailbox() (int, int)       { return s.mailbox, 8 }
func (s *stuck) Woken() <-chan struct{}    { return nil }
func (s *stuck) Stopping() <-chan struct{} { return nil }
func (s *stuck) Ended()                    {}

// TestWaitGraph: who waits for whom, and the cycle, in words.
func TestWaitGraph(t *testing.T) {
	const each = "they wait for each other: "
	for _, c := range []struct {
		name string
		main func(w *World)
		want []string
	}{
		{"two clients", func(w *World) {
			w.Go("a", true, func() { w.Wait(background, "b", "its turn", endless) })
			w.Go("b", true, func() { w.Wait(background, "a", "its turn", endless) })
		}, []string{each + "a waits for b (its turn); b waits for a (its turn)", "a waits for b (its turn)", "b waits for a (its turn)"}},
		{"a client in front of a cycle", func(w *World) {
			w.Start(&stuck{name: "txcoord", waits: []messages.Wait{{On: "evictor", For: "nothing"}, {On: "walwriter", For: "Durable"}}, mailbox: 8})
			w.Start(&stuck{name: "walwriter", waits: []messages.Wait{{On: "txcoord", For: "an Append"}}})
			w.Start(&stuck{name: "evictor"})
			w.Go("a", true, func() { w.Wait(background, "txcoord", actors.WaitRoom, endless) })
		}, []string{each + "txcoord waits for walwriter (Durable); walwriter waits for txcoord (an Append)",
			"a waits for txcoord (room in its mailbox: 8 wait, there is room for 8)", "txcoord waits for evictor (nothing)",
			"txcoord waits for walwriter (Durable)", "evictor waits for nobody: its mailbox is empty, whatever it owes", "walwriter waits for txcoord (an Append)"}},
		{"a lost wake-up", func(w *World) {
			w.Start(&stuck{name: "txcoord", waits: []messages.Wait{{On: "walwriter", For: "Durable"}}, waiting: 1})
			w.Go("a", true, func() { w.Wait(background, "txcoord", "an answer", endless) })
		}, []string{"a waits for txcoord (an answer)", "txcoord waits for nobody: its mailbox is not empty, but it was not woken"}},
		{"a job that is gone", func(w *World) {
			w.Start(&stuck{name: "flusher", waits: []messages.Wait{{On: "job flush", For: "a run"}, {For: "its Tick"}}})
			w.Go("a", true, func() { w.Wait(background, "flusher", "an answer", endless) })
		}, []string{"a waits for flusher (an answer)", "flusher waits for job flush (a run), which is not there: it has ended, or never began",
			"flusher waits for its Tick"}},
		{"a job that waits", func(w *World) {
			w.Go("job flush", false, func() { w.Park(background, endless) })
			w.Go("close", true, func() { w.Wait(background, actors.AllJobs, "their end", endless) })
		}, []string{"close waits for all jobs (their end)", "job flush has not said what it waits for: see where it stands"}},
		{"a close within a call", func(w *World) {
			w.Go("a", true, func() { w.Wait(background, actors.AllCalls, "their end", endless) })
		}, []string{each + "a waits for all calls (their end)", "a waits for all calls (their end)"}},
		{"nobody says it", func(w *World) { w.Go("a", true, func() { w.Park(background, endless) }) }, nil},
	} {
		w := newWorld(1, Strategy{})
		out := live(w, func() { c.main(w) })
		var stall *StallError
		if !errors.As(out.Err, &stall) {
			t.Fatalf("%s: %v", c.name, out.Err)
		}
		if !slices.Equal(stall.Waits, c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(stall.Waits, "\n"), strings.Join(c.want, "\n"))
		}
		for _, line := range c.want {
			if !strings.Contains(stall.Error(), line) {
				t.Errorf("%s: %q is not in its words", c.name, line)
			}
		}
	}
}

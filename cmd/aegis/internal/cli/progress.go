package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/aegis-storage/aegis"
)

// sayEvery is how long progress is silent where lines are not rewritten, and drawEvery where they are.
const (
	sayEvery  = 5 * time.Second
	drawEvery = 100 * time.Millisecond
)

// Progress tells how far a command is: on a terminal in one line that is written again and again,
// elsewhere in a line every few seconds.
type Progress struct {
	App   *App
	Quiet bool // the command prints JSON: Say says nothing
	told  bool // the line on the terminal is not empty
	next  time.Duration
}

// Due reports whether progress is to be told; if so, the next time is a while later.
func (p *Progress) Due(elapsed time.Duration) bool {
	terminal := p.App.Terminal && !p.Quiet
	if !terminal && elapsed < p.next {
		return false
	}
	p.next = elapsed + sayEvery
	return true
}

// Say writes one line of progress, unless the command prints JSON.
func (p *Progress) Say(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case p.Quiet:
	case p.App.Terminal:
		p.App.Err.Printf("\r%s\x1b[K", text)
		p.told = true
	default:
		p.App.Err.Printf("%s\n", text)
	}
}

// Clear takes the line off the terminal.
func (p *Progress) Clear() {
	if p.told {
		p.App.Err.Printf("\r\x1b[K")
		p.told = false
	}
}

// Teller is progress of work on a store, for one command. It is safe for concurrent use.
type Teller struct {
	mu    sync.Mutex
	say   Progress
	start time.Time
	next  time.Duration
}

// NewTeller begins to tell. Where a command prints JSON, progress is not told: its output is one
// document.
func NewTeller(a *App, json bool) *Teller {
	t := &Teller{say: Progress{App: a, Quiet: json}, start: time.Now()}
	if t.next = sayEvery; a.Terminal {
		t.next = drawEvery
	}
	return t
}

// Tell takes a step of progress. It is what the calls of package aegis are given.
func (t *Teller) Tell(p aegis.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	elapsed := time.Since(t.start)
	if elapsed < t.next {
		return
	}
	if t.next = elapsed + sayEvery; t.say.App.Terminal {
		t.next = elapsed + drawEvery
	}
	t.say.Say("%s, %v", progressText(p), elapsed.Round(time.Second))
}

// End takes the line off the terminal, and returns how long the work took.
func (t *Teller) End() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.say.Clear()
	return time.Since(t.start)
}

func progressText(p aegis.Progress) string {
	amount := func(n int64) string {
		if p.Unit == "bytes" {
			return Size(n)
		}
		return Thousands(n) + " " + p.Unit
	}
	switch {
	case p.Total > 0:
		const percent = 100
		return fmt.Sprintf("%s: %s of %s, %d %%", p.Stage, amount(p.Done), amount(p.Total), p.Done*percent/p.Total)
	case p.Done > 0:
		return fmt.Sprintf("%s: %s", p.Stage, amount(p.Done))
	}
	return p.Stage
}

package main

import (
	"fmt"
	"math"
	"time"

	"github.com/aegis-storage/aegis/sim"
)

// sayEvery is how long progress is silent where lines are not rewritten.
const sayEvery = 5 * time.Second

// unlimited is a number of seeds that no run comes to.
const unlimited = math.MaxInt

// progress tells how far a command is: on a terminal in one line that is written again and again,
// elsewhere in a line every few seconds, with json as an object every few seconds.
type progress struct {
	app  *app
	json bool
	told bool // the line on the terminal is not empty
	next time.Duration
}

// progressLine is what --json prints of it.
type progressLine struct {
	Event          string  `json:"event"` // "progress"
	Seeds          int     `json:"seeds"`
	Of             int     `json:"of,omitempty"` // absent: no limit
	Failures       int     `json:"failures"`
	SchedulerSteps int64   `json:"scheduler_steps"`
	Seconds        float64 `json:"seconds"`
	SeedsPerSecond float64 `json:"seeds_per_second"`
	StepsPerSecond float64 `json:"steps_per_second"`
}

// tell is sim.Config.Progress.
func (p *progress) tell(now sim.Progress) {
	if !p.due(now.Elapsed) {
		return
	}
	line := newProgressLine(now)
	if p.json {
		_ = writeJSON(p.app.out, line) // out keeps the error
		return
	}
	of := ""
	if line.Of > 0 {
		of = "/" + thousands(int64(line.Of))
	}
	p.say("%s%s seeds, %s/s, %s steps/s, %s, %v", thousands(int64(now.Seeds)), of, thousands(int64(line.SeedsPerSecond)),
		thousands(int64(line.StepsPerSecond)), count(now.Failures, "failure", "failures"), now.Elapsed.Round(time.Second))
}

// due reports whether progress is to be told; if so, the next time is a while later.
func (p *progress) due(elapsed time.Duration) bool {
	terminal := p.app.terminal && !p.json
	if !terminal && elapsed < p.next {
		return false
	}
	p.next = elapsed + sayEvery
	return true
}

func newProgressLine(now sim.Progress) progressLine {
	line := progressLine{Event: "progress", Seeds: now.Seeds, Failures: now.Failures, SchedulerSteps: now.Steps, Seconds: now.Elapsed.Seconds()}
	if now.Of != unlimited {
		line.Of = now.Of
	}
	if s := line.Seconds; s > 0 {
		line.SeedsPerSecond, line.StepsPerSecond = float64(now.Seeds)/s, float64(now.Steps)/s
	}
	return line
}

// say writes one line of progress. With json it says nothing.
func (p *progress) say(format string, args ...any) {
	switch text := fmt.Sprintf(format, args...); {
	case p.json:
	case p.app.terminal:
		p.app.err.printf("\r%s\x1b[K", text)
		p.told = true
	default:
		p.app.err.printf("%s\n", text)
	}
}

// clear takes the line off the terminal.
func (p *progress) clear() {
	if p.told {
		p.app.err.printf("\r\x1b[K")
		p.told = false
	}
}

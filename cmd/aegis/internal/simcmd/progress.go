package simcmd

import (
	"math"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
)

// unlimited is a number of seeds that no run comes to.
const unlimited = math.MaxInt

// progress is cli.Progress of runs: with json an object every few seconds.
type progress struct{ cli.Progress }

func newProgress(a *cli.App, json bool) *progress {
	return &progress{cli.Progress{App: a, Quiet: json}}
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
	if !p.Due(now.Elapsed) {
		return
	}
	line := newProgressLine(now)
	if p.Quiet {
		_ = cli.WriteJSON(p.App.Out, line) // out keeps the error
		return
	}
	of := ""
	if line.Of > 0 {
		of = "/" + cli.Thousands(int64(line.Of))
	}
	p.Say("%s%s seeds, %s/s, %s steps/s, %s, %v", cli.Thousands(int64(now.Seeds)), of, cli.Thousands(int64(line.SeedsPerSecond)),
		cli.Thousands(int64(line.StepsPerSecond)), cli.Count(now.Failures, "failure", "failures"), now.Elapsed.Round(time.Second))
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

package simcmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Short: "simulate random runs of the store and check them",
		Long: `
Each seed is a run: a few lives of a program that uses the store, on a disk that fails in the way of
its profile, each life ended by a close, a kill or a power cut. What clients saw and what recovery
brought back is checked. A run that fails is made smaller, told from its end, and named by a token,
which aegis sim replay runs again, exactly.

Without flags: 1,000 seeds, every mode, every profile; the first failure ends it. The summary says
how often rare paths of the engine were taken, in all runs and in those in which faults of a class
struck. An interrupt ends the run with the summary so far; a second one ends the process.

With --json each line of the output is an object: "event" is progress, failure, or summary, which
comes last.`,
		Begin: func(f *cli.Flags) cli.Work {
			r := &runner{}
			r.which.declare(f, "; 0 is 1,000, or no limit with --duration or --until-failure")
			f.DurationVar(&r.duration, "duration", 0, "begin no seed after `D`, say 90s or 10m")
			f.DurationVar(&r.duration, "time", 0, "")
			_ = f.MarkHidden("time") // it was declared in the line above
			f.IntVar(&r.failures, "failures", 1, "end after `N` failing seeds")
			f.BoolVar(&r.untilFailure, "until-failure", false, "go on until there are enough failures, without a limit of seeds")
			f.BoolVar(&r.noShrink, "no-shrink", false, "leave failing runs as large as they were")
			r.teller.declare(f)
			f.BoolVar(&r.requireCoverage, "require-coverage", false, "fail when a rare path was never taken that a long run takes")
			return r.run
		},
	}
}

// runner is a run command.
type runner struct {
	which
	teller
	duration                                time.Duration
	failures                                int
	untilFailure, noShrink, requireCoverage bool
}

// config completes that of which.
func (r *runner) config() (sim.Config, error) {
	c, err := r.which.config()
	switch {
	case err != nil:
		return c, err
	case r.duration < 0:
		return c, fmt.Errorf("--duration %v: it cannot be negative", r.duration)
	case r.failures < 1:
		return c, fmt.Errorf("--failures %d: it has to be 1 or more", r.failures)
	}
	c.Duration, c.Failures = r.duration, r.failures
	c.NoShrink = true // that is done after the sweep, one by one, and told
	if r.untilFailure && c.Seeds == 0 {
		c.Seeds = unlimited
	}
	return c, nil
}

func (r *runner) run(ctx context.Context, a *cli.App, _ []string) (int, error) {
	c, err := r.config()
	if err != nil {
		return cli.ExitUsage, err
	}
	if err := r.begin(); err != nil {
		return cli.ExitUsage, err
	}
	p := newProgress(a, r.json)
	c.Progress = p.tell
	relaxCollector()
	rep, err := sim.Run(ctx, c, a.Subject)
	p.Clear()
	if err != nil {
		return cli.ExitUsage, err
	}
	sum := newSummary(rep)
	if !r.json {
		coverageTable(a.Out, rep)
	}
	for i, res := range rep.Failures {
		p.Say("failure %d of %d, seed %d: %s", i+1, len(rep.Failures), res.Plan.Seed, res.Failure.Check)
		rep.Failures[i] = r.examine(ctx, a, c, res)
		p.Clear()
		if err := r.tell(a, rep.Failures[i], i+1, len(rep.Failures)); err != nil {
			return cli.ExitUsage, err
		}
	}
	sum.failures(rep)
	sum.Interrupted = ctx.Err() != nil
	if r.json {
		err = cli.WriteJSON(a.Out, sum)
	} else {
		sum.print(a.Out, rep)
	}
	return r.verdict(a, sum), err
}

// verdict is the exit code.
func (r *runner) verdict(a *cli.App, sum *summary) int {
	switch {
	case sum.Found:
		return cli.ExitFound
	case sum.Interrupted:
		return cli.ExitInterrupted
	case r.requireCoverage && len(sum.Missing) > 0:
		a.Err.Printf("never taken: %s\n", strings.Join(sum.Missing, ", "))
		return cli.ExitCoverage
	}
	return cli.ExitClean
}

// examine runs a failing plan again, smaller, and keeps its events.
func (r *runner) examine(ctx context.Context, a *cli.App, c sim.Config, res *sim.Result) *sim.Result {
	if res.Failure.Check == "blocked" { // its goroutines are lost, and another run would lose more
		return res
	}
	var again *sim.Result
	var err error
	if r.noShrink || ctx.Err() != nil {
		again, err = sim.Execute(res.Plan, a.Subject, sim.Keep)
	} else {
		again, err = sim.Shrink(ctx, res.Plan, a.Subject, c)
	}
	if err == nil && again.Failure == nil {
		err = errors.New("it passes when it runs again, so that runs are not the same each time: see aegis sim prove")
	}
	if err != nil {
		a.Err.Printf("seed %d: %v\n", res.Plan.Seed, err)
		return res
	}
	return again
}

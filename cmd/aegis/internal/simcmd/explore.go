package simcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/explore"
)

func exploreCommand() *cli.Command {
	return &cli.Command{
		Name: "explore", Short: "visit every crash point, or every schedule, of one small run",
		Subs: []*cli.Command{
			exploration("boundaries", "crash at every boundary of an I/O call", `
The first life is crashed before and behind each of its I/O calls, by a kill and by a power cut, and
recovered from every image of the disk that it may leave.`, explore.Boundaries),
			exploration("nested", "crash recoveries, too", `
As boundaries, and each recovery is crashed at each of its boundaries in turn, --depth lives deep.`, explore.Nested),
			exploration("interleavings", "run every schedule with few switches", `
Every schedule of the first life is run that departs from the sequential one by at most --switches
switches between tasks.`, explore.Interleavings),
		},
	}
}

type exploreFunc func(ctx context.Context, c explore.Config, subject sim.Subject) (*explore.Result, error)

func exploration(name, short, long string, f exploreFunc) *cli.Command {
	return &cli.Command{
		Name: name, Short: short, Long: long,
		Begin: func(flags *cli.Flags) cli.Work {
			e := &explorer{name: name, explore: f}
			e.declare(flags)
			return e.run
		},
	}
}

// explorer is an explore command.
type explorer struct {
	teller
	name    string
	explore exploreFunc
	config  explore.Config
	mode    string
}

func (e *explorer) declare(f *cli.Flags) {
	e.teller.declare(f)
	c := &e.config
	f.Uint64Var(&c.Plan.Seed, "seed", 1, "explore the run of seed `N`")
	f.StringVar(&c.Plan.Profile, "profile", "sector", "disk: `NAME`; see aegis sim profiles")
	f.StringVar(&e.mode, "mode", "plain", "workload: `NAME`; see aegis sim modes")
	f.IntVar(&c.Plan.Each, "ops", 3, "let each client do `N` operations")
	f.IntVar(&c.Failures, "failures", 1, "end after `N` failing runs")
	f.IntVar(&c.Jobs, "jobs", 0, "do `N` runs at the same time; 0 is one per processor")
	if e.name == "interleavings" {
		f.IntVar(&c.Switches, "switches", 2, "make at most `N` switches")
		return
	}
	f.IntVar(&c.Drawn, "drawn", 4, "draw `N` images of a power cut that can leave too many to list")
	if e.name == "nested" {
		f.IntVar(&c.Depth, "depth", 2, "crash `N` lives in a row")
	}
}

// check completes the configuration.
func (e *explorer) check() error {
	c := &e.config
	modes, mode, err := modeNamed(e.mode)
	if err == nil && modes > 0 {
		err = fmt.Errorf("--mode %s: it has to be one", e.mode)
	}
	if err != nil {
		return err
	}
	names, err := profileNames(c.Plan.Profile)
	if err == nil && len(names) != 1 {
		err = fmt.Errorf("--profile %s: it has to be one", c.Plan.Profile)
	}
	if err != nil {
		return err
	}
	c.Plan.Mode = mode
	if err := e.large(); err != nil {
		return err
	}
	if c.Drawn == 0 {
		c.Drawn = -1 // none
	}
	return e.begin()
}

// large checks the numbers.
func (e *explorer) large() error {
	type number struct {
		flag         string
		value, least int
	}
	c := &e.config
	numbers := []number{{"ops", c.Plan.Each, 1}, {"failures", c.Failures, 1}, {"jobs", c.Jobs, 0}, {"drawn", c.Drawn, 0}}
	switch e.name {
	case "interleavings":
		numbers = append(numbers, number{"switches", c.Switches, 1})
	case "nested":
		numbers = append(numbers, number{"depth", c.Depth, 1})
	}
	for _, n := range numbers {
		if n.value < n.least {
			return fmt.Errorf("--%s %d: it has to be %d or more", n.flag, n.value, n.least)
		}
	}
	return nil
}

// exploringLine is what --json prints of progress.
type exploringLine struct {
	Event    string  `json:"event"` // "progress"
	Runs     int64   `json:"runs"`
	Done     int     `json:"done"` // parts
	Of       int     `json:"of"`
	Failures int     `json:"failures"`
	Seconds  float64 `json:"seconds"`
}

// exploredLine is what --json prints at the end.
type exploredLine struct {
	Event       string  `json:"event"` // "summary"
	Explored    string  `json:"explored"`
	Found       bool    `json:"found"`
	Runs        int     `json:"runs"`
	Boundaries  int     `json:"boundaries"`
	Crashes     int     `json:"crashes"`
	Distinct    int     `json:"distinct"`
	Sampled     int     `json:"sampled"`
	Choices     int     `json:"choices"`
	Schedules   int     `json:"schedules"`
	Whole       bool    `json:"whole"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`
}

func (e *explorer) run(ctx context.Context, a *cli.App, _ []string) (int, error) {
	if err := e.check(); err != nil {
		return cli.ExitUsage, err
	}
	p := newProgress(a, e.json)
	e.config.Progress = func(now explore.Progress) {
		switch {
		case !p.Due(now.Elapsed):
		case e.json:
			_ = cli.WriteJSON(a.Out, exploringLine{"progress", now.Runs, now.Done, now.Of, now.Failures, now.Elapsed.Seconds()}) // out keeps the error
		default:
			p.Say("%s, %d of %d parts, %s, %v", cli.Count(int(now.Runs), "run", "runs"), now.Done, now.Of,
				cli.Count(now.Failures, "failure", "failures"), now.Elapsed.Round(time.Second))
		}
	}
	res, err := e.explore(ctx, e.config, a.Subject)
	p.Clear()
	if err != nil {
		return cli.ExitUsage, err
	}
	for i, f := range res.Failures {
		if err := e.tell(a, f, i+1, len(res.Failures)); err != nil {
			return cli.ExitUsage, err
		}
	}
	if e.json {
		err = cli.WriteJSON(a.Out, exploredLine{
			Event: "summary", Explored: e.name, Found: len(res.Failures) > 0, Runs: res.Runs, Boundaries: res.Boundaries,
			Crashes: res.Crashes, Distinct: res.Distinct, Sampled: res.Sampled, Choices: res.Choices, Schedules: res.Schedules,
			Whole: res.Whole, Seconds: res.Elapsed.Seconds(), Interrupted: ctx.Err() != nil,
		})
	} else {
		a.Out.Printf("%v\n", res)
	}
	switch {
	case len(res.Failures) > 0:
		return cli.ExitFound, err
	case ctx.Err() != nil:
		return cli.ExitInterrupted, err
	}
	return cli.ExitClean, err
}

package simcmd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/plant/active"
	"github.com/aegis-storage/aegis/sim/report"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// Command is aegis sim, with the commands below it.
func Command() *cli.Command {
	return &cli.Command{
		Name: "sim", Short: "crash-test the engine in a simulated world",
		Subs: []*cli.Command{
			runCommand(), replayCommand(), shrinkCommand(), regressCommand(), profilesCommand(), modesCommand(),
			exploreCommand(), scorecardCommand(), proveCommand(), hashesCommand(),
		},
	}
}

// relaxCollector lets this process collect garbage less often, unless its user has set how often.
// Simulated worlds live for a millisecond in a heap of a few MiB, so at the usual rate a tenth of
// the time would go into collecting it.
func relaxCollector() {
	const percent = 400
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// which are the flags that say which runs there are.
type which struct {
	seeds   int
	first   uint64
	profile string
	mode    string
	jobs    int
}

func (w *which) declare(f *cli.Flags, seeds string) {
	f.IntVar(&w.seeds, "seeds", 0, "run `N` seeds"+seeds)
	f.Uint64Var(&w.first, "first", 1, "begin with seed `N`")
	f.StringVar(&w.profile, "profile", "all", "disks to draw from: `NAME,…`, all, or honest for those that only crash; see aegis sim profiles")
	f.StringVar(&w.mode, "mode", "all", "workload: `NAME` or all; see aegis sim modes")
	f.IntVar(&w.jobs, "jobs", 0, "run `N` seeds at the same time; 0 is one per processor")
}

const plantedUsage = "switch the planted bug `NAME` on, in a binary that sim scorecard built"

// config is that of sim.Run.
func (w *which) config() (sim.Config, error) {
	c := sim.Config{Seeds: w.seeds, First: w.first, Jobs: w.jobs}
	switch {
	case w.seeds < 0:
		return c, fmt.Errorf("--seeds %d: it cannot be negative", w.seeds)
	case w.jobs < 0:
		return c, fmt.Errorf("--jobs %d: it cannot be negative", w.jobs)
	case w.first == 0 || w.first > math.MaxInt64:
		return c, fmt.Errorf("--first %d: seeds go from 1 to %d", w.first, int64(math.MaxInt64))
	}
	var err error
	if c.Profiles, err = profileNames(w.profile); err != nil {
		return c, err
	}
	c.Modes, c.Mode, err = modeNamed(w.mode)
	return c, err
}

// plantBug switches a planted bug on; an empty name does nothing.
func plantBug(name string) error {
	if name == "" {
		return nil
	}
	err := active.Set(name)
	if errors.Is(err, active.ErrNotPlanted) {
		return fmt.Errorf("--planted %s: %w: aegis sim scorecard makes one", name, err)
	}
	return err
}

// profileNames resolves a list of names.
func profileNames(list string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); name {
		case "all":
			for _, p := range disk.Profiles() {
				names = append(names, p.Name)
			}
		case "honest":
			for _, p := range disk.Profiles() {
				if len(faultsOf(&p)) == 0 {
					names = append(names, p.Name)
				}
			}
		default:
			if _, ok := disk.ProfileNamed(name); !ok {
				return nil, fmt.Errorf("--profile %s: there is no profile %q, there are: %s, all, honest", list, name, strings.Join(allProfiles(), ", "))
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func allProfiles() (names []string) {
	for _, p := range disk.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// faultsOf are the classes of faults that a profile has, crashes left out.
func faultsOf(p *disk.Profile) (names []string) {
	for _, c := range disk.Classes() {
		if c != disk.Crash && p.Has(c) {
			names = append(names, c.String())
		}
	}
	return names
}

// modeName is a mode as one word.
func modeName(mode uint8) string { return strings.ReplaceAll(swarm.ModeName(mode), " ", "-") }

func allModes() (names []string) {
	for m := range swarm.Modes {
		names = append(names, modeName(uint8(m)))
	}
	return names
}

// modeNamed returns how many modes are drawn from, or the one that all runs have.
func modeNamed(name string) (modes int, mode uint8, err error) {
	if name == "all" {
		return swarm.Modes, 0, nil
	}
	m := slices.Index(allModes(), strings.ReplaceAll(name, " ", "-"))
	if m < 0 {
		return 0, 0, fmt.Errorf("--mode: there is no mode %q, there are: %s, all", name, strings.Join(allModes(), ", "))
	}
	return 0, uint8(m), nil
}

// describe is a run for package report.
func describe(res *sim.Result, planted string) report.Run {
	run := sim.Describe("aegis swarm, mode "+modeName(res.Plan.Mode), res)
	run.Commands = report.DefaultCommands(run.Token)
	for i := range run.Commands {
		if c := &run.Commands[i]; planted != "" {
			c.Line = strings.Replace(c.Line, run.Token, "--planted "+planted+" "+run.Token, 1)
		}
	}
	return run
}

// sizes says how much a run does.
func sizes(res *sim.Result) string {
	return fmt.Sprintf("%s, %s, %s, %s", cli.Count(len(res.Ops), "operation", "operations"), cli.Count(len(res.Faults), "fault", "faults"),
		cli.Count(len(res.Preempts), "switch", "switches"), cli.Count(res.Lives, "life", "lives"))
}

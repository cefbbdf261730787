package simcmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// failureLine is what --json prints of a failing run.
type failureLine struct {
	Event    string `json:"event"` // "failure"
	Seed     uint64 `json:"seed"`
	Profile  string `json:"profile"`
	Mode     string `json:"mode"`
	Check    string `json:"check"`
	Text     string `json:"text"`
	Life     int    `json:"life"`
	Step     int64  `json:"step"`
	Ops      int    `json:"ops"`
	Faults   int    `json:"faults"`
	Switches int    `json:"switches"`
	Lives    int    `json:"lives"`
	Token    string `json:"token"`
	Page     string `json:"page,omitempty"` // of --html
}

func newFailureLine(res *sim.Result, page string) failureLine {
	return failureLine{
		Event: "failure", Seed: res.Plan.Seed, Profile: res.Profile, Mode: modeName(res.Plan.Mode),
		Check: res.Failure.Check, Text: res.Failure.Text, Life: res.Failure.Life, Step: res.Failure.Step,
		Ops: len(res.Ops), Faults: len(res.Faults), Switches: len(res.Preempts), Lives: res.Lives,
		Token: res.Plan.Token(), Page: page,
	}
}

// summary is what a run command ends with, and what --json prints of it. The first group is about
// the first failure; sim/plant reads it.
type summary struct {
	Event    string `json:"event"` // "summary"
	Found    bool   `json:"found"` // that there are failures
	Check    string `json:"check,omitempty"`
	Profile  string `json:"profile,omitempty"`
	Ops      int    `json:"ops,omitempty"`
	Faults   int    `json:"faults,omitempty"`
	Switches int    `json:"switches,omitempty"`
	Steps    int    `json:"steps,omitempty"` // faults and switches
	Token    string `json:"token,omitempty"`

	Seeds          int                          `json:"seeds"`
	Seconds        float64                      `json:"seconds"` // without shrinking
	SchedulerSteps int64                        `json:"scheduler_steps"`
	SeedsPerSecond float64                      `json:"seeds_per_second"`
	StepsPerSecond float64                      `json:"steps_per_second"`
	Failures       map[string]int               `json:"failures"` // by check
	Cover          map[string]uint64            `json:"cover"`
	Under          map[string]map[string]uint64 `json:"under"`   // cover of the runs in which a class of faults struck
	Missing        []string                     `json:"missing"` // of swarm.Coverage
	Interrupted    bool                         `json:"interrupted"`
}

func newSummary(rep *sim.Report) *summary {
	line := newProgressLine(sim.Progress{Seeds: rep.Seeds, Steps: rep.Steps, Elapsed: rep.Elapsed})
	s := &summary{
		Event: "summary", Seeds: line.Seeds, Seconds: line.Seconds, SchedulerSteps: line.SchedulerSteps,
		SeedsPerSecond: line.SeedsPerSecond, StepsPerSecond: line.StepsPerSecond,
		Failures: rep.Ends, Cover: rep.Cover, Under: rep.Under, Missing: []string{},
	}
	for _, name := range swarm.Coverage {
		if rep.Cover[name] == 0 {
			s.Missing = append(s.Missing, name)
		}
	}
	return s
}

// failures describes the first one, which is shrunk.
func (s *summary) failures(rep *sim.Report) {
	if len(rep.Failures) == 0 {
		return
	}
	first := newFailureLine(rep.Failures[0], "")
	s.Found, s.Check, s.Profile, s.Token = true, first.Check, first.Profile, first.Token
	s.Ops, s.Faults, s.Switches, s.Steps = first.Ops, first.Faults, first.Switches, first.Faults+first.Switches
}

// print writes the summary for people.
func (s *summary) print(w *cli.Sink, rep *sim.Report) {
	if s.Interrupted {
		w.Printf("interrupted\n")
	}
	w.Printf("%s in %v: %s seeds/s, %s steps/s\n", cli.Count(s.Seeds, "seed", "seeds"), rep.Elapsed.Round(10*time.Millisecond),
		cli.Thousands(int64(s.SeedsPerSecond)), cli.Thousands(int64(s.StepsPerSecond)))
	if len(s.Failures) == 0 {
		w.Printf("no failures\n")
	}
	for _, check := range slices.Sorted(maps.Keys(s.Failures)) {
		w.Printf("%s of the check %s\n", cli.Count(s.Failures[check], "failure", "failures"), check)
	}
	if len(s.Missing) > 0 {
		w.Printf("never taken: %s\n", strings.Join(s.Missing, ", "))
	}
}

// coverageTable has a row for each count, and a column for the runs in which faults of a class
// struck.
func coverageTable(w *cli.Sink, rep *sim.Report) {
	var classes []string
	rows := map[string]bool{}
	for name := range rep.Cover {
		rows[name] = true
	}
	for _, name := range swarm.Coverage {
		rows[name] = true
	}
	for _, c := range disk.Classes() {
		if rep.Under[c.String()] != nil {
			classes = append(classes, c.String())
		}
	}
	names := slices.Sorted(maps.Keys(rows))
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%-*s\tALL\t%s\t\n", width, "COVERAGE", strings.Join(classes, "\t"))
	for _, name := range names {
		fmt.Fprintf(t, "%-*s\t%s\t", width, name, cell(rep.Cover[name]))
		for _, c := range classes {
			fmt.Fprintf(t, "%s\t", cell(rep.Under[c][name]))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // w keeps the error
	w.Printf("\n")
}

func cell(n uint64) string {
	if n == 0 {
		return "-"
	}
	return cli.Thousands(int64(n))
}

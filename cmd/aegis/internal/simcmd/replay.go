package simcmd

import (
	"context"
	"io"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/report"
)

func replayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay", Args: "TOKEN", Least: 1, Most: 1, Short: "run a token again and tell what happened",
		Long: `
The run is the same, event for event, as long as the engine and the workload are. The output is what
each client did, what was synced, what the crash took, what recovery found, and what broke.
TOKEN is one of aegis sim run; that of a sim.Test of your own is for sim.Replay in that test.`,
		Begin: func(f *cli.Flags) cli.Work {
			r := &replayer{}
			f.StringVar(&r.html, "html", "", "write the run as a page into `FILE`, too")
			f.BoolVar(&r.all, "all", false, "print a line for every event")
			f.BoolVar(&r.json, "json", false, "print JSON lines: an object for every event, then one for the result")
			f.StringVar(&r.planted, "planted", "", plantedUsage)
			return r.run
		},
	}
}

// ofTheSwarm says what a run that passes has shown: a token does not tell which program it is of.
const ofTheSwarm = "what ran is the swarm of aegis sim run: a token of a sim.Test of your own is for sim.Replay in that test"

type replayer struct {
	html, planted string
	all, json     bool
}

// eventLine is an event as JSON.
type eventLine struct {
	Event  string `json:"event"` // "trace"
	Step   int64  `json:"step"`
	Life   int    `json:"life"`
	TimeNS int64  `json:"time_ns"`
	Kind   string `json:"kind"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Off    int64  `json:"off,omitempty"`
	Len    int64  `json:"len,omitempty"`
	Text   string `json:"text,omitempty"`
}

// resultLine is what a replay ends with.
type resultLine struct {
	Event string `json:"event"` // "result"
	Found bool   `json:"found"` // that the run fails
	Hash  uint64 `json:"hash"`
	failureLine
}

func (r *replayer) run(_ context.Context, a *cli.App, args []string) (int, error) {
	res, err := execute(a, args[0], r.planted, sim.Keep)
	if err != nil {
		return cli.ExitUsage, err
	}
	told := describe(res, r.planted)
	if r.html != "" {
		if err := writeFile(r.html, func(w io.Writer) error { return report.HTML(w, told) }); err != nil {
			return cli.ExitUsage, err
		}
		a.Err.Printf("the run as a page: %s\n", r.html)
	}
	switch {
	case r.json:
		err = r.lines(a, res)
	case r.all:
		err = report.FullText(a.Out, told)
	default:
		err = report.Text(a.Out, told)
	}
	if err != nil {
		return cli.ExitUsage, err
	}
	if res.Failure != nil {
		a.Err.Printf("the run fails: %s\n", res.Failure.Check)
		return cli.ExitFound, nil
	}
	a.Err.Printf("the run passes; %s\n", ofTheSwarm)
	return cli.ExitClean, nil
}

// lines prints the run as JSON.
func (r *replayer) lines(a *cli.App, res *sim.Result) error {
	for _, e := range res.Events {
		err := cli.WriteJSON(a.Out, eventLine{
			Event: "trace", Step: e.Step, Life: e.Life, TimeNS: int64(e.Time), Kind: e.Kind.String(),
			From: e.From, To: e.To, Off: e.Off, Len: e.Len, Text: e.Text,
		})
		if err != nil {
			return err
		}
	}
	last := resultLine{Event: "result", Found: res.Failure != nil, Hash: res.Hash}
	if res.Failure == nil {
		res.Failure = &sim.Failure{}
		defer func() { res.Failure = nil }()
	}
	last.failureLine = newFailureLine(res, r.html)
	return cli.WriteJSON(a.Out, last)
}

// execute runs a token.
func execute(a *cli.App, token, planted string, mode sim.Mode) (*sim.Result, error) {
	if err := plantBug(planted); err != nil {
		return nil, err
	}
	plan, err := sim.ParseToken(token)
	if err != nil {
		return nil, err
	}
	return sim.Execute(plan, a.Subject, mode)
}

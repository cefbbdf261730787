package simcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
)

func hashesCommand() *cli.Command {
	return &cli.Command{
		Name: "hashes", Short: "print a hash of each run",
		Long: `
A line has the seed, the hash of all that happened (choices, messages, replies, and the bytes of every
I/O call), the number of steps, and the check that failed, or "-". Lines come as runs end. The same
build prints the same hashes in every process: aegis sim prove compares two.`,
		Begin: func(f *cli.Flags) cli.Work {
			h := &hasher{}
			h.declare(f, "; 0 is 1,000, or 1 with --events")
			f.StringVar(&h.planted, "planted", "", plantedUsage)
			f.BoolVar(&h.events, "events", false, "print a line for each event, too, with the hash up to it")
			f.BoolVar(&h.json, "json", false, "print JSON lines")
			return h.run
		},
	}
}

type hasher struct {
	which
	events  bool
	json    bool
	planted string
}

// hashLine is what --json prints of a run, or of an event of one.
type hashLine struct {
	Event string `json:"event"` // "run" or "trace"
	Seed  uint64 `json:"seed"`
	Hash  string `json:"hash"`
	Steps int64  `json:"steps"`
	Check string `json:"check,omitempty"`
}

func (h *hasher) run(ctx context.Context, a *cli.App, _ []string) (int, error) {
	c, err := h.config()
	if err != nil {
		return cli.ExitUsage, err
	}
	if err := plantBug(h.planted); err != nil {
		return cli.ExitUsage, err
	}
	c.Record, c.Failures, c.NoShrink = sim.Proof, math.MaxInt, true
	if h.events {
		c.Record = sim.Keep
		if c.Seeds == 0 {
			c.Seeds = 1
		}
		if c.Seeds > 1 {
			return cli.ExitUsage, errors.New("--events: it is for one seed")
		}
	}
	w := bufio.NewWriter(a.Out)
	c.Ended = func(res *sim.Result) { printHash(w, res) }
	if h.json {
		c.Ended = func(res *sim.Result) { writeHash(w, res) }
	}
	relaxCollector()
	if _, err := sim.Run(ctx, c, a.Subject); err != nil {
		return cli.ExitUsage, err
	}
	if err := w.Flush(); err != nil {
		return cli.ExitUsage, err
	}
	if ctx.Err() != nil {
		return cli.ExitInterrupted, nil
	}
	return cli.ExitClean, nil
}

// printHash writes the line of a run, and above it those of its events, if they were kept.
func printHash(w io.Writer, res *sim.Result) {
	for _, e := range res.Events {
		fmt.Fprintf(w, "step %d, life %d, %v: %s %q to %q, %d bytes at %d: %q, hash %016x\n",
			e.Step, e.Life, e.Time, e.Kind, e.From, e.To, e.Len, e.Off, e.Text, e.Hash)
	}
	check := "-"
	if res.Failure != nil {
		check = res.Failure.Check
	}
	fmt.Fprintf(w, "%d %016x %d %s\n", res.Plan.Seed, res.Hash, res.Steps, check)
}

// writeHash is printHash as JSON; w keeps the error.
func writeHash(w io.Writer, res *sim.Result) {
	line := hashLine{Event: "run", Seed: res.Plan.Seed, Hash: fmt.Sprintf("%016x", res.Hash), Steps: int64(res.Steps)}
	if res.Failure != nil {
		line.Check = res.Failure.Check
	}
	for _, e := range res.Events {
		_ = cli.WriteJSON(w, hashLine{Event: "trace", Seed: line.Seed, Hash: fmt.Sprintf("%016x", e.Hash), Steps: e.Step})
	}
	_ = cli.WriteJSON(w, line)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"

	"github.com/aegis-storage/aegis/sim"
)

func hashesCommand() *command {
	return &command{
		name: "hashes", short: "print a hash of each run",
		long: `
A line has the seed, the hash of all that happened (choices, messages, replies, and the bytes of every
I/O call), the number of steps, and the check that failed, or "-". Lines come as runs end. The same
build prints the same hashes in every process: aegis sim prove compares two.`,
		begin: func(f *flag.FlagSet) work {
			h := &hasher{}
			h.declare(f, "; 0 is 1,000, or 1 with --events")
			f.StringVar(&h.planted, "planted", "", plantedUsage)
			f.BoolVar(&h.events, "events", false, "print a line for each event, too, with the hash up to it")
			return h.run
		},
	}
}

type hasher struct {
	which
	events  bool
	planted string
}

func (h *hasher) run(ctx context.Context, a *app, _ []string) (int, error) {
	c, err := h.config()
	if err != nil {
		return exitUsage, err
	}
	if err := plantBug(h.planted); err != nil {
		return exitUsage, err
	}
	c.Record, c.Failures, c.NoShrink = sim.Proof, math.MaxInt, true
	if h.events {
		c.Record = sim.Keep
		if c.Seeds == 0 {
			c.Seeds = 1
		}
		if c.Seeds > 1 {
			return exitUsage, errors.New("--events: it is for one seed")
		}
	}
	w := bufio.NewWriter(a.out)
	c.Ended = func(res *sim.Result) { printHash(w, res) }
	relaxCollector()
	if _, err := sim.Run(ctx, c, a.subject); err != nil {
		return exitUsage, err
	}
	if err := w.Flush(); err != nil {
		return exitUsage, err
	}
	if ctx.Err() != nil {
		return exitInterrupted, nil
	}
	return exitClean, nil
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

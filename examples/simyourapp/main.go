// Simyourapp shows how a program that keeps its state in aegis crash-tests its own promises.
//
// Two small programs, a bank and a job queue, are run in the simulator: the real engine on a
// simulated disk that loses power, under a scheduler and a clock that one seed decides. Then each
// is run with a mistake in it, to see that the test finds it.
//
//	go test ./examples/simyourapp            the tests, as your own program would have them
//	go run ./examples/simyourapp             the same with the mistakes, told for reading
//	go run ./examples/simyourapp -trace      … and the trace of each failure
//
// What to read, in this order:
//
//	bank.go, queue.go         the programs; they know nothing of the simulator
//	crashes.go                the crash tests: about 25 lines for a program's promises
//	simyourapp_test.go        how go test runs them
//	wrong.go                  the mistakes
//
// To test a program of your own you need three things: it takes its *aegis.Options from the caller
// (and its clock, if it has one); the test remembers, in ordinary variables, what the program
// acknowledged; and at the start of each life it compares.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/aegis-storage/aegis/sim"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("simyourapp: ")
	seeds := flag.Int("seeds", 500, "runs of each program")
	trace := flag.Bool("trace", false, "print the trace of each failure")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *seeds, *trace); err != nil {
		log.Fatal(err)
	}
}

// program is something to test.
type program struct {
	name    string
	subject sim.Subject
	sound   bool
	says    []string    // what the test may say of a mistake
	mended  sim.Subject // the program without it
}

func programs() []program {
	bank := crashBank((*Bank).Transfer)
	queue := crashQueue((*Queue).Take, (*Queue).Done)
	return []program{
		{name: "bank", subject: bank, sound: true},
		{
			name: "bank that moves money in two transactions", subject: crashBank((*Bank).TransferInSteps),
			says: []string{"the accounts hold"}, mended: bank,
		},
		{name: "queue", subject: queue, sound: true},
		{
			name: "queue that answers Done before it is durable", subject: crashQueue((*Queue).Take, (*Queue).DoneEarly),
			says: []string{"was finished, and is to be done again", "was finished twice"}, mended: queue,
		},
		{
			name: "queue that looks for a job first and takes it then", subject: crashQueue((*Queue).TakeInSteps, (*Queue).Done),
			says: []string{"was handed out from", "was finished, and is to be done again"}, mended: queue,
		},
	}
}

// run tests all programs, and tells what was found.
func run(ctx context.Context, w io.Writer, seeds int, trace bool) error {
	for _, p := range programs() {
		rep, err := sim.Run(ctx, sim.Config{Seeds: seeds}, p.subject)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", p.name)
		if len(rep.Failures) == 0 {
			fmt.Fprintf(w, "    %d runs with %d power cuts and %d kills: every promise held (%v)\n\n",
				rep.Seeds, rep.Cover["end power cut"], rep.Cover["end kill"], rep.Elapsed.Round(time.Millisecond))
			if !p.sound {
				return fmt.Errorf("%s: the mistake was not found", p.name)
			}
			continue
		}
		if err := tell(w, p, rep, trace); err != nil {
			return err
		}
		if p.sound {
			return fmt.Errorf("%s breaks its promises", p.name)
		}
	}
	return nil
}

// tell is about a failure, which has been shrunk.
func tell(w io.Writer, p program, rep *sim.Report, trace bool) error {
	found := rep.Failures[0]
	fmt.Fprintf(w, "    broken, found in run %d (%v), shrunk to %d operations and %d crashes on disk profile %q:\n",
		found.Plan.Seed, rep.Elapsed.Round(time.Millisecond), len(found.Ops), found.Lives-1, found.Profile)
	fmt.Fprintf(w, "    %s\n", found.Failure.Text)
	fmt.Fprintf(w, "    the same run again: sim.Replay(t, subject, %q)\n\n", found.Plan.Token())
	if !trace {
		return nil
	}
	var b strings.Builder
	if err := sim.Tell(&b, p.name, found); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "        %s\n\n", strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\n        "))
	return err
}

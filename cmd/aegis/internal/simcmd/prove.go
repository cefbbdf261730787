package simcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

func proveCommand() *cli.Command {
	return &cli.Command{
		Name: "prove", Short: "show that runs are the same in every process",
		Long: `
A token is worth something because a run is the same each time. This runs each seed in two processes,
one with GOGC=20 and one processor, one with GOGC=400 and four, and compares the hashes of all that
happened. For the first seed that differs it names the first event that does; the exit code is 1.`,
		Begin: func(f *cli.Flags) cli.Work {
			p := &prover{}
			p.declare(f, "; 0 is 1,000")
			p.json = cli.JSONFlag(f)
			f.StringVar(&p.planted, "planted", "", plantedUsage)
			return p.run
		},
	}
}

type prover struct {
	which
	planted string
	json    *bool
}

// provedLine is what --json prints.
type provedLine struct {
	Same    bool    `json:"same"`
	Seeds   int     `json:"seeds"`           // that are the same
	Seed    uint64  `json:"seed,omitempty"`  // the first that differs
	Event   string  `json:"event,omitempty"` // the first that differs, and those before it
	Seconds float64 `json:"seconds"`
}

// process is one of the two.
type process struct {
	name  string
	env   []string
	lines []string
	said  bytes.Buffer
	heard func(lines int) // is told of lines as they come
}

// Write takes what the process prints.
func (q *process) Write(b []byte) (int, error) {
	q.heard(bytes.Count(b, []byte{'\n'}))
	return q.said.Write(b)
}

func processes() []*process {
	var all []*process
	for _, env := range [][]string{{"GOGC=20", "GOMAXPROCS=1"}, {"GOGC=400", "GOMAXPROCS=4"}} {
		all = append(all, &process{name: strings.Join(env, " "), env: env})
	}
	return all
}

func (p *prover) run(ctx context.Context, a *cli.App, _ []string) (int, error) {
	if _, err := p.config(); err != nil {
		return cli.ExitUsage, err
	}
	start := time.Now()
	two := processes()
	say := newProgress(a, *p.json)
	p.watch(two, say, start)
	err := p.both(ctx, two, p.first, p.seeds)
	say.Clear()
	if ctx.Err() != nil {
		return cli.ExitInterrupted, nil
	}
	if err != nil {
		return cli.ExitUsage, err
	}
	seed, same, err := firstDifference(two[0].lines, two[1].lines)
	if err != nil {
		return cli.ExitUsage, err
	}
	if seed == 0 && *p.json {
		return cli.ExitClean, cli.WriteJSON(a.Out, provedLine{Same: true, Seeds: same, Seconds: time.Since(start).Seconds()})
	}
	if seed == 0 {
		a.Out.Printf("%s, twice each, the same in both processes, in %v\n", cli.Count(same, "seed", "seeds"), time.Since(start).Round(10*time.Millisecond))
		return cli.ExitClean, nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d is the first that differs\n", seed)
	for _, q := range two {
		fmt.Fprintf(&text, "  %-20s  %s\n", q.name, lineOf(q.lines, seed))
	}
	for _, q := range two {
		q.heard = func(int) {}
	}
	if err := p.both(ctx, two, seed, 1, "--events"); err != nil {
		return cli.ExitUsage, err
	}
	if *p.json {
		return cli.ExitFound, cli.WriteJSON(a.Out, provedLine{Seeds: same, Seed: seed, Event: differ(two[0], two[1]), Seconds: time.Since(start).Seconds()})
	}
	a.Out.Printf("%s\n%s", text.String(), differ(two[0], two[1]))
	return cli.ExitFound, nil
}

// watch tells how many seeds have ended in both processes.
func (p *prover) watch(two []*process, say *progress, start time.Time) {
	var mu sync.Mutex
	ended := make([]int, len(two))
	say.Say("running the same seeds in two processes")
	for i, q := range two {
		q.heard = func(lines int) {
			mu.Lock()
			defer mu.Unlock()
			ended[i] += lines
			if elapsed := time.Since(start); say.Due(elapsed) {
				say.Say("%s in both processes, %v", cli.Count(slices.Min(ended), "seed", "seeds"), elapsed.Round(time.Second))
			}
		}
	}
}

// both runs the two processes at the same time, and keeps the lines that they print.
func (p *prover) both(ctx context.Context, two []*process, first uint64, seeds int, more ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{
		"sim", "hashes", "--first", fmt.Sprint(first), "--seeds", fmt.Sprint(seeds), "--profile", p.profile, "--mode", p.mode,
		"--jobs", fmt.Sprint(p.jobs), "--planted", p.planted,
	}, more...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, len(two))
	for i, q := range two {
		group.Go(func() {
			if errs[i] = q.run(ctx, self, args); errs[i] != nil {
				cancel()
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (q *process) run(ctx context.Context, self string, args []string) error {
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), q.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var complaints bytes.Buffer
	q.said.Reset()
	cmd.Stdout, cmd.Stderr = q, &complaints
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("with %s: %w\n%s", q.name, err, complaints.String())
	}
	q.lines = slices.Collect(lines(&q.said))
	return nil
}

// lines yields the lines of r, without their ends.
func lines(r io.Reader) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for b := bufio.NewReader(r); ; {
			line, err := b.ReadString('\n')
			if line != "" && !yield(strings.TrimSuffix(line, "\n")) || err != nil {
				return
			}
		}
	}
}

// firstDifference returns the smallest seed whose lines differ, or 0 and how many are the same.
func firstDifference(a, b []string) (seed uint64, same int, err error) {
	x, err := bySeed(a)
	if err != nil {
		return 0, 0, err
	}
	y, err := bySeed(b)
	if err != nil {
		return 0, 0, err
	}
	if len(x) == 0 {
		return 0, 0, errors.New("no seed was run")
	}
	all := maps.Clone(x)
	maps.Copy(all, y)
	for _, seed := range slices.Sorted(maps.Keys(all)) {
		if x[seed] != y[seed] {
			return seed, same, nil
		}
		same++
	}
	return 0, same, nil
}

func bySeed(lines []string) (map[uint64]string, error) {
	found := map[uint64]string{}
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no line of aegis sim hashes", line)
		}
		found[seed] = line
	}
	return found, nil
}

func lineOf(lines []string, seed uint64) string {
	if found, err := bySeed(lines); err == nil && found[seed] != "" {
		return found[seed]
	}
	return "was not run"
}

// differ tells the first event that differs, and those before it.
func differ(a, b *process) string {
	at := 0
	for at < len(a.lines) && at < len(b.lines) && a.lines[at] == b.lines[at] {
		at++
	}
	if at == len(a.lines) && at == len(b.lines) {
		return "run once more, with its events, it is the same in both\n"
	}
	const before = 8
	var out strings.Builder
	fmt.Fprintf(&out, "event %d is the first that differs; if only its hash does, then the bytes of an I/O call, a message or a choice since the one before\n", at+1)
	for _, line := range a.lines[max(0, at-before):at] {
		fmt.Fprintf(&out, "  %s\n", line)
	}
	for _, q := range []*process{a, b} {
		line := "no further event"
		if at < len(q.lines) {
			line = q.lines[at]
		}
		fmt.Fprintf(&out, "with %s\n  %s\n", q.name, line)
	}
	return out.String()
}

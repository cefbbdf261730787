package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engines"
	"github.com/aegis-storage/aegis/bench/measure"
	"github.com/aegis-storage/aegis/bench/report"
	"github.com/aegis-storage/aegis/bench/run"
	"github.com/aegis-storage/aegis/bench/workload"
)

// childArgument is the only argument of a child; see package run.
const childArgument = "-child"

func main() {
	drivers := append(engines.All(), workload.Raw)
	var err error
	if len(os.Args) == 2 && os.Args[1] == childArgument {
		err = run.Child(os.Stdin, os.Stdout, drivers)
	} else {
		err = start(drivers, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start does what the command line asks for.
func start(drivers []engine.Driver, args []string) error {
	var f flags
	set := flag.NewFlagSet("bench", flag.ExitOnError)
	f.define(set)
	_ = set.Parse(args) // it exits by itself
	if set.NArg() > 0 {
		return fmt.Errorf("what is %q? (-h explains the flags)", set.Arg(0))
	}
	f.given = map[string]bool{}
	set.Visit(func(one *flag.Flag) { f.given[one.Name] = true })
	switch {
	case f.list:
		return list(os.Stdout, drivers)
	case f.report != "":
		file, err := os.Open(f.report)
		if err != nil {
			return err
		}
		defer file.Close()
		results, err := report.Read(file)
		return errors.Join(err, f.show(results))
	case f.quick && f.growth:
		return errors.New("-quick and -growth exclude each other")
	}
	return f.measure(drivers)
}

// measure runs what is chosen, and shows it, also if it is interrupted or an engine fails.
func (f *flags) measure(drivers []engine.Driver) error {
	drivers, points, err := f.chosen(drivers)
	if err != nil {
		return err
	}
	runner, err := f.runner()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(f.out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	var results []measure.Result
	lines := json.NewEncoder(out)
	machine, command := measure.Machine(), "bench "+strings.Join(os.Args[1:], " ")
	runner.Emit = func(m measure.Result) error {
		m.Machine, m.Command = machine, strings.TrimSpace(command)
		results = append(results, m)
		return lines.Encode(&m)
	}
	rounds := cmp.Or(f.rounds, 3)
	schedule := run.Schedule
	if f.quick || f.growth {
		rounds = cmp.Or(f.rounds, 1)
	}
	if f.growth {
		schedule = run.ScheduleBySize
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err = runner.Run(ctx, schedule(points, drivers, rounds))
	if len(results) > 0 {
		err = errors.Join(err, f.show(results))
	}
	return err
}

func (f *flags) runner() (*run.Runner, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if f.rounds < 0 || f.seconds < 0 || f.cacheMiB < 1 || f.limit < 0 || f.within < 0 {
		return nil, errors.New("-rounds, -seconds, -limit and -within are not negative, and -cache is at least 1")
	}
	seconds, limit, within := 2.0, time.Minute, 37*time.Minute
	switch {
	case f.quick:
		seconds, limit, within = 0.5, 45*time.Second, 4*time.Minute
	case f.growth:
		limit, within = 15*time.Minute, 0
	}
	duration := time.Duration(cmp.Or(f.seconds, seconds) * float64(time.Second))
	profiles := map[string]string{}
	for kind, name := range f.profiles {
		if *name == "" {
			continue
		}
		if profiles[kind], err = filepath.Abs(*name); err != nil {
			return nil, err
		}
	}
	return &run.Runner{
		Command: []string{program, childArgument},
		Dir:     f.dir, MemoryDir: f.memoryDir, CacheBytes: f.cacheMiB << 20,
		Duration: duration, Warmup: min(duration/4, 300*time.Millisecond),
		Limit: cmp.Or(f.limit, limit), Within: cmp.Or(f.within, within),
		Profiles: profiles, Progress: os.Stderr,
	}, nil
}

// show prints the table, and writes the other forms that are asked for.
func (f *flags) show(results []measure.Result) error {
	if err := report.Text(os.Stdout, results); err != nil {
		return err
	}
	if f.markdown != "" {
		file, err := os.Create(f.markdown)
		if err != nil {
			return err
		}
		if err := errors.Join(report.Markdown(file, results), file.Close()); err != nil {
			return err
		}
	}
	if f.charts == "" {
		return nil
	}
	if err := os.MkdirAll(f.charts, 0o755); err != nil {
		return err
	}
	files, err := report.Charts(f.charts, results)
	for _, name := range files {
		fmt.Fprintln(os.Stderr, name)
	}
	return err
}

// list prints the workloads and the engines.
func list(w io.Writer, drivers []engine.Driver) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WORKLOAD\tCLIENTS\tQUICK\tWHAT IT IS")
	for _, one := range workload.All() {
		if !one.Hidden {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.Name, join(one.Clients), join(one.Quick), one.About)
		}
	}
	fmt.Fprintln(table, "\nENGINE\tVERSION\tSETTINGS")
	for _, d := range drivers {
		fmt.Fprintf(table, "%s\t%s\t%s\n", d.Name, d.Version, d.Settings)
	}
	return table.Flush()
}

func join(numbers []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
}

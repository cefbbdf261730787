package storecmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/bench"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

func benchCommand() *cli.Command {
	names, texts := bench.Names()
	var list strings.Builder
	for i, name := range names {
		fmt.Fprintf(&list, "\n  %-12s %s", name, texts[i])
	}
	return &cli.Command{
		Name: "bench", Args: "[DIR]", Most: 1, Short: "measure the standard workloads on this disk",
		Long: `
A store is made in a new directory below DIR (without it: below the working directory), measured, and
removed, also after an interrupt. The workloads, each for --seconds:
` + list.String() + `

What put-sync can come to is given by the disk: one client waits for a sync each time, many share one.`,
		Examples: `  aegis bench /mnt/disk --clients 32 --seconds 10
  aegis bench --only fdatasync,put-sync --clients 1`,
		Begin: func(f *cli.Flags) cli.Work {
			b := &benchFlags{}
			f.Int64Var(&b.mib, "size", 64, "load `MIB` of keys and values")
			f.IntVar(&b.c.ValueBytes, "value", 100, "values have `N` bytes")
			f.IntVar(&b.c.Clients, "clients", 16, "`N` goroutines at the same time")
			f.Float64Var(&b.seconds, "seconds", 5, "each workload runs for `N` seconds")
			f.StringSliceVar(&b.c.Workloads, "only", names, "the workloads `NAME,…`")
			f.Int64Var(&b.memory, "memory", 256, "the store's memory budget in `MIB`")
			b.json = cli.JSONFlag(f)
			return func(ctx context.Context, a *cli.App, args []string) (int, error) {
				return b.run(ctx, a, append(args, ".")[0])
			}
		},
	}
}

type benchFlags struct {
	c           bench.Config
	mib, memory int64
	seconds     float64
	json        *bool
}

func (b *benchFlags) check() error {
	names, _ := bench.Names()
	for _, name := range b.c.Workloads {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--only: there is no workload %q, there are: %s", name, strings.Join(names, ", "))
		}
	}
	const mostMiB, mostValue, mostClients, mostSeconds = 1 << 30, 1 << 20, 1 << 14, 1 << 20
	switch {
	case b.mib < 1 || b.mib > mostMiB:
		return fmt.Errorf("--size %d: it is 1 or more, in MiB", b.mib)
	case b.memory < 1 || b.memory > mostMiB:
		return fmt.Errorf("--memory %d: it is 1 or more, in MiB", b.memory)
	case b.c.ValueBytes < 0 || b.c.ValueBytes > mostValue:
		return fmt.Errorf("--value %d: it is 0 to %d", b.c.ValueBytes, mostValue)
	case b.c.Clients < 1 || b.c.Clients > mostClients:
		return fmt.Errorf("--clients %d: it is 1 to %d", b.c.Clients, mostClients)
	case !(b.seconds > 0 && b.seconds <= mostSeconds):
		return fmt.Errorf("--seconds %v: it is above 0, and %d at most", b.seconds, mostSeconds)
	}
	b.c.Bytes, b.c.Cache, b.c.Duration = b.mib<<20, b.memory<<20, time.Duration(b.seconds*float64(time.Second))
	return nil
}

func (b *benchFlags) run(ctx context.Context, a *cli.App, dir string) (int, error) {
	if err := b.check(); err != nil {
		return cli.ExitUsage, err
	}
	results, err := b.measure(ctx, a, dir)
	if err = without(err, context.Canceled); err != nil {
		return cli.ExitUsage, err
	}
	code := cli.ExitClean
	if ctx.Err() != nil {
		code = cli.ExitInterrupted
	}
	if *b.json {
		return code, cli.WriteJSON(a.Out, map[string]any{
			"directory": dir, "size_bytes": b.c.Bytes, "value_bytes": b.c.ValueBytes, "clients": b.c.Clients,
			"results": results, "interrupted": ctx.Err() != nil,
		})
	}
	return code, printResults(a, results)
}

// measure runs the workloads in a directory of their own below dir, and removes it.
func (b *benchFlags) measure(ctx context.Context, a *cli.App, dir string) (results []bench.Result, err error) {
	if b.c.Dir, err = os.MkdirTemp(dir, "aegis-bench-"); err != nil {
		return nil, err
	}
	defer a.Unfinished(func() { removeBusy(b.c.Dir) })()
	defer func() { err = errors.Join(err, os.RemoveAll(b.c.Dir)) }()
	say := &cli.Progress{App: a, Quiet: *b.json}
	defer say.Clear()
	results = []bench.Result{}
	err = bench.Run(ctx, b.c, func(text string) { say.Say("%s", text) }, func(r bench.Result) { results = append(results, r) })
	return results, err
}

// removeBusy removes a directory in which a store still makes files. It is the last that this process does.
func removeBusy(dir string) {
	const attempts = 100
	for range attempts {
		if os.RemoveAll(dir) == nil {
			return
		}
	}
}

func printResults(a *cli.App, results []bench.Result) error {
	t := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "WORKLOAD\tCLIENTS\tPER SECOND\tP50\tP90\tP99\tP99.9\tMAX\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Workload, r.Clients, cli.Thousands(int64(r.PerSecond)),
			micros(r.P50), micros(r.P90), micros(r.P99), micros(r.P999), micros(r.Max))
	}
	return t.Flush()
}

// micros writes a time of so many microseconds in three digits or so.
func micros(us float64) string {
	switch {
	case us < 10:
		return fmt.Sprintf("%.2f µs", us)
	case us < 1e3:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1e4:
		return fmt.Sprintf("%.2f ms", us/1e3)
	case us < 1e6:
		return fmt.Sprintf("%.0f ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}

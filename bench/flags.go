package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// flags are those of the command line.
type flags struct {
	quick, growth, list   bool
	engines, workloads    string
	rounds                int
	seconds               float64
	keys, values, clients string
	cacheMiB              int64
	limit, within         time.Duration
	dir, memoryDir        string
	out, report           string
	charts, markdown      string
	profiles              map[string]*string
	given                 map[string]bool // flags that were set
}

// group is flags that belong together, for the help.
type group struct {
	title string
	names []string
}

var groups = []group{
	{"What is measured", []string{"quick", "growth", "engines", "workloads", "list"}},
	{"How long, and how much", []string{"rounds", "seconds", "keys", "values", "clients", "cache", "limit", "within"}},
	{"Where", []string{"dir", "memory-dir", "out"}},
	{"What is shown", []string{"report", "markdown", "charts"}},
	{"Profiles of the last measurement (to be used with one engine, one workload and one round)",
		[]string{"cpuprofile", "allocsprofile", "mutexprofile", "blockprofile", "trace"}},
}

const helpHead = `bench compares aegis with other embedded stores, on the same work and in the same run.

  go run . -quick                                     core workloads, one round, within five minutes
  go run -tags rocksdb,lmdb .                         all workloads and engines, three rounds, within forty minutes
  go run . -list                                      the workloads, the engines and their settings
  go run . -engines aegis,pebble -workloads '^put-'   two engines, some workloads
  go run . -engines aegis -workloads '^get-cached$' -clients 16 -rounds 1 -seconds 10 -cpuprofile cpu.out
  go run . -growth -keys 1e6,10e6                     curves over the number of keys
  go run . -growth -values 100,10000,1000000          curves over the size of values
  go run . -growth -clients 1,16,256                  curves over the number of clients
  go run . -report results.jsonl -charts charts       tables and charts of an earlier run

RocksDB and LMDB need their libraries (Debian: librocksdb-dev, liblmdb-dev) and the tags of their names.
Each measurement is a process of its own. Results are appended to a file as they come, one line of
JSON each, and shown as a table at the end. The exit status is 1 if an engine did something wrong: an
error, a wrong value, a lost update. An engine that cannot do a workload is not wrong.
`

func (f *flags) define(set *flag.FlagSet) {
	set.BoolVar(&f.quick, "quick", false, "the core workloads, one round, half a second each")
	set.BoolVar(&f.growth, "growth", false, "curves over the number of keys, the size of values and the number of clients;\nwith -keys, -values or -clients those alone")
	set.StringVar(&f.engines, "engines", "", "engines, by `names` with commas between; all if empty")
	set.StringVar(&f.workloads, "workloads", "", "workloads whose names match a `regexp`; all if empty")
	set.BoolVar(&f.list, "list", false, "list workloads and engines, and measure nothing")

	set.IntVar(&f.rounds, "rounds", 0, "how often all is measured; 0 stands for 3, or for 1 with -quick and -growth")
	set.Float64Var(&f.seconds, "seconds", 0, "how long a workload runs that has no fixed amount of work, in `seconds`;\n0 stands for 2, or for 0.5 with -quick")
	set.StringVar(&f.keys, "keys", "1e6", "how many keys there are; with -growth several `numbers`, 1e6,3e6,10e6,30e6 if not set")
	set.StringVar(&f.values, "values", "100", "size of values in `bytes`; with -growth several sizes, 10 to 1 MiB if not set:\nthere are fewer keys then, 256 MiB in all at most")
	set.StringVar(&f.clients, "clients", "", "only these `numbers` of clients; with -growth the curve's, 1,4,16,64,256 if not set")
	set.Int64Var(&f.cacheMiB, "cache", 512, "what an engine may keep in memory, in `MiB`")
	set.DurationVar(&f.limit, "limit", 0, "how long a measurement may take in all, with loading and closing;\n0 stands for a minute, 45 s with -quick, 15 minutes with -growth")
	set.DurationVar(&f.within, "within", 0, "after that no measurement begins; 0 stands for 37 minutes, 4 minutes with -quick,\nand for no such limit with -growth")

	set.StringVar(&f.dir, "dir", os.TempDir(), "where stores are, a `directory` on the disk to be measured")
	set.StringVar(&f.memoryDir, "memory-dir", "/dev/shm", "where stores in memory have their files, a `place` in memory")
	set.StringVar(&f.out, "out", "results.jsonl", "`file` that results are appended to")

	set.StringVar(&f.report, "report", "", "measure nothing: show the results in a `file`")
	set.StringVar(&f.markdown, "markdown", "", "`file` that the tables are written to, as Markdown")
	set.StringVar(&f.charts, "charts", "", "`directory` that charts are written to, as SVG")

	f.profiles = map[string]*string{
		"cpu":    set.String("cpuprofile", "", "`file` for the processor time while it is measured"),
		"allocs": set.String("allocsprofile", "", "`file` for allocations since the start of the process"),
		"mutex":  set.String("mutexprofile", "", "`file` for waits at mutexes while it is measured"),
		"block":  set.String("blockprofile", "", "`file` for all waits of a microsecond and more"),
		"trace":  set.String("trace", "", "`file` for an execution trace"),
	}
	set.Usage = func() { help(set) }
}

// help prints all flags by groups.
func help(set *flag.FlagSet) {
	out := set.Output()
	fmt.Fprint(out, helpHead)
	for _, g := range groups {
		fmt.Fprintf(out, "\n%s:\n", g.title)
		for _, name := range g.names {
			one := set.Lookup(name)
			value, usage := flag.UnquoteUsage(one)
			if one.DefValue != "" && one.DefValue != "0" && one.DefValue != "false" && one.DefValue != "0s" {
				usage += " (default " + one.DefValue + ")"
			}
			head := "-" + strings.TrimSpace(name+" "+value)
			fmt.Fprintf(out, "  %-21s  %s\n", head, strings.ReplaceAll(usage, "\n", "\n"+strings.Repeat(" ", 25)))
		}
	}
}

// numbers parses numbers with commas between, such as 1e6,3e6.
func numbers(flagName, list string, least int) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || v != float64(int(v)) || int(v) < least {
			return nil, fmt.Errorf("-%s: %q is not a whole number of at least %d", flagName, word, least)
		}
		all = append(all, int(v))
	}
	return all, nil
}

package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/sim/trace"
)

// The groups of lanes, in their order on the page.
const (
	around  = "run"
	clients = "clients"
	engine  = "engine"
	onDisk  = "disk"
)

// engineTasks are the actors in the order in which a commit meets them.
var engineTasks = []string{"txcoord", "walwriter", "flusher", "evictor"}

// maxFileLanes and maxJobLanes bound the lanes; others share one.
const (
	maxFileLanes = 8
	maxJobLanes  = 4
)

// lane is one column of the page. Members are the tasks or files that it stands for.
type lane struct {
	name    string
	group   string
	members []string
}

// lanesOf finds the lanes of a run: main, clients, the engine's actors and jobs, files. The world
// has none: what it does, it does to others.
func lanesOf(events []trace.Event) []lane {
	tasks, files := casts(events)
	var all []lane
	for _, g := range []string{around, clients, engine} {
		var names, jobs []string
		for name, of := range tasks {
			if of != g {
				continue
			}
			if strings.HasPrefix(name, "job ") {
				jobs = append(jobs, name)
			} else {
				names = append(names, name)
			}
		}
		slices.SortFunc(names, compareTasks)
		slices.SortFunc(jobs, compareNames)
		for _, name := range names {
			all = append(all, lane{name, g, []string{name}})
		}
		if len(jobs) > maxJobLanes {
			all = append(all, lane{"jobs", g, jobs})
			continue
		}
		for _, name := range jobs {
			all = append(all, lane{name, g, []string{name}})
		}
	}
	return append(all, fileLanes(files)...)
}

// casts finds the group of each task, and how much happens to each file.
func casts(events []trace.Event) (tasks map[string]string, files map[string]int) {
	tasks, files = map[string]string{}, map[string]int{}
	task := func(name, group string) {
		if name != "" && name != "world" && (tasks[name] == "" || group == engine) {
			tasks[name] = group
		}
	}
	for _, e := range events {
		from := clients
		switch {
		case e.From == "main":
			from = around
		case e.Kind == trace.Publish || e.Kind == trace.Answer || slices.Contains(engineTasks, e.From) || strings.HasPrefix(e.From, "job "):
			from = engine
		}
		switch e.Kind {
		case trace.Life, trace.Crash, trace.Failure:
			continue // they go across all lanes
		case trace.Send, trace.Time:
			task(e.To, engine)
		case trace.Answer:
			if e.To == "main" {
				task(e.To, around)
			} else {
				task(e.To, clients)
			}
		case trace.IO, trace.Fault:
			if weight := changes(e); e.To != "" || e.Kind == trace.IO {
				files[e.To] += weight
			}
		}
		task(e.From, from)
	}
	return tasks, files
}

// changes weighs an event for its file: what changes a file counts for more than reads.
func changes(e trace.Event) int {
	if foldKey(e) != "" {
		return 1
	}
	return 1000
}

// fileLanes gives each file a lane, as long as there are few; then only those to which most
// happens.
func fileLanes(files map[string]int) []lane {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(files[b]-files[a], compareNames(a, b)) })
	var rest []string
	if len(names) > maxFileLanes {
		names, rest = names[:maxFileLanes-1], names[maxFileLanes-1:]
	}
	slices.SortFunc(names, compareNames)
	var all []lane
	for _, name := range names {
		shown := name
		if name == "" {
			shown = "directory"
		}
		all = append(all, lane{shown, onDisk, []string{name}})
	}
	if rest != nil {
		all = append(all, lane{"other files", onDisk, rest})
	}
	return all
}

// compareTasks puts the engine's actors first, in their order, and others by name.
func compareTasks(a, b string) int {
	rank := func(s string) int {
		if i := slices.Index(engineTasks, s); i >= 0 {
			return i
		}
		return len(engineTasks)
	}
	return cmp.Or(rank(a)-rank(b), compareNames(a, b))
}

// compareNames compares names so that client-2 comes before client-10.
func compareNames(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		nx, ny := digits(x), digits(y)
		if nx > 0 && ny > 0 {
			dx, dy := strings.TrimLeft(x[:nx], "0"), strings.TrimLeft(y[:ny], "0")
			if c := cmp.Or(len(dx)-len(dy), strings.Compare(dx, dy)); c != 0 {
				return c
			}
			x, y = x[nx:], y[ny:]
			continue
		}
		if x[0] != y[0] {
			break
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(strings.Compare(x, y), strings.Compare(a, b))
}

// digits returns how many decimal digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

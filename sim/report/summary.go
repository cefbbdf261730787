package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/sim/trace"
)

// worked is what one client did in one life.
type worked struct {
	begun, ended, other int
	open                string // the operation that did not end
}

// summary says what a life came to: what recovery did, what each client did, what was synced and
// what the crash took.
func (t *teller) summary(from, to int) {
	events := t.r.Events[from:to]
	t.printf("\n")
	if events[0].Life > 1 {
		t.recovery(events)
	}
	t.clients(events)
	t.synced(from, to)
	for i := from; i < to; i++ {
		if t.r.Events[i].Kind == trace.Crash {
			t.crash(i)
		}
	}
}

// recovery sums up the I/O before the first operation of a later life.
func (t *teller) recovery(events []trace.Event) {
	var reads, writes, syncs int
	var files []string
	step := events[0].Step
	for _, e := range events {
		if e.Kind == trace.Op || e.Kind == trace.Crash || e.Kind == trace.Failure {
			break
		}
		step = e.Step
		if e.Kind != trace.IO {
			continue
		}
		switch name, _, _ := call(e.Text); name {
		case "read":
			reads++
		case "write":
			writes++
		case "sync":
			syncs++
		}
		if e.To != "" && !slices.Contains(files, e.To) {
			files = append(files, e.To)
		}
	}
	t.field("recovery", fmt.Sprintf("up to step %s: %s, %s and %s on %s",
		group(step), count(reads, "read"), count(writes, "write"), count(syncs, "sync"), count(len(files), "file")))
}

// clients says how many operations each client began and ended.
func (t *teller) clients(events []trace.Event) {
	did := map[string]*worked{}
	var names []string
	for _, e := range events {
		if e.Kind != trace.Op {
			continue
		}
		w := did[e.From]
		if w == nil {
			w = &worked{}
			did[e.From] = w
			names = append(names, e.From)
		}
		switch begins, ends, what := operation(clean(e.Text)); {
		case begins:
			w.begun++
			w.open, _, _ = strings.Cut(what, "\n")
		case ends:
			w.ended++
			w.open = ""
		default:
			w.other++
		}
	}
	slices.SortFunc(names, compareNames)
	for _, name := range names {
		w := did[name]
		var parts []string
		if w.begun > 0 {
			parts = append(parts, fmt.Sprintf("%s, %d ended", count(w.begun, "operation"), w.ended))
		}
		if w.other > 0 {
			parts = append(parts, count(w.other, "step"))
		}
		if w.open != "" {
			parts = append(parts, "cut short: "+shorten(w.open, 60))
		}
		t.field(clean(name), strings.Join(parts, "; "))
	}
}

// synced says how much of each file became durable in a life.
func (t *teller) synced(from, to int) {
	type sum struct {
		bytes int64
		syncs int
	}
	sums := map[string]*sum{}
	var files []string
	for i := from; i < to; i++ {
		s, ok := t.disk.syncs[i]
		if !ok || s.writes == 0 {
			continue
		}
		file := t.r.Events[i].To
		if sums[file] == nil {
			sums[file] = &sum{}
			files = append(files, file)
		}
		sums[file].bytes += s.bytes
		sums[file].syncs++
	}
	slices.SortFunc(files, compareNames)
	const most = 6
	label := "synced"
	for i, file := range files {
		if i == most {
			t.field("", count(len(files)-most, "more file"))
			break
		}
		t.field(label, fmt.Sprintf("%s: %s in %s", clean(file), size(sums[file].bytes), count(sums[file].syncs, "sync")))
		label = ""
	}
}

// crash says what a life's end did to bytes that were not synced.
func (t *teller) crash(i int) {
	took := t.disk.takenBy(i)
	if cacheLives(t.r.Events[i].Text) {
		t.field("the end took", "nothing: the system's cache lives on")
		return
	}
	if len(took) == 0 {
		t.field("crash took", "nothing: all was synced")
		return
	}
	const most = 12
	label, lines := "crash took", 0
	for _, file := range took {
		for _, text := range takenWords(file) {
			if lines++; lines <= most {
				t.field(label, text)
				label = ""
			}
		}
	}
	if lines > most {
		t.field("", fmt.Sprintf("and %d more", lines-most))
	}
}

// takenWords says, range by range, what a crash did to a file.
func takenWords(file taken) []string {
	var all []string
	for _, l := range file.names {
		all = append(all, fmt.Sprintf("%s: its %s %s", clean(file.file), l.entry(), l.Fate))
	}
	for _, x := range file.ranges {
		all = append(all, fmt.Sprintf("%s: %s %s", clean(file.file), span(x.off, x.len), x.fate))
	}
	return all
}

package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/aegis-storage/aegis/bench/measure"
)

// Text writes tables for a terminal of 140 columns: for each group one, by sections, then the bars.
func Text(w io.Writer, results []measure.Result) error {
	groups := collect(results)
	var b strings.Builder
	for _, line := range provenance(results) {
		b.WriteString(line + "\n")
	}
	title := ""
	for i := range groups {
		if g := &groups[i]; g.section != title {
			title = g.section
			b.WriteString("\n" + strings.ToUpper(title) + "\n")
		}
		b.WriteString("\n" + groups[i].heading() + "\n")
		groups[i].table(&b)
	}
	b.WriteString("\nBARS\n\n")
	writeBars(&b, outcomes(groups))
	_, err := io.WriteString(w, b.String())
	return err
}

// heading says all that the group's figures have in common.
func (g *group) heading() string {
	parts := []string{
		choose(g.keys > 0, count(float64(g.keys))+" keys, ", "") + "values of " + length(float64(g.valueBytes)),
		choose(g.compressed, "compressed", "not compressed"),
		choose(g.durable, "durable", "no fsync"),
	}
	if g.cacheBytes > 0 {
		parts = append(parts, size(float64(g.cacheBytes))+" of memory set")
	}
	rounds := 0
	for i := range g.entries {
		rounds = max(rounds, g.entries[i].rounds)
	}
	parts = append(parts, plural(rounds, "round"))
	return fmt.Sprintf("%s, %s (%s)", g.workload, plural(g.clients, "client"), strings.Join(parts, "; "))
}

func (g *group) table(b *strings.Builder) {
	t := table{left: 1}
	t.add("engine", choose(g.show.timed, "time", g.show.unit+"/s"), "range", "to peer", "p50", "p99", "p99.9",
		"CPU/op", "anon", "of set", "written", "disk")
	var absentees []string
	for i := range g.entries {
		e := &g.entries[i]
		if e.limited != "" {
			absentees = append(absentees, e.engine+" took no part: "+e.limited)
			continue
		}
		of, f := e.rate, g.speed()
		if g.show.timed {
			of = e.opTime
		}
		t.add(e.engine, f.show(of.median), f.show(of.low)+" – "+f.show(of.high), times(g.toBestPeer(e)),
			nanoseconds(e.p50), nanoseconds(e.p99), nanoseconds(e.p999), seconds(e.cpu),
			size(e.anon), times(e.overall), times(e.writeBy), times(e.spaceBy))
	}
	if len(t.rows) > 1 {
		t.write(b, "  ")
	}
	for _, line := range absentees {
		b.WriteString("  " + cut(line, 136) + "\n")
	}
}

// cut shortens a line that is too long for the terminal.
func cut(line string, columns int) string {
	line = strings.Join(strings.Fields(line), " ")
	if runes := []rune(line); len(runes) > columns {
		return string(runes[:columns-1]) + "…"
	}
	return line
}

// writeBars lists the bars. Of those that hold in each of many groups it lists what is missed, and
// counts the rest.
func writeBars(b *strings.Builder, all []Outcome) {
	t := table{left: 4}
	t.add("bar", "required", "measured", "")
	var counts tally
	for i := 0; i < len(all); i++ {
		o := &all[i]
		if !o.Each {
			t.add(o.place(), o.Required, o.Measured, o.verdict())
			counts.add(o.State)
			continue
		}
		var each tally
		end := i
		for ; end < len(all) && all[end].Each && all[end].Bar == o.Bar; end++ {
			each.add(all[end].State)
			counts.add(all[end].State)
		}
		t.add(o.Bar, o.Required, each.String(), each.state().String())
		for ; i < end; i++ {
			if all[i].State == Missed {
				t.add("", all[i].Group, all[i].Measured, all[i].verdict())
			}
		}
		i--
	}
	t.write(b, "  ")
	b.WriteString("\n  " + counts.String() + "\n")
}

// place is the bar's name, with the group where that says more.
func (o *Outcome) place() string {
	if rest, ok := strings.CutPrefix(o.Group, o.Bar); ok && o.clients != 0 {
		return o.Bar + rest
	}
	if o.Group == "" || o.clients != 0 || o.Bar != o.workload {
		return o.Bar
	}
	return o.Group
}

// provenance says what ran, on what, when and how, as far as the results tell.
func provenance(results []measure.Result) []string {
	var engines, machines, commands, days []string
	versions := map[string]bool{}
	for _, name := range names(results) {
		for _, r := range results {
			id := strings.TrimSpace(name + " " + r.Version)
			if r.Engine == name && !versions[id] {
				versions[id] = true
				engines = append(engines, id)
			}
		}
	}
	for _, r := range results {
		machines = appendNew(machines, r.Machine)
		commands = appendNew(commands, r.Command)
		if !r.Time.IsZero() {
			days = appendNew(days, r.Time.UTC().Format("2006-01-02"))
		}
	}
	return []string{
		"Engines: " + known(engines, ", "),
		"Machine: " + known(machines, "; "),
		"Date: " + known(days, ", "),
		"Command: " + known(commands, "; "),
	}
}

func appendNew(list []string, s string) []string {
	if s == "" {
		return list
	}
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func known(list []string, between string) string {
	if len(list) == 0 {
		return "not recorded"
	}
	return strings.Join(list, between)
}

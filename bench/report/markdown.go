package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/bench/measure"
)

// Markdown writes the table of the README: a row for each workload and number of clients, a column
// for each engine, and whether the bar is met; then the bars about disk, memory and tails.
func Markdown(w io.Writer, results []measure.Result) error {
	groups := collect(results)
	all := outcomes(groups)
	var b strings.Builder
	var engines []string
	for _, name := range names(results) {
		if name != raw {
			engines = append(engines, name)
		}
	}
	writeRates(&b, groups, engines, all)
	writeRaw(&b, groups)
	writeOtherBars(&b, all)
	b.WriteString("\n")
	for _, line := range provenance(results) {
		what, rest, _ := strings.Cut(line, ": ")
		if what == "Command" && rest != "not recorded" {
			rest = "`" + rest + "`"
		} else {
			rest = escapeCell(rest)
		}
		fmt.Fprintf(&b, "- %s: %s\n", what, rest)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// names returns the engines that are in the results, in the order of columns.
func names(results []measure.Result) []string {
	var list []string
	for _, r := range results {
		list = appendNew(list, r.Engine)
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(engineRank(a), engineRank(b)), cmp.Compare(a, b))
	})
	return list
}

func writeRates(b *strings.Builder, groups []group, engines []string, all []Outcome) {
	header := append([]string{"workload", "clients"}, engines...)
	header = append(header, "aegis to best peer", "bar")
	b.WriteString("| " + strings.Join(header, " | ") + " |\n|---|--:|")
	b.WriteString(strings.Repeat("--:|", len(engines)+1) + "---|\n")
	for i := range groups {
		g := &groups[i]
		if g.section == growthTitle || g.best(g.speed(), func(e string) bool { return e != raw }) == nil {
			continue
		}
		row := []string{g.rowTitle(groups), count(float64(g.clients))}
		best := g.best(g.speed(), func(e string) bool { return e != raw })
		for _, name := range engines {
			row = append(row, g.cell(name, best))
		}
		row = append(row, times(g.toBestPeer(g.entry(aegis))), barCell(g, all))
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	b.WriteString("\nOperations a second (entries, where they are scanned; time, where a store is opened): " +
		"medians of the rounds, the best in bold. – is an engine that took no part.\n")
}

// rowTitle is the title, with what sets apart two rows that would else read the same.
func (g *group) rowTitle(all []group) string {
	rest := strings.TrimPrefix(g.label(all), g.workload+", "+plural(g.clients, "client"))
	return escapeCell(g.show.title + rest)
}

func (g *group) cell(name string, best *entry) string {
	e := g.entry(name)
	if e == nil {
		return absent
	}
	f := g.speed()
	text := f.show(f.of(e))
	if f.of(e) != 0 && f.of(e) == f.of(best) {
		return "**" + text + "**"
	}
	return text
}

// barCell says what the bars require of the group's speed, and which are missed.
func barCell(g *group, all []Outcome) string {
	var parts []string
	for i := range all {
		o := &all[i]
		if o.Each || o.key != g.groupKey || !o.aboutSpeed() {
			continue
		}
		text := o.Required
		if text == o.terse+" "+bestPeer.name {
			text = o.terse
		}
		switch o.State {
		case Missed:
			text += ", **" + o.verdict() + "**"
		default:
			text += ", " + o.State.String()
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return absent
	}
	return escapeCell(strings.Join(parts, "; "))
}

// aboutSpeed tells the bars of the table's rows from those about disk, memory and growth.
func (o *Outcome) aboutSpeed() bool { return !o.Each && strings.HasPrefix(o.Bar, o.workload) }

func writeRaw(b *strings.Builder, groups []group) {
	var parts []string
	for i := range groups {
		g := &groups[i]
		if e := g.entry(raw); e != nil {
			parts = append(parts, fmt.Sprintf("%s %s/s", g.show.title, rateFigure.show(e.rate.median)))
		}
	}
	if len(parts) > 0 {
		b.WriteString("\nFor comparison, without any engine: " + strings.Join(parts, ", ") + ".\n")
	}
}

func writeOtherBars(b *strings.Builder, all []Outcome) {
	b.WriteString("\n| bar | required | measured | |\n|---|---|---|---|\n")
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = escapeCell(cells[i])
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	for i := range all {
		o := &all[i]
		switch {
		case o.Each && (i == 0 || all[i-1].Bar != o.Bar):
			var each tally
			for _, other := range all {
				if other.Each && other.Bar == o.Bar {
					each.add(other.State)
				}
			}
			row(o.Bar, o.Required, each.String(), each.state().String())
		case !o.Each && (!o.aboutSpeed() || o.Group == ""):
			row(o.Bar, o.Required, o.Measured, o.verdict())
		}
		if o.Each && o.State == Missed {
			row(o.Group, o.Required, o.Measured, "**"+o.verdict()+"**")
		}
	}
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

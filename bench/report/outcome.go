package report

import (
	"fmt"
	"strings"

	"github.com/aegis-storage/aegis/bench/measure"
)

// State is what became of a bar.
type State int

// The states. A bar is not measured if aegis or its yardstick has no figure.
const (
	NotMeasured State = iota
	Met
	Missed
)

// String returns the words that tables use.
func (s State) String() string {
	return [...]string{"not measured", "met", "missed"}[s]
}

// Outcome is one bar in one group.
type Outcome struct {
	Bar      string // its name
	Group    string // where it was measured; empty if nowhere
	Required string
	Measured string // with what it was compared to
	State    State
	Margin   float64 // fraction of what is required: positive if it is met by that much, negative if missed
	Each     bool    // the bar holds in each of many groups, and this is one of as many outcomes

	workload string
	clients  int
	key      groupKey
	terse    string // what is required, for the cell of a table
}

// Bars tells for each bar, in the order of the project's table, whether the results meet it; for
// one that several groups are about, or that holds everywhere, one outcome for each group.
func Bars(results []measure.Result) []Outcome { return outcomes(collect(results)) }

func outcomes(groups []group) []Outcome {
	var all []Outcome
	for i := range bars {
		b := &bars[i]
		before := len(all)
		for g := range groups {
			if b.admits(&groups[g]) {
				all = append(all, b.judge(&groups[g], groups))
			}
		}
		if len(all) == before {
			all = append(all, b.outcome(nil, nil))
		}
	}
	return all
}

// outcome is one that is not measured yet.
func (b *bar) outcome(g *group, groups []group) Outcome {
	o := Outcome{Bar: b.title(), Required: b.require(), Measured: absent, Each: b.each,
		workload: b.workload, clients: b.clients, terse: b.sign() + b.amount()}
	if g != nil {
		o.Group, o.key = g.label(groups), g.groupKey
	}
	return o
}

func (b *bar) judge(g *group, groups []group) Outcome {
	o := b.outcome(g, groups)
	own := g.entry(aegis)
	if own == nil || b.of.of(own) == 0 {
		o.Measured = "aegis: no figure"
		return o
	}
	value, yard := b.of.of(own), 1.0
	o.Measured = b.of.show(value)
	if b.against.peers != nil {
		other := b.against.in(g, groups, b.of)
		if other == nil {
			o.Measured += ", no figure of " + b.against.name
			return o
		}
		yard = b.of.of(other)
		o.Measured = fmt.Sprintf("%s (%s, %s %s)", times(value/yard), b.of.show(value), other.engine, b.of.show(yard))
	}
	ratio := value / yard
	o.State, o.Margin = Met, ratio/b.required-1
	if b.atMost {
		o.Margin = 1 - ratio/b.required
	}
	if o.Margin < 0 {
		o.State = Missed
	}
	return o
}

// in finds the yardstick: the best entry that it admits.
func (y *yardstick) in(g *group, groups []group, f figure) *entry {
	if y.workload == "" {
		return g.best(f, y.peers)
	}
	for i := range groups {
		if groups[i].workload == y.workload {
			if e := groups[i].best(f, y.peers); e != nil {
				return e
			}
		}
	}
	return nil
}

func (b *bar) title() string {
	if b.clients == 0 {
		return b.name
	}
	return b.name + ", " + plural(b.clients, "client")
}

func (b *bar) sign() string { return choose(b.atMost, "≤ ", "≥ ") }

func (b *bar) amount() string {
	switch {
	case b.required >= 1000:
		return strings.TrimSpace(count(b.required)) + "/s"
	default:
		return fmt.Sprintf("%.1f×", b.required)
	}
}

func (b *bar) require() string {
	if b.against.name == "" {
		return b.sign() + b.amount()
	}
	return b.sign() + b.amount() + " " + b.against.name
}

// verdict is the state with the margin: "missed by 12 %".
func (o *Outcome) verdict() string {
	switch percent := 100 * o.Margin; {
	case o.State == NotMeasured:
		return o.State.String()
	case percent >= 999:
		return o.State.String() + " by far"
	case percent < 0:
		return fmt.Sprintf("missed by %.1f %%", -percent)
	default:
		return fmt.Sprintf("%s by %.1f %%", o.State, percent)
	}
}

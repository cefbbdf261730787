package report

import (
	"fmt"
	"strings"
)

// tally counts outcomes by state.
type tally struct{ met, missed, not int }

func (t *tally) add(s State) {
	switch s {
	case Met:
		t.met++
	case Missed:
		t.missed++
	default:
		t.not++
	}
}

// state is that of a bar that must hold everywhere.
func (t tally) state() State {
	switch {
	case t.missed > 0:
		return Missed
	case t.met > 0:
		return Met
	}
	return NotMeasured
}

func (t tally) String() string {
	parts := []string{fmt.Sprintf("%d met", t.met), fmt.Sprintf("%d missed", t.missed)}
	if t.not > 0 {
		parts = append(parts, fmt.Sprintf("%d not measured", t.not))
	}
	return strings.Join(parts, ", ")
}

package plant

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Row is how one bug fared.
type Row struct {
	Bug     string  `json:"bug"`
	Class   string  `json:"class"`
	Found   bool    `json:"found"`
	By      string  `json:"by,omitempty"`      // the check that failed
	Seeds   int     `json:"seeds"`             // run until then, the failing one included
	Seconds float64 `json:"seconds"`           // until then
	Profile string  `json:"profile,omitempty"` // of the failing seed
	Ops     int     `json:"ops,omitempty"`     // operations left after shrinking
	Steps   int     `json:"steps,omitempty"`   // preemptions and faults left after shrinking
	Token   string  `json:"token,omitempty"`   // replays the shrunk failure
	Error   string  `json:"error,omitempty"`   // why the bug could not be tried at all
}

// Summary adds rows up in one line: how many were found, and how long that took. Bugs that were
// not found do not count in the times.
func Summary(rows []Row) string {
	var seconds []float64
	slowest := Row{}
	for _, r := range rows {
		if !r.Found {
			continue
		}
		seconds = append(seconds, r.Seconds)
		if !slowest.Found || r.Seconds > slowest.Seconds {
			slowest = r
		}
	}
	line := fmt.Sprintf("found %d of %d", len(seconds), len(rows))
	if len(seconds) == 0 {
		return line
	}
	slices.Sort(seconds)
	return fmt.Sprintf("%s, median %.2f s, worst %.2f s (%s)", line, median(seconds), slowest.Seconds, slowest.Bug)
}

// median of sorted numbers, of which there is one at least.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Scorecard prints rows as a table for people, in the given order, with the summary below it.
func Scorecard(rows []Row) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) }
	line("BUG", "CLASS", "FOUND BY", "SEEDS", "SECONDS", "PROFILE", "OPS", "STEPS", "TOKEN")
	for _, r := range rows {
		by := r.By
		switch {
		case r.Error != "":
			by = "error: " + firstLine(r.Error)
		case !r.Found:
			by = "not found"
		}
		line(r.Bug, r.Class, by, fmt.Sprint(r.Seeds), fmt.Sprintf("%.2f", r.Seconds), r.Profile,
			fmt.Sprint(r.Ops), fmt.Sprint(r.Steps), r.Token)
	}
	_ = w.Flush() // a Builder does not fail
	return b.String() + Summary(rows) + "\n"
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// JSONLines prints rows as one JSON object a line.
func JSONLines(rows []Row) (string, error) {
	var b strings.Builder
	for _, r := range rows {
		text, err := json.Marshal(r)
		if err != nil {
			return "", fmt.Errorf("plant: row of %s: %w", r.Bug, err)
		}
		b.Write(append(text, '\n'))
	}
	return b.String(), nil
}

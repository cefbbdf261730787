package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/aegis-storage/aegis/bench/measure"
)

// chartWidth is that of all charts, in pixels: about what a README has.
const chartWidth = 900.0

// chart is a picture to be written. An empty one is left out.
type chart struct{ file, svg string }

// Charts draws the results into dir, which it makes if it is absent, and returns the paths of the
// files: bars for each group of workloads, the 99.9th percentiles, memory, and curves over keys,
// clients and lengths of values, each if there is something to show.
func Charts(dir string, results []measure.Result) ([]string, error) {
	groups := collect(results)
	var charts []chart
	for _, s := range catalogue {
		if s.title != growthTitle {
			charts = append(charts, chart{s.file, barChart(s.title, ofSection(groups, s.title), groups)})
		}
	}
	charts = append(charts, chart{"other", barChart(otherTitle, ofSection(groups, otherTitle), groups)})
	compared := outside(groups, growthTitle)
	charts = append(charts,
		chart{"tail", dotChart("Latency, 99.9th percentile: less is better", p999Figure, 0, compared)},
		chart{"memory", dotChart("Anonymous memory over what was set: less is better", memoryFigure, memoryLimit(), compared)})
	for _, d := range dimensions {
		charts = append(charts, chart{d.file, curveChart(d, groups)})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("report: charts: %w", err)
	}
	var paths []string
	for _, c := range charts {
		if c.svg == "" {
			continue
		}
		path := filepath.Join(dir, c.file+".svg")
		if err := os.WriteFile(path, []byte(c.svg), 0o644); err != nil {
			return paths, fmt.Errorf("report: charts: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func ofSection(groups []group, title string) []group {
	return slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.section != title })
}

func outside(groups []group, title string) []group {
	return slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.section == title })
}

// memoryLimit is what the bar about memory requires, for a line in its chart.
func memoryLimit() float64 {
	return bars[slices.IndexFunc(bars, func(b bar) bool { return b.name == memoryBar })].required
}

// enginesOf returns the engines that have the figure in one of the groups, in the legend's order.
func enginesOf(groups []group, f figure) []string {
	var list []string
	for i := range groups {
		for j := range groups[i].entries {
			if e := &groups[i].entries[j]; e.limited == "" && f.of(e) > 0 {
				list = appendNew(list, e.engine)
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(cmp.Compare(engineRank(a), engineRank(b)), cmp.Compare(a, b))
	})
	return list
}

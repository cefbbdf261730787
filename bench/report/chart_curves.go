package report

import (
	"cmp"
	"slices"
)

// dimension is something that curves run over.
type dimension struct {
	file, title string
	of          func(*groupKey) int
	show        func(float64) string
	least       int // points that a workload must have for a panel, unless it is one of growth
}

var dimensions = []dimension{
	{"growth-keys", "Growth: over the number of keys", func(k *groupKey) int { return k.keys }, count, 3},
	{"growth-clients", "Growth: over the number of clients", func(k *groupKey) int { return k.clients }, count, 3},
	{"growth-values", "Growth: over the length of values", func(k *groupKey) int { return k.valueBytes }, length, 3},
}

// curve is one panel: a figure of one workload over a dimension.
type curve struct {
	title  string
	figure figure
	groups []group // by the dimension, one for each value of it
}

// Measures of a panel of curves, in pixels.
const (
	curveWidth  = 430.0
	curveHeight = 220.0
	curvePitch  = 296.0
	curveTop    = 84.0
)

func curveChart(d dimension, groups []group) string {
	curves := d.curves(groups)
	if len(curves) == 0 {
		return ""
	}
	s := &svg{width: chartWidth, height: curveTop + float64((len(curves)+1)/2)*curvePitch}
	s.text(10, 26, "title", d.title)
	var shown []string
	for i := range curves {
		for _, name := range enginesOf(curves[i].groups, curves[i].figure) {
			shown = appendNew(shown, name)
		}
		s.curvePanel(10+float64(i%2)*(curveWidth+24), curveTop+float64(i/2)*curvePitch, d, &curves[i])
	}
	slices.SortFunc(shown, func(a, b string) int {
		return cmp.Or(cmp.Compare(engineRank(a), engineRank(b)), cmp.Compare(a, b))
	})
	s.legend(10, 52, shown)
	return s.finish(d.title)
}

// curves returns the panels that the groups have enough points for: speeds first, then, for growth
// alone, what was written and what is on disk.
func (d *dimension) curves(groups []group) []curve {
	var speeds, costs []curve
	for _, s := range append(slices.Clone(catalogue), section{title: otherTitle}) {
		for _, w := range workloadsOf(groups, s.title) {
			line := d.line(groups, w)
			growing := s.title == growthTitle
			if len(line) < choosePoints(growing, d.least) {
				continue
			}
			show := line[0].show
			speeds = append(speeds, curve{choose(show.timed, show.title+": time", show.title+": "+show.unit+" a second"), line[0].speed(), line})
			// Work that only reads has no costs of its own: its store is that of the load.
			if !growing || len(enginesOf(line, writeFigure)) == 0 {
				continue
			}
			for _, f := range d.costs() {
				if len(enginesOf(line, f)) > 0 {
					costs = append(costs, curve{show.title + ": " + f.name, f, line})
				}
			}
		}
	}
	slices.SortStableFunc(costs, func(a, b curve) int { return cmp.Compare(a.figure.name, b.figure.name) })
	return append(speeds, costs...)
}

// costs are the figures of growth beside the speed. Where values differ in length, bytes a second
// are more telling than operations.
func (d *dimension) costs() []figure {
	if d.file == "growth-values" {
		return []figure{bytesFigure, spaceFigure, peakFigure, writeFigure}
	}
	return []figure{spaceFigure, peakFigure, writeFigure}
}

func choosePoints(growing bool, least int) int {
	if growing {
		return 2
	}
	return least
}

func workloadsOf(groups []group, title string) []string {
	var list []string
	for i := range groups {
		if groups[i].section == title {
			list = appendNew(list, groups[i].workload)
		}
	}
	return list
}

// line picks the groups of a workload that lie on one line along the dimension: all else is as in
// most of them, or the nearest to it. Values of other lengths come with other numbers of keys, for
// a store of ten million values of 1 MiB is not to be had.
func (d *dimension) line(groups []group, workload string) []group {
	var all []group
	for i := range groups {
		if groups[i].workload == workload {
			all = append(all, groups[i])
		}
	}
	if len(all) == 0 {
		return nil
	}
	usual := usualOf(all)
	var line []group
	for _, g := range all {
		fits := g.compressed == usual.compressed && g.durable == usual.durable
		for _, o := range dimensions {
			free := o.file == d.file || (o.file == "growth-keys" && d.file == "growth-values")
			fits = fits && (free || o.of(&g.groupKey) == o.of(&usual))
		}
		if !fits {
			continue
		}
		at := slices.IndexFunc(line, func(o group) bool { return d.of(&o.groupKey) == d.of(&g.groupKey) })
		switch {
		case at < 0:
			line = append(line, g)
		case distance(g.keys, usual.keys) < distance(line[at].keys, usual.keys):
			line[at] = g
		}
	}
	slices.SortFunc(line, func(a, b group) int { return cmp.Compare(d.of(&a.groupKey), d.of(&b.groupKey)) })
	return line
}

func distance(a, b int) int { return max(a, b) - min(a, b) }

// usualOf is the commonest value of each part of the keys; of equally common ones, the first.
func usualOf(groups []group) groupKey {
	return groupKey{
		keys:       commonest(groups, func(g *group) int { return g.keys }),
		clients:    commonest(groups, func(g *group) int { return g.clients }),
		valueBytes: commonest(groups, func(g *group) int { return g.valueBytes }),
		compressed: commonest(groups, func(g *group) bool { return g.compressed }),
		durable:    commonest(groups, func(g *group) bool { return g.durable }),
	}
}

func commonest[T comparable](groups []group, of func(*group) T) T {
	seen := map[T]int{}
	var best T
	for i := range groups {
		seen[of(&groups[i])]++
	}
	for i := range groups {
		if v := of(&groups[i]); seen[v] > seen[best] {
			best = v
		}
	}
	return best
}

func (s *svg) curvePanel(x, y float64, d dimension, c *curve) {
	s.text(x, y+8, "head", c.title)
	left, right, top, bottom := x+58, x+curveWidth-14, y+20, y+20+curveHeight
	across := axis{log: true, a: left + 14, b: right - 14,
		from: float64(d.of(&c.groups[0].groupKey)), to: float64(d.of(&c.groups[len(c.groups)-1].groupKey))}
	low, high := 0.0, 0.0
	for i := range c.groups {
		for j := range c.groups[i].entries {
			if v := c.figure.of(&c.groups[i].entries[j]); v > 0 {
				low, high = choosePositive(low, v), max(high, v)
			}
		}
	}
	up := linear(high, bottom, top)
	if high > 20*low {
		up = logarithmic(low, high, bottom, top)
	}
	for _, v := range up.ticks(6) {
		s.line(left, up.at(v), right, up.at(v), "grid")
		s.text(left-7, up.at(v)+4, "small muted end", tick(c.figure, v))
	}
	for i := range c.groups {
		v := float64(d.of(&c.groups[i].groupKey))
		s.line(across.at(v), bottom, across.at(v), bottom+4, "axis")
		s.text(across.at(v), bottom+18, "small muted mid", d.show(v))
	}
	s.line(left, bottom, right, bottom, "axis")
	engines := enginesOf(c.groups, c.figure)
	slices.Reverse(engines)
	for _, name := range engines {
		var points [][2]float64
		for i := range c.groups {
			if e := c.groups[i].entry(name); e != nil && c.figure.of(e) > 0 {
				points = append(points, [2]float64{across.at(float64(d.of(&c.groups[i].groupKey))), up.at(c.figure.of(e))})
			}
		}
		s.polyline(points, "line "+class(name))
		for _, p := range points {
			s.mark(p[0], p[1], name)
		}
	}
}

// tick writes a value at an axis, where zero is a number.
func tick(f figure, v float64) string {
	if v == 0 {
		return "0"
	}
	return trimmed(f.show(v))
}

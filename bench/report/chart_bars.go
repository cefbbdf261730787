package report

import "slices"

// Measures of a panel of bars, in pixels.
const (
	barPanelWidth = 430.0
	barPanelGap   = 24.0
	barHeight     = 14.0
	barPitch      = 18.0
	barNameWidth  = 58.0
	barTextWidth  = 74.0
)

// barChart draws a panel of horizontal bars for each group, two panels beside each other. A panel
// has its own scale, which begins at zero; a thin line over a bar is the range of its rounds.
func barChart(title string, groups, all []group) string {
	groups = slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.best(g.speed(), anyEngine) == nil })
	if len(groups) == 0 {
		return ""
	}
	s := &svg{width: chartWidth}
	s.text(10, 26, "title", title)
	y := 48.0
	for len(groups) > 0 {
		row := groups[:min(2, len(groups))]
		groups = groups[len(row):]
		deepest := 0.0
		for i := range row {
			x := 10 + float64(i)*(barPanelWidth+barPanelGap)
			deepest = max(deepest, s.barPanel(x, y, &row[i], all))
		}
		y += deepest + 22
	}
	s.height = y - 4
	return s.finish(title)
}

func anyEngine(string) bool { return true }

// barPanel draws one group and returns the height of it.
func (s *svg) barPanel(x, y float64, g *group, all []group) float64 {
	s.text(x, y+10, "head", g.rowTitle(all)+", "+plural(g.clients, "client"))
	unit := choose(g.show.timed, "time: less is better", g.show.unit+" a second")
	if ratio := g.toBestPeer(g.entry(aegis)); ratio > 0 {
		unit += "; aegis " + times(ratio) + " the best peer"
	}
	s.text(x, y+26, "small muted", unit)
	top := y + 36
	f := g.speed()
	high := 0.0
	for i := range g.entries {
		high = max(high, g.span(&g.entries[i]).high)
	}
	scale := axis{to: high, a: x + barNameWidth, b: x + barPanelWidth - barTextWidth}
	for i := range g.entries {
		e := &g.entries[i]
		row := top + float64(i)*barPitch
		base := row + barHeight - 3
		s.text(x+barNameWidth-7, base, choose(e.engine == aegis, "end strong", "end"), e.engine)
		of := g.span(e)
		if e.limited != "" || of.median == 0 {
			s.text(scale.a+2, base, "small muted", cut(choose(e.limited == "", "no figure", "no part: "+e.limited), 58))
			continue
		}
		s.rect(scale.a, row, max(scale.at(of.median)-scale.a, 1), barHeight, class(e.engine))
		if of.high > of.low {
			s.line(scale.at(of.low), row+barHeight/2, scale.at(of.high), row+barHeight/2, "range")
		}
		s.text(max(scale.at(of.median), scale.at(of.high))+5, base, choose(e.engine == aegis, "strong", ""), f.show(of.median))
	}
	bottom := top + float64(len(g.entries))*barPitch - 2
	s.line(scale.a, top-3, scale.a, bottom, "axis")
	return bottom - y
}

// span is the speed of an engine with its range.
func (g *group) span(e *entry) spread {
	if g.show.timed {
		return e.opTime
	}
	return e.rate
}

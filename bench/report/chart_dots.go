package report

import "slices"

// dotChart draws a row for each group with a mark for each engine on a logarithmic scale, and a
// line at limit if that is not zero.
func dotChart(title string, f figure, limit float64, groups []group) string {
	has := func(e string) bool { return e != raw }
	groups = slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.best(f, has) == nil })
	if len(groups) == 0 {
		return ""
	}
	low, high := limit, limit
	for i := range groups {
		for j := range groups[i].entries {
			if v := f.of(&groups[i].entries[j]); v > 0 {
				high = max(high, v)
				low = choosePositive(low, v)
			}
		}
	}
	const pitch, top = 21.0, 76.0
	bottom := top + float64(len(groups))*pitch
	s := &svg{width: chartWidth, height: bottom + 32}
	x := logarithmic(low, high, 250, chartWidth-34)
	s.text(10, 26, "title", title)
	s.legend(10, 50, enginesOf(groups, f))
	for _, v := range x.ticks(10) {
		s.line(x.at(v), top-6, x.at(v), bottom, "grid")
		s.text(x.at(v), bottom+16, "small muted mid", tick(f, v))
	}
	if limit > 0 {
		s.line(x.at(limit), top-6, x.at(limit), bottom, "limit")
		s.text(x.at(limit)+5, top-9, "small muted", "bar: "+times(limit))
	}
	for i := range groups {
		g := &groups[i]
		y := top + (float64(i)+0.5)*pitch
		s.text(10, y+4, "", g.rowTitle(groups)+" · "+count(float64(g.clients)))
		s.line(x.a, y, x.b, y, "grid")
		// aegis last, so that it lies above the others.
		for j := len(g.entries) - 1; j >= 0; j-- {
			if e := &g.entries[j]; e.limited == "" && f.of(e) > 0 {
				s.mark(x.at(f.of(e)), y, e.engine)
			}
		}
	}
	return s.finish(title)
}

// choosePositive is the lesser of two, where zero is none.
func choosePositive(a, b float64) float64 {
	if a == 0 || b < a {
		return b
	}
	return a
}

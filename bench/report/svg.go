package report

import (
	"fmt"
	"html"
	"strings"
)

// svg is a picture being drawn. Its colours are classes, so that its style can give each of them
// twice: for light and for dark surroundings.
type svg struct {
	b             strings.Builder
	width, height float64
}

// tone is one colour on light and on dark ground.
type tone struct{ light, dark string }

var (
	ground = tone{"#ffffff", "#15181d"}
	ink    = tone{"#1c2128", "#e6e9ee"}
	muted  = tone{"#5b6470", "#9aa4b1"}
	grid   = tone{"#e3e6ea", "#2c323a"}
)

// look is how an engine is drawn: a colour, and a mark, so that nobody depends on colours.
type look struct {
	tone
	mark string
}

// looks are after Paul Tol's schemes, which hold for colour-blind readers too. aegis alone is warm
// and saturated.
var looks = map[string]look{
	aegis:     {tone{"#e2470f", "#ff7a45"}, "circle"},
	"lmdb":    {tone{"#8a6fb5", "#b9a2e0"}, "up"},
	"rocksdb": {tone{"#3f8f5f", "#74c393"}, "diamond"},
	"pebble":  {tone{"#3b74ad", "#79b0e6"}, "square"},
	"badger":  {tone{"#a8963a", "#d8c873"}, "down"},
	"bbolt":   {tone{"#55b3cf", "#8fdcf2"}, "cross"},
	"sqlite":  {tone{"#8b929c", "#a9b0ba"}, "plus"},
	raw:       {tone{"#4d545e", "#c9ced6"}, "bar"},
}

var strangerLook = look{tone{"#b08a9e", "#d9b3c7"}, "square"}

func lookOf(engine string) look {
	if l, ok := looks[engine]; ok {
		return l
	}
	return strangerLook
}

// class is the engine's name in the style; engines without a look share one.
func class(engine string) string {
	if _, ok := looks[engine]; ok {
		return "e-" + engine
	}
	return "e-other"
}

// finish returns the whole file.
func (s *svg) finish(title string) string {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">`+"\n",
		s.width, s.height, s.width, s.height, html.EscapeString(title))
	fmt.Fprintf(&out, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(title), style())
	fmt.Fprintf(&out, `<rect class="ground" width="%.0f" height="%.0f"/>`+"\n", s.width, s.height)
	out.WriteString(s.b.String())
	out.WriteString("</svg>\n")
	return out.String()
}

func style() string {
	var b strings.Builder
	b.WriteString("text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n" +
		".title{font-size:17px;font-weight:600}.head{font-size:13px;font-weight:600}.small{font-size:11px}.strong{font-weight:700}\n" +
		".end{text-anchor:end}.mid{text-anchor:middle}.line{fill:none;stroke-width:1.8}.line.e-aegis{stroke-width:3}\n" +
		".grid{stroke-width:1}.axis{stroke-width:1}.limit{stroke-width:1.2;stroke-dasharray:4 3}.range{stroke-width:1.2}\n")
	write := func(pick func(tone) string) {
		fmt.Fprintf(&b, ".ground{fill:%s}text{fill:%s}text.muted{fill:%s}.grid{stroke:%s}.axis,.limit{stroke:%s}.range{stroke:%s}\n",
			pick(ground), pick(ink), pick(muted), pick(grid), pick(muted), pick(ink))
		for _, name := range append([]string{"other"}, engineOrder...) {
			colour := pick(lookOf(name).tone)
			fmt.Fprintf(&b, ".e-%s{fill:%s}.line.e-%s,.stroke.e-%s{fill:none;stroke:%s}\n", name, colour, name, name, colour)
		}
	}
	write(func(t tone) string { return t.light })
	b.WriteString("@media (prefers-color-scheme:dark){\n")
	write(func(t tone) string { return t.dark })
	b.WriteString("}\n")
	return b.String()
}

func (s *svg) text(x, y float64, classes, text string) {
	fmt.Fprintf(&s.b, `<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", x, y, classes, html.EscapeString(text))
}

func (s *svg) rect(x, y, w, h float64, classes string) {
	fmt.Fprintf(&s.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1.5" class="%s"/>`+"\n", x, y, w, h, classes)
}

func (s *svg) line(x1, y1, x2, y2 float64, classes string) {
	fmt.Fprintf(&s.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, classes)
}

func (s *svg) polyline(points [][2]float64, classes string) {
	var at []string
	for _, p := range points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", p[0], p[1]))
	}
	fmt.Fprintf(&s.b, `<polyline points="%s" class="%s"/>`+"\n", strings.Join(at, " "), classes)
}

// mark draws an engine's mark around a point.
func (s *svg) mark(x, y float64, engine string) {
	r := 4.0
	if engine == aegis {
		r = 5.5
	}
	path := func(format string, v ...any) {
		fmt.Fprintf(&s.b, `<path d="%s" class="%s"/>`+"\n", fmt.Sprintf(format, v...), class(engine))
	}
	stroke := func(format string, v ...any) {
		fmt.Fprintf(&s.b, `<path d="%s" class="stroke %s" stroke-width="2.2"/>`+"\n", fmt.Sprintf(format, v...), class(engine))
	}
	switch lookOf(engine).mark {
	case "circle":
		fmt.Fprintf(&s.b, `<circle cx="%.1f" cy="%.1f" r="%.1f" class="%s"/>`+"\n", x, y, r, class(engine))
	case "up":
		path("M%.1f %.1fl%.1f %.1fh%.1fz", x, y-r, r+.6, 2*r, -2*r-1.2)
	case "down":
		path("M%.1f %.1fl%.1f %.1fh%.1fz", x, y+r, r+.6, -2*r, -2*r-1.2)
	case "diamond":
		path("M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz", x, y-r-1, r+1, r+1, -r-1, r+1, -r-1, -r-1)
	case "cross":
		stroke("M%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f", x-3.5, y-3.5, 7.0, 7.0, -7.0, -7.0, 7.0)
	case "plus":
		stroke("M%.1f %.1fh%.1fm%.1f %.1fv%.1f", x-4.5, y, 9.0, -4.5, -4.5, 9.0)
	case "bar":
		stroke("M%.1f %.1fv%.1f", x, y-5, 10.0)
	default:
		path("M%.1f %.1fh%.1fv%.1fh%.1fz", x-r+.5, y-r+.5, 2*r-1, 2*r-1, -2*r+1)
	}
}

// legend draws marks and names in a row that begins at x.
func (s *svg) legend(x, y float64, engines []string) {
	for _, name := range engines {
		s.mark(x+6, y-4, name)
		s.text(x+16, y, choose(name == aegis, "strong", ""), name)
		x += 34 + 7.2*float64(len(name))
	}
}

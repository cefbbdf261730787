package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// figure is one of the things that are measured, and which way it is better.
type figure struct {
	name string
	less bool // less is better
	of   func(*entry) float64
	show func(float64) string
}

var (
	rateFigure    = figure{"rate", false, func(e *entry) float64 { return e.rate.median }, perSecond}
	opTimeFigure  = figure{"time", true, func(e *entry) float64 { return e.opTime.median }, seconds}
	p999Figure    = figure{"p99.9", true, func(e *entry) float64 { return e.p999 }, nanoseconds}
	writtenFigure = figure{"written", true, func(e *entry) float64 { return e.written }, size}
	diskFigure    = figure{"on disk", true, func(e *entry) float64 { return e.disk }, size}
	memoryFigure  = figure{"anonymous memory", true, func(e *entry) float64 { return e.overall }, times}
	bytesFigure   = figure{"bytes a second", false, func(e *entry) float64 { return e.bytes }, byteRate}
	writeFigure   = figure{"write amplification", true, func(e *entry) float64 { return e.writeBy }, times}
	peakFigure    = figure{"space amplification at its peak", true, func(e *entry) float64 { return e.peakBy }, times}
	spaceFigure   = figure{"space amplification", true, func(e *entry) float64 { return e.spaceBy }, times}
)

const absent = "–"

// digits writes a number with three significant digits, but never fewer than its integer part has.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

type unit struct {
	from float64
	name string
}

// scaled writes v in the largest unit that is not above it once it is rounded to three digits.
func scaled(v float64, units []unit) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return absent
	}
	for _, u := range units {
		if v >= 0.9995*u.from {
			return digits(v/u.from) + u.name
		}
	}
	last := units[len(units)-1]
	return digits(v/last.from) + last.name
}

// perSecond writes operations a second, without the "/s".
func perSecond(v float64) string {
	return scaled(v, []unit{{1e9, " G"}, {1e6, " M"}, {1e3, " K"}, {1, ""}})
}

func seconds(v float64) string {
	return scaled(v, []unit{{1, " s"}, {1e-3, " ms"}, {1e-6, " µs"}, {1e-9, " ns"}})
}

func nanoseconds(v float64) string { return seconds(v / 1e9) }

// size writes bytes in binary units.
func size(v float64) string {
	if v > 0 && v < 1000 {
		return fmt.Sprintf("%.0f B", v)
	}
	return scaled(v, []unit{{1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}})
}

// byteRate writes bytes a second, without the "/s".
func byteRate(v float64) string {
	return scaled(v, []unit{{1e9, " GB"}, {1e6, " MB"}, {1e3, " kB"}, {1, " B"}})
}

// trimmed cuts the zeros behind the point, which are noise where a number was chosen.
func trimmed(text string) string {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	if number := text[:end]; strings.Contains(number, ".") {
		return strings.TrimRight(strings.TrimRight(number, "0"), ".") + text[end:]
	}
	return text
}

// length writes a number of bytes that was chosen, in the units it was chosen in.
func length(v float64) string {
	if n := int64(v); n >= 1000 && n%1000 == 0 {
		return trimmed(byteRate(v))
	}
	return trimmed(size(v))
}

func times(v float64) string {
	if v == 0 {
		return absent
	}
	if v < 0.0995 {
		return strconv.FormatFloat(v, 'g', 2, 64) + "×"
	}
	return digits(v) + "×"
}

// count writes a number of things, exactly if it is small or round.
func count(v float64) string {
	for _, u := range []unit{{1e6, " M"}, {1e3, " K"}} {
		if v >= u.from {
			return strconv.FormatFloat(math.Round(v/u.from*100)/100, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

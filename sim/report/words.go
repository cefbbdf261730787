package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aegis-storage/aegis/sim/trace"
)

// call splits an IO event's text into the call, the words after it, and whether it failed.
func call(text string) (name, rest string, failed bool) {
	end := strings.IndexAny(text, " :,\n")
	if end < 0 {
		return text, "", false
	}
	name, rest = text[:end], strings.TrimSpace(text[end:])
	return name, rest, strings.HasPrefix(rest, ":") || strings.Contains(rest, "failed")
}

// operation splits an Op event's text: whether it begins or ends an operation, and the rest.
func operation(text string) (begins, ends bool, what string) {
	first, rest, _ := strings.Cut(text, " ")
	switch strings.TrimSuffix(first, ":") {
	case "begin", "begins":
		return true, false, rest
	case "end", "ends":
		return false, true, rest
	}
	return false, false, text
}

// cacheLives reports whether a life's end leaves unsynced bytes in the system's cache.
func cacheLives(crash string) bool {
	crash = strings.ToLower(crash)
	return strings.HasPrefix(crash, "kill") || strings.HasPrefix(crash, "close")
}

// arrows stand between an event's task and where it leads.
var arrows = map[trace.Kind]string{
	trace.Op: "●", trace.Send: "→", trace.Publish: "⇢", trace.Answer: "⇒", trace.IO: "▸", trace.Fault: "◆",
	trace.Crash: "✕", trace.Life: "○", trace.Time: "◷", trace.Note: "“", trace.Failure: "■",
}

const legend = "● operation   → message   ⇢ publish   ⇒ answer   ▸ disk   ◆ fault   ◷ timer   “ note"

// words are what an event says, without its task and where it leads.
func words(e trace.Event, syncs map[int]synced, i int) string {
	text := clean(e.Text)
	if e.Kind != trace.IO {
		return text
	}
	name, rest, failed := call(text)
	switch {
	case name == "sync" && !failed:
		if s, ok := syncs[i]; ok && s.writes > 0 {
			name += fmt.Sprintf(" of %s in %s", size(s.bytes), count(s.writes, "write"))
		} else if rest == "" {
			name += ", nothing new"
		}
	case name == "truncate":
		name += " to " + size(e.Off+e.Len)
	case e.Len > 0:
		name += fmt.Sprintf(" %s at %d", size(e.Len), e.Off)
	}
	switch {
	case rest == "":
	case strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, ","):
		name += rest
	default:
		name += ", " + rest
	}
	return name
}

// quietSends are messages that keep figures up to date and carry no commit.
var quietSends = []string{"IndexBytes", "PagesLoaded", "TablesRetired", "Tick"}

// quietCalls are I/O calls that change nothing, unless they fail.
var quietCalls = []string{"read", "size", "list", "open", "close", "lock"}

// foldKey names what an event counts as inside a fold, "read|of wal-1", or is "" if the event
// always has a line of its own.
func foldKey(e trace.Event) string {
	switch e.Kind {
	case trace.IO:
		if name, rest, _ := call(e.Text); rest == "" && slices.Contains(quietCalls, name) {
			if e.To == "" {
				return name + "|"
			}
			return name + "|of " + clean(e.To)
		}
	case trace.Time:
		return "timer|"
	case trace.Send:
		first, _, _ := strings.Cut(e.Text, " ")
		if slices.Contains(quietSends, first) || strings.HasSuffix(first, "StatsRequest") {
			return "message|to " + clean(e.To)
		}
	}
	return ""
}

// foldAtLeast is the shortest run of quiet events that is folded.
const foldAtLeast = 3

// foldWords says what a fold hides: "14 reads of table-1, 3 timers". The first kinds are named,
// in the order in which they occur.
func foldWords(keys []string) string {
	const named = 3
	var order []string
	counts := map[string]int{}
	for _, k := range keys {
		if counts[k]++; counts[k] == 1 {
			order = append(order, k)
		}
	}
	var parts []string
	rest := len(keys)
	for _, k := range order[:min(named, len(order))] {
		noun, of, _ := strings.Cut(k, "|")
		parts = append(parts, strings.TrimSpace(count(counts[k], noun)+" "+of))
		rest -= counts[k]
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(parts, ", ")
}

// count returns "1 write", "3 writes".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return group(int64(n)) + " " + noun
}

// group writes a number with commas: 5,000.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes a number of bytes: exact below 10,000, then in binary units.
func size(n int64) string {
	if n < 10_000 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if v /= 1024; v < 1024 || unit == "GiB" {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + unit
		}
	}
	return ""
}

// span writes the bytes of a range: "4096–8191 (4096 B)".
func span(off, length int64) string {
	return fmt.Sprintf("%d–%d (%s)", off, off+length-1, size(length))
}

// instant writes virtual time.
func instant(d time.Duration) string { return d.Round(time.Microsecond).String() }

package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/aegis-storage/aegis/sim/trace"
)

// Text writes the run as a trace that reads from top to bottom: life by life what each task did,
// at the end of each life what was synced and what the crash took, then what broke and what to do
// next. Runs of reads, timers and bookkeeping are folded into one line. The error is w's, or says
// what in r points nowhere.
func Text(w io.Writer, r Run) error { return writeText(w, &r, true) }

// FullText is Text without folding: one line an event.
func FullText(w io.Writer, r Run) error { return writeText(w, &r, false) }

func writeText(w io.Writer, r *Run, fold bool) error {
	if err := r.check(); err != nil {
		return err
	}
	t := &teller{w: bufio.NewWriter(w), r: r, disk: replayDisk(r), evidence: map[int]bool{}}
	for _, i := range r.Evidence {
		t.evidence[i] = true
	}
	t.measure()
	t.head()
	for from := 0; from < len(r.Events); {
		to := from + 1
		for to < len(r.Events) && r.Events[to].Life == r.Events[from].Life {
			to++
		}
		t.life(from, to, fold)
		from = to
	}
	t.broke()
	t.next()
	return t.w.Flush()
}

// teller writes one run's trace.
type teller struct {
	w        *bufio.Writer // keeps the first error until Flush
	r        *Run
	disk     *disk
	evidence map[int]bool

	steps, times, tasks, targets int // widths of columns
}

// The widest that names may make a column.
const maxColumn = 24

// measure finds the widths of the columns.
func (t *teller) measure() {
	wider := func(to *int, s string, most int) { *to = min(most, max(*to, utf8.RuneCountInString(s))) }
	for _, e := range t.r.Events {
		wider(&t.steps, group(e.Step), maxColumn)
		wider(&t.times, instant(e.Time), maxColumn)
		wider(&t.tasks, clean(e.From), maxColumn)
		wider(&t.targets, clean(e.To), maxColumn)
	}
}

func (t *teller) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// rule writes a heading across the page.
func (t *teller) rule(format string, args ...any) {
	const width = 100
	text := fmt.Sprintf(format, args...)
	t.printf("\n── %s %s\n", text, strings.Repeat("─", max(2, width-4-utf8.RuneCountInString(text))))
}

// field writes a label and a text of one or more lines.
func (t *teller) field(label, text string) {
	lines := strings.Split(strings.TrimRight(clean(text), "\n"), "\n")
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		t.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %s  %s", pad(label, 12), line), " "))
	}
}

// pad fills s with spaces up to n runes.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func (t *teller) head() {
	r := t.r
	if r.Title != "" {
		t.printf("%s\n", clean(r.Title))
	}
	for _, f := range [][2]string{{"failed", r.Check}, {"profile", r.Profile}, {"token", r.Token}} {
		if f[1] != "" {
			t.field(f[0], f[1])
		}
	}
	t.field("seed", fmt.Sprint(r.Seed))
	lives := "1 life"
	if n := r.lives(); n != 1 {
		lives = fmt.Sprintf("%d lives", n)
	}
	t.field("run", fmt.Sprintf("%s in %s", count(len(r.Events), "event"), lives))
	t.field("signs", legend)
}

// life tells the events of one life, and what they came to.
func (t *teller) life(from, to int, fold bool) {
	title := fmt.Sprintf("life %d", t.r.Events[from].Life)
	if from > 0 && t.r.Events[from-1].Kind == trace.Crash {
		how, _, _ := strings.Cut(clean(t.r.Events[from-1].Text), "\n")
		title += ", after " + how
	}
	t.rule("%s", shorten(title, 90))
	for i := from; i < to; {
		n := t.quiet(i, to)
		if !fold || n < foldAtLeast {
			for range max(1, n) {
				t.event(i)
				i++
			}
			continue
		}
		var keys []string
		for _, e := range t.r.Events[i : i+n] {
			keys = append(keys, foldKey(e))
		}
		t.printf("  %s … %s\n", strings.Repeat(" ", t.steps+t.times+1), foldWords(keys))
		i += n
	}
	t.summary(from, to)
}

// quiet returns the length of the run of foldable events at i.
func (t *teller) quiet(i, to int) int {
	n := 0
	for i+n < to && !t.evidence[i+n] && foldKey(t.r.Events[i+n]) != "" {
		n++
	}
	return n
}

// event writes one event, and below it what it says in further lines.
func (t *teller) event(i int) {
	e := t.r.Events[i]
	mark := " "
	switch {
	case t.evidence[i]:
		mark = "▶"
	case e.Kind == trace.Failure:
		mark = "■"
	}
	lines := strings.Split(strings.TrimRight(words(e, t.disk.syncs, i), "\n"), "\n")
	from, to := pad(clean(e.From), t.tasks), pad(clean(e.To), t.targets)
	indent := 2 + t.steps + 1 + t.times + 2 + t.tasks + 3 + t.targets + 2
	first := fmt.Sprintf("%s %*s %*s  %s %s %s  %s", mark, t.steps, group(e.Step), t.times, instant(e.Time), from, arrows[e.Kind], to, lines[0])
	t.printf("%s\n", strings.TrimRight(first, " "))
	for _, line := range lines[1:] {
		t.printf("%s\n", strings.TrimRight(strings.Repeat(" ", indent)+line, " "))
	}
}

// broke says what failed and what it contradicts.
func (t *teller) broke() {
	r := t.r
	at := r.failed()
	if at < 0 && r.Check == "" && r.Failure == "" {
		t.rule("nothing broke")
		return
	}
	t.rule("what broke")
	if r.Check != "" {
		t.field("check", r.Check)
	}
	if at >= 0 {
		e := r.Events[at]
		t.field("where", fmt.Sprintf("life %d, step %s", e.Life, group(e.Step)))
	}
	switch {
	case r.Failure != "":
		t.field("failure", r.Failure)
	case at >= 0:
		t.field("failure", r.Events[at].Text)
	}
	if len(r.Evidence) > 0 {
		t.printf("  against\n")
		for _, i := range r.Evidence {
			t.event(i)
		}
	}
}

// next gives the commands.
func (t *teller) next() {
	commands := t.r.commands()
	if len(commands) == 0 {
		return
	}
	t.rule("next")
	for _, c := range commands {
		t.field(c.Does, c.Line)
	}
}

// shorten cuts s to n runes.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

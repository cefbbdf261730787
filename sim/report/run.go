package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/aegis-storage/aegis/sim/trace"
)

// Run is one run to be told. Every field but Events may be empty.
type Run struct {
	Title   string // the subject's name, say "aegis swarm"
	Token   string // replays the run
	Profile string // the profile's name or text
	Seed    uint64

	Check   string // the check that failed, a few words: "recovery prefix"
	Failure string // what broke, in one or more lines

	Events   []trace.Event // in order
	Evidence []int         // indexes into Events that the failure contradicts, say the answer that promised a lost commit
	Losses   []Loss        // what crashes did to unsynced bytes
	Commands []Command     // what to do next; nil means DefaultCommands
}

// Loss is what one crash did to a range of bytes that were not synced.
type Loss struct {
	Crash int    // index of the Crash event in Run.Events
	File  string // as in the events
	Off   int64  // bytes
	Len   int64  // bytes; 0 means the file's name: its creation or its removal
	Fate  Fate
	// Removal says of a name that its removal had the Fate, not its creation.
	Removal bool
}

// entry is the word for what happened to a file's name.
func (l *Loss) entry() string {
	if l.Removal {
		return "removal"
	}
	return "creation"
}

// Fate is what became of bytes that were written.
type Fate uint8

// The fates of written bytes.
const (
	InDoubt Fate = iota // unsynced at a crash of which nothing more is known
	Kept                // unsynced, and survived the crash all the same
	Dropped             // unsynced, and gone
	Torn                // unsynced, and garbage or old bytes in part
	Synced              // a sync made them durable
	Cut                 // truncated or removed before a sync
	Open                // unsynced when the run ended
)

var fateNames = [...]string{"in doubt", "kept", "lost", "torn", "synced", "cut off", "unsynced"}

// String returns the word that reports use.
func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "unknown"
}

// Command is a line for a shell, and what it is for.
type Command struct {
	Does string // "replay"
	Line string
}

// DefaultCommands are the commands of aegis's own command line for a token.
func DefaultCommands(token string) []Command {
	quoted := shellQuote(token)
	return []Command{
		{"replay", "aegis sim replay " + quoted},
		{"as a page", "aegis sim replay --html run.html " + quoted},
		{"shrink", "aegis sim shrink " + quoted},
		{"make a test", "aegis sim regress " + quoted + " > regression_test.go"},
	}
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_.,:=+-/@%", r))
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (r *Run) commands() []Command {
	if r.Commands == nil && r.Token != "" {
		return DefaultCommands(r.Token)
	}
	return r.Commands
}

// check says what in the run points nowhere.
func (r *Run) check() error {
	for _, i := range r.Evidence {
		if i < 0 || i >= len(r.Events) {
			return fmt.Errorf("report: evidence %d of %d events", i, len(r.Events))
		}
	}
	for _, l := range r.Losses {
		if l.Crash < 0 || l.Crash >= len(r.Events) || r.Events[l.Crash].Kind != trace.Crash {
			return fmt.Errorf("report: loss in %s names event %d, which is no crash", l.File, l.Crash)
		}
	}
	return nil
}

// failed returns the index of the event that says what broke, or -1.
func (r *Run) failed() int {
	return slices.IndexFunc(r.Events, func(e trace.Event) bool { return e.Kind == trace.Failure })
}

// lives returns the number of lives.
func (r *Run) lives() int {
	lives := 0
	for _, e := range r.Events {
		lives = max(lives, e.Life)
	}
	return lives
}

// clean makes s safe for terminals and pages: what does not print, or changes the direction of
// the text, is shown as its escape. Line breaks stay, tabs become a space.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\t", " ")
	ok := func(r rune) bool { return r == '\n' || unicode.IsPrint(r) }
	if !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) || r == unicode.ReplacementChar }) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == unicode.ReplacementChar && !strings.HasPrefix(s[i:], string(r)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case ok(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

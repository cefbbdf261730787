package salvage

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what became of a range or of commits.
type Kind string

// The kinds of Lost.
const (
	// Entries: the entries of a range of keys could not be read from a table. Older is how many
	// entries in the range were copied from older tables.
	Entries Kind = "entries"
	// Unproven: the entries of a range were copied, and nothing vouches for them: they decode, but
	// their checksums are lost.
	Unproven Kind = "unproven"
	// Commits: the commits from SeqLo to SeqHi are lost, whatever they wrote. At the log's end SeqHi is
	// zero: whether there were more cannot be known.
	Commits Kind = "commits"
	// AfterGap: the commits from SeqLo to SeqHi were applied, though commits before them are lost.
	AfterGap Kind = "after a gap"
	// Name: the catalog entry of a keyspace is lost; Keyspace is the name that it has been given.
	Name Kind = "name"
	// Unordered: a table was read without knowing how old it is, or whether it was merged: its entries
	// were copied only where no newer table has the key, and may have been deleted or overwritten.
	Unordered Kind = "unordered"
)

// Lost is one thing that is not as it was, and why.
type Lost struct {
	Kind     Kind
	Keyspace string `json:",omitempty"` // empty: any
	Lo, Hi   []byte `json:",omitempty"` // keys Lo ≤ key < Hi; a nil Hi is the end
	SeqLo    uint64 `json:",omitempty"` // the commits that were lost, or that the range's entries are from …
	SeqHi    uint64 `json:",omitempty"` // … both included; zero: not known
	Older    int64  `json:",omitempty"` // entries of the range that were copied from older tables
	File     string `json:",omitempty"`
	Offset   int64  `json:",omitempty"` // in File, bytes
	Why      string
}

// Report tells what Run did. It encodes as JSON.
type Report struct {
	Checkpoint string // the file that was believed; empty: none, tables were ordered by their footers
	Covers     uint64 // commits up to this one are in tables
	LastSeq    uint64 // the last commit that was found
	// UnknownFrom: commits from this one on cannot be known of: if there were any, nothing that is
	// left tells so. They are not in Lost. Zero: all commits are in the new store, or in Lost.
	UnknownFrom uint64 `json:",omitempty"`
	LogEnds     string // where the log ends, and why it cannot be told whether it went on

	Tables    int    // files that were opened and read; one that is missing is not
	Keyspaces int    // of the new store, the default one counted
	Entries   int64  // copied from tables, blocks not counted
	Blocks    int64  // copied from tables
	Bytes     int64  // keys and values copied from tables
	Commits   uint64 // applied from the log

	Lost     []Lost
	Unlisted int64    // what was lost beside that, when there was too much to list
	Ignored  []string // files that the store does not need: of unfinished jobs, or waiting for their removal
	Notes    []string // damage that cost nothing
}

// maxLost bounds the list, and so the memory that it takes.
const maxLost = 1 << 16

// Sound reports whether nothing is known to be lost. UnknownFrom tells of what cannot be known.
func (r *Report) Sound() bool { return len(r.Lost) == 0 && r.Unlisted == 0 }

// add appends to the list, joined with the one before where they go on.
func (r *Report) add(l Lost) {
	if n := len(r.Lost); n > 0 {
		p := &r.Lost[n-1]
		if p.Kind == l.Kind && p.Keyspace == l.Keyspace && p.File == l.File && p.Why == l.Why &&
			p.SeqLo == l.SeqLo && p.SeqHi == l.SeqHi && p.Hi != nil && bytes.Equal(p.Hi, l.Lo) {
			p.Hi, p.Older = l.Hi, p.Older+l.Older
			return
		}
	}
	if len(r.Lost) == maxLost {
		r.Unlisted++
		return
	}
	r.Lost = append(r.Lost, l)
}

func (r *Report) note(format string, args ...any) {
	if len(r.Notes) < maxLost {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

// String is the report as a person reads it.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "copied %s (%s) in %s and %s from %s, and %s from the log, up to commit %d\n",
		count(r.Entries, "entry", "entries"), count(r.Bytes, "byte", "bytes"), count(r.Keyspaces, "keyspace", "keyspaces"),
		count(r.Blocks, "block", "blocks"), count(r.Tables, "table", "tables"), count(r.Commits, "commit", "commits"), r.LastSeq)
	if r.Checkpoint == "" {
		b.WriteString("no checkpoint could be read: tables were ordered by their own footers, and one that is missing is not listed\n")
	}
	if r.UnknownFrom > 0 {
		fmt.Fprintf(&b, "commits from %d on cannot be known of: %s\n", r.UnknownFrom, r.LogEnds)
	}
	if r.Sound() {
		b.WriteString("nothing is known to be lost\n")
	} else {
		fmt.Fprintf(&b, "not as it was, %d:\n", int64(len(r.Lost))+r.Unlisted)
	}
	for i := range r.Lost {
		fmt.Fprintf(&b, "  %s\n", &r.Lost[i])
	}
	if r.Unlisted > 0 {
		fmt.Fprintf(&b, "  and %d more\n", r.Unlisted)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	if len(r.Ignored) > 0 {
		fmt.Fprintf(&b, "files that the store does not need: %s\n", strings.Join(r.Ignored, " "))
	}
	return b.String()
}

// String is one line.
func (l *Lost) String() string {
	var b strings.Builder
	b.WriteString(string(l.Kind))
	if l.Keyspace != "" {
		fmt.Fprintf(&b, " in keyspace %q", l.Keyspace)
	}
	if l.Kind == Entries || l.Kind == Unproven || l.Kind == Unordered {
		fmt.Fprintf(&b, " from %s to %s", bound(l.Lo, "the first"), bound(l.Hi, "the last"))
	}
	switch {
	case l.SeqHi == 0 && l.Kind == Commits:
		fmt.Fprintf(&b, " %d and on", l.SeqLo)
	case l.SeqHi == 0:
	case l.Kind == Entries || l.Kind == Unproven || l.Kind == Unordered:
		fmt.Fprintf(&b, ", of commits %d to %d", l.SeqLo, l.SeqHi)
	default:
		fmt.Fprintf(&b, " %d to %d", l.SeqLo, l.SeqHi)
	}
	if l.Older > 0 {
		fmt.Fprintf(&b, " (%s of older tables in its place, maybe out of date)", count(l.Older, "entry", "entries"))
	}
	if l.File != "" {
		fmt.Fprintf(&b, " [%s, offset %d]", l.File, l.Offset)
	}
	return b.String() + ": " + l.Why
}

// count is a number of things, in words.
func count[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func bound(key []byte, open string) string {
	if key == nil {
		return open
	}
	return strconv.QuoteToASCII(string(key))
}

package aegis

import (
	"bytes"
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aegis-storage/aegis/pages"
)

// debugState is what the debug page shows: the store's Stats and what they do not have. Durations are
// nanoseconds.
type debugState struct {
	Time     time.Time
	Dir      string
	Error    string // why there are no figures; empty: there are
	State    string // in a few words
	ReadOnly bool
	Limits   debugLimits
	Stats    debugStats
	Failing  []failing // the engine's jobs that fail, and are tried again
	Actors   []debugActor
	Open     int // snapshots; of these the oldest are listed
	Runs     []debugRun
	Tables   int           // in all; of these the first are listed
	Keys     []debugBorder // where keyspaces begin, on the axis of the tables
	Events   []debugEvent  // the newest first
}

// debugStats is Stats with its errors as texts.
type debugStats struct {
	Stats
	Err       string
	LastError string // Tables.LastError
	Snapshots []debugSnapshot
}

// debugLimits are what the figures are compared with.
type debugLimits struct {
	LogBytes, SegmentBytes, IndexBytes int64
	MaxFrozen, MaxRuns, Inbox          int
}

type debugActor struct {
	Name    string
	Waiting int
	Taken   uint64
}

type debugSnapshot struct {
	Seq       uint64
	Age       time.Duration
	ReadWrite bool
	TooOld    bool
	Origin    string
}

type debugRun struct {
	Tier   int
	Bottom bool
	Bytes  int64
	Count  int // tables, also those that are not listed
	Tables []debugTable
}

// debugTable is a table. From and To are where its keys begin and end on an axis from 0 to 1, on which
// all tables' first and last keys lie side by side at equal distances.
type debugTable struct {
	File                string
	Bytes               int64
	Entries, Tombstones uint64
	From, To            float64
	Min, Max            string
}

type debugBorder struct {
	At   float64
	Name string
}

type debugEvent struct {
	No     uint64
	Time   time.Time
	Level  string
	Name   string
	Fields [][2]string
}

// The most that one answer lists.
const (
	debugTables    = 600
	debugSnapshots = 50
	debugKeyBytes  = 24
)

// newDebugState makes the state of what Stats returned.
func newDebugState(db *DB, stats *Stats, err error, spaces map[uint32]string) *debugState {
	l := db.opts.Limits
	s := &debugState{
		Time: db.rt.Now(), Dir: db.dir, ReadOnly: db.opts.ReadOnly, Error: errorText(err), Failing: db.watcher.failing(),
		Limits: debugLimits{
			LogBytes: l.LogBytes, SegmentBytes: l.SegmentBytes, IndexBytes: l.IndexBytes,
			MaxFrozen: l.MaxFrozen, MaxRuns: l.MaxRuns, Inbox: l.Inbox,
		},
		Stats: debugStats{Stats: *stats, Err: errorText(stats.Err), LastError: errorText(stats.Tables.LastError), Snapshots: []debugSnapshot{}},
		Open:  len(stats.Snapshots),
	}
	s.Stats.Tables.LastError = nil // an error is no JSON
	for _, name := range [...]string{"txcoord", "walwriter", "flusher", "evictor"} {
		if taken, running := stats.Messages[name]; running {
			s.Actors = append(s.Actors, debugActor{Name: name, Waiting: stats.Mailboxes[name], Taken: taken})
		}
	}
	for _, o := range stats.Snapshots[:min(len(stats.Snapshots), debugSnapshots)] {
		s.Stats.Snapshots = append(s.Stats.Snapshots, debugSnapshot(o))
	}
	s.addLayout(db.Layout(), spaces)
	s.State = s.describe(err, stats.Err)
	s.addEvents(db.events.recent())
	return s
}

// describe says how the store is: none is why there are no figures, and refuses why it refuses writes.
func (s *debugState) describe(none, refuses error) string {
	switch {
	case errors.Is(none, ErrClosed):
		return "closed"
	case errors.Is(none, ErrPoisoned), errors.Is(refuses, ErrPoisoned):
		return "read-only after a failure"
	case none != nil:
		return "no figures"
	case errors.Is(refuses, ErrNoSpace):
		return "no space"
	case refuses != nil:
		return "stalled"
	case len(s.Failing) > 0:
		return "background work fails"
	case s.Stats.Commits.Held > 0:
		return "commits are held back"
	}
	return "works"
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func compareKeys(a, b TableKey) int {
	return cmp.Or(cmp.Compare(a.Keyspace, b.Keyspace), bytes.Compare(a.Key, b.Key))
}

// addLayout puts the tables on their axis.
func (s *debugState) addLayout(runs []RunLayout, spaces map[uint32]string) {
	var ends []TableKey
	for _, r := range runs {
		for _, t := range r.Tables[:min(len(r.Tables), debugTables-len(ends)/2)] {
			ends = append(ends, t.Min, t.Max)
		}
	}
	listed := len(ends) / 2
	slices.SortFunc(ends, compareKeys)
	ends = slices.CompactFunc(ends, func(a, b TableKey) bool { return compareKeys(a, b) == 0 })
	// A table of one key is as wide as the distance between two.
	at := func(k TableKey, after float64) float64 {
		i, _ := slices.BinarySearchFunc(ends, k, compareKeys)
		return (float64(i) + after) / float64(len(ends))
	}
	for i, k := range ends {
		if i == 0 || ends[i-1].Keyspace != k.Keyspace {
			s.Keys = append(s.Keys, debugBorder{At: at(k, 0), Name: spaceName(k.Keyspace, spaces)})
		}
	}
	s.Runs = []debugRun{}
	for _, r := range runs {
		run := debugRun{Tier: r.Tier, Bottom: r.Bottom, Count: len(r.Tables), Tables: []debugTable{}}
		for _, t := range r.Tables {
			run.Bytes += t.Bytes
			if s.Tables++; listed == 0 {
				continue
			}
			listed--
			run.Tables = append(run.Tables, debugTable{
				File: t.File, Bytes: t.Bytes, Entries: t.Entries, Tombstones: t.Tombstones,
				From: at(t.Min, 0), To: at(t.Max, 1), Min: showKey(t.Min, spaces), Max: showKey(t.Max, spaces),
			})
		}
		s.Runs = append(s.Runs, run)
	}
}

func (s *debugState) addEvents(all []event) {
	s.Events = []debugEvent{}
	for _, e := range all {
		d := debugEvent{No: e.no, Time: e.at, Level: e.level.String(), Name: e.name, Fields: [][2]string{}}
		for _, a := range e.attrs {
			d.Fields = append(d.Fields, [2]string{a.Key, showField(a)})
		}
		s.Events = append(s.Events, d)
	}
}

// showField prints a field of an event for people: durations to three digits.
func showField(a slog.Attr) string {
	if a.Value.Kind() != slog.KindDuration {
		return a.Value.String()
	}
	return showDuration(a.Value.Duration())
}

// showDuration rounds to three digits.
func showDuration(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

func spaceName(no uint32, spaces map[uint32]string) string {
	if name, ok := spaces[no]; ok {
		return name
	}
	switch pages.KeyspaceID(no) { // those that the catalog does not list
	case pages.CatalogKeyspace:
		return "catalog"
	case pages.BlocksKeyspace:
		return "blocks"
	case pages.DefaultKeyspace:
		return DefaultKeyspaceName
	}
	return "keyspace " + strconv.FormatUint(uint64(no), 10)
}

// showKey prints a key: as text if it is, else in hexadecimal digits, cut where it is long.
func showKey(k TableKey, spaces map[uint32]string) string {
	key, cut := k.Key, ""
	if len(key) > debugKeyBytes {
		key, cut = key[:debugKeyBytes], "…"
	}
	text := strconv.Quote(string(key))
	if !utf8.Valid(key) || len(text) > 2*len(key)+2 {
		text = "0x"
		for _, b := range key {
			text += string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15])
		}
	}
	return spaceName(k.Keyspace, spaces) + " " + text + cut
}

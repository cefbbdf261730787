package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/sim/trace"
)

// TestDiskFates follows scripts of calls, one a line, to what each written range became.
// "w f 0 10" writes, "s f" syncs, "S f" fails to, "t f 4" truncates, "r f" removes; "cut" is a
// power cut, "cut f 0 4 lost" one that says more, "kill" ends the process alone.
func TestDiskFates(t *testing.T) {
	for script, want := range map[string]string{
		"w f 0 10":           "f 0+10 unsynced",
		"w f 0 10; s f":      "f 0+10 synced",
		"w f 0 10; S f; cut": "f 0+10 in doubt",
		"w f 0 10; s g; cut": "f 0+10 in doubt",
		"w f 0 10; s f; w f 10 5; cut f 10 5 lost":    "f 0+10 synced, f 10+5 lost",
		"w f 0 10; cut f 2 3 torn; w f 0 1":           "f 0+2 in doubt, f 2+3 torn, f 5+5 in doubt, f 0+1 unsynced",
		"w f 4 4; cut f 0 6 lost f 6 100 kept":        "f 4+2 lost, f 6+2 kept",
		"w f 0 8; cut f 4 4 kept f 0 4 lost":          "f 0+4 lost, f 4+4 kept",
		"w f 0 4; w f 2 4; cut f 0 3 lost":            "f 0+3 lost, f 3+1 in doubt, f 2+1 lost, f 3+3 in doubt",
		"w f 0 4; cut g 0 4 lost":                     "f 0+4 in doubt",
		"w f 0 10; t f 4; s f":                        "f 0+4 synced, f 4+6 cut off",
		"w f 0 10; r f; w f 0 2; cut":                 "f 0+10 cut off, f 0+2 in doubt",
		"w f 0 10; kill; s f":                         "f 0+10 synced",
		"w f 0 10; kill; cut":                         "f 0+10 in doubt",
		"w f 0 0; cut":                                "",
		"w b 0 1; w a 0 1; cut b 0 1 lost a 0 1 torn": "b 0+1 lost, a 0+1 torn",
	} {
		var got []string
		for _, e := range replayDisk(fateScript(t, script)).extents {
			got = append(got, fmt.Sprintf("%s %d+%d %s", e.file, e.off, e.len, e.fate))
		}
		if script == "w f 0 10; t f 4; s f" { // no crash has put them in order
			slices.Sort(got)
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s:\ngot  %s\nwant %s", script, s, want)
		}
	}
}

func fateScript(t *testing.T, text string) *Run {
	t.Helper()
	s, r := &script{life: 1}, &Run{}
	for step := range strings.SplitSeq(text, "; ") {
		var file, fate string
		var off, length int64
		call, rest, _ := strings.Cut(step, " ")
		fmt.Sscan(rest, &file, &off, &length)
		switch call {
		case "w":
			s.io(trace.IO, "x", file, "write", off, length)
		case "s":
			s.io(trace.IO, "x", file, "sync", 0, 0)
		case "S":
			s.io(trace.IO, "x", file, "sync failed: EIO", 0, 0)
		case "t":
			s.io(trace.IO, "x", file, "truncate", off, 0)
		case "r":
			s.io(trace.IO, "x", file, "remove", 0, 0)
		case "kill":
			s.add(trace.Crash, "world", "", "kill")
		case "cut":
			at := s.add(trace.Crash, "world", "", "power cut")
			for words := strings.Fields(rest); len(words) > 0; words = words[4:] {
				fmt.Sscan(strings.Join(words[:4], " "), &file, &off, &length, &fate)
				r.Losses = append(r.Losses, Loss{Crash: at, File: file, Off: off, Len: length, Fate: Fate(slices.Index(fateNames[:], fate))})
			}
		default:
			t.Fatalf("no call %q", call)
		}
	}
	r.Events = s.events
	return r
}

// TestLanes: clients, actors in the order of a commit, jobs, files; many files share a lane.
func TestLanes(t *testing.T) {
	names := func(lanes []lane) string {
		var all []string
		for _, l := range lanes {
			all = append(all, l.name)
		}
		return strings.Join(all, " ")
	}
	s := &script{life: 1}
	for _, client := range []string{"client-10", "teller", "client-2"} {
		s.add(trace.Op, client, "", "begin")
	}
	s.add(trace.Send, "flusher", "evictor", "IndexBytes")
	s.add(trace.Send, "txcoord", "walwriter", "Append")
	s.add(trace.Send, "compactor", "txcoord", "Done") // looks like a client, until something is sent to it
	s.add(trace.Send, "txcoord", "compactor", "Thanks")
	s.add(trace.IO, "main", "", "list")
	s.add(trace.Time, "world", "flusher", "Tick")
	s.io(trace.IO, "job merge", "wal-1", "write", 0, 1)
	const want = "main client-2 client-10 teller txcoord walwriter flusher evictor compactor job merge directory wal-1"
	if got := names(lanesOf(s.events)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for i := range 20 {
		s.io(trace.IO, fmt.Sprintf("job %d", i), fmt.Sprintf("table-%d", i), "read", 0, 1)
	}
	s.io(trace.IO, "main", "table-17", "write", 0, 1)
	lanes := lanesOf(s.events)
	if got, want := names(lanes[9:]), "jobs directory table-0 table-1 table-2 table-3 table-17 wal-1 other files"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := len(lanes[len(lanes)-1].members); n != 15 {
		t.Errorf("the last lane has %d files", n)
	}
}

// TestFoldWords: a fold names what it hides, most of it.
func TestFoldWords(t *testing.T) {
	keys := []string{"read|of a", "timer|", "read|of a", "list|", "open|of b", "close|of b"}
	if got, want := foldWords(keys), "2 reads of a, 1 timer, 1 list, 2 more"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for text, quiet := range map[string]bool{"read": true, "read: EIO": false, "read failed": false, "write": false, "sync": false, "list": true} {
		if got := foldKey(trace.Event{Kind: trace.IO, To: "f", Text: text}) != ""; got != quiet {
			t.Errorf("%q: quiet is %v", text, got)
		}
	}
}

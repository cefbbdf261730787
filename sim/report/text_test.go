package report

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/aegis-storage/aegis/sim/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with testdata/name.
func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(text, want) {
		return
	}
	got, wanted := strings.Split(string(text), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(got), len(wanted)) {
		if got[i] != wanted[i] {
			t.Fatalf("%s:%d: got\n%s\nwant\n%s", name, i+1, got[i], wanted[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", name, len(got), len(wanted))
}

// TestTextGolden: the trace of a small run, folded and in full, word by word.
func TestTextGolden(t *testing.T) {
	var folded, full bytes.Buffer
	if err := Text(&folded, sampleRun()); err != nil {
		t.Fatal(err)
	}
	if err := FullText(&full, sampleRun()); err != nil {
		t.Fatal(err)
	}
	golden(t, "sample.txt", folded.Bytes())
	golden(t, "sample-full.txt", full.Bytes())
}

// TestFullTextTellsEveryEvent: a line for each, and folding hides only what is quiet.
func TestFullTextTellsEveryEvent(t *testing.T) {
	r := longRun(2000)
	var full, folded bytes.Buffer
	if err := errors.Join(FullText(&full, r), Text(&folded, r)); err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for _, e := range r.Events {
		line := " " + group(e.Step) + " "
		if !strings.Contains(full.String(), line) {
			t.Fatalf("step %d is not told", e.Step)
		}
		if strings.Contains(folded.String(), line) {
			continue
		}
		hidden++
		if e.Kind != trace.IO || e.Text != "read" {
			t.Errorf("step %d is hidden: %+v", e.Step, e)
		}
	}
	if hidden < 100 {
		t.Errorf("%d events are folded", hidden)
	}
}

// TestTextNeverFoldsEvidence: what the failure contradicts has a line of its own.
func TestTextNeverFoldsEvidence(t *testing.T) {
	r := sampleRun()
	at := slices.IndexFunc(r.Events, func(e trace.Event) bool { return e.Text == "read" })
	r.Evidence = []int{at + 3}
	var b bytes.Buffer
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(b.String(), "▶ "); got != 2 { // in its place, and at the end
		t.Errorf("the evidence is told %d times:\n%s", got, b.String())
	}
}

// TestTextSaysWhatWasCutShort: operations that ended are not among it.
func TestTextSaysWhatWasCutShort(t *testing.T) {
	s := &script{life: 1}
	for _, op := range []string{"begin A", "end A: done", "begin B"} {
		s.add(trace.Op, "client-1", "", op)
	}
	s.add(trace.Op, "client-2", "", "begin C")
	s.add(trace.Op, "client-2", "", "end C: conflict")
	s.add(trace.Op, "client-3", "", "looked around")
	var b bytes.Buffer
	if err := Text(&b, Run{Events: s.events}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  client-1      2 operations, 1 ended; cut short: B\n", "  client-2      1 operation, 1 ended\n", "  client-3      1 step\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in:\n%s", want, b.String())
		}
	}
}

// TestTextIsSafeForTerminals: nothing that a run says moves the cursor or turns the text round.
func TestTextIsSafeForTerminals(t *testing.T) {
	r := sampleRun()
	nasty := "\x1b[2J\x07\u202e\xff\r\t\u0085end"
	for i := range r.Events {
		r.Events[i].Text, r.Events[i].From, r.Events[i].To = r.Events[i].Text+nasty, nasty, nasty
	}
	r.Title, r.Token, r.Profile, r.Check, r.Failure = nasty, nasty, nasty, nasty, nasty
	r.Losses[0].File = nasty
	var b bytes.Buffer
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	for i, c := range b.String() {
		if c != '\n' && !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			t.Fatalf("%q at %d, after %q", c, i, b.String()[max(0, i-40):i])
		}
	}
	if !strings.Contains(b.String(), `\x1b[2J\x07\u202e\xff`) {
		t.Error("the escapes are not shown")
	}
}

// TestTextErrors: what points nowhere is refused, and a writer's error comes back.
func TestTextErrors(t *testing.T) {
	for name, change := range map[string]func(*Run){
		"evidence": func(r *Run) { r.Evidence = []int{len(r.Events)} },
		"negative": func(r *Run) { r.Evidence = []int{-1} },
		"loss":     func(r *Run) { r.Losses[0].Crash = 0 },
		"no crash": func(r *Run) { r.Losses[0].Crash = -1 },
		"far loss": func(r *Run) { r.Losses[0].Crash = 1 << 20 },
	} {
		r := sampleRun()
		change(&r)
		if Text(new(bytes.Buffer), r) == nil || HTML(new(bytes.Buffer), r) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	broken := errors.New("broken pipe")
	for _, write := range []error{Text(failing{broken}, sampleRun()), HTML(failing{broken}, sampleRun())} {
		if !errors.Is(write, broken) {
			t.Errorf("got %v, want %v", write, broken)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestEmptyRun: nothing to tell is told as that.
func TestEmptyRun(t *testing.T) {
	var b bytes.Buffer
	if err := Text(&b, Run{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "nothing broke") {
		t.Errorf("got %s", b.String())
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"a1-_.=/": "a1-_.=/", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "é": "'é'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 9999: "9999 B", 10240: "10 KiB", 12345: "12.1 KiB", 5 << 20: "5 MiB", 3 << 40: "3072 GiB"} {
		if got := size(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		if got := group(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}

package sim

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aegis-storage/aegis/sim/report"
)

// T is what Test needs of a *testing.T.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// HTMLEnv names an environment variable. If it is set to a directory, Test and Replay write a page
// about each failing run there, and Replay of a passing one, too.
const HTMLEnv = "AEGIS_SIM_HTML"

// Test runs the subject for 500 seeds under every honest profile of the disk: whatever a crash may
// do, and nothing else. The first failure is shrunk, told, and fails the test.
func Test(t T, subject Subject) {
	t.Helper()
	TestWith(t, Config{Seeds: 500, Strict: true}, subject)
}

// TestWith is Test with a Config of the caller's.
func TestWith(t T, c Config, subject Subject) {
	t.Helper()
	rep, err := Run(context.Background(), c, subject)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	if len(rep.Failures) > 0 {
		t.Fatalf("%s", tell(t, rep.Failures[0]))
	}
}

// Replay runs the plan of a token that Test, or Run, has printed for this subject, and fails the
// test if it fails. As a regression test it passes once the defect is mended, and as long as the
// program does the same things: a token says nothing about a program that has changed.
func Replay(t T, subject Subject, token string) {
	t.Helper()
	plan, err := ParseToken(token)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	res, err := Execute(plan, subject, Keep)
	if err != nil {
		t.Fatalf("%v", err)
		return
	}
	if res.Failure != nil {
		t.Fatalf("%s", tell(t, res))
		return
	}
	if page := writePage(t, res); page != "" {
		t.Logf("the run as a page: %s", page)
	}
}

// Describe turns a result into what package report tells. subject is its name.
func Describe(subject string, res *Result) report.Run {
	run := report.Run{
		Title: subject, Token: res.Plan.Token(), Profile: res.Profile, Seed: res.Plan.Seed, Events: res.Events, Losses: res.Losses,
	}
	if res.Failure != nil {
		run.Check, run.Failure = res.Failure.Check, res.Failure.Text
	}
	return run
}

// Tell writes a run that was kept, see Keep, as a trace that reads from top to bottom; name is the
// subject's. It is what Test prints about a failure.
func Tell(w io.Writer, name string, res *Result) error { return report.Text(w, Describe(name, res)) }

// tell is a failing run in words.
func tell(t T, res *Result) string {
	run := Describe(t.Name(), res)
	run.Commands = []report.Command{
		{Does: "replay", Line: fmt.Sprintf("sim.Replay(t, subject, %q)", run.Token)},
		{Does: "as a page", Line: HTMLEnv + "=. go test -run " + t.Name()},
	}
	var b strings.Builder
	if err := report.Text(&b, run); err != nil {
		fmt.Fprintf(&b, "%v (and the report failed: %v)", res.Failure, err)
	}
	if page := writePage(t, res); page != "" {
		fmt.Fprintf(&b, "\nthe run as a page: %s\n", page)
	}
	return b.String()
}

// writePage writes the page that HTMLEnv asks for, and returns its name.
func writePage(t T, res *Result) string {
	dir := os.Getenv(HTMLEnv)
	if dir == "" {
		return ""
	}
	name := filepath.Join(dir, strings.Map(fileName, t.Name())+".html")
	f, err := os.Create(name)
	if err != nil {
		t.Logf("no page: %v", err)
		return ""
	}
	defer f.Close()
	if err := report.HTML(f, Describe(t.Name(), res)); err != nil {
		t.Logf("no page: %v", err)
		return ""
	}
	return name
}

func fileName(r rune) rune {
	if r == '/' || r == '\\' || r == ':' {
		return '-'
	}
	return r
}

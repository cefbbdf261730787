package simcmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/plant"
)

// TestRunClean: a run without failures, told as lines where there is no terminal.
func TestRunClean(t *testing.T) {
	s := run(t, clean, "sim", "run", "--seeds", "20", "--mode", "plain", "--profile", "torn")
	s.want(t, cli.ExitClean, "20 seeds in ", " seeds/s", "no failures", "COVERAGE", "end power cut", "never taken: commits")
	if strings.ContainsAny(s.out+s.err, "\x1b\r") || !strings.Contains(s.err, "20/20 seeds") {
		t.Errorf("errors %q", s.err)
	}
	s = runOn(t, true, clean, "sim", "run", "--seeds", "20")
	if !strings.HasPrefix(s.err, "\r20/20 seeds") || !strings.HasSuffix(s.err, "\r\x1b[K") || strings.ContainsAny(s.out, "\x1b\r") {
		t.Errorf("on a terminal: %q", s.err)
	}
	s = run(t, clean, "sim", "run", "--duration", "1ns")
	s.want(t, cli.ExitClean, "0 seeds in ")
	if !strings.HasPrefix(s.err, "0 seeds, ") {
		t.Errorf("a limit of seeds is told: %q", s.err)
	}
}

// TestProgress: lines that are not rewritten come every few seconds.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		terminal, json bool
		lines          int
	}{{false, false, 2}, {true, false, 4}, {false, true, 2}, {true, true, 2}} {
		var out, complaints bytes.Buffer
		p := newProgress(&cli.App{Out: cli.NewSink(&out), Err: cli.NewSink(&complaints), Terminal: c.terminal}, c.json)
		for _, at := range []time.Duration{500 * time.Millisecond, time.Second, 5 * time.Second, 6 * time.Second} {
			p.tell(sim.Progress{Seeds: 1234, Of: 10_000, Steps: 1 << 20, Elapsed: at})
		}
		text := complaints.String()
		if c.json {
			text = out.String()
		}
		if n := strings.Count(text, "1,234/10,000 seeds, ") + strings.Count(text, `"seeds":1234,"of":10000`); n != c.lines {
			t.Errorf("%+v: %d lines:\n%s", c, n, text)
		}
	}
}

// TestSwarm: without a subject of a test, it is the engine that runs.
func TestSwarm(t *testing.T) {
	s := spawn(t, "swarm", "sim", "run", "--seeds", "10", "--json")
	last := s.objects(t)
	cover, _ := last[len(last)-1]["cover"].(map[string]any)
	if cover["commits"] == nil {
		t.Errorf("no commits:\n%s\n%s", s.out, s.err)
	}
	s = spawn(t, "swarm", "sim", "run", "--seeds", "30", "--profile", "eio,slow", "--json")
	var sum summary
	text, _ := json.Marshal(s.objects(t)[len(s.objects(t))-1])
	if err := json.Unmarshal(text, &sum); err != nil || len(sum.Under) < 2 {
		t.Fatalf("classes %v, %v", sum.Under, err)
	}
	for class, cover := range sum.Under {
		if name := "fault " + class; cover[name] == 0 || cover[name] != sum.Cover[name] || cover["commits"] > sum.Cover["commits"] {
			t.Errorf("%s: %v", class, cover)
		}
	}
}

// TestRequireCoverage: a count that did not move fails the run only if that was asked for, and only
// if the run is whole.
func TestRequireCoverage(t *testing.T) {
	run(t, covering, "sim", "run", "--seeds", "5", "--require-coverage").want(t, cli.ExitClean)
	s := run(t, clean, "sim", "run", "--seeds", "5", "--require-coverage")
	s.want(t, cli.ExitCoverage, "never taken: commits, conflicts")
	if !strings.Contains(s.err, "never taken: commits") {
		t.Errorf("errors %q", s.err)
	}
	run(t, broken, "sim", "run", "--seeds", "50", "--require-coverage").want(t, cli.ExitFound)
}

// TestRunFailing: a failure is shrunk and told, with what to do next.
func TestRunFailing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := run(t, broken, "sim", "run", "--jobs", "1", "--html", dir)
	s.want(t, cli.ExitFound, "failure 1 of 1", "operation 2 came", "what broke", "── life 1", "aegis sim replay A", "failure of the check subject", dir)
	page, err := filepath.Glob(filepath.Join(dir, "seed-*-1.html"))
	if err != nil || len(page) != 1 {
		t.Fatalf("pages %v, %v", page, err)
	}
	for _, name := range []string{page[0], textName(page[0])} {
		if text, err := os.ReadFile(name); err != nil || !strings.Contains(string(text), "operation 2 came") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s = run(t, broken, "sim", "run", "--seeds", "200", "--failures", "3", "--no-shrink")
	s.want(t, cli.ExitFound, "failure 3 of ")
	run(t, panicking, "sim", "run", "--seeds", "2").want(t, cli.ExitFound, "a wrong turn", "lines are left out: aegis sim replay A")
}

// TestRunJSON: each line is an object; the last has what sim/plant reads.
func TestRunJSON(t *testing.T) {
	s := run(t, broken, "sim", "run", "--json", "--until-failure", "--time", "1m")
	all := s.objects(t)
	if all[0]["event"] != "progress" || all[0]["of"] != nil || s.err != "" {
		t.Errorf("first line %v, errors %q", all[0], s.err)
	}
	last, failure := all[len(all)-1], all[1] // two jobs may find one each
	for key, want := range map[string]any{"event": "summary", "found": true, "check": "subject", "interrupted": false, "token": failure["token"]} {
		if last[key] != want {
			t.Errorf("%s is %v, want %v", key, last[key], want)
		}
	}
	if last["ops"] != 2.0 && last["ops"] != 1.0 || last["seeds"].(float64) < 1 || last["seconds"].(float64) <= 0 {
		t.Errorf("summary %v", last)
	}
	if failure["event"] != "failure" || failure["text"] != "operation 2 came" || failure["mode"] == "" || failure["profile"] != last["profile"] {
		t.Errorf("failure %v", failure)
	}
	var row plant.Row // as plant reads it, so the names have to fit
	text, _ := json.Marshal(last)
	if err := json.Unmarshal(text, &row); err != nil || !row.Found || row.Token == "" {
		t.Errorf("row %+v, %v", row, err)
	}
}

// TestReplay: a token gives the same run, with a trace, a page, and JSON.
func TestReplay(t *testing.T) {
	failing := failingToken(t)
	page := filepath.Join(t.TempDir(), "run.html")
	s := run(t, broken, "sim", "replay", failing, "--html", page)
	s.want(t, cli.ExitFound, "life 1", "operation 2 came", "what broke")
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<html") || !strings.Contains(s.err, page) {
		t.Errorf("page: %v, errors %q", err, s.err)
	}
	if full := run(t, broken, "sim", "replay", "--all", failing); len(full.out) < len(s.out) || full.code != cli.ExitFound {
		t.Errorf("--all: %+v", full)
	}
	if passing := run(t, clean, "sim", "replay", failing); passing.code != cli.ExitClean || !strings.Contains(passing.err, "the run passes; "+ofTheSwarm) {
		t.Errorf("passing: %+v", passing)
	}
	for _, subject := range []sim.Subject{broken, clean} {
		all := run(t, subject, "sim", "replay", "--json", failing).objects(t)
		last := all[len(all)-1]
		fails := last["check"] == "subject"
		if all[0]["event"] != "trace" || all[0]["kind"] != "life" || all[0]["life"] != 1.0 || last["event"] != "result" || last["found"] != fails || last["hash"] == 0.0 || last["token"] != failing {
			t.Errorf("first %v, last %v", all[0], last)
		}
	}
}

// TestShrink: the smaller token is the output, and fails in the same way.
func TestShrink(t *testing.T) {
	large := failingToken(t, "--no-shrink")
	s := run(t, broken, "sim", "shrink", large)
	s.want(t, cli.ExitClean)
	small := strings.TrimSpace(s.out)
	if !strings.Contains(s.err, "before  ") || !strings.Contains(s.err, "after   ") || small == large {
		t.Errorf("errors %q", s.err)
	}
	var sizes [2]float64
	for i, token := range []string{large, small} {
		all := run(t, broken, "sim", "replay", "--json", token).objects(t)
		sizes[i] = all[len(all)-1]["ops"].(float64)
		if all[len(all)-1]["check"] != "subject" {
			t.Errorf("%s passes", token)
		}
	}
	if sizes[1] > 2 || sizes[1] >= sizes[0] {
		t.Errorf("%v operations", sizes)
	}
	if s := run(t, clean, "sim", "shrink", large); s.code != cli.ExitUsage || !strings.Contains(s.err, "nothing to shrink; "+ofTheSwarm) {
		t.Errorf("passing: %+v", s)
	}
}

// TestRegress: the output is a Go test.
func TestRegress(t *testing.T) {
	failing := failingToken(t)
	s := run(t, broken, "sim", "regress", "--package", "mine", "--test", "TestMine", failing)
	s.want(t, cli.ExitClean, "package mine", "func TestMine(t *testing.T)", failing, "operation 2 came")
	if _, err := parser.ParseFile(token.NewFileSet(), "x_test.go", s.out, parser.AllErrors); err != nil {
		t.Error(err)
	}
	if s := run(t, clean, "sim", "regress", failing); !strings.Contains(s.err, "so will the test; "+ofTheSwarm) || s.code != cli.ExitClean {
		t.Errorf("passing: %+v", s)
	}
}

// TestExplore: what it finds is told as by run.
func TestExplore(t *testing.T) {
	for _, what := range []string{"boundaries", "nested", "interleavings"} {
		s := run(t, clean, "sim", "explore", what, "--ops", "1")
		s.want(t, cli.ExitClean, " runs in ", "0 failures")
		s = run(t, broken, "sim", "explore", what, "--ops", "2")
		s.want(t, cli.ExitFound, "operation 2 came", "failure 1 of 1", "aegis sim replay A")
		s = run(t, broken, "sim", "explore", what, "--ops", "2", "--json")
		all := s.objects(t)
		last := all[len(all)-1]
		if last["explored"] != what || last["found"] != true || s.code != cli.ExitFound {
			t.Errorf("last line %v", last)
		}
		again := run(t, broken, "sim", "replay", all[len(all)-2]["token"].(string))
		again.want(t, cli.ExitFound, "operation 2 came")
	}
}

// TestProve: two processes agree, or the first difference is named.
func TestProve(t *testing.T) {
	spawn(t, "clean", "sim", "prove", "--seeds", "20").want(t, cli.ExitClean, "20 seeds, twice each, the same")
	s := spawn(t, "swarm", "sim", "prove", "--seeds", "40")
	s.want(t, cli.ExitClean, "40 seeds")
	if !strings.Contains(s.err, " in both processes, ") {
		t.Errorf("no progress: %q", s.err)
	}
	spawn(t, "broken", "sim", "prove", "--seeds", "40").want(t, cli.ExitClean, "40 seeds")
	spawn(t, "unlike", "sim", "prove", "--seeds", "20", "--profile", "torn").want(t, cli.ExitFound, "seed 5 is the first that differs",
		"with GOGC=20 GOMAXPROCS=1", "GOGC is 20", "GOGC is 400", "work")
	s = spawn(t, "unlike bytes", "sim", "prove", "--seeds", "3")
	s.want(t, cli.ExitFound, "seed 1 is the first that differs", "if only its hash does")
	_, differing, _ := strings.Cut(s.out, "with GOGC=20")
	if strings.Count(differing, `io "main" to "file", 4 bytes at 0: "write`) != 2 {
		t.Errorf("the write is not named:\n%s", s.out)
	}
}

// TestHashes: a line for each seed, the same each time, whatever runs beside it.
func TestHashes(t *testing.T) {
	sorted := func(args ...string) []string {
		s := run(t, broken, append([]string{"sim", "hashes", "--first", "7", "--seeds", "30"}, args...)...)
		s.want(t, cli.ExitClean)
		return slices.Sorted(strings.Lines(s.out))
	}
	one, four := sorted("--jobs", "1"), sorted("--jobs", "4")
	if len(one) != 30 || !slices.Equal(one, four) {
		t.Errorf("%d lines and %d", len(one), len(four))
	}
	if all := strings.Join(one, ""); !strings.Contains(all, " subject\n") || !strings.Contains(all, " -\n") || !strings.Contains(all, "\n36 ") {
		t.Errorf("lines:\n%s", all)
	}
	run(t, clean, "sim", "hashes", "--events", "--first", "9").want(t, cli.ExitClean, `: op "a" to "", 0 bytes at 0: "begin work", hash `, "\n9 ")
}

// TestInterrupt: the first interrupt ends a run with its summary.
func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		subject, args string
		code          int
	}{
		{"clean", "sim run --until-failure --json", cli.ExitInterrupted},
		{"broken", "sim run --until-failure --failures 1000000 --json", cli.ExitFound},
		{"clean", "sim run --until-failure --require-coverage --json", cli.ExitInterrupted},
		{"clean", "sim explore interleavings --ops 20 --switches 9 --json", cli.ExitInterrupted},
	} {
		cmd := child(c.subject, strings.Fields(c.args)...)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		last := ""
		for n := 0; lines.Scan(); n++ {
			if last = lines.Text(); n == 0 {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // the exit code tells
		var sum struct {
			Event       string
			Interrupted bool
			Seeds, Runs int
		}
		if err := json.Unmarshal([]byte(last), &sum); err != nil || sum.Event != "summary" || !sum.Interrupted || sum.Seeds+sum.Runs == 0 {
			t.Errorf("%s: %v, %s", c.args, err, last)
		}
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.args, code, c.code)
		}
	}
}

// TestSecondInterrupt: a run that does not end is killed by the second one.
func TestSecondInterrupt(t *testing.T) {
	cmd := child("hanging", "sim", "run", "--until-failure", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("no progress")
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	often := time.NewTicker(10 * time.Millisecond)
	defer often.Stop()
	for open := true; open; {
		select {
		case <-ended:
			open = false
		case <-often.C:
			_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		}
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// TestScorecard: a checkout is found from below, and nowhere else; a planted bug is found in it, or is
// not when there is no time for it.
func TestScorecard(t *testing.T) {
	root, err := checkout("")
	if err != nil || !isCheckout(root) {
		t.Fatalf("%q, %v", root, err)
	}
	if !testing.Short() {
		s := run(t, clean, "sim", "scorecard", "--bugs", "phantom,ack-before-sync", "--limit", "1ns", "--jobs", "2") // no seed begins
		s.want(t, cli.ExitFound, "BUG ", "ack-before-sync ", "phantom ", "not found", "found 0 of 2")
		s = run(t, clean, "sim", "scorecard", "--bugs", "ack-before-sync", "--json", "--root", root)
		s.want(t, cli.ExitClean)
		if o := s.objects(t); len(o) != 1 || o[0]["found"] != true {
			t.Errorf("%v", o)
		}
	}
	t.Chdir(t.TempDir())
	if s := run(t, clean, "sim", "scorecard"); s.code != cli.ExitUsage || !strings.Contains(s.err, "name one by --root") {
		t.Errorf("outside: %+v", s)
	}
}

// TestInterruptedShrink: an interrupt ends shrinking, too, and what was found is told.
func TestInterruptedShrink(t *testing.T) {
	large := failingToken(t, "--no-shrink")
	plan, err := sim.ParseToken(large)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args      string
		at, most  int // runs: the interrupt comes in this one, and so many are made
		code      int
		out, says string
	}{
		{"sim shrink " + large, 3, 5, cli.ExitClean, "A", "after   "},
		{fmt.Sprint("sim run --jobs 1 --first ", plan.Seed), 1, 2, cli.ExitFound, "begin work", "failure 1 of 1"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		runs := 0
		subject := func() func(*sim.Life) {
			if runs++; runs == c.at {
				cancel()
			}
			return broken()
		}
		var out, complaints bytes.Buffer
		a := &cli.App{Out: cli.NewSink(&out), Err: cli.NewSink(&complaints), Subject: subject}
		code := a.Main(ctx, root(), strings.Fields(c.args))
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(complaints.String(), c.says) || runs > c.most {
			t.Errorf("%s: exit code %d, %d runs\n%s\n%s", c.args, code, runs, &out, &complaints)
		}
	}
}

package plant

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis/sim/report"
)

// wedge leaves the actors waiting for each other.
var wedge = Bug{
	Name: "flush-order-dropped", What: "The flusher forgets what it is told to flush.",
	Edits: []Edit{{
		File: "flusher/flush.go",
		Old:  "\tm.flushes = append(m.flushes, msg)\n",
		New:  "\tif planted(\"flush-order-dropped\") {\n\t\treturn\n\t}\n\tm.flushes = append(m.flushes, msg)\n",
	}},
}

// plantedAegis is a build of cmd/aegis with the bugs of the catalogue and wedge; it is made once.
var plantedAegis = sync.OnceValues(func() (string, error) {
	o, err := overlayOf(root, append(Catalogue(), wedge))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "aegis-plant-")
	if err != nil {
		return "", err
	}
	builtDir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(builtDir, "aegis")
	return binary, o.run(context.Background(), root, []string{"build", "-o", binary, "./cmd/aegis"})
})

// builtDir is where plantedAegis is; empty: it was not made.
var builtDir string

func TestMain(m *testing.M) {
	m.Run()
	if builtDir != "" {
		os.RemoveAll(builtDir)
	}
}

// failing runs seeds with a bug until one fails, and returns the token and the failure's text.
func failing(t *testing.T, bug string) (binary, token, text string) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles the module")
	}
	binary, err := plantedAegis()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "sim", "run", "--planted", bug, "--until-failure", "--json", "--seeds", "20000", "--jobs", "1") // the same failure each time
	said, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%s was not found: %v\n%s", bug, err, said)
	}
	for line := range strings.Lines(string(said)) {
		var f struct{ Event, Token, Text string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if f.Event == "failure" {
			return binary, f.Token, f.Text
		}
	}
	t.Fatalf("no failure is told:\n%s", said)
	return "", "", ""
}

// TestStallNamesTheCycle: what is told of a stall says who waits for whom, up to the cycle or to
// the one who waits for nobody.
func TestStallNamesTheCycle(t *testing.T) {
	for bug, wants := range map[string][]string{
		wedge.Name: {
			"they wait for each other: ", "txcoord waits for flusher (Flushed up to ", "flusher waits for txcoord (a Flush)",
		},
		"lost-wake-up":      {" waits for ", " waits for nobody: its mailbox is not empty, but it was not woken"},
		"awaiter-forgotten": {" waits for txcoord (the answer to its Await)", "txcoord waits for nobody: its mailbox is empty, whatever it owes"},
		"credit-leaked": {
			" waits for txcoord (", "txcoord waits for walwriter (log space for a commit of ", "walwriter waits for nobody: its mailbox is empty",
		},
	} {
		t.Run(bug, func(t *testing.T) {
			_, _, text := failing(t, bug)
			if cycle := strings.Contains(text, "they wait for each other"); cycle != (bug == wedge.Name) {
				t.Errorf("a cycle is named: %t", cycle)
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("it does not contain %q", want)
				}
			}
			if t.Failed() {
				t.Error(text)
			}
		})
	}
}

// TestRegressionTest: the test that is written of a failing run compiles, in both shapes; it fails
// with the bug and passes without it.
func TestRegressionTest(t *testing.T) {
	const bug = "ack-before-sync"
	binary, token, failure := failing(t, bug)
	written, err := exec.Command(binary, "sim", "regress", "--planted", bug, "--test", "TestWritten", token).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	var own strings.Builder
	if err := report.RegressionTest(&own, report.TestCase{Package: "swarm", Name: "TestOwn", Token: token, Subject: "Subject", Broke: failure}); err != nil {
		t.Fatal(err)
	}
	added := map[string]string{"sim/swarm/written_regression_test.go": string(written), "sim/swarm/own_regression_test.go": own.String()}
	o, err := overlayOf(root, append(Catalogue(), wedge))
	if err != nil {
		t.Fatal(err)
	}
	for _, planted := range []bool{true, false} {
		if !planted {
			o = Overlay{Files: map[string]string{}}
		}
		for file, text := range added {
			o.Files[file] = text
		}
		program := filepath.Join(t.TempDir(), "swarm.test")
		if err := o.run(t.Context(), root, []string{"test", "-c", "-o", program, "./sim/swarm"}); err != nil {
			t.Fatal(err)
		}
		for _, on := range slices.Compact([]string{"", map[bool]string{true: bug}[planted]}) {
			said, err := replays(t, program, on)
			for _, name := range []string{"TestWritten", "TestOwn"} {
				verdict := "--- PASS: " + name
				if on != "" {
					verdict = "--- FAIL: " + name
				}
				if !strings.Contains(said, verdict) || on != "" && !strings.Contains(said, token) {
					t.Errorf("planted %t, bug %q: no %q (%v):\n%s", planted, on, verdict, err, said)
				}
			}
		}
	}
}

// replays runs the written tests, with a bug switched on.
func replays(t *testing.T, program, bug string) (string, error) {
	cmd := exec.CommandContext(t.Context(), program, "-test.v", "-test.run", "^(TestWritten|TestOwn)$")
	cmd.Env = append(os.Environ(), Variable+"="+bug)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

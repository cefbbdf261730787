package plant

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options choose what Score does.
type Options struct {
	// Binary is a planted build of cmd/aegis (Build).
	Binary string
	// Root is the checkout that bugs of class "local" are tried in: they lie under the simulated disk, so
	// the conformance suite over real files, cut short and interrupted at random, has to find them.
	Root string
	// Jobs is how many bugs are tried at the same time; 0: one.
	Jobs int
	// PerBug is how long a bug may take; 0: a minute.
	PerBug time.Duration
	// Bugs are the names of those to try; none: the whole catalogue.
	Bugs []string
	// Args are further arguments of the binary.
	Args []string
}

// grace is what a binary gets beyond its own time limit to shrink and to print what it found.
const grace = 30 * time.Second

// arguments is the command line that tries one bug: it runs random seeds until a check fails or
// the time is up, shrinks the failure, and prints an outcome as the last line of its output.
func arguments(bug string, o Options) []string {
	args := []string{"sim", "run", "--planted", bug, "--until-failure", "--json", "--time", o.PerBug.String()}
	return append(args, o.Args...)
}

// outcome is that line.
type outcome struct {
	Found   bool    `json:"found"`
	Check   string  `json:"check"`
	Seeds   int     `json:"seeds"`
	Seconds float64 `json:"seconds"`
	Profile string  `json:"profile"`
	Ops     int     `json:"ops"`
	Steps   int     `json:"steps"`
	Token   string  `json:"token"`
}

// Score tries bugs and returns a row for each, in the order of the catalogue. progress (nil:
// nobody) is told each row when it is there, by one goroutine at a time. A binary that does not
// give an outcome makes a row with an Error. The error of Score is about the options, or the
// context's; the rows are those that were there by then.
func Score(ctx context.Context, o Options, progress func(Row)) ([]Row, error) {
	bugs, err := chosen(o.Bugs)
	if err != nil {
		return nil, err
	}
	if o.PerBug == 0 {
		o.PerBug = time.Minute
	}
	if progress == nil {
		progress = func(Row) {}
	}
	rows := make([]Row, len(bugs))
	var mu sync.Mutex
	next, done := 0, make([]bool, len(bugs))
	work := func() {
		for {
			mu.Lock()
			i := next
			next++
			mu.Unlock()
			if i >= len(bugs) || ctx.Err() != nil {
				return
			}
			row := try(ctx, bugs[i], o)
			mu.Lock()
			if ctx.Err() == nil {
				rows[i], done[i] = row, true
				progress(row)
			}
			mu.Unlock()
		}
	}
	var workers sync.WaitGroup
	for range max(o.Jobs, 1) {
		workers.Go(work)
	}
	workers.Wait()
	kept := rows[:0]
	for i, row := range rows {
		if done[i] {
			kept = append(kept, row)
		}
	}
	return kept, ctx.Err()
}

// chosen returns the bugs with the names, in the order of the catalogue.
func chosen(names []string) ([]Bug, error) {
	for _, name := range names {
		if _, ok := Find(name); !ok {
			return nil, fmt.Errorf("plant: no planted bug %q", name)
		}
	}
	all := Catalogue()
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(b Bug) bool { return !slices.Contains(names, b.Name) }), nil
}

// try runs the binary with one bug.
func try(ctx context.Context, b Bug, o Options) Row {
	ctx, cancel := context.WithTimeout(ctx, o.PerBug+grace)
	defer cancel()
	row := Row{Bug: b.Name, Class: b.Class}
	start := time.Now()
	if b.Class == local {
		return tryLocal(ctx, row, o)
	}
	cmd := exec.CommandContext(ctx, o.Binary, arguments(b.Name, o)...)
	var said, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaints
	cmd.WaitDelay = time.Second
	ended := cmd.Run()
	out, err := lastOutcome(said.Bytes())
	if err != nil {
		// A failure that was found may be told by the exit status too: what counts is the outcome.
		row.Seconds = time.Since(start).Seconds()
		row.Error = strings.TrimSpace(errors.Join(err, ended).Error() + "\n" + complaints.String())
		return row
	}
	row.Found, row.By, row.Seeds, row.Seconds = out.Found, out.Check, out.Seeds, out.Seconds
	row.Profile, row.Ops, row.Steps, row.Token = out.Profile, out.Ops, out.Steps, out.Token
	return row
}

// local is the class of bugs that need real files.
const local = "local"

// localCheck is the test that looks for them.
const localCheck = "TestInterruptedLocalConformance"

// tryLocal runs the conformance suite with one bug.
func tryLocal(ctx context.Context, row Row, o Options) Row {
	dir, err := os.MkdirTemp("", "aegis-plant-")
	if err != nil {
		row.Error = err.Error()
		return row
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "backends.test")
	if err := Go(ctx, o.Root, "test", "-c", "-o", binary, "./backends"); err != nil {
		row.Error = err.Error()
		return row
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+localCheck+"$")
	cmd.Dir = filepath.Join(o.Root, "backends")
	cmd.Env = append(os.Environ(), Variable+"="+row.Bug)
	said, err := cmd.CombinedOutput()
	row.Seconds = time.Since(start).Seconds()
	switch {
	case bytes.Contains(said, []byte("--- FAIL: "+localCheck)):
		row.Found, row.By, row.Seeds, row.Profile = true, "conformance", 1, "real files"
	case err != nil || !bytes.Contains(said, []byte("PASS")):
		row.Error = fmt.Sprintf("%s: %v\n%s", localCheck, err, said)
	}
	return row
}

// lastOutcome parses the last line of the output that is not empty.
func lastOutcome(said []byte) (out outcome, err error) {
	var last []byte
	lines := bufio.NewScanner(bytes.NewReader(said))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			last = bytes.Clone(line)
		}
	}
	if err := lines.Err(); err != nil {
		return out, fmt.Errorf("plant: output: %w", err)
	}
	if !bytes.Contains(last, []byte(`"found"`)) {
		return out, fmt.Errorf("plant: no outcome in the last line %q", last)
	}
	if err := json.Unmarshal(last, &out); err != nil {
		return out, fmt.Errorf("plant: outcome %q: %w", last, err)
	}
	return out, nil
}

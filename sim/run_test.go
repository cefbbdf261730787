package sim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/sim/disk"
)

// token finds the one that a failure prints.
var token = regexp.MustCompile(`sim\.Replay\(t, subject, "([^"]+)"\)`)

// A failing subject fails the test with a token, and its replay fails in the same way.
func TestTest(t *testing.T) {
	t.Setenv(HTMLEnv, "")
	fake := &fakeT{name: "TestCounter"}
	Test(fake, counter(true))
	if len(fake.fatal) != 1 {
		t.Fatalf("%d failures were told: %v", len(fake.fatal), fake.fatal)
	}
	text := fake.fatal[0]
	found := token.FindStringSubmatch(text)
	if found == nil || len(found[1]) > maxToken || !strings.Contains(text, "was acknowledged") || !strings.Contains(text, "power cut") {
		t.Fatal(text)
	}
	again := &fakeT{name: "TestCounter"}
	Replay(again, counter(true), found[1])
	if len(again.fatal) != 1 || again.fatal[0] != text {
		t.Errorf("the replay tells\n%v\nthe test told\n%s", again.fatal, text)
	}
	mended := &fakeT{name: "TestCounter"}
	Replay(mended, counter(false), found[1])
	if len(mended.fatal) != 0 {
		t.Errorf("mended, the replay tells %v", mended.fatal)
	}
}

// A subject that holds passes, under each honest profile.
func TestGoodSubject(t *testing.T) {
	fake := &fakeT{name: "TestCounter"}
	TestWith(fake, Config{Seeds: 60, Strict: true}, counter(false))
	TestWith(fake, Config{Seeds: 60, Profiles: []string{"all"}}, func() func(*Life) {
		return func(l *Life) {
			for range 10 {
				l.Excuse(touch(l))
			}
		}
	})
	if len(fake.fatal) != 0 {
		t.Errorf("%v", fake.fatal)
	}
}

// A failing run writes a page if it is asked to, and a replay that passes, too.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(HTMLEnv, dir)
	fake := &fakeT{name: `Test/sub:a\b`}
	TestWith(fake, Config{Seeds: 3}, client(func(c *Client) { c.Failf("a reason <here>") }))
	page := filepath.Join(dir, "Test-sub-a-b.html")
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "<html") || !strings.Contains(string(text), "a reason") {
		t.Fatalf("%.200s, %v", text, err)
	}
	if len(fake.fatal) != 1 || !strings.Contains(fake.fatal[0], page) {
		t.Errorf("%v does not name it", fake.fatal)
	}
	passes := &fakeT{name: "passes"}
	Replay(passes, counter(false), Plan{Seed: 1}.Token())
	if len(passes.fatal) != 0 || len(passes.logs) != 1 || !strings.Contains(passes.logs[0], filepath.Join(dir, "passes.html")) {
		t.Errorf("%v %v", passes.fatal, passes.logs)
	}
	t.Setenv(HTMLEnv, filepath.Join(dir, "missing"))
	if Replay(passes, counter(false), Plan{Seed: 1}.Token()); len(passes.logs) != 2 || !strings.Contains(passes.logs[1], "no page") {
		t.Errorf("%v", passes.logs)
	}
}

// What is asked for and does not exist is told with what there is.
func TestUnknownNames(t *testing.T) {
	names := []string{"kinder"}
	for _, p := range disk.Profiles() {
		names = append(names, p.Name)
	}
	_, first := Run(t.Context(), Config{Profiles: []string{"kind", "kinder"}}, counter(false))
	_, second := Execute(Plan{Seed: 1, Profile: "kinder"}, counter(false), Fast)
	fake := &fakeT{}
	TestWith(fake, Config{Profiles: []string{"kinder"}}, counter(false))
	for _, err := range []error{first, second, errors.New(strings.Join(fake.fatal, ""))} {
		for _, name := range names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name %s", err, name)
			}
		}
	}
	fake = &fakeT{}
	Replay(fake, counter(false), "no token")
	if len(fake.fatal) != 1 || !strings.Contains(fake.fatal[0], "copy all of it") {
		t.Errorf("%v", fake.fatal)
	}
}

// All profiles can be asked for by name, and seeds use them all; by default only honest ones.
func TestProfiles(t *testing.T) {
	used := func(c Config) map[string]bool {
		seen := map[string]bool{}
		c.Ended = func(res *Result) { seen[res.Profile] = true }
		if rep, err := Run(t.Context(), c, every(func(*Life) {})); err != nil || len(rep.Failures) > 0 {
			t.Fatalf("%+v, %v", rep, err)
		}
		return seen
	}
	all := used(Config{Seeds: 200, Profiles: []string{"all"}})
	few := used(Config{Seeds: 200})
	for _, p := range disk.Profiles() {
		q := p.Quiet()
		if quiet := q == p; !all[p.Name] || few[p.Name] != quiet {
			t.Errorf("%s (crashes alone: %v): drawn from all %v, by default %v", p.Name, quiet, all[p.Name], few[p.Name])
		}
		if one := used(Config{Seeds: 5, Profiles: []string{p.Name}}); len(one) != 1 || !one[p.Name] {
			t.Errorf("asked for %s it used %v", p.Name, one)
		}
	}
}

// A plan that keeps no faults has none, and one that keeps no operations does nothing.
func TestPlanKeeps(t *testing.T) {
	plan := Plan{Seed: 3, Profile: "eio", Each: 20, Lives: 3}
	subject := every(func(l *Life) {
		l.Go("client", func(c *Client) {
			for c.Next() {
				c.Excuse(touch(l))
				c.Yield()
			}
		})
	})
	all := holds(t, plan, subject)
	if len(all.Ops) < 20 || len(all.Faults) == 0 || len(all.Preempts) == 0 {
		t.Fatalf("%d operations, %d faults, %d switches", len(all.Ops), len(all.Faults), len(all.Preempts))
	}
	plan.Ops, plan.Faults, plan.Preempts = setOf(all.Ops), setOf(all.Faults), setOf(all.Preempts)
	if same := holds(t, plan, subject); same.Hash != all.Hash {
		t.Error("a plan that keeps all gives another run")
	}
	plan.Faults = setOf(nil)
	if res := holds(t, plan, subject); len(res.Faults) != 0 || !slices.Equal(res.Ops[:3], all.Ops[:3]) {
		t.Errorf("faults %v", res.Faults)
	}
	plan.Ops = setOf(nil)
	if res := holds(t, plan, subject); len(res.Ops) != 0 {
		t.Errorf("operations %v", res.Ops)
	}
}

// The same plan gives the same hash, whatever the process is busy with.
func TestProof(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for seed := range uint64(6) {
		plan := Plan{Seed: seed, Profile: "torn", Each: 6, Lives: 2}
		for _, mode := range []Mode{Fast, Proof, Keep} {
			var first *Result
			for n := range 3 {
				runtime.GOMAXPROCS(1 + n)
				runtime.GC()
				res := execute1(t, plan, counter(false), mode)
				if first == nil {
					first = res
				}
				if res.Hash != first.Hash || res.Steps != first.Steps || res.Failure != nil {
					t.Errorf("seed %d, mode %d: hash %x after %d steps, then %x after %d; %v", seed, mode, first.Hash, first.Steps, res.Hash, res.Steps, res.Failure)
				}
			}
		}
	}
}

// One byte of one write changes the hash, and so does one character of an answer in the mode Proof.
func TestHashSeesBytes(t *testing.T) {
	writes := func(b byte, seed uint64, mode Mode) uint64 {
		return execute1(t, Plan{Seed: seed, Profile: "kind", Lives: 1}, every(func(l *Life) {
			if l.Last() {
				return
			}
			f, err := l.Backend().Create("f")
			l.Must(err)
			_, err = f.WriteAt([]byte{1, 2, b}, 0)
			l.Must(err)
			l.Must(f.Close())
		}), mode).Hash
	}
	for _, mode := range []Mode{Fast, Proof, Keep} {
		if once, again := writes(3, 1, mode), writes(3, 1, mode); once != again {
			t.Errorf("mode %d: the same bytes, another hash", mode)
		}
		if writes(3, 1, mode) == writes(4, 1, mode) {
			t.Errorf("mode %d: another byte, the same hash", mode)
		}
	}
	says := func(what string) uint64 {
		return execute1(t, Plan{Seed: 1}, every(func(l *Life) { l.Logf("%s", what) }), Proof).Hash
	}
	if says("a") == says("b") {
		t.Error("another remark, the same hash")
	}
}

func TestRunForDuration(t *testing.T) {
	rep, err := Run(t.Context(), Config{Duration: 200 * time.Millisecond}, every(func(*Life) {}))
	if err != nil || rep.Elapsed < 200*time.Millisecond || rep.Elapsed > 20*time.Second || rep.Seeds < 10 || rep.Steps < int64(rep.Seeds) {
		t.Errorf("%+v, %v", rep, err)
	}
}

// Every third seed fails; three failures are enough.
func TestFailures(t *testing.T) {
	subject := every(func(l *Life) {
		if l.Seed()%3 == 0 {
			l.Fail("third", "seed %d", l.Seed())
		}
	})
	rep, err := Run(t.Context(), Config{Seeds: 100, First: 10, Failures: 3, Jobs: 1, NoShrink: true}, subject)
	if err != nil || len(rep.Failures) != 3 || rep.Ends["third"] != 3 || rep.Seeds != 9 {
		t.Fatalf("%+v, %v", rep, err)
	}
	for i, want := range []uint64{12, 15, 18} {
		if got := rep.Failures[i].Plan.Seed; got != want {
			t.Errorf("failure %d is of seed %d, want %d", i, got, want)
		}
	}
	rep, err = Run(t.Context(), Config{Seeds: 5, Failures: 3}, subject)
	if err != nil || len(rep.Failures) != 1 || rep.Seeds != 5 {
		t.Fatalf("%+v, %v", rep, err)
	}
}

func TestRunIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	runs := atomic.Int64{}
	rep, err := Run(ctx, Config{Seeds: 1 << 30}, func() func(*Life) {
		if runs.Add(1) == 20 {
			cancel()
		}
		return func(*Life) {}
	})
	if err != nil || rep.Seeds < 20 || rep.Seeds > 20+runtime.GOMAXPROCS(0) {
		t.Errorf("%+v, %v", rep, err)
	}
}

// Progress is told while the run goes on, and at its end.
func TestProgress(t *testing.T) {
	var told []Progress
	rep, err := Run(t.Context(), Config{Duration: 700 * time.Millisecond, Progress: func(p Progress) { told = append(told, p) }}, every(func(*Life) {}))
	if err != nil || len(told) < 2 {
		t.Fatalf("told %v, %v", told, err)
	}
	last := told[len(told)-1]
	if last.Seeds != rep.Seeds || last.Steps != rep.Steps || last.Failures != 0 || told[0].Seeds == 0 || told[0].Seeds > last.Seeds {
		t.Errorf("told %v, the run had %d seeds", told, rep.Seeds)
	}
}

// Life.Mode is drawn below Modes, or what Mode says.
func TestModes(t *testing.T) {
	seen := map[uint8]int{}
	count := every(func(l *Life) { seen[l.Mode()]++ })
	if _, err := Run(t.Context(), Config{Seeds: 50, Modes: 3, Jobs: 1}, count); err != nil || len(seen) != 3 || seen[3] != 0 {
		t.Errorf("%v, %v", seen, err)
	}
	clear(seen)
	if _, err := Run(t.Context(), Config{Seeds: 5, Mode: 4, Jobs: 1}, count); err != nil || len(seen) != 1 || seen[4] == 0 {
		t.Errorf("%v, %v", seen, err)
	}
}

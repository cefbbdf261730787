package plant

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeBinary writes a program that behaves like aegis, as far as Score looks.
func fakeBinary(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "aegis")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Skipf("no program can be written here: %v", err)
	}
	return name
}

// TestScore: rows come in the order of the catalogue, whatever the binary answers.
func TestScore(t *testing.T) {
	binary := fakeBinary(t, `
case "$4" in
hole-cut) echo 'seed 1'; echo '{"found":true,"check":"recovery","seeds":7,"seconds":0.5,"profile":"strict","ops":3,"steps":2,"token":"T1"}'; echo; exit 1;;
phantom) echo "$@" >&2; echo '{"found":false,"seeds":100,"seconds":60}';;
write-skew) echo 'not a planted build' >&2; exit 2;;
lost-update) echo '{"found":tr'; exit 3;;
esac
`)
	told := 0
	rows, err := Score(context.Background(), Options{Binary: binary, Jobs: 2, PerBug: time.Minute,
		Bugs: []string{"write-skew", "phantom", "lost-update", "hole-cut"}}, func(Row) { told++ })
	if err != nil || told != 4 || len(rows) != 4 {
		t.Fatalf("%d rows, told %d, %v", len(rows), told, err)
	}
	want := Row{Bug: "hole-cut", Class: "media", Found: true, By: "recovery", Seeds: 7, Seconds: 0.5,
		Profile: "strict", Ops: 3, Steps: 2, Token: "T1"}
	if rows[0] != want {
		t.Errorf("found: %+v", rows[0])
	}
	if r := rows[1]; r.Bug != "lost-update" || !strings.Contains(r.Error, "outcome") || !strings.Contains(r.Error, "exit status 3") {
		t.Errorf("cut short: %+v", r)
	}
	if r := rows[2]; r.Bug != "phantom" || r.Found || r.Error != "" || r.Seeds != 100 {
		t.Errorf("not found: %+v", r)
	}
	if r := rows[3]; r.Bug != "write-skew" || !strings.Contains(r.Error, "not a planted build") {
		t.Errorf("refused: %+v", r)
	}
}

// TestScoreEnds: a name that is not there, a binary that hangs when the context ends, and one that
// is not there.
func TestScoreEnds(t *testing.T) {
	if _, err := Score(context.Background(), Options{Bugs: []string{"no-such-bug"}}, nil); err == nil {
		t.Error("a bug that is not there was tried")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	rows, err := Score(ctx, Options{Binary: fakeBinary(t, "exec sleep 60\n"), Bugs: []string{"phantom"}}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || len(rows) != 0 {
		t.Errorf("rows %v, %v", rows, err)
	}
	rows, err = Score(context.Background(), Options{Binary: filepath.Join(t.TempDir(), "none"), Bugs: []string{"phantom"}}, nil)
	if err != nil || len(rows) != 1 || rows[0].Error == "" {
		t.Errorf("rows %v, %v", rows, err)
	}
}

// TestArguments: the command line is that of `aegis sim run`.
func TestArguments(t *testing.T) {
	got := strings.Join(arguments("phantom", Options{PerBug: time.Second, Args: []string{"--seed", "3"}}), " ")
	if want := "sim run --planted phantom --until-failure --json --time 1s --seed 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestScorecard: the table, the summary and the JSON lines.
func TestScorecard(t *testing.T) {
	rows := []Row{
		{Bug: "a", Class: "crash", Found: true, By: "recovery", Seeds: 3, Seconds: 0.5, Profile: "strict", Ops: 2, Steps: 1, Token: "T"},
		{Bug: "bb", Class: "media", Seeds: 1000, Seconds: 60},
		{Bug: "c", Class: "none", Error: "first\nsecond"},
		{Bug: "d", Class: "none", Found: true, By: "model", Seeds: 9, Seconds: 2.5, Profile: "calm", Token: "U"},
	}
	want := `
BUG  CLASS  FOUND BY      SEEDS  SECONDS  PROFILE  OPS  STEPS  TOKEN
a    crash  recovery      3      0.50     strict   2    1      T
bb   media  not found     1000   60.00             0    0      
c    none   error: first  0      0.00              0    0      
d    none   model         9      2.50     calm     0    0      U
found 2 of 4, median 1.50 s, worst 2.50 s (d)
`
	if got := "\n" + Scorecard(rows); got != want {
		t.Errorf("got%swant%s", got, want)
	}
	lines, err := JSONLines(rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		var back Row
		if err := json.Unmarshal([]byte(line), &back); err != nil || back != rows[i] {
			t.Errorf("line %d: %s: %+v, %v", i, line, back, err)
		}
	}
	if got := Summary(rows[1:3]); got != "found 0 of 2" {
		t.Errorf("Summary: %q", got)
	}
	three := []Row{{Bug: "z", Found: true, Seconds: 9}, {Bug: "y", Found: true, Seconds: 1}, {Bug: "x", Found: true, Seconds: 2}}
	if got := Summary(three); got != "found 3 of 3, median 2.00 s, worst 9.00 s (z)" {
		t.Errorf("Summary: %q", got)
	}
}

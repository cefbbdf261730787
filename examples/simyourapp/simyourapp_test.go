package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/sim"
)

// TestBank and TestQueue are all that a program needs: 500 runs each, every one with several lives,
// crashes and power cuts in the middle of anything. A failure is shrunk and told step by step, with
// a token for sim.Replay.

func TestBank(t *testing.T)  { sim.Test(t, crashBank((*Bank).Transfer)) }
func TestQueue(t *testing.T) { sim.Test(t, crashQueue((*Queue).Take, (*Queue).Done)) }

// TestMistakesAreFound sees the tests above fail: a check that never failed is no check.
func TestMistakesAreFound(t *testing.T) {
	for _, p := range programs() {
		if p.sound {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			rep, err := sim.Run(context.Background(), sim.Config{Seeds: 400, Strict: true}, p.subject)
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Failures) == 0 {
				t.Fatalf("%d seeds passed", rep.Seeds)
			}
			found := rep.Failures[0]
			if found.Failure.Check != "subject" || !says(found.Failure.Text, p.says) {
				t.Fatalf("found by %v, want the test's own check to say one of %q", found.Failure, p.says)
			}
			token := found.Plan.Token()
			t.Logf("%s: after %d seeds: %s\ntoken %s", p.name, rep.Seeds, found.Failure.Text, token)

			again := &verdict{T: t}
			sim.Replay(again, p.subject, token)
			if !strings.Contains(again.said, found.Failure.Text) {
				t.Fatalf("the token does not fail in the same way again: %q", again.said)
			}
			sound := &verdict{T: t}
			sim.Replay(sound, p.mended, token)
			if sound.said != "" {
				t.Fatalf("the token fails for the sound program too: %s", sound.said)
			}
		})
	}
}

// verdict is a sim.T that notes a failure instead of failing.
type verdict struct {
	*testing.T
	said string
}

// Fatalf takes what the test would have ended with.
func (v *verdict) Fatalf(format string, args ...any) { v.said = fmt.Sprintf(format, args...) }

// TestReport runs what main does.
func TestReport(t *testing.T) {
	var out strings.Builder
	if err := run(context.Background(), &out, 150, true); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs() {
		_, told, _ := strings.Cut(out.String(), p.name+"\n")
		if want := append(p.says, "every promise held"); !says(told, want) {
			t.Errorf("the report on %q says none of %q:\n%s", p.name, want, told)
		}
	}
}

func says(text string, any []string) bool {
	return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(text, s) })
}

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aegis-storage/aegis"
)

// root is a command line with a command that does do.
func root(do Work) *Command {
	return &Command{Name: "x", Short: "x", Subs: []*Command{
		{Name: "do", Args: "FILE", Least: 1, Most: 2, Short: "do", Begin: func(f *Flags) Work {
			f.IntP("number", "n", 0, "a `N`")
			f.Bool("yes", false, "yes")
			f.StringSlice("names", nil, "`NAMES`")
			return do
		}},
	}}
}

// TestExitCodes: the exit code follows from the error, and what cannot be written is one.
func TestExitCodes(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		code int
	}{
		{t.Context(), nil, ExitClean},
		{t.Context(), errors.New("what"), ExitUsage},
		{t.Context(), Found{errors.New("found")}, ExitFound},
		{t.Context(), fmt.Errorf("wrapped: %w", &aegis.CorruptionError{File: "f"}), ExitFound},
		{t.Context(), fmt.Errorf("wrapped: %w", aegis.ErrLocked), ExitLocked},
		{canceled, fmt.Errorf("wrapped: %w", context.Canceled), ExitInterrupted},
		{canceled, errors.New("what"), ExitUsage},
		{t.Context(), fmt.Errorf("wrapped: %w", context.Canceled), ExitUsage},
	} {
		var out, complaints bytes.Buffer
		a := &App{Out: NewSink(&out), Err: NewSink(&complaints)}
		code := a.Main(c.ctx, root(func(context.Context, *App, []string) (int, error) { return ExitClean, c.err }), []string{"do", "a"})
		says := ""
		if c.err != nil {
			says = "x do: " + c.err.Error() + "\n"
		}
		if code == ExitInterrupted { // in the user's words
			says = "x do: wrapped: interrupted\n"
		}
		if code != c.code || complaints.String() != says {
			t.Errorf("%v: exit code %d, %q", c.err, code, complaints.String())
		}
	}
	full, err := os.Open(os.DevNull) // writing to it fails
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	a := &App{Out: NewSink(full), Err: NewSink(&bytes.Buffer{})}
	print := func(_ context.Context, a *App, _ []string) (int, error) {
		a.Out.Printf("a")
		return ExitClean, nil
	}
	if code := a.Main(t.Context(), root(print), []string{"do", "a"}); code != ExitUsage {
		t.Errorf("output that cannot be written: exit code %d", code)
	}
}

// TestArguments: flags stand anywhere, with one dash or two; values and what follows -- stay as they are.
func TestArguments(t *testing.T) {
	for line, want := range map[string]string{
		"do a -n 5 b":         "[a b] 5 false",
		"do -number 5 a":      "[a] 5 false",
		"do -number=5 -yes a": "[a] 5 true",
		"do --number -5 a":    "[a] -5 false",
		"do -n -5 a":          "[a] -5 false",
		"do a -- -yes":        "[a -yes] 0 false",
		"do -- -n -yes":       "[-n -yes] 0 false",
		"do --names -yes a":   "[a] 0 false",
	} {
		var got string
		c := root(nil)
		begin := c.Subs[0].Begin
		c.Subs[0].Begin = func(f *Flags) Work {
			begin(f)
			return func(_ context.Context, _ *App, args []string) (int, error) {
				n, _ := f.GetInt("number")
				yes, _ := f.GetBool("yes")
				got = fmt.Sprint(args, n, yes)
				return ExitClean, nil
			}
		}
		var complaints bytes.Buffer
		a := &App{Out: NewSink(&bytes.Buffer{}), Err: NewSink(&complaints)}
		if code := a.Main(t.Context(), c, strings.Fields(line)); code != ExitClean || got != want {
			t.Errorf("%s: exit code %d, %s, want %s; %s", line, code, got, want, complaints.String())
		}
	}
}

// broken is a pipe that nobody reads.
type broken struct{}

func (broken) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// TestBrokenPipe: who does not read on is told nothing; the exit code says it. Another failure is told.
func TestBrokenPipe(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		code int
	}{
		{t.Context(), nil, ExitPipe},
		{canceled, context.Canceled, ExitPipe},
		{canceled, fmt.Errorf("flush: %w", syscall.EPIPE), ExitPipe},
		{canceled, errors.New("the disk is full"), ExitUsage},
		{canceled, &aegis.CorruptionError{}, ExitFound},
	} {
		var complaints bytes.Buffer
		a := &App{Out: NewSink(broken{}), Err: NewSink(&complaints)}
		code := a.Main(c.ctx, root(func(context.Context, *App, []string) (int, error) {
			a.Out.Printf("a line")
			return ExitClean, c.err
		}), []string{"do", "a"})
		if code != c.code || (complaints.Len() == 0) != (code == ExitPipe) {
			t.Errorf("%v: exit code %d, %q", c.err, code, complaints.String())
		}
	}
}

// TestUnfinished: what is not done is removed, and nothing else.
func TestUnfinished(t *testing.T) {
	a, removed := &App{}, ""
	note := func(name string) func() { return func() { removed += name } }
	a.Unfinished(note("a"))
	a.Unfinished(note("b"))()
	if a.removeUnfinished(); removed != "a" {
		t.Errorf("removed %q", removed)
	}
}

// TestNobodyThere: the null device is no terminal, though it is a character device.
func TestNobodyThere(t *testing.T) {
	t.Setenv("TERM", "xterm")
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) {
		t.Error("somebody sits at the null device")
	}
}

// TestSinkShared: a store's progress and a command's lines do not meet. The race detector looks.
func TestSinkShared(t *testing.T) {
	var out bytes.Buffer
	s := NewSink(&out)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 100 {
				s.Printf("%s\n", "a line")
				_ = s.Err()
			}
		})
	}
	both.Wait()
	if out.String() != strings.Repeat("a line\n", 200) {
		t.Errorf("%q", out.String())
	}
}

// TestTeller: on a terminal one line is written again and cleared; elsewhere, and with JSON, short work
// is silent.
func TestTeller(t *testing.T) {
	for _, c := range []struct {
		terminal, json bool
		want           string
	}{
		{true, false, "\rcheck: 1.0 KiB of 2.0 KiB, 50 %, 0s\x1b[K\r\x1b[K"},
		{true, true, ""},
		{false, false, ""},
	} {
		var out bytes.Buffer
		teller := NewTeller(&App{Err: NewSink(&out), Terminal: c.terminal}, c.json)
		if c.terminal {
			teller.next = 0
		}
		teller.Tell(aegis.Progress{Stage: "check", Done: 1 << 10, Total: 2 << 10, Unit: "bytes"})
		teller.Tell(aegis.Progress{Stage: "check", Done: 2 << 10, Total: 2 << 10, Unit: "bytes"})
		teller.End()
		if out.String() != c.want {
			t.Errorf("%+v: %q", c, out.String())
		}
	}
	for want, p := range map[string]aegis.Progress{
		"load: 1,234 entries": {Stage: "load", Done: 1234, Unit: "entries"},
		"log":                 {Stage: "log"},
	} {
		if got := progressText(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

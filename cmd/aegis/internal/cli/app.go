package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aegis-storage/aegis/sim"
)

// The exit codes; ExitHelp explains them.
const (
	ExitClean       = 0
	ExitFound       = 1
	ExitUsage       = 2
	ExitCoverage    = 3
	ExitLocked      = 4
	ExitInterrupted = 130 // as a shell reports a program that SIGINT ended
)

// ExitHelp explains the exit codes.
const ExitHelp = `exit codes:
  0    all is well
  1    it is not as it should be: a key is not there, bytes are damaged, a simulated run failed
  2    the command line is wrong, or what is needed is not there or cannot be read or written
  3    sim run --require-coverage: nothing failed, but a rare path was never taken
  4    another process has the store open
  130  interrupted, with nothing found until then
`

// App is what a command needs of its surroundings.
type App struct {
	In       io.Reader
	Out, Err *Sink
	// Terminal says that Err is one: its last line can be written again.
	Terminal bool
	// InTerminal and OutTerminal say that In and Out are one: a person types there, and reads there.
	InTerminal, OutTerminal bool
	Subject                 sim.Subject // what is simulated

	root *tree
}

// NewApp is the App of this process.
func NewApp(subject sim.Subject) *App {
	return &App{
		In: os.Stdin, Out: NewSink(os.Stdout), Err: NewSink(os.Stderr), Subject: subject,
		Terminal: isTerminal(os.Stderr), InTerminal: isTerminal(os.Stdin), OutTerminal: isTerminal(os.Stdout),
	}
}

// Sink keeps the first error of a writer, so that a full disk does not look like success.
type Sink struct {
	w   io.Writer
	err error
}

// NewSink makes the Sink of a writer.
func NewSink(w io.Writer) *Sink { return &Sink{w: w} }

// Write writes unless an earlier write has failed.
func (s *Sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}

// Printf writes as fmt.Printf does; the Sink keeps the error.
func (s *Sink) Printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// Interruptible runs a command line and returns the exit code. The first interrupt asks the command
// to end, the second one ends the process.
func (a *App) Interruptible(root *Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return a.Main(ctx, root, args)
}

// Awaits says that a command reads what the user types, if it does.
func (a *App) Awaits(what string) {
	if a.InTerminal {
		a.Err.Printf("type %s, and end it by Ctrl-D on a line of its own\n", what)
	}
}

// ErrTerminal is why bytes are not written onto a screen.
var ErrTerminal = errors.New("it writes bytes that are no text, and standard output is a terminal: name a FILE, or a pipe")

// isTerminal reports whether a person seems to read f as it is written.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

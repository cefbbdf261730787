package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

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
	ExitPipe        = 141 // as a shell reports a program that SIGPIPE ended
)

// ExitHelp explains the exit codes.
const ExitHelp = `exit codes:
  0    all is well
  1    it is not as it should be: a key is not there, bytes are damaged, a simulated run failed
  2    the command line is wrong, or what is needed is not there or cannot be read or written
  3    sim run --require-coverage: nothing failed, but a rare path was never taken
  4    another process has the store open
  130  interrupted, with nothing found until then
  141  nobody reads the output any more, as with | head
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

	mu         sync.Mutex
	unfinished map[*func()]bool // what Unfinished was told, until it is done
}

// NewApp is the App of this process.
func NewApp(subject sim.Subject) *App {
	return &App{
		In: os.Stdin, Out: NewSink(os.Stdout), Err: NewSink(os.Stderr), Subject: subject,
		Terminal: isTerminal(os.Stderr), InTerminal: isTerminal(os.Stdin), OutTerminal: isTerminal(os.Stdout),
	}
}

// Sink keeps the first error of a writer, so that a full disk does not look like success. It is safe for
// concurrent use: a store tells its progress while a command prints.
type Sink struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// NewSink makes the Sink of a writer.
func NewSink(w io.Writer) *Sink { return &Sink{w: w} }

// Write writes unless an earlier write has failed.
func (s *Sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}

// Err is the first error of writing.
func (s *Sink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Printf writes as fmt.Printf does; the Sink keeps the error.
func (s *Sink) Printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// Interruptible runs a command line and returns the exit code. The first interrupt asks the command
// to end, and so does an output that nobody reads any more. The second interrupt ends the process; before
// it does, what is unfinished is removed.
func (a *App) Interruptible(root *Command, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		again, stopAgain := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(again, func() {
			a.removeUnfinished()
			stopAgain()
			stop()
			dieInterrupted()
		})
	})()
	return a.Main(ctx, root, args)
}

// dieInterrupted ends the process as an interrupt does that nobody handles, so that a shell which runs a
// script ends it, too; where a process cannot send itself one, by the exit code.
func dieInterrupted() {
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(os.Interrupt) == nil {
		time.Sleep(time.Second) // it is on its way
	}
	os.Exit(ExitInterrupted)
}

// Unfinished has remove called if the process is ended in a hurry before done is called. A command that
// ends in order, also by an interrupt, removes by itself what it leaves unfinished.
func (a *App) Unfinished(remove func()) (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.unfinished == nil {
		a.unfinished = map[*func()]bool{}
	}
	a.unfinished[&remove] = true
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.unfinished, &remove)
	}
}

func (a *App) removeUnfinished() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for remove := range a.unfinished {
		(*remove)()
	}
}

// Awaits says that a command reads what the user types, if it does.
func (a *App) Awaits(what string) {
	if a.InTerminal {
		a.Err.Printf("type %s, and end it by Ctrl-D on a line of its own\n", what)
	}
}

// ErrTerminal is why bytes are not written onto a screen.
var ErrTerminal = errors.New("it writes bytes that are no text, and standard output is a terminal: name a FILE, or a pipe")

// isTerminal reports whether a person seems to read f as it is written. The null device is a character
// device, too, and nobody sits there.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/swarm"
)

// The exit codes; doc.go and exitHelp explain them.
const (
	exitClean       = 0
	exitFailures    = 1
	exitUsage       = 2
	exitCoverage    = 3
	exitInterrupted = 130 // as a shell reports a program that SIGINT ended
)

const exitHelp = `exit codes:
  0    all is well
  1    a run failed, a planted bug was not found, or two processes differ
  2    the command line is wrong, or a file or program that is needed is not there
  3    sim run --require-coverage: nothing failed, but a rare path was never taken
  130  interrupted, with nothing found until then
`

// app is what a command needs of its surroundings.
type app struct {
	out, err *sink
	// terminal says that err is one: its last line can be written again.
	terminal bool
	subject  sim.Subject // what is simulated
}

// sink keeps the first error of a writer, so that a full disk does not look like success.
type sink struct {
	w   io.Writer
	err error
}

// Write writes unless an earlier write has failed.
func (s *sink) Write(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(b)
	s.err = err
	return n, err
}

func (s *sink) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func main() {
	a := &app{out: &sink{w: os.Stdout}, err: &sink{w: os.Stderr}, terminal: isTerminal(os.Stderr), subject: swarm.Subject}
	os.Exit(a.interruptible(os.Args[1:]))
}

// interruptible runs a command line. The first interrupt asks the command to end, the second one
// ends the process.
func (a *app) interruptible(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return a.main(ctx, args)
}

// isTerminal reports whether a person seems to read f as it is written.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

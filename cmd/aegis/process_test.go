package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

// asProgram makes the test binary be aegis.
const asProgram = "AEGIS_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program is aegis as a process.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// longBench is a bench that does not end by itself, and says what it does.
func longBench(t *testing.T, dir string) (cmd *exec.Cmd, says *bufio.Reader) {
	t.Helper()
	cmd = program(t, "bench", dir, "--size", "1", "--only", "put-sync", "--seconds", "600")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(pipe)
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%q is left behind, %v", left, err)
	}
}

// TestInterrupts: however many interrupts come, and whenever, a bench leaves nothing behind.
func TestInterrupts(t *testing.T) {
	for _, many := range []bool{false, true} {
		dir := t.TempDir()
		cmd, says := longBench(t, dir)
		for line := ""; !strings.HasPrefix(line, "put-sync"); {
			var err error
			if line, err = says.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		often := time.NewTicker(time.Millisecond)
		for going := true; going; {
			select {
			case <-done: // the exit code tells
				going = false
			case <-often.C:
				if many {
					_ = cmd.Process.Signal(os.Interrupt) // it may have ended
				}
			}
		}
		often.Stop()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted && !(many && code < 0) {
			t.Errorf("%v", cmd.ProcessState)
		}
		wantEmpty(t, dir)
	}
}

// TestNobodyReads: a bench whose messages nobody reads any more ends, and leaves nothing behind. A scan
// says nothing about it.
func TestNobodyReads(t *testing.T) {
	dir := t.TempDir()
	cmd := program(t, "bench", dir, "--size", "1", "--only", "get,put-sync", "--seconds", "0.2")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitInterrupted {
		t.Errorf("%v", cmd.ProcessState)
	}
	wantEmpty(t, dir)

	store := filepath.Join(dir, "store")
	run("put", "--create", store, "key", strings.Repeat("value", 1<<20)).want(t, cli.ExitClean)
	cmd = program(t, "scan", store)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	_ = cmd.Wait() // the exit code tells
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitPipe || complaints.Len() > 0 {
		t.Errorf("%v, %q", cmd.ProcessState, complaints.String())
	}
}

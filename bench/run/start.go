package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aegis-storage/aegis/bench/measure"
	"github.com/aegis-storage/aegis/bench/workload"
)

// errLimit is that a child took too long.
var errLimit = errors.New("time limit")

// startChild has a child make a measurement, and returns its result. It returns errLimit if the
// child had to be killed.
func (r *Runner) startChild(ctx context.Context, spec workload.Spec, killed bool) (measure.Result, error) {
	var result measure.Result
	in, err := json.Marshal(spec)
	if err != nil {
		return result, err
	}
	limited, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	cmd := exec.CommandContext(limited, r.Command[0], r.Command[1:]...)
	var out bytes.Buffer
	complaints := tail{limit: 4096}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &complaints
	cmd.WaitDelay = 10 * time.Second
	// A child does not outlive its parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return result, ctx.Err()
	case limited.Err() != nil:
		return result, errLimit
	case killed && wasKilled(cmd):
	case err != nil:
		return result, fmt.Errorf("%w: %s", err, strings.TrimSpace(complaints.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return result, fmt.Errorf("result of a child: %w: %q", err, out.String())
	}
	return result, nil
}

func wasKilled(cmd *exec.Cmd) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// tail keeps the first and the last that is written to it, as much as its limit each.
type tail struct {
	limit       int
	first, last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	room := min(len(p), t.limit-len(t.first))
	t.first = append(t.first, p[:room]...)
	t.last = append(t.last, p[room:]...)
	if over := len(t.last) - t.limit; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return n, nil
}

func (t *tail) String() string {
	if len(t.last) < t.limit {
		return string(t.first) + string(t.last)
	}
	return string(t.first) + "\n…\n" + string(t.last)
}

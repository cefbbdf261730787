package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aegis-storage/aegis/bench/measure"
	"github.com/aegis-storage/aegis/bench/workload"
)

// Runner measures. Its exported fields are set before Run is called, once.
type Runner struct {
	Command    []string      // that starts this program as a child
	Dir        string        // where stores are
	MemoryDir  string        // where stores in memory have files, if they need any
	CacheBytes int64         // of each engine
	Duration   time.Duration // of workloads with a fixed time
	Warmup     time.Duration // before
	Limit      time.Duration // for each child
	Within     time.Duration // no measurement begins later, if not 0
	Profiles   map[string]string
	Emit       func(measure.Result) error // is called with each result as it comes
	Progress   io.Writer

	root, memoryRoot string
	stores           map[storeKey]*prepared
}

// ErrFailed is that an engine did something wrong; what, was told as progress and stands in the
// results.
var ErrFailed = errors.New("an engine failed")

// Run does all jobs, and deletes all stores it made. It returns ErrFailed if an engine did
// something wrong, after the other jobs were done.
func (r *Runner) Run(ctx context.Context, jobs []Job) (err error) {
	remove, err := r.roots()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	r.stores = map[storeKey]*prepared{}
	begun := time.Now()
	failures := 0
	for i, j := range jobs {
		if r.Within > 0 && time.Since(begun) > r.Within {
			fmt.Fprintf(r.Progress, "%v have passed: the last %d of %d measurements are left out\n", r.Within, len(jobs)-i, len(jobs))
			break
		}
		result, failure, err := r.job(ctx, j)
		if err != nil {
			return err
		}
		if failure != nil {
			failures++
			result.Limited = "failed: " + failure.Error()
		}
		r.tell(i, len(jobs), time.Since(begun), &result)
		if err := r.Emit(result); err != nil {
			return err
		}
		if err := r.dropUnused(j, jobs[i+1:]); err != nil {
			return err
		}
	}
	if failures > 0 {
		return fmt.Errorf("%w in %d measurements", ErrFailed, failures)
	}
	return nil
}

// dropUnused deletes a job's prepared store if no later job starts from it.
func (r *Runner) dropUnused(done Job, later []Job) error {
	k := keyOf(done)
	for _, j := range later {
		if keyOf(j) == k {
			return nil
		}
	}
	return r.drop(k)
}

// job makes one measurement. A failure is one of the engine; err is one of the harness, or that it
// is to stop.
func (r *Runner) job(ctx context.Context, j Job) (result measure.Result, failure, err error) {
	result, err = workload.Plan(j.Engine, r.spec(j, ""))
	if err != nil {
		return result, nil, err
	}
	if result.Limited = j.Workload.Limit(j.Engine); result.Limited != "" {
		return result, nil, nil
	}
	var measured []measure.Result
	for range j.Workload.Repeats {
		one, failure, err := r.once(ctx, j)
		if ctx.Err() != nil {
			return result, nil, ctx.Err()
		}
		if failure != nil || err != nil {
			return result, failure, err
		}
		if one.Limited != "" {
			result.Limited = one.Limited
			return result, nil, nil
		}
		measured = append(measured, one)
	}
	return workload.Combine(measured), nil, nil
}

// once makes one measurement, or takes that of a prepared store that is just made.
func (r *Runner) once(ctx context.Context, j Job) (result measure.Result, failure, err error) {
	k := keyOf(j)
	if p := r.stores[k]; string(k.from) == j.Workload.Name && (p == nil || p.dir == "") {
		p, failure := r.prepare(ctx, j, k)
		if failure != nil {
			return result, failure, nil
		}
		result = p.result
		result.Limited = p.limited
		return result, nil, nil
	}
	at, failure := r.provide(ctx, j)
	if failure != nil {
		return result, failure, nil
	}
	if at.limited != "" {
		result.Limited = at.limited
		return result, nil, nil
	}
	result, failure = r.startChild(ctx, r.spec(j, at.dir), false)
	if at.remove {
		err = joinRemove(nil, at.dir)
	}
	if j.Workload.Start == workload.Taken || (j.Workload.Start == workload.Shared && failure != nil) {
		// What a killed child leaves behind is not in order.
		err = errors.Join(err, r.drop(k))
	}
	if errors.Is(failure, errLimit) {
		result.Limited, failure = fmt.Sprintf("did not end within %v", r.Limit), nil
	}
	return result, failure, err
}

func (r *Runner) spec(j Job, dir string) workload.Spec {
	return workload.Spec{
		Engine: j.Engine.Name, Workload: j.Workload.Name, Clients: j.Clients,
		Keys: j.Keys, ValueBytes: j.ValueBytes, CacheBytes: r.CacheBytes,
		Dir: dir, Round: j.Round, Duration: r.Duration, Warmup: r.Warmup, Profiles: r.Profiles,
	}
}

// tell shows how far the run is, and a result.
func (r *Runner) tell(i, of int, passed time.Duration, m *measure.Result) {
	left := time.Duration(float64(passed) / float64(i+1) * float64(of-i-1)).Round(time.Second)
	fmt.Fprintf(r.Progress, "%d/%d, %v left: round %d, %s, %d clients, %s: ", i+1, of, left, m.Round, m.Workload, m.Clients, m.Engine)
	if m.Limited != "" {
		fmt.Fprintln(r.Progress, m.Limited)
		return
	}
	fmt.Fprintf(r.Progress, "%.0f/s, p50 %v, p99.9 %v, %d MiB\n",
		m.PerSecond(), time.Duration(m.P50), time.Duration(m.P999), m.PeakAnonBytes>>20)
}

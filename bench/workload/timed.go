package workload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aegis-storage/aegis/bench/measure"
)

// timed measures a workload that consists of steps.
func (r *Run) timed() error { return r.sampled(r.withStore) }

// sampled calls run while the process's memory and the store's files are sampled.
func (r *Run) sampled(run func() error) error {
	if r.work.read {
		if err := readFiles(r.Dir); err != nil {
			return err
		}
	}
	sampler, err := measure.StartSampler(r.Dir)
	if err != nil {
		return err
	}
	err = run()
	peaks, samplerErr := sampler.Stop()
	r.result.PeakAnonBytes, r.result.PeakResidentBytes, r.result.PeakDiskBytes = peaks.Anon, peaks.Resident, peaks.Disk
	return errors.Join(err, samplerErr)
}

// withStore opens the store, measures, closes it, and reads what is only known then.
func (r *Run) withStore() error {
	if err := r.openStore(); err != nil {
		return err
	}
	before, err := r.measured()
	if err != nil {
		return errors.Join(err, r.store.Close())
	}
	if r.work.settle {
		if err := r.store.Settle(); err != nil {
			return fmt.Errorf("settle: %w", err)
		}
	}
	if err := r.closeStore(); err != nil {
		return err
	}
	return r.account(before)
}

// account sets what the store wrote since before, and what it takes on disk.
func (r *Run) account(before measure.Usage) error {
	after, err := measure.ReadUsage()
	if err != nil {
		return err
	}
	r.result.WrittenBytes = after.WrittenBytes - before.WrittenBytes
	r.result.DiskBytes, err = measure.DiskBytes(r.Dir)
	return err
}

// measured sets up, warms up, measures and checks. It returns what was used before it measured.
func (r *Run) measured() (before measure.Usage, err error) {
	if r.work.setup != nil {
		if err := r.work.setup(r); err != nil {
			return before, fmt.Errorf("prepare: %w", err)
		}
	}
	r.begin()
	if !r.work.fixed && r.Warmup > 0 {
		if _, err := r.phase(r.Warmup, nil); err != nil {
			return before, err
		}
	}
	for _, c := range r.clients {
		c.ops, c.pairs = 0, 0
		c.latency.Reset()
	}
	if !r.work.Memory {
		syscall.Sync()
	}
	profiles, err := startProfiles(r.Profiles)
	if err != nil {
		return before, err
	}
	if before, err = measure.ReadUsage(); err != nil {
		return before, err
	}
	took, err := r.phase(r.Duration, r.work.finish)
	if err != nil {
		return before, err
	}
	after, err := measure.ReadUsage()
	if err != nil {
		return before, err
	}
	if err := profiles.stop(); err != nil {
		return before, err
	}
	r.sum(took, after.CPU-before.CPU)
	return before, r.checks()
}

// sum adds up what the clients did.
func (r *Run) sum(took, cpu time.Duration) {
	r.result.Seconds, r.result.CPUSeconds = took.Seconds(), cpu.Seconds()
	for _, c := range r.clients {
		r.latency.Merge(c.latency)
		r.result.Ops += c.ops
		r.result.UserBytes += c.pairs * int64(KeyBytes+r.ValueBytes)
	}
	r.latency.Fill(&r.result)
}

func (r *Run) checks() error {
	if r.work.check != nil {
		if err := r.work.check(r); err != nil {
			return fmt.Errorf("check: %w", err)
		}
	}
	for _, c := range r.clients {
		if r.work.after == nil {
			break
		}
		if err := r.work.after(c); err != nil {
			return fmt.Errorf("check of client %d: %w", c.id, err)
		}
	}
	return nil
}

// phase runs all clients for a time, or until they are done, and finish. It returns how long that
// took, to the end of the last operation: a stall at the end counts.
func (r *Run) phase(d time.Duration, finish func(*Run) error) (time.Duration, error) {
	var stop atomic.Bool
	var all sync.WaitGroup
	errs := make([]error, len(r.clients))
	start := time.Now()
	if !r.work.fixed {
		defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	}
	for i, c := range r.clients {
		all.Go(func() {
			if err := c.drive(&stop); !errors.Is(err, errDone) {
				errs[i] = err
			}
			if errs[i] != nil {
				stop.Store(true)
			}
		})
	}
	all.Wait()
	err := errors.Join(errs...)
	if err == nil && finish != nil {
		err = finish(r)
	}
	return time.Since(start), err
}

// drive does operations until it is stopped.
func (c *client) drive(stop *atomic.Bool) error {
	step, every := c.run.work.step, c.run.work.every
	for !stop.Load() {
		start := time.Now()
		n, err := step(c)
		if err != nil {
			return err
		}
		c.latency.Record(time.Since(start))
		for range every - 1 {
			more, err := step(c)
			if err != nil {
				return err
			}
			n += more
		}
		c.ops += int64(n)
	}
	return nil
}

// readFiles reads all that is in dir, so that the OS has it in memory.
func readFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return measure.EachExtent(file, func(_, length int64) error {
			// Hidden, for a copy within the kernel would not have to read it.
			_, err := io.CopyN(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{file}, length)
			return err
		})
	})
}

package workload

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/aegis-storage/aegis/bench/measure"
)

const killedKeys = 200_000

func reopening() []Workload {
	return []Workload{{
		Name: "reopen", Clients: []int{1}, Quick: []int{1},
		About:   "opening and a first get, after 200 K single puts and a kill; each in a new process",
		Start:   Copied,
		From:    Killed,
		Repeats: 3, maxKeys: killedKeys, read: true, run: (*Run).opening,
	}}
}

// opening measures how long it takes to open a store and get a value, in a process that has done
// nothing else.
func (r *Run) opening() error {
	return r.sampled(func() error {
		syscall.Sync()
		return r.openOnce()
	})
}

func (r *Run) openOnce() error {
	profiles, err := startProfiles(r.Profiles)
	if err != nil {
		return err
	}
	before, err := measure.ReadUsage()
	if err != nil {
		return err
	}
	key := AppendKey(nil, 0)
	start := time.Now()
	if err := r.openStore(); err != nil {
		return err
	}
	if _, err := r.store.Get(key, nil); err != nil {
		return errors.Join(fmt.Errorf("first get: %w", err), r.store.Close())
	}
	took := time.Since(start)
	after, err := measure.ReadUsage()
	if err != nil {
		return err
	}
	if err := profiles.stop(); err != nil {
		return err
	}
	r.result.Ops = 1
	r.result.Seconds, r.result.CPUSeconds = took.Seconds(), (after.CPU - before.CPU).Seconds()
	r.latency.Record(took)
	r.latency.Fill(&r.result)
	if err := checkLoaded(r); err != nil {
		return errors.Join(fmt.Errorf("check: %w", err), r.store.Close())
	}
	if err := r.closeStore(); err != nil {
		return err
	}
	return r.account(before)
}

// Combine makes one result of several measurements that count as one: what they did is added up,
// the latencies are those of all, of which there is one each.
func Combine(parts []measure.Result) measure.Result {
	if len(parts) == 1 {
		return parts[0]
	}
	latency := measure.NewLatency()
	sum := parts[0]
	sum.Ops, sum.Seconds, sum.CPUSeconds, sum.WrittenBytes = 0, 0, 0, 0
	for _, p := range parts {
		if p.Limited != "" {
			return p
		}
		sum.Ops += p.Ops
		sum.Seconds += p.Seconds
		sum.CPUSeconds += p.CPUSeconds
		sum.WrittenBytes += p.WrittenBytes
		sum.PeakAnonBytes = max(sum.PeakAnonBytes, p.PeakAnonBytes)
		sum.PeakResidentBytes = max(sum.PeakResidentBytes, p.PeakResidentBytes)
		sum.PeakDiskBytes = max(sum.PeakDiskBytes, p.PeakDiskBytes)
		sum.DiskBytes = max(sum.DiskBytes, p.DiskBytes)
		latency.Record(time.Duration(p.P50))
	}
	latency.Fill(&sum)
	return sum
}

package workload

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/measure"
)

// Spec is one measurement that is to be made.
type Spec struct {
	Engine     string        `json:"engine"`
	Workload   string        `json:"workload"`
	Clients    int           `json:"clients"`
	Keys       int           `json:"keys"`
	ValueBytes int           `json:"value_bytes"`
	CacheBytes int64         `json:"cache_bytes"`
	Dir        string        `json:"dir"` // the store's
	Round      int           `json:"round"`
	Duration   time.Duration `json:"duration"` // of the measured time

	Warmup   time.Duration     `json:"warmup"`
	Profiles map[string]string `json:"profiles,omitempty"` // files, by kind; see [ProfileKinds]
}

// Run is one measurement in this process.
type Run struct {
	Spec
	work    Workload
	driver  engine.Driver
	store   engine.Store
	clients []*client
	zipf    *zipf
	result  measure.Result
	latency *measure.Latency // of all clients
}

// Execute measures a workload on an engine, in this process. An engine that cannot do it is not an
// error: the result says so. A value that is wrong, or an update that is lost, is.
func Execute(d engine.Driver, spec Spec) (measure.Result, error) {
	work, found := Find(spec.Workload)
	if !found {
		return measure.Result{}, fmt.Errorf("no workload %q", spec.Workload)
	}
	r := newRun(d, work, spec)
	if r.result.Limited = work.Limit(d); r.result.Limited != "" {
		return r.result, nil
	}
	run := work.run
	if run == nil {
		run = (*Run).timed
	}
	err := run(r)
	if errors.Is(err, errors.ErrUnsupported) {
		r.result.Limited = "has no such transactions"
		return r.result, nil
	}
	if err != nil {
		return r.result, fmt.Errorf("%s on %s with %d clients: %w", work.Name, d.Name, spec.Clients, err)
	}
	return r.result, nil
}

func newRun(d engine.Driver, work Workload, spec Spec) *Run {
	spec.ValueBytes = cmp.Or(work.valueBytes, spec.ValueBytes)
	if work.maxKeys > 0 {
		spec.Keys = min(spec.Keys, work.maxKeys)
	}
	if work.cacheParts > 0 {
		spec.CacheBytes = int64(spec.Keys) * int64(KeyBytes+spec.ValueBytes) / int64(work.cacheParts)
	}
	if work.Bare {
		spec.Keys, spec.CacheBytes = 0, 0
	}
	return &Run{
		Spec: spec, work: work, driver: d, latency: measure.NewLatency(),
		result: measure.Result{
			Time: time.Now().UTC(), Round: spec.Round, Engine: d.Name, Version: d.Version,
			Workload: work.Name, Clients: spec.Clients,
			Keys: spec.Keys, ValueBytes: spec.ValueBytes, CacheBytes: spec.CacheBytes,
			Durable: work.durable, Compressed: !work.plain && !work.Bare,
		},
	}
}

// Plan returns the result that a measurement would have, without its figures: for one that did not
// come to an end.
func Plan(d engine.Driver, spec Spec) (measure.Result, error) {
	work, found := Find(spec.Workload)
	if !found {
		return measure.Result{}, fmt.Errorf("no workload %q", spec.Workload)
	}
	return newRun(d, work, spec).result, nil
}

func (r *Run) config() engine.Config {
	return engine.Config{
		Dir: r.Dir, CacheBytes: r.CacheBytes,
		Durable: r.work.durable, Compressed: !r.work.plain, Memory: r.work.Memory,
	}
}

func (r *Run) openStore() error {
	var err error
	if r.work.open != nil {
		r.store, err = r.work.open(r)
	} else {
		r.store, err = r.driver.Open(r.config())
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

func (r *Run) closeStore() error {
	if err := r.store.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

package report

import (
	"math"
	"time"

	"github.com/aegis-storage/aegis/bench/measure"
)

// What follows makes results up. No figure in it was measured, and none is like one that was: rates
// are multiples of the engine's strength.

var strength = map[string]float64{
	aegis: 9, "lmdb": 5, "rocksdb": 3.5, "pebble": 4, "badger": 2, "bbolt": 3, "sqlite": 1, raw: 10,
}

var peers = []string{"lmdb", "rocksdb", "pebble", "badger", "bbolt", "sqlite"}

// one is a round of one engine that everything else in the tests varies.
func one(engine, workload string, clients int) measure.Result {
	s := strength[engine]
	rate := s * 10_000 * math.Sqrt(float64(clients))
	return measure.Result{
		Time: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), Engine: engine, Version: "v0", Workload: workload,
		Clients: clients, Keys: 1_000_000, ValueBytes: 100, CacheBytes: 64 << 20, Compressed: true,
		Ops: int64(rate), Seconds: 1, CPUSeconds: 0.8,
		P50: int64(100_000 / s), P90: int64(150_000 / s), P99: int64(400_000 / s), P999: int64(3_000_000 / s), Max: int64(9e6 / s),
		PeakAnonBytes: int64((80 - 6*s) * (1 << 20)), PeakResidentBytes: int64((90 - 6*s) * (1 << 20)),
		WrittenBytes: int64((40 - 3*s) * 1e7), UserBytes: 116_000_000, DiskBytes: int64((20 - s) * 1e7), PeakDiskBytes: int64((30 - s) * 1e7),
		Machine: "a machine that is made up", Command: "go run . -made-up",
	}
}

// with changes a copy.
func with(r measure.Result, change func(*measure.Result)) measure.Result {
	change(&r)
	return r
}

// madeUp is three rounds of everything, as the harness would give it.
func madeUp() []measure.Result {
	var all []measure.Result
	for round := range 3 {
		for _, s := range catalogue {
			for _, w := range s.workloads {
				for _, c := range clientsOf(w.name) {
					if s.title != growthTitle {
						all = append(all, madeUpRound(round, w, c)...)
					}
				}
			}
		}
	}
	return append(all, madeUpGrowth()...)
}

func clientsOf(workload string) []int {
	switch workload {
	case "put-nosync", "get-cached", "get-snapshot", "get-cold", "get-cold-plain", "mem-put", "mem-get":
		return []int{1, 16}
	case "put-durable":
		return []int{1, 16, 64, 256}
	case "load", "seek-100", "full-scan", "reopen", "raw-overwrite", "raw-append":
		return []int{1}
	}
	return []int{16}
}

func madeUpRound(round int, w workload, clients int) []measure.Result {
	if w.name == "raw-overwrite" || w.name == "raw-append" {
		return []measure.Result{with(one(raw, w.name, clients), func(r *measure.Result) { r.Round = round })}
	}
	var all []measure.Result
	for _, engine := range append([]string{aegis}, peers...) {
		all = append(all, with(one(engine, w.name, clients), func(r *measure.Result) {
			r.Round = round
			r.Ops += r.Ops * int64(round) / 20
			switch {
			case w.timed:
				r.Ops, r.Seconds = 1, 3/strength[engine]+float64(round)/50
			case w.name == "get-cold-plain" && engine == "badger":
				r.Limited, r.Ops, r.Compressed = "it cannot be opened without compression (made up)", 0, false
			case w.name == "get-cold-plain":
				r.Compressed = false
			}
		}))
	}
	return all
}

func madeUpGrowth() []measure.Result {
	var all []measure.Result
	add := func(workload, engine string, clients, keys, valueBytes int) {
		all = append(all, with(one(engine, workload, clients), func(r *measure.Result) {
			r.Keys, r.ValueBytes, r.Compressed = keys, valueBytes, false
			bend := math.Log10(float64(keys)) - 5
			r.Ops = int64(float64(r.Ops) / bend / math.Sqrt(float64(valueBytes+100)/200))
			r.UserBytes = int64(keys) * int64(valueBytes+keyBytes)
			r.WrittenBytes = int64(float64(r.UserBytes) * (1 + bend*10/strength[engine]))
			r.DiskBytes = int64(float64(r.UserBytes) * (1 + 2/strength[engine]))
			r.PeakDiskBytes = r.DiskBytes * 5 / 4
			if workload == "growth-get" || workload == "growth-scan" {
				r.UserBytes, r.WrittenBytes, r.PeakDiskBytes = 0, 0, 0
			}
			if workload == "growth-open" {
				r.Ops, r.Seconds, r.UserBytes = 1, bend/strength[engine], 0
			}
		}))
	}
	for _, engine := range append([]string{aegis}, peers...) {
		for _, keys := range []int{1e6, 3e6, 10e6, 30e6} {
			for _, w := range []string{"growth-load", "growth-get", "growth-scan", "growth-update", "growth-open"} {
				add(w, engine, 1, keys, 100)
			}
		}
		for _, clients := range []int{4, 16, 64, 256} {
			add("growth-get", engine, clients, 1e6, 100)
			add("growth-update", engine, clients, 1e6, 100)
		}
		for _, length := range []int{10, 1000, 10_000, 100_000, 1 << 20} {
			add("growth-load", engine, 1, 100_000_000/(length+keyBytes)/2+100_000, length)
			add("growth-get", engine, 1, 100_000_000/(length+keyBytes)/2+100_000, length)
		}
	}
	return all
}

package actors

import "runtime/metrics"

// LiveRatio is the part of a memory budget that may be alive when the collector starts, so that
// live data and garbage together stay near the budget: 100/(100+GOGC), read from the host's
// settings, which the engine never changes. With the collector off it is 1.
func (Goroutines) LiveRatio() float64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0.5
	}
	percent := sample[0].Value.Uint64()
	if percent > 1<<20 {
		return 1
	}
	return 100 / (100 + float64(percent))
}

package measure

import "time"

// Result is one measurement: one workload on one engine, in one round, in a process of its own. It
// is one line of JSON.
type Result struct {
	Time     time.Time `json:"time"`
	Round    int       `json:"round"`
	Engine   string    `json:"engine"`
	Version  string    `json:"version"`
	Workload string    `json:"workload"` // as the workload is named, without the number of clients
	Clients  int       `json:"clients"`
	// Machine and Command are for the report: what it ran on ([Machine]), and the command line that started the run.
	Machine string `json:"machine,omitempty"`
	Command string `json:"command,omitempty"`
	// Limited is not empty if the engine did not take part, and says why.
	Limited string `json:"limited,omitempty"`

	Keys       int   `json:"keys"`
	ValueBytes int   `json:"value_bytes"`
	CacheBytes int64 `json:"cache_bytes"`
	Durable    bool  `json:"durable"`
	Compressed bool  `json:"compressed"`

	Ops        int64   `json:"ops"` // operations, or entries where the workload counts those
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // user and system, of the whole process, while it was measured
	// Latency of one operation (of one transaction where they are loaded in batches), nanoseconds.
	P50  int64 `json:"p50_ns"`
	P90  int64 `json:"p90_ns"`
	P99  int64 `json:"p99_ns"`
	P999 int64 `json:"p999_ns"`
	Max  int64 `json:"max_ns"`

	PeakAnonBytes     int64 `json:"peak_anon_bytes"`     // highest RssAnon that was seen, the harness included
	PeakResidentBytes int64 `json:"peak_resident_bytes"` // highest VmRSS that was seen
	WrittenBytes      int64 `json:"written_bytes"`       // write_bytes of /proc/self/io while it was measured; where the store was closed, to its end
	UserBytes         int64 `json:"user_bytes"`          // keys and values that the workload wrote
	DiskBytes         int64 `json:"disk_bytes"`          // allocated to the store's files at the end
	PeakDiskBytes     int64 `json:"peak_disk_bytes"`     // highest that was seen, from opening to closing
}

// PerSecond returns the rate of operations.
func (r *Result) PerSecond() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(r.Ops) / r.Seconds
}

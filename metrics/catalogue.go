package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aegis-storage/aegis"
)

// value is a metric of one number.
type value struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s *aegis.Stats) float64
}

// latency is a histogram of seconds.
type latency struct {
	desc *prometheus.Desc
	of   func(l *aegis.LatencyStats) *aegis.Latency
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("aegis_"+name, help, append([]string{"store"}, labels...), nil)
}

func counter[T uint64 | int64](name, help string, of func(s *aegis.Stats) T) value {
	return value{desc(name, help), prometheus.CounterValue, func(s *aegis.Stats) float64 { return float64(of(s)) }}
}

func gauge[T int | uint64 | int64 | float64](name, help string, of func(s *aegis.Stats) T) value {
	return value{desc(name, help), prometheus.GaugeValue, func(s *aegis.Stats) float64 { return float64(of(s)) }}
}

func seconds(name, help string, of func(l *aegis.LatencyStats) *aegis.Latency) latency {
	return latency{desc(name+"_duration_seconds", help), of}
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}

// The metrics that have more labels, or come also without figures.
var (
	up        = desc("up", "1 if the store gives figures, 0 if it is closed or its engine has stopped.")
	groupSize = desc("commit_group_commits", "Commits that shared a write and a sync of the log; the sum is at most a quarter too high.")
	waiting   = desc("mailbox_messages", "Messages that wait in an actor's mailbox.", "actor")
	messages  = desc("actor_messages_total", "Messages that an actor has taken.", "actor")
	runs      = desc("runs", "Runs of tables; the last tier is the bottom.", "tier")
	snapshots = desc("open_snapshots", "Open transactions and iterators.", "mode")
)

// values are the metrics of one number, in the order of aegis.Stats.
var values = []value{
	counter("commits_total", "Commits that were applied.", func(s *aegis.Stats) uint64 { return s.Commits.Commits }),
	counter("commit_conflicts_total", "Commits that ended with ErrConflict.", func(s *aegis.Stats) uint64 { return s.Commits.Conflicts }),
	counter("commit_rejections_total", "Commits that were refused for lack of space.", func(s *aegis.Stats) uint64 { return s.Commits.Rejected }),
	counter("committed_bytes_total", "Bytes of keys and values that were committed.", func(s *aegis.Stats) uint64 { return s.Commits.UserBytes }),
	gauge("commits_waiting", "Commits that wait for a sync.", func(s *aegis.Stats) int { return s.Commits.Waiting }),
	gauge("commits_held", "Commits that wait to be applied: for log space, a flush or merges.", func(s *aegis.Stats) int { return s.Commits.Held }),
	counter("stalled_turns_total", "Turns of the coordinator that left commits waiting.", func(s *aegis.Stats) uint64 { return s.Commits.Stalls.Turns }),
	counter("stalls_for_log_total", "Times that a commit found no log space.", func(s *aegis.Stats) uint64 { return s.Commits.Stalls.ForLog }),
	counter("stalls_for_flush_total", "Times that a commit had to wait for a flush or for merges.", func(s *aegis.Stats) uint64 { return s.Commits.Stalls.ForFlush }),
	counter("stalls_for_memory_total", "Readers that had to wait for memory.", func(s *aegis.Stats) int64 { return s.Commits.Stalls.ForMemory }),
	gauge("last_seq", "Number of the newest commit.", func(s *aegis.Stats) uint64 { return s.Commits.LastSeq }),
	gauge("durable_seq", "Number of the newest commit that is synced.", func(s *aegis.Stats) uint64 { return s.Commits.DurableSeq }),
	counter("log_writes_total", "Writes to the log.", func(s *aegis.Stats) uint64 { return s.Log.Writes }),
	counter("log_syncs_total", "Syncs of the log.", func(s *aegis.Stats) uint64 { return s.Log.Syncs }),
	counter("log_written_bytes_total", "Bytes written to the log.", func(s *aegis.Stats) uint64 { return s.Log.BytesWritten }),
	counter("log_rotations_total", "Log segments that were filled.", func(s *aegis.Stats) uint64 { return s.Log.Rotations }),
	counter("log_recycled_total", "Log segments that were used again.", func(s *aegis.Stats) uint64 { return s.Log.Recycled }),
	counter("log_prepare_failures_total", "Log segments that could not be prepared.", func(s *aegis.Stats) uint64 { return s.Log.PrepareFailures }),
	gauge("log_segments", "Log segments in use.", func(s *aegis.Stats) int { return s.Log.Segments }),
	gauge("log_spares", "Log segments that are prepared.", func(s *aegis.Stats) int { return s.Log.Spares }),
	gauge("log_live_bytes", "Bytes of log that a recovery would read.", func(s *aegis.Stats) int64 { return s.Log.LiveBytes }),
	gauge("log_file_bytes", "Bytes of log files.", func(s *aegis.Stats) int64 { return s.Log.FileBytes }),
	counter("flushes_total", "Version indexes that were written as tables.", func(s *aegis.Stats) uint64 { return s.Tables.Flushes }),
	counter("merges_total", "Merges that are complete.", func(s *aegis.Stats) uint64 { return s.Tables.Merges }),
	counter("merge_steps_total", "Steps of merges.", func(s *aegis.Stats) uint64 { return s.Tables.MergeSteps }),
	counter("checkpoints_total", "Checkpoints that were published.", func(s *aegis.Stats) uint64 { return s.Tables.Checkpoints }),
	counter("table_failures_total", "Flushes, merges and checkpoints that failed.", func(s *aegis.Stats) uint64 { return s.Tables.Failures }),
	gauge("tables", "Table files.", func(s *aegis.Stats) int { return s.Tables.Tables }),
	gauge("table_bytes", "Bytes of table files.", func(s *aegis.Stats) int64 { return s.Tables.Bytes }),
	gauge("table_raw_bytes", "Bytes of keys and values in tables, before compression.", func(s *aegis.Stats) int64 { return s.Tables.RawBytes }),
	gauge("table_reclaimable_bytes", "Bytes of table files that only old snapshots hold.", func(s *aegis.Stats) int64 { return s.Tables.Reclaimable }),
	gauge("table_entries", "Entries in tables, tombstones included.", func(s *aegis.Stats) uint64 { return s.Tables.Entries }),
	gauge("table_tombstones", "Tombstones in tables.", func(s *aegis.Stats) uint64 { return s.Tables.Tombstones }),
	gauge("write_amplification_ratio", "Bytes written to files per byte committed.", func(s *aegis.Stats) float64 { return s.Tables.WriteAmplification }),
	counter("cache_hits_total", "Leaf pages that were found in memory.", func(s *aegis.Stats) int64 { return s.Cache.Hits }),
	counter("cache_misses_total", "Pages that had to be loaded.", func(s *aegis.Stats) int64 { return s.Cache.Misses }),
	counter("cache_loaded_bytes_total", "Stored bytes of the pages that were loaded.", func(s *aegis.Stats) int64 { return s.Cache.LoadedBytes }),
	counter("cache_evicted_total", "Pages that were evicted.", func(s *aegis.Stats) int64 { return s.Cache.Evicted }),
	counter("filter_skips_total", "Lookups that a filter answered without a page.", func(s *aegis.Stats) int64 { return s.Cache.FilterSkips }),
	gauge("cache_pages", "Pages in memory.", func(s *aegis.Stats) int { return s.Cache.Pages }),
	gauge("memory_budget_bytes", "Options.MemoryBudget.", func(s *aegis.Stats) int64 { return s.Memory.Budget }),
	gauge("memory_index_bytes", "Bytes of version indexes: recent writes.", func(s *aegis.Stats) int64 { return s.Memory.IndexBytes }),
	gauge("memory_pinned_bytes", "Bytes of flushed version indexes that transactions hold.", func(s *aegis.Stats) int64 { return s.Memory.PinnedIndexBytes }),
	gauge("memory_resident_bytes", "Bytes of cached pages and filters.", func(s *aegis.Stats) int64 { return s.Memory.ResidentBytes }),
	gauge("memory_target_bytes", "What the evictor keeps cached pages and filters below.", func(s *aegis.Stats) int64 { return s.Memory.TargetBytes }),
	counter("snapshots_ended_total", "Transactions that were ended because old ones held too much.", func(s *aegis.Stats) uint64 { return s.Memory.EndedSnapshots }),
	gauge("oldest_snapshot_age_seconds", "Age of the oldest open transaction.", oldest),
	gauge("failed", "1 if the store only reads after a failure, or refuses writes for lack of space.", func(s *aegis.Stats) int { return truth(s.Err != nil) }),
	gauge("uptime_seconds", "Time since the store was opened.", func(s *aegis.Stats) float64 { return s.Uptime.Seconds() }),
	gauge("recovery_duration_seconds", "What Open took.", func(s *aegis.Stats) float64 { return s.Recovery.Took.Seconds() }),
	gauge("recovery_records", "Commits that Open replayed.", func(s *aegis.Stats) int64 { return s.Recovery.Records }),
	counter("events_dropped_total", "Events that the logger was too slow for.", func(s *aegis.Stats) uint64 { return s.Events.Dropped }),
	counter("observer_panics_total", "Panics of the logger, and of Observer.Span in the engine's own work.", func(s *aegis.Stats) uint64 { return s.Events.Panics }),
}

func oldest(s *aegis.Stats) float64 {
	if len(s.Snapshots) == 0 {
		return 0
	}
	return s.Snapshots[0].Age.Seconds()
}

// latencies are the histograms of aegis.LatencyStats.
var latencies = []latency{
	seconds("commit", "Commits that wait for their answer: each Sync one, one NoSync one in 16.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.Commit }),
	seconds("get", "Lookups, one in 64.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.Get }),
	seconds("scan_first", "Scans until they have their first entry.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.ScanFirst }),
	seconds("scan", "Scans, with all that the loop's body does.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.Scan }),
	seconds("page_load", "Cache misses.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.PageLoad }),
	seconds("log_sync", "Synced groups of commits: write and sync.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.LogSync }),
	seconds("flush", "Flushes of a version index.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.Flush }),
	seconds("merge_step", "Steps of merges.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.MergeStep }),
	seconds("checkpoint", "Publications of a checkpoint.", func(l *aegis.LatencyStats) *aegis.Latency { return &l.Checkpoint }),
}

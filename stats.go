package aegis

import (
	"context"
	"time"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/pages"
)

// Stats is a store's figures. Counts are since Open unless they say otherwise; sizes are bytes.
// The parts are read one after the other, so they need not fit each other exactly.
type Stats struct {
	Commits   CommitStats
	Latency   LatencyStats
	Log       LogStats
	Tables    TableStats
	Cache     CacheStats
	Memory    MemoryStats
	Snapshots []SnapshotStats   // open transactions, the oldest first
	Mailboxes map[string]int    // messages that wait, by actor
	Messages  map[string]uint64 // messages that were taken, by actor
	Events    EventStats
	Recovery  RecoveryStats
	Uptime    time.Duration
	Err       error // why the store only reads (ErrPoisoned), or refuses writes (ErrNoSpace); else nil
}

// CommitStats are the coordinator's figures.
type CommitStats struct {
	Commits, Conflicts, Rejected uint64  // Rejected: for lack of space
	NoSync, Oversize             uint64  // of Commits
	Groups                       uint64  // log groups that were synced
	PerGroup                     float64 // commits in an average group
	GroupSizes                   []SizeBucket
	UserBytes                    uint64 // keys and values committed
	Waiting, Held                int    // commits that wait for a sync; that wait to be applied
	Stalls                       StallStats
	LastSeq, DurableSeq          uint64
}

// SizeBucket counts groups of up to UpTo commits and of more than the bucket before it. There are four
// to each doubling; buckets that counted nothing are left out.
type SizeBucket struct{ UpTo, Count uint64 }

// StallStats count how often commits had to wait.
type StallStats struct {
	Turns     uint64 // turns of the coordinator that left commits waiting
	ForLog    uint64 // for prepared log space
	ForFlush  uint64 // for a flush, or for merges that are behind
	ForMemory int64  // readers that waited for the evictor
}

// LogStats are the log writer's figures.
type LogStats struct {
	Writes, Syncs, Rotations, Recycled uint64
	BytesWritten                       uint64
	Segments, Spares                   int
	LiveBytes                          int64 // that a recovery would read
	FileBytes                          int64
	PrepareFailures                    uint64
}

// TableStats are the flusher's figures. Those named Bytes are of files, as stored.
type TableStats struct {
	Flushes, Merges, MergeSteps, Checkpoints uint64
	Failures                                 uint64
	LastError                                error // of the last flush or merge that failed
	Tables                                   int
	Bytes, RawBytes                          int64 // RawBytes: keys and values before compression
	Reclaimable                              int64 // only old snapshots hold these files
	Entries, Tombstones                      uint64
	RunsPerTier                              []int
	Settled                                  bool // one run is left
	CheckpointNumber                         uint64
	WriteAmplification                       float64 // bytes written to log, tables and checkpoints / bytes committed
	CompressionRatio                         float64 // RawBytes / Bytes
}

// CacheStats are the page cache's figures.
type CacheStats struct {
	Hits, Misses, LoadedBytes int64
	Evicted, EvictedBytes     int64
	FilterSkips               int64 // lookups that a filter answered without a page
	Pages                     int
}

// MemoryStats compare what is held with what may be.
type MemoryStats struct {
	Budget           int64  // Options.MemoryBudget
	IndexBytes       int64  // version indexes: recent writes that are not in tables yet
	PinnedIndexBytes int64  // flushed version indexes that open transactions still need; not in IndexBytes
	ResidentBytes    int64  // cached pages and filters
	TargetBytes      int64  // what the evictor keeps ResidentBytes below
	EndedSnapshots   uint64 // transactions ended because old ones held too much; not those over MaxSnapshotAge
}

// SnapshotStats is an open transaction.
type SnapshotStats struct {
	Seq       uint64
	Age       time.Duration
	ReadWrite bool
	TooOld    bool   // ended: it holds nothing, and its next call returns ErrSnapshotTooOld
	Origin    string // file:line that began it, if Observer.SnapshotOrigins is set and it was a transaction
}

// Stats collects the figures. It waits for each actor's present turn, so for a sync at most.
func (db *DB) Stats(ctx context.Context) (Stats, error) {
	if err := db.enter(); err != nil {
		return Stats{}, err
	}
	defer db.leave()
	g, err := db.graph.Stats(ctx)
	if err != nil {
		return Stats{}, err
	}
	now := db.rt.Now()
	s := Stats{
		Commits: commitStats(&g), Latency: db.latency.stats(), Log: logStats(&g), Tables: tableStats(&g),
		Mailboxes: db.graph.Depths(), Messages: db.graph.Taken(), Events: db.events.figures(), Recovery: db.reopen, Uptime: now.Sub(db.opened),
		Err: g.Txcoord.Poisoned,
	}
	if s.Err == nil {
		s.Err = g.Txcoord.NoSpace
	}
	for _, b := range db.latency.group.figures().Buckets {
		s.Commits.GroupSizes = append(s.Commits.GroupSizes, SizeBucket{UpTo: uint64(b.UpTo), Count: b.Count})
	}
	c := db.cache.Stats()
	s.Cache = CacheStats{
		Hits: c.Hits, Misses: c.Misses, LoadedBytes: c.LoadedBytes, Evicted: c.Evicted,
		EvictedBytes: c.EvictedBytes, FilterSkips: c.FilterSkips, Pages: g.Evictor.Pages,
	}
	s.Commits.Stalls.ForMemory = c.Waits
	s.Memory = MemoryStats{
		Budget: db.opts.MemoryBudget, IndexBytes: g.Txcoord.IndexBytes + g.Txcoord.FrozenBytes,
		PinnedIndexBytes: g.Txcoord.RetainedBytes + g.Txcoord.PinnedBytes, EndedSnapshots: g.Txcoord.SnapshotsEnded,
		ResidentBytes: c.ResidentBytes, TargetBytes: c.TargetBytes,
	}
	for _, o := range db.pub.Snapshots.List() {
		s.Snapshots = append(s.Snapshots, SnapshotStats{Seq: uint64(o.Seq), Age: now.Sub(o.Since), ReadWrite: o.ReadWrite, TooOld: o.Expired, Origin: describeOrigin(o.Origin)})
	}
	if written := g.Walwriter.BytesWritten + g.Flusher.FlushedBytes + g.Flusher.MergedBytes + g.Flusher.CheckpointBytes; g.Txcoord.UserBytes > 0 {
		s.Tables.WriteAmplification = float64(written) / float64(g.Txcoord.UserBytes)
	}
	return s, nil
}

func commitStats(g *actors.Stats) CommitStats {
	t := &g.Txcoord
	s := CommitStats{
		Commits: t.Commits, Conflicts: t.Conflicts, Rejected: t.Rejected, NoSync: t.NoSync,
		Oversize: t.Oversize, Groups: g.Walwriter.Groups, UserBytes: t.UserBytes, Waiting: t.Waiting, Held: t.Held,
		Stalls:  StallStats{Turns: t.HeldTurns, ForLog: t.HeldForCredit, ForFlush: t.HeldForFlush},
		LastSeq: uint64(t.Applied), DurableSeq: uint64(t.Durable),
	}
	if g.Walwriter.Groups > 0 {
		s.PerGroup = float64(t.GroupCommits) / float64(g.Walwriter.Groups)
	}
	return s
}

func logStats(g *actors.Stats) LogStats {
	w := &g.Walwriter
	return LogStats{
		Writes: w.Writes, Syncs: w.Syncs, Rotations: w.Rotations, Recycled: w.Recycled,
		BytesWritten: w.BytesWritten, Segments: w.Segments, Spares: w.Spares,
		LiveBytes: w.LiveBytes, FileBytes: w.SegmentBytes, PrepareFailures: w.PrepareFailures,
	}
}

func tableStats(g *actors.Stats) TableStats {
	f := &g.Flusher
	s := TableStats{
		Flushes: f.Flushes, Merges: f.Merges, MergeSteps: f.MergeSteps, Checkpoints: f.Checkpoints,
		Failures: f.Failures, LastError: f.LastError, Tables: f.Tables, Bytes: f.TableBytes, RawBytes: f.RawBytes,
		Reclaimable: f.Reclaimable, Entries: f.Entries, Tombstones: f.Tombstones, RunsPerTier: f.RunsPerTier,
		Settled: f.Settled, CheckpointNumber: f.CheckpointNumber,
	}
	if f.TableBytes > 0 {
		s.CompressionRatio = float64(f.RawBytes) / float64(f.TableBytes)
	}
	return s
}

// Seq is the number of the newest commit that readers see.
func (db *DB) Seq() uint64 { return uint64(pages.Seq(db.pub.Visible.Load())) }

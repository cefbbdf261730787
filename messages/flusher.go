package messages

import "github.com/aegis-storage/aegis/pages"

// ToFlusher is the inbox of the flusher.
type ToFlusher interface {
	Message
	toFlusher()
}

// Compact: client → flusher: merge until one run is left, whatever it costs. Progress, if set,
// is called from a worker, one call at a time.
type Compact struct {
	Progress func(done, total int64) // bytes
	Reply    Reply[error]
}

// Ingest: client → flusher: tables of a bulk load, synced, all keys in a keyspace id that is
// not published yet. Acknowledged once a checkpoint names them.
type Ingest struct {
	Keyspace pages.KeyspaceID
	Codec    pages.Codec
	Tables   []pages.TableMeta
	Reply    Reply[error]
}

// Hold: client → flusher: keep what the published checkpoint stands for until Unhold: the files of
// its two copies, and the log above its Freeze. Publications go on meanwhile.
type Hold struct{ Reply Reply[Held] }

// Held: the answer to a Hold, given while no publication is under way. Every table that the
// checkpoint names is pinned, see Unhold.
type Held struct {
	Checkpoint uint64 // its number
	Tables     []*pages.Table
}

// Unhold: client → flusher: the end of a Hold, also of one whose client gave up waiting for the
// answer. Unpin has the flusher undo the pins; else the client has taken them over.
type Unhold struct {
	Hold  *Hold
	Unpin bool
}

// FlusherJob is long work of the flusher. It keeps its result in itself; the shell hands it
// back inside a FlusherJobDone.
type FlusherJob interface {
	Run(yield Yield) error
}

// FlusherJobDone: job → flusher: Job.Run returned Err.
type FlusherJobDone struct {
	Job FlusherJob
	Err error
}

// FlusherStatsRequest: client → flusher: its figures.
type FlusherStatsRequest struct{ Reply Reply[FlusherStats] }

// FlusherStats is a snapshot of the flusher's figures.
type FlusherStats struct {
	Flushes, Merges, MergeSteps, Checkpoints uint64
	Failures                                 uint64
	LastError                                error
	FlushedBytes, MergedBytes                uint64 // stored bytes written
	CheckpointBytes                          uint64
	UserBytes                                uint64 // raw bytes of flushed entries
	Tables                                   int
	TableBytes, RawBytes                     int64
	Reclaimable                              int64 // bytes of files that only wait for old snapshots
	FilesRemoved                             uint64
	RunsPerTier                              []int
	Settled                                  bool
	CheckpointNumber                         uint64
	Entries, Tombstones                      uint64
	JobsRunning                              int
}

func (Flush) toFlusher()                {}
func (Reclaim) toFlusher()              {}
func (Seen) toFlusher()                 {}
func (*Compact) toFlusher()             {}
func (*Ingest) toFlusher()              {}
func (*Hold) toFlusher()                {}
func (Unhold) toFlusher()               {}
func (*FlusherStatsRequest) toFlusher() {}
func (FlusherJobDone) toFlusher()       {}
func (Tick) toFlusher()                 {}

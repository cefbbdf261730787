package messages

import "github.com/aegis-storage/aegis/pages"

// ToWalwriter is the inbox of the log writer.
type ToWalwriter interface {
	Message
	toWalwriter()
}

// Append: txcoord → walwriter: write these records (AppendRecord, ascending seqs without a
// gap), and sync if asked. Records may be empty when only a sync is wanted. The buffer belongs
// to walwriter until it returns in Written.
type Append struct {
	Records     []byte
	First, Last pages.Seq // of Records; zero if empty
	Count       int
	Charged     int64 // credit spent on these records (sum of CreditFor)
	Sync        bool
}

// Reserve: txcoord → walwriter: an oversize commit needs this much log space at once; nothing
// else is outstanding. Acknowledged by Written with that credit, or NoSpace.
type Reserve struct{ Bytes int64 }

// Release: flusher → walwriter: a synced checkpoint covers every commit at or below UpTo.
// Final: the store is closing cleanly, and leaves no log behind.
type Release struct {
	UpTo  pages.Seq
	Final bool
}

// WalJob is long work of the log writer (preparing or removing segment files). It keeps its
// result in itself; the shell hands it back inside a WalJobDone.
type WalJob interface {
	Run(yield Yield) error
}

// WalJobDone: job → walwriter: Job.Run returned Err.
type WalJobDone struct {
	Job WalJob
	Err error
}

// WalStatsRequest: client → walwriter: its figures.
type WalStatsRequest struct{ Reply Reply[WalStats] }

// Yield is called often by a Job: it lets others run, paces the job when commits wait, and
// answers false when the engine is stopping and the job shall give up.
type Yield func() bool

// WalStats is a snapshot of the log writer's figures.
type WalStats struct {
	Writes, Syncs, Groups     uint64
	BytesWritten              uint64
	PayloadRaw, PayloadStored uint64 // before and after compression, of compressed records
	Rotations, Recycled       uint64
	Segments, Spares          int
	LiveBytes, SegmentBytes   int64
	PrepareFailures           uint64
	IdleHeaders               uint64
}

func (Append) toWalwriter()           {}
func (Reserve) toWalwriter()          {}
func (Release) toWalwriter()          {}
func (*WalStatsRequest) toWalwriter() {}
func (WalJobDone) toWalwriter()       {}
func (Tick) toWalwriter()             {}

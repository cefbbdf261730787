package messages

import (
	"time"

	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// ToTxcoord is the inbox of the transaction coordinator.
type ToTxcoord interface {
	Message
	toTxcoord()
}

// Durability says when a commit is answered.
type Durability uint8

// The durabilities of a commit.
const (
	Sync   Durability = iota // answered when its log record is synced
	NoSync                   // answered when applied; synced within Limits.SyncInterval
)

// Point is a key that must not have been written since the commit's snapshot.
type Point struct {
	Hash uint64
	Key  []byte // internal key; owned by the request until its Reply
}

// Range is a span of keys, Lo ≤ key < Hi, in which nothing may have been written. A nil Hi
// means to the end.
type Range struct{ Lo, Hi []byte }

// Commit: client → txcoord. Acknowledged by its Reply. The batch, its ops, points and ranges
// belong to txcoord until then; a batch that txcoord adopted (Adopted) for ever.
type Commit struct {
	Batch  []byte
	Ops    []Op
	Points []Point // keys read, and the catalog entries of keyspaces written
	Ranges []Range // ranges read
	// Snapshot is the seq that the transaction read at: a write to a Point or a Range above it is
	// a conflict, and so is one to a key of Ops if CheckWrites. MaxSeq: nothing is checked.
	Snapshot    pages.Seq
	RangesUpTo  pages.Seq // the client has validated Ranges itself up to here (≥ Snapshot)
	CheckWrites bool
	Durability  Durability
	Adopted     bool // set by txcoord before the Reply: Batch now belongs to the version index
	Kept        bool // the client's own: slices of Batch are in other hands, so its memory is not used again
	Reply       Reply[CommitResult]
}

// CommitResult answers a Commit.
type CommitResult struct {
	Seq pages.Seq // the commit's number, if Err is nil
	Err error
}

// Await: client → txcoord: wait until durable reaches UpTo, and see to it. MaxSeq means
// everything applied when the message is handled.
type Await struct {
	UpTo  pages.Seq
	Reply Reply[error]
}

// Checkpoint: client → txcoord: freeze and flush what is applied. Final is Close's: nothing
// comes after it, and the checkpoint says that no log follows.
type Checkpoint struct {
	Final bool
	Reply Reply[error]
}

// Durable: walwriter → txcoord: every commit at or below UpTo is synced.
type Durable struct{ UpTo pages.Seq }

// Written: walwriter → txcoord: log space that commits may be applied against. Buffer is an
// Append's, handed back for the next one; nil if there is none.
type Written struct {
	Credit   int64 // bytes granted on top of what was granted before; may be zero
	Appends  int   // Appends that this answers: 0 or 1
	LogBytes int64 // live log: bytes written in segments that are not released yet
	Buffer   []byte
}

// NoSpace: walwriter → txcoord: no segment can be prepared. Err is ErrNoSpace, or ErrStalled for
// another cause than a full medium. It is withdrawn by the next Written whose Credit is above
// zero.
type NoSpace struct{ Err error }

// Poisoned: walwriter → txcoord (and the shell → txcoord, when another machine broke an
// invariant): nothing more will become durable.
type Poisoned struct{ Err error }

// Flushed: flusher → txcoord: a checkpoint was published. Runs is the complete new list,
// newest first; Retired are the tables that it no longer names. Acknowledged by Seen.
type Flushed struct {
	No      uint64 // of flusher's messages to txcoord: 1, 2, 3, …
	Runs    []*pages.Run
	Covered pages.Seq // every commit at or below is in Runs
	Retired []*pages.Table
	Debt    int  // unmerged runs, for slowing writers
	Final   bool // the final Flush is covered: the checkpoint says that no log follows
}

// FlushFailed: flusher → txcoord: a flush or its checkpoint could not be written, or (Merge) a
// merge or its checkpoint could not; flusher will try again. Waiting Checkpoint requests are told
// of a flush. Until Flushed nobody is held for the debt. Acknowledged by Seen.
type FlushFailed struct {
	No    uint64 // as in Flushed
	Err   error
	Merge bool
}

// TxcoordStats is a snapshot of the coordinator's figures.
type TxcoordStats struct {
	Commits, Conflicts, Rejected   uint64
	NoSync, Oversize               uint64
	Groups, GroupCommits           uint64 // Appends with a sync, and the commits in them
	UserBytes                      uint64 // keys and values committed
	HeldTurns                      uint64 // Turns after which commits stayed held
	HeldForCredit, HeldForFlush    uint64
	Applied, Durable, Visible      pages.Seq
	Credit                         int64
	Waiting, Held                  int
	IndexBytes, FrozenBytes        int64
	RetainedBytes                  int64 // flushed indexes that conflict checks need
	PinnedBytes                    int64 // other flushed indexes that open snapshots may hold
	Pinned                         int
	SnapshotsEnded                 uint64 // for what they pinned
	IndexEntries                   int
	Frozen, Retained, RetiredFiles int
	Freezes                        uint64
	Poisoned                       error
	NoSpace                        error
}

// TxcoordStatsRequest: client → txcoord: its figures.
type TxcoordStatsRequest struct{ Reply Reply[TxcoordStats] }

// Tick: shell → each: the time that an Alarm asked for has come. Ticks coalesce.
type Tick struct{ Now time.Time }

func (*Commit) toTxcoord()              {}
func (*Await) toTxcoord()               {}
func (*Checkpoint) toTxcoord()          {}
func (Durable) toTxcoord()              {}
func (Written) toTxcoord()              {}
func (NoSpace) toTxcoord()              {}
func (Poisoned) toTxcoord()             {}
func (Flushed) toTxcoord()              {}
func (FlushFailed) toTxcoord()          {}
func (*TxcoordStatsRequest) toTxcoord() {}
func (Tick) toTxcoord()                 {}

// Flush: txcoord → flusher: write this frozen index as a run. Acknowledged by Flushed.
type Flush struct {
	Index *versions.Index // frozen, immutable
	UpTo  pages.Seq       // its freeze seq; durable has reached it
	Final bool
}

// Reclaim: txcoord → flusher: no View holds these tables any more; their files may go.
type Reclaim struct{ Tables []*pages.Table }

// Seen: txcoord → flusher: the messages Flushed and FlushFailed up to this number were taken in. It
// only rises. Flusher publishes nothing while several of them are not seen, so that a coordinator
// that gets no turn finds few messages, however much is merged meanwhile.
type Seen struct{ UpTo uint64 }

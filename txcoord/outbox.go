package txcoord

import (
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Outbox holds the effects of one Step, in the order in which the shell delivers them: the
// edges, then the View, then the watermarks (applied, visible, durable), then the replies. A
// commit is therefore readable before its client hears of it, and a View that covers a commit
// is there before the watermark that lets readers ask for it.
type Outbox struct {
	Walwriter []messages.ToWalwriter
	Flusher   []messages.ToFlusher
	Evictor   []messages.ToEvictor

	View                      *versions.View // nil: unchanged
	Applied, Durable, Visible pages.Seq      // never fall
	Held                      int            // commits that wait to be applied
	HeldFor                   string         // what the first of them waits for; empty: none waits
	Ended                     []Ended        // snapshots that lost their protection

	Commits []CommitReply
	Replies []messages.ErrorReply // to Awaits and Checkpoints
	Stats   []StatsReply
	Alarm   time.Duration // above zero: send a Tick after this
}

// CommitReply is the answer to a Commit.
type CommitReply struct {
	To     messages.Reply[messages.CommitResult]
	Result messages.CommitResult
}

// StatsReply is the answer to a TxcoordStatsRequest.
type StatsReply struct {
	To    messages.Reply[messages.TxcoordStats]
	Stats messages.TxcoordStats
}

// Ended is a snapshot that was ended before its owner did: for its age, or for what it pinned.
type Ended struct {
	Snapshot versions.SnapshotInfo
	ForAge   bool
}

// Reset empties the outbox and keeps its capacity.
func (o *Outbox) Reset() {
	clear(o.Walwriter)
	clear(o.Flusher)
	clear(o.Commits)
	clear(o.Replies)
	clear(o.Ended)
	*o = Outbox{
		Walwriter: o.Walwriter[:0], Flusher: o.Flusher[:0], Evictor: o.Evictor[:0],
		Commits: o.Commits[:0], Replies: o.Replies[:0], Stats: o.Stats[:0],
		Ended: o.Ended[:0],
	}
}

func (o *Outbox) alarm(d time.Duration) {
	if o.Alarm == 0 || d < o.Alarm {
		o.Alarm = d
	}
}

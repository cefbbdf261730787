package messages

import "github.com/aegis-storage/aegis/pages"

// JobReport tells what a job did, for people. What does not belong to its kind is zero.
type JobReport struct {
	Number uint64    // of the checkpoint
	Tables int       // that were written, or that the checkpoint names
	Bytes  int64     // stored bytes written
	Runs   int       // that were merged, or that the checkpoint names
	Moved  int       // tables that a merge took over unread
	Seq    pages.Seq // every commit at or below is in what was written
	Last   bool      // the merge is complete
}

// Reporter is a job that can tell what it did. Report is called after Run, before the job goes back to
// its machine.
type Reporter interface{ Report() JobReport }

package messages

import (
	"fmt"
	"strings"
)

// Message is any message of the graph. It says in a few words what it is, for traces.
type Message interface{ String() string }

// Wait is something that somebody waits for. On tells whose doing it is: an actor, or a job by its
// kind, say "job flush"; empty: a timer's, or nobody's in particular. For tells what it is.
type Wait struct{ On, For string }

// Watermarks are the three seqs that txcoord's shell publishes: Durable ≤ Visible ≤ Applied.
type Watermarks struct{ Applied, Visible, Durable uint64 }

// String names the kind of each message and the figures that tell it from others of its kind.

func (c *Commit) String() string {
	return fmt.Sprintf("Commit of %d writes, read at %d, checks %d keys and %d ranges%s",
		len(c.Ops), c.Snapshot, len(c.Points), len(c.Ranges), ifTrue(c.Durability == NoSync, ", no sync"))
}

func (r CommitResult) String() string {
	if r.Err != nil {
		return "refused: " + r.Err.Error()
	}
	return fmt.Sprintf("committed as %d", r.Seq)
}

func (a *Await) String() string {
	if a.UpTo+1 == 0 {
		return "Await all that is applied"
	}
	return fmt.Sprintf("Await durable %d", a.UpTo)
}

func (c *Checkpoint) String() string { return "Checkpoint" + ifTrue(c.Final, ", the last") }

func (d Durable) String() string { return fmt.Sprintf("Durable up to %d", d.UpTo) }

func (w Written) String() string {
	return fmt.Sprintf("Written: %d bytes of credit, answers %d, live log %d bytes", w.Credit, w.Appends, w.LogBytes)
}

func (n NoSpace) String() string { return "NoSpace: " + n.Err.Error() }

// String is the first line of the cause: what follows may be a stack, which no two runs share.
func (p Poisoned) String() string {
	first, _, _ := strings.Cut(p.Err.Error(), "\n")
	return "Poisoned: " + first
}

func (f Flushed) String() string {
	return fmt.Sprintf("Flushed up to %d, %d runs, %d tables retired%s", f.Covered, len(f.Runs), len(f.Retired), ifTrue(f.Final, ", the last"))
}

func (f FlushFailed) String() string {
	return ifElse(f.Merge, "Merge failed: ", "Flush failed: ") + f.Err.Error()
}

func (*TxcoordStatsRequest) String() string { return "Stats?" }
func (*WalStatsRequest) String() string     { return "Stats?" }
func (*FlusherStatsRequest) String() string { return "Stats?" }
func (*EvictorStatsRequest) String() string { return "Stats?" }

func (Tick) String() string { return "Tick" }

func (f Flush) String() string {
	return fmt.Sprintf("Flush up to %d%s", f.UpTo, ifTrue(f.Final, ", the last"))
}

func (s Seen) String() string { return fmt.Sprintf("Seen up to %d", s.UpTo) }

func (r Reclaim) String() string { return fmt.Sprintf("Reclaim %d tables", len(r.Tables)) }

func (a Append) String() string {
	if a.Count == 0 {
		return "Append nothing" + ifTrue(a.Sync, ", sync")
	}
	return fmt.Sprintf("Append %d commits, seq %d to %d, %d bytes%s", a.Count, a.First, a.Last, len(a.Records), ifTrue(a.Sync, ", sync"))
}

func (r Reserve) String() string { return fmt.Sprintf("Reserve %d bytes", r.Bytes) }

func (r Release) String() string {
	return fmt.Sprintf("Release up to %d%s", r.UpTo, ifTrue(r.Final, ", the last"))
}

func (d WalJobDone) String() string     { return jobDone(fmt.Sprintf("%T", d.Job), d.Err) }
func (d FlusherJobDone) String() string { return jobDone(fmt.Sprintf("%T", d.Job), d.Err) }

func (c *Compact) String() string { return "Compact" }
func (i *Ingest) String() string  { return fmt.Sprintf("Ingest %d tables", len(i.Tables)) }

func (*Hold) String() string    { return "Hold" }
func (u Unhold) String() string { return "Unhold" + ifTrue(u.Unpin, ", unpin") }

func (PagesLoaded) String() string   { return "PagesLoaded" }
func (b IndexBytes) String() string  { return fmt.Sprintf("IndexBytes %d", b.Bytes) }
func (TablesRetired) String() string { return "TablesRetired" }

func (w *Watermarks) String() string {
	return fmt.Sprintf("applied %d, visible %d, durable %d", w.Applied, w.Visible, w.Durable)
}

// jobDone says how a job ended; the type's name without its package and the pointer's star.
func jobDone(name string, err error) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	if err != nil {
		return name + " failed: " + err.Error()
	}
	return name + " done"
}

func ifTrue(yes bool, text string) string { return ifElse(yes, text, "") }

func ifElse(yes bool, text, other string) string {
	if yes {
		return text
	}
	return other
}

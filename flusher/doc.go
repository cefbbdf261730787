// Package flusher is the machine that owns everything on the backend except the log: it writes
// frozen version indexes as runs of tables, merges runs, publishes checkpoints and removes files
// that nobody needs any more.
//
// It is not a reader (pages and txcoord's View are), it decides nothing about visibility, and it
// knows no log beyond telling walwriter up to where a checkpoint covers it.
//
// # Types
//
//   - Checkpoint: the small immutable file that names every table of the store. Load finds it,
//     Open turns it into runs, RemoveOrphans clears what it does not name.
//   - Machine: the pure step function. It holds the staged state (what the next checkpoint will
//     say) and turns messages into jobs.
//   - flushJob, stepJob, publishJob, removeJob: the long work. A job owns what it was given and
//     shares nothing mutable with the machine; its result comes back with FlusherJobDone.
//   - policy: the pure function that says which runs to merge next.
//
// # How the state moves
//
//	Flush ──► flushJob ──┐
//	merge ──► stepJob ───┼─► staged ──► publishJob ──► published ──► Flushed, Release
//	Ingest ──────────────┘                                │
//	                                                      └─► replaced tables: Retired,
//	                                      Reclaim ──► Retire ──► removeJob
//
// A job's result is staged at once, so work never waits for a publication; a publication takes
// the whole staged state, so edits that came meanwhile share one checkpoint. At most one job of
// each sort is out at a time: a flush meets one merge step at most, and has a worker to itself.
//
// A merge runs in steps. Each step merges the next span of keys into the target run and raises
// the Consumed key of the source runs, so that every checkpoint in between is complete and reads
// right, and a merge that is given up (a crash, a failure) loses nothing that it did. The bottom
// run's tables are consumed whole; those that no source key falls into stay as they are.
//
// # Invariants
//
//  1. Every file that a checkpoint names was synced, and so was its directory entry, before the
//     first byte of the checkpoint was written.
//  2. A table that any checkpoint on the medium may name is not removed: replaced tables are
//     retired only when a newer checkpoint is synced, also when publications in between failed.
//  3. A file is removed only after txcoord said that no View holds its table (Reclaim), and after
//     the last pin is gone.
//  4. Runs are newest first, merges join neighbours only, and a tombstone is dropped only on its
//     way into the oldest run.
//  5. Keys at or below a source run's Consumed key are in the target of its merge, in the same
//     checkpoint.
//  6. File ids are never used twice: NextFile of a checkpoint is above every id that it names,
//     and an id whose file exists already is skipped.
//  7. A dropped keyspace is remembered until no table can hold a key of it.
package flusher

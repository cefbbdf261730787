// Package walwriter is the machine that owns the write-ahead log: it writes and syncs the
// groups of records that txcoord appends, holds prepared space ready for what comes, gives
// segments back when a checkpoint covers them, and replays the log when a store is opened.
//
// It is not the judge of commits (txcoord orders and applies them), it does not look into a
// batch, and it does not decide when to checkpoint. It starts no goroutine and reads no
// clock: whatever takes long is a Job, and time comes as a Tick.
//
// Its types: Machine (one Step per Turn), Outbox (what a Step sends), Config, and for opening
// Source, Recover and Recovered. A Recovered becomes a Machine by Start.
//
// # The log
//
// A log is a sequence of segments, ordered by (epoch, number). An epoch is one life of the
// store; a new one begins by writing what the old ones left unproven into a segment of its
// own, whose header voids everything at or above its base in older epochs. Each segment is a
// file "wal-%08x"; files are recycled but never renamed, so the name says nothing about the
// order. A segment holds groups, a group holds records, a record holds one commit's batch.
// The layouts are drawn in format.go and group.go.
//
// # What a reader believes
//
//   - Records are chained: each checksum is seeded with its predecessor's, and the first of a
//     segment is salted with the segment's number and epoch. Stale bytes of a recycled file
//     and records of another history do not check.
//   - Each header says syncedThrough: the seq up to which the log was known to be on the medium
//     when the header was written. What lies at or below is asserted: bad bytes there are
//     corruption. Bad bytes above every syncedThrough are a torn tail, and are cut.
//   - Bytes that read well but are not asserted may be in the system's cache only, if a sync
//     failed before the restart. They are replayed, and then written and synced again, in a
//     new segment, before anything is answered.
//
// # Flow control
//
// A commit is applied only against credit, and credit is backed by prepared segment space
// (see ledger). So after its admission a commit can fail only by an I/O error, which poisons.
package walwriter

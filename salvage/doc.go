// Package salvage copies what is sound of a damaged store into a new one, and lists what was lost.
//
// It is for a store that Open or Verify refuses with a *CorruptionError, or of which files are
// missing. The damaged store is read only, and under its lock; nothing of it is changed. The new
// store is an ordinary one, open and empty.
//
// # What is believed
//
// A checkpoint file is believed if its checksum is right; there are two copies. It says which
// tables there are, in which order of age, and where the log goes on. A page is believed if the
// checksum in its parent is right. Below a damaged inner page leaves are found by their headers:
// one whose checksum is found among the damaged page's bytes is sound, another one that decodes
// and fits between its neighbours is copied and listed as unproven. A damaged leaf loses the keys
// between its neighbours; where older runs hold some of them these are copied, and the range is
// listed with how many those are: they may be older than what was lost, or have been deleted.
//
// Without a checkpoint the tables are ordered by what their own footers say: the one with the newer
// commits wins. A merge labels what it writes with all the commits that went in, so a table that it
// has read, and that was not removed yet, is told by that: of its entries only those are copied that
// the merge had not come to, or whose newer versions are lost. The files of a job that never ended are
// told by having no footer. A file whose own footer is lost looks the same: it counts as older than
// all others, and is listed. A keyspace whose name is lost is called recovered-<id>.
//
// Every sound record of the log behind the checkpoint is applied, whole, in the order of the
// commits. Missing commits are listed, and so is that others came after them. What a crash left
// unfinished at the log's end looks like damage where some of it was written.
//
// # What cannot be known
//
// A log whose last segment file is missing ends one file earlier. A checkpoint that reaches further, or that
// is of a later epoch, proves that it was there; else nothing in the files before it does, and the
// Report says from which commit on nothing can be known, and where the log ended.
package salvage

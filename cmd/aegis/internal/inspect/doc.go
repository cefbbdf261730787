// Package inspect tells what the files of a store hold, for a person who has to find out: the records
// of the log, the pages of a table, the tables of a checkpoint. It takes no lock, opens no store and
// writes nothing. No input makes it panic or allocate more than a small multiple of the file; where
// it cannot go on it says at which offset, and why.
//
// [File] reads one file and emits an [Item] for each thing in it. [Directory] sums up all files of a
// store.
package inspect

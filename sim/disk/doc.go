// Package disk is a directory of files in memory that can fail in every way a real disk does.
//
// A Disk is the medium and the system's cache in front of it: each file has its synced contents
// and the list of operations that no sync has covered. Mount gives the Backend of one process,
// which asks a World before and after each call, so that others may run or the life may end
// there, and asks it too whether a fault strikes. A life ends by Kill, which the cache survives,
// or by PowerCut, which takes from the unsynced work whatever the Profile allows.
//
//   - Profile: what the device may do, and how often faults strike. Profiles names legal ones.
//   - World: who decides. All choices come from it: the same answers give the same run.
//   - Class: which part of the fault table a fault belongs to.
//   - Loss: what a power cut took, for a person to read.
//   - States and PowerCutNth: all crash images of a moment, where they are few.
//
// Three things hold under every profile whose faults are honest (no media faults, no lying sync):
//
//  1. Bytes that a successful Sync covered are there after any crash, unless a later operation
//     that was not synced wrote or cut them; then they are what one of these operations left.
//  2. A name is after a crash as the last successful SyncDir left it, or as a later Create or
//     Remove did.
//  3. Nothing appears outside the ranges of unsynced writes and beyond the synced size.
//
// The package has no goroutines, no clock and no source of chance of its own. It is not a model
// of a file system's speed, and short transfers and interrupted calls are not in it: these are
// below what a Backend shows.
package disk

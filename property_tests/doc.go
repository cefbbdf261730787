// Package propertytests holds properties of whole stores, in its tests: no code is imported
// from here.
//
//   - Against a model: random calls of the public API, a state machine of pgregory.net/rapid, whose
//     answers are predicted by plain maps. Sizes are drawn so small that every rotation, flush,
//     merge, eviction and replay happens within a few calls.
//   - Under concurrency: goroutines that move money between accounts and append to lists, while
//     the store is flushed, merged and reopened. What they saw is checked afterwards: sums, and
//     for the lists that the order of the transactions has no cycle.
//   - Over the simulator: the engine's invariants, one property each (TestInvariant…), in runs of
//     which rapid draws the seed and the disk. A watcher sees all messages of the actors and all
//     calls of the disk.
//   - Differential: one plan gives the same answers in a map, in memory, on files and in the
//     simulator.
//
// The run of a failing property prints the flag that repeats it, and those over the simulator a
// token, too. Where the engine's goroutines are real, it may take a few runs.
package propertytests

// Package propertytests holds properties of whole stores, in its tests: no code is imported
// from here.
//
//   - Against a model: random calls of the public API, a state machine of pgregory.net/rapid, whose
//     answers are predicted by plain maps. Sizes are drawn so small that every rotation, flush,
//     merge, eviction and replay happens within a few calls.
//   - Under concurrency: goroutines that move money between accounts and append to lists, while
//     the store is flushed, merged and reopened. What they saw is checked afterwards: sums, and
//     for the lists that the order of the transactions has no cycle.
//
// Crashes at every point of the I/O are the simulator's. The run of a failing property prints
// the flag that repeats it; as the engine's goroutines are real here, it may take a few runs.
package propertytests

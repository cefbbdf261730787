// Package run measures workloads on engines, each measurement in a process of its own: memory,
// processor time and the state of the heap are then that engine's alone.
//
// The parent ([Runner]) goes through a [Schedule]. For each of its jobs it provides a directory with
// the store to start from, starts the program again as a child, hands it a workload.Spec as JSON on
// its standard input, and gets one measure.Result as JSON from its standard output ([Child]). A
// child that takes longer than its limit is killed, and its result says so. A child's error is a
// failure of the run.
//
// Stores to start from are prepared once, by a child each, and closed. Workloads that write get a
// copy, which is deleted afterwards; those that only read use the prepared store itself. What the
// workload "load" makes in the first round serves as the prepared store from then on.
package run

// Package bench measures a store on the disk of its user: the standard workloads, with latencies, and
// beside them what the disk itself needs for a synced write.
//
// It is a yardstick for one machine. The module bench compares engines.
package bench

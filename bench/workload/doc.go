// Package workload is the work that engines are compared on: the data ([Key], [Data]), the
// workloads ([All]), and how one is measured in this process ([Execute]).
//
// # Data
//
// Keys are 16 bytes, values 100 (unless told otherwise), one half of them random and the other a
// repeated byte, so that they compress to about half. Both are computed from an index and a
// version, never stored: the harness needs next to no memory. A value says which version it is,
// and so any value that is read can be checked. Key of index 0, 1, 2, … are in random order.
//
// # Time
//
// Workloads warm up, come to a stop, sync the disk, and then run for a fixed time with all clients
// starting together; the time counts until the last operation has ended. Loading and the updates of
// the growth mode have a fixed amount of work instead.
//
// Operations are timed one by one, with two readings of the clock around the call (about 50 ns
// together). Where an operation takes a microsecond or so, that would be seen, and one in four or
// in 16 is timed; throughput counts all.
package workload

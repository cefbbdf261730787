// Package measure holds what a measurement yields, a [Result], and the instruments that fill it:
// latencies in an HdrHistogram ([Latency]), processor time and bytes written of this process
// ([Usage]), its peaks of memory ([Sampler]), and the disk space of a store's files ([DiskBytes]).
//
// All of it is about this process: a measurement has a process of its own, and so what is read
// here is the engine's, with little of the harness in it.
package measure

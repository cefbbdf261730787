// Package report turns measurements into what people read: tables for a terminal ([Text]) and for
// the README ([Markdown]), charts ([Charts]), and whether each bar is met ([Bars]).
//
// Results of one workload, number of clients and keys, value size, compression and durability are
// one group. Within a group each engine has the median of its rounds, with the lowest and the
// highest beside it. Memory is the exception: it is a peak, so the highest of all rounds counts.
//
// The package measures nothing and knows no engine but by name: aegis, the one that the bars are
// for; raw, which is no engine but the bare system calls; every other one is a peer.
package report

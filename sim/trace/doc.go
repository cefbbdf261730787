// Package trace is what a simulated run leaves behind for people and for comparison: a list of
// events, and a hash of all of them.
//
// The hash covers every choice, every I/O call with its bytes and every message, so that two runs
// of the same plan can be compared by one number. The events themselves are kept only when
// somebody will read them.
package trace

// Package metrics connects aegis to what watches a fleet: a Collector gives a store's figures to
// Prometheus, and Spans gives its transactions and jobs to a tracer of OpenTelemetry. It is a module of
// its own, so that aegis itself needs neither.
//
// Both are here together, because all that a program with one of them gets of the other is the trace
// API of OpenTelemetry, which is small: the linker leaves out what is not called.
package metrics

// Package txcoord is the transaction coordinator: the one place where commits get their
// order. It judges conflicts, numbers commits, puts their versions into the index, hands
// their records to the log writer, freezes full indexes for the flusher, publishes Views and
// answers clients.
//
// It is a pure machine: Step(batch, *Outbox). It does no I/O, starts no goroutine and reads no
// clock. What it publishes to readers directly is the version index, whose one writer it is,
// and the trim horizon; Views and watermarks are effects of its outbox, stored by the shell.
//
// Files: machine.go the switch and the end of a Step; commit.go admission and apply;
// conflict.go the judgement; durable.go watermarks, awaits and poisoning; checkpoint.go
// freezing and flushing; pinned.go what old snapshots hold, and when they end; outbox.go the
// edges; stats.go the figures.
package txcoord

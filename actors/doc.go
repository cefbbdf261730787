// Package actors is the shell around the four machines: mailboxes, Turns, the graph, start and
// stop. A machine decides; its actor receives, delivers and waits. Here, and in the simulator,
// are the only goroutines and mailboxes of the engine.
//
// The types: Runtime is the seam between production and simulator; Goroutines is production's.
// Graph wires the machines and offers clients their requests; actor is one machine with its
// mailbox and its turn token.
//
// Invariants:
//  1. One Turn of an actor runs at a time: whoever holds its token.
//  2. A Turn drains, steps once, and delivers every effect in the outbox's order before the
//     next Turn of that actor begins.
//  3. A send between actors never blocks. A full inner mailbox is a broken invariant.
//  4. Whoever leaves a message behind in a mailbox without holding the token wakes the actor.
//  5. A panic in a machine poisons the engine; it never leaves this package.
package actors

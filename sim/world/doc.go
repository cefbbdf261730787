// Package world is a deterministic Runtime: it runs the actors, the jobs and the clients of a
// store one at a time, on coroutines, in an order that a seed decides, with a clock of its own.
//
// A task gives way in Park, in Effect and in every call of a mounted disk. What happens there is
// decided by a hash of where the task is: which client, its operation, and how many yields into it.
// It is not drawn from a running generator, so a change at one place (an operation that a shrinking
// run leaves out) does not change the choices at all others.
//
// # Invariants
//
//  1. At most one task runs at any time; everything in this package is touched only by it, or by
//     Run while none runs.
//  2. A task resumes only when the event that it waits for has come, or its context has ended.
//  3. In a dead life no task gets past a yield: Park ends it by runtime.Goexit, which no recover
//     and no retry can mistake for an error.
package world

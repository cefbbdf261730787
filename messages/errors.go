package messages

import "errors"

// Errors that machines answer and that the root package re-exports.
var (
	// ErrConflict: another transaction committed first on something this one wrote or read.
	// Begin again; DB.Update does that by itself.
	ErrConflict = errors.New("aegis: transaction conflict, try again")
	// ErrNoSpace: the log has no prepared space left and the medium is full. Nothing of the
	// refused transaction was applied. Writing goes on by itself when space returns.
	ErrNoSpace = errors.New("aegis: no space left for the log")
	// ErrStalled: memory is full of commits that cannot be flushed because writing tables fails, or
	// no log segment can be prepared, for another cause than a full medium; the cause is wrapped.
	// Nothing of the refused transaction was applied. Writing goes on by itself when the medium
	// does.
	ErrStalled = errors.New("aegis: writes are refused while the medium fails")
	// ErrPoisoned: a log write or sync failed, or an invariant broke. What is durable can still
	// be read; reopen the store to write again. The first cause is wrapped.
	ErrPoisoned = errors.New("aegis: engine stopped after a failure, reopen the store")
	// ErrBroken: a machine broke an invariant of its own, or panicked, which is a defect of the engine
	// and never the medium's doing. It comes together with ErrPoisoned.
	ErrBroken = errors.New("broken invariant")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("aegis: store is closed")
	// ErrTooLarge: a key, a value or a transaction is above its limit.
	ErrTooLarge = errors.New("aegis: above the size limit")
)

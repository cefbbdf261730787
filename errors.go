package aegis

import (
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// Errors of Open.
var (
	// ErrLocked: another process, or another DB of this one, has the store open. Its text names the
	// process where that is known.
	ErrLocked = backends.ErrLocked
	// ErrNotAegis: the directory holds files that are not a store's. It was left as it is.
	ErrNotAegis = errors.New("aegis: the directory is not empty and holds no store")
	// ErrNoStore: there is nothing to open for reading only.
	ErrNoStore = errors.New("aegis: no store here")
)

// Errors of reading.
var (
	// ErrNotFound: the key, keyspace or block is not there.
	ErrNotFound = errors.New("aegis: not found")
	// ErrSnapshotTooOld: the transaction was open for longer than Options.MaxSnapshotAge, or was the
	// oldest one when all open ones together held too much (Options.MemoryBudget says how much). What
	// it read before is right; nothing of it was committed. Begin again.
	ErrSnapshotTooOld = errors.New("aegis: the snapshot is too old, begin again")
)

// Errors of writing and committing.
var (
	// ErrConflict: another transaction committed first on something that this one wrote or read.
	// Nothing of this one was applied. Begin again; Update does that by itself.
	ErrConflict = messages.ErrConflict
	// ErrNoSpace: the medium is full. Nothing of the transaction was applied, and writing goes on by
	// itself when there is space again.
	ErrNoSpace = messages.ErrNoSpace
	// ErrStalled: memory is full of commits whose flushes fail, or no log segment can be prepared, for
	// another cause than a full medium; the cause is wrapped. Nothing of the transaction was
	// applied, and writing goes on by itself when the medium does.
	ErrStalled = messages.ErrStalled
	// ErrTooLarge: a key, a value or a transaction is above its limit.
	ErrTooLarge = messages.ErrTooLarge
	// ErrReadOnly: a writing call in a read-only transaction or store.
	ErrReadOnly = errors.New("aegis: read-only")
	// ErrKeyspaceExists: CreateKeyspace with a name that is taken.
	ErrKeyspaceExists = errors.New("aegis: keyspace exists")
	// ErrOutcomeUnknown: the context ended while the commit was under way. It is in the store whole,
	// or not at all. The context's error is wrapped too.
	ErrOutcomeUnknown = actors.ErrOutcomeUnknown
	// ErrPoisoned: a write or a sync of the log failed, or an invariant of the engine broke. The
	// first cause is wrapped. What was visible can still be read; reopen the store to write again.
	ErrPoisoned = messages.ErrPoisoned
)

// Errors of handles.
var (
	// ErrClosed: the store was closed.
	ErrClosed = messages.ErrClosed
	// ErrTxDone: the transaction was committed or rolled back already.
	ErrTxDone = errors.New("aegis: transaction is finished")
)

// CorruptionError reports damaged bytes: the file, the offset and what was expected. Get it with
// errors.As. Damage is never answered with wrong data or with ErrNotFound.
type CorruptionError = pages.CorruptionError

// spaceError makes a backend's ErrNoSpace the package's own too.
func spaceError(err error) error {
	if errors.Is(err, backends.ErrNoSpace) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// Package aegis is an embeddable transactional key-value store: a library, not a server. Keys
// and values are bytes, keys are ordered, and every transaction is atomic, isolated
// (serializable by default) and durable (synced before Commit returns, by default).
//
//	db, err := aegis.Open("data", nil)
//	…
//	defer db.Close()
//	err = db.Update(ctx, func(tx *aegis.Tx) error {
//		return tx.Put([]byte("answer"), []byte("42"))
//	})
//	v, err := db.Get(ctx, []byte("answer"))
//
// # Transactions
//
// Update and View run a function in a transaction; Begin hands one out. Put, Get and Delete of
// the DB are transactions of one operation. A read-only transaction sees one moment, never
// conflicts and never holds a writer up. A read-write transaction that lost against another
// one fails with ErrConflict at Commit; Update then runs its function again.
//
// In a read-write transaction that was begun by hand, what Get returns is provisional until
// Commit returns without error: it may come from a commit that is not synced yet. Update waits
// for that by itself, also when its function returns an error.
//
// # Slices
//
// Slices passed in are copied before a call returns. Slices returned stay valid for ever and
// are never reused, but must not be written to: they may be part of a page that others read.
// Appending to one copies it.
//
// # Iterators and errors
//
// One rule holds for every iterator: if it fails it ends early, the failure is kept by the
// transaction, Tx.Err returns it, and Commit (and so Update and View) refuses with it. A loop
// that ran to its end in a transaction whose Err is nil has seen everything. An iterator sees
// the state at the moment when its loop begins: writing and deleting while it runs is safe.
//
// # Caveats
//
//   - One process at a time opens a store for writing; a second gets ErrLocked at once.
//   - A context that ends while a commit waits gives ErrOutcomeUnknown: it may be there or not.
//   - After a failed write or sync of the log the store only reads (ErrPoisoned): reopen it.
//   - A read-only transaction at an older moment is serializable as long as all writers are:
//     Snapshot and ReadCommitted writers weaken that for everybody.
//   - Open transactions keep what they see in memory and on disk. Stats shows them with their age.
//
// ARCHITECTURE.md tells how it works, and why a crash loses nothing.
package aegis

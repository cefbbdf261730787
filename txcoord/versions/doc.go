// Package versions holds what readers and txcoord share: the version index, the View, the
// watermarks and the snapshot slots.
//
// An Index keeps in memory every version written since the checkpoint below it: key → chain of
// versions, newest first. txcoord's machine is its one writer; everybody else reads it without
// locks. A View is an immutable set of indexes and runs that together hold every commit; a
// snapshot is a View and a sequence number. Published is the handful of atomics through which
// readers find the current View and the sequence number to read at, and Registry the slots in
// which they say what they still need.
//
// It is not a transaction: own writes, conflicts, read sets and merged iteration over indexes
// and runs belong to the callers. It does no I/O itself, starts no goroutine, takes no lock and
// reads no clock.
//
// # Layout of an index
//
//	hash table            entry slabs                    version slabs
//	[h32|entry] ──────▶   {key ref, lens, seq, head} ──▶ {seq, value ref, len, prev} ──▶ …
//	                            │ first version inside          │
//	                            ▼                               ▼
//	chunks of bytes       key, first value                later values
//
// Table, slabs and chunks hold no pointers, so the collector does not scan them: only the
// directories (a pointer per slab or chunk) are scanned. References are numbers, never reused.
//
// Order costs a Put nothing: the entry slabs are an append-only list, of which some prefix is
// covered by a stack of sorted arrays. A cursor sorts what is missing and publishes the larger
// stack by compare-and-swap.
//
// # Publication
//
// The writer fills records and bytes with plain stores and then publishes them with one atomic
// store (a table slot, a chain link, the tail of the entry list). A reader reaches them only
// through an atomic load of that word, and nothing published is written again except the
// atomic links. Hence no data race, and no unsafe.
//
// # Invariants
//
//  1. The seqs put into an index only rise, and all lie above its floor and at or below its
//     freeze seq.
//  2. A key has one entry; its chain has strictly falling seqs from the head down, except that a
//     key written twice by one commit may show that commit's seq twice, newer write first.
//  3. A chain holds its newest version and, for every seq in each Keep it was trimmed with, the
//     newest version at or below that seq (unless a later Keep did without it).
//  4. A link without the cut mark leads to the version written just before the one above it.
//  5. A slab or chunk that a linked version refers to is in its directory; one that nothing
//     refers to, and that is not being filled, is not.
//  6. The levels of an order are sorted, do not share an entry, and together hold exactly the
//     entries in front of the order's tail.
//  7. TrimHorizon ≤ Visible; both only rise.
//  8. Every index of a View has its floor at or above the View's RunSeq, so a read at RunSeq
//     finds nothing in the indexes.
package versions

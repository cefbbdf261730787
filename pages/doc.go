// Package pages is the on-disk half of the engine: immutable sorted pages, the tables and runs
// made of them, and the readers that walk them.
//
// It is not a storage manager: it opens no file by itself, deletes none and decides nothing
// about merging, residency or visibility. Files come in as io.ReaderAt and io.Writer; the
// flusher decides what to build, the evictor what to forget, txcoord which runs a reader sees.
//
// The types, from small to large:
//
//   - Page: one decoded leaf, inner node or filter, laid out for speed. Never changed.
//   - Builder: turns ascending entries into one table file, written front to back, once.
//   - Table: one table file as its readers share it: a tree whose child slots are atomic
//     pointers, empty where the page is not resident.
//   - Run: tables that follow one another in key order; one version per key.
//   - Cursor: a position in a run.
//   - Cache: which pages are resident, and how many bytes they take.
//
// A key, everywhere in this package, is an internal key: the keyspace's prefix and the user's
// key (AppendKey).
//
// # How a page becomes resident
//
// A reader that meets an empty slot loads the page itself. The load in flight is a state of the
// slot (a placeholder page), so later readers wait for it and start none of their own. The
// claimed load runs to its end whatever becomes of the context it came from; it is ended in a
// deferred call, also when the goroutine panics or exits in it; and a load that failed leaves
// the slot empty, so the next reader tries again. No lock is held while a load reads or Parks.
//
// Loaded pages are handed to the evictor through a lock-free list (Cache.Drain). Eviction
// clears the slot; whoever still holds the page, or a slice of it, keeps it alive.
//
// # Invariants
//
//  1. A page's bytes are never changed after it was published; slices handed out alias them for
//     ever, with their capacity clipped.
//  2. The CRC of a page's stored bytes is held by the page's parent (the root's and the filter's
//     by the table's meta) and compared at every load. What a page says of itself is believed
//     only after that.
//  3. Keys ascend strictly within a page, within a table and within a run; separators bound
//     their subtrees: sep(i) ≤ every key of child i < sep(i+1).
//  4. Cache.Resident is the sum of Page.Bytes over the pages that sit in slots.
//  5. An inner page leaves its slot only when no slot of its own is taken; after that none is
//     taken again. So every resident page can be reached from its table.
//  6. A load happens under a pin; a retired table gives out no pins; the file is closed when a
//     retired table's last pin goes, exactly once.
//  7. Stored lengths are bounded before they are believed: no decoder allocates more than the
//     limits of its kind of page allow.
package pages

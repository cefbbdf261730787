// Package evictor keeps the resident pages of all tables within the memory budget: a pure
// machine that decides which page leaves memory, by the clock algorithm with a second chance
// (Corbató, "A Paging Experiment with the Multics System", 1968).
//
// It is not the cache. Pages sit in their parents' slots, readers find them there without
// asking anybody, and evicting one clears its slot; a reader that still holds the page keeps
// it. The evictor learns of fresh pages from the cache's list, and of their use from a stamp
// that readers leave on them.
//
// The types: Machine, which is stepped; Config, what it starts from; Outbox, what it answers.
//
// How much may be resident:
//
//	budget × live ratio                what may be alive, so that the heap peaks near the budget
//	  − bytes of version indexes       = target: a sweep begins above it
//	  + a part of it                   = hard limit: readers wait above it
//
// The order of eviction: pages of retired tables at once; then pages that nobody has used since
// the hand last passed, oldest first. Pages that a scan loads carry no stamp, so they go before
// what point reads use. An inner page goes only when none of its children is resident.
package evictor

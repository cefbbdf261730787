//go:build amd64 || arm64

package pages

// prefetch asks for cache lines of l, from the byte at on. It is a hint to the processor, which
// fetches them while the program goes on: a load in its place would hold up all that follows once
// the processor has a few hundred instructions under way. Nothing is read, so it may run beyond the end.
//
//go:noescape
func prefetch(l *leaf, at, lines int)

package pages

// Seq numbers commits: 1, 2, 3, … in the order in which they were applied. Zero means
// "before the first commit". Numbers lost in a crash are used again, so whatever outlives
// the process carries the epoch as well.
type Seq uint64

// MaxSeq is above every commit: a read at MaxSeq sees the newest version.
const MaxSeq = Seq(1<<64 - 1)

// FileID names a table file; ids are never reused within a store.
type FileID uint64

// KeyspaceID names a keyspace for ever: the id of a dropped keyspace is not used again.
type KeyspaceID uint32

// The keyspaces that every store has. Ids from FirstUserKeyspace on are given to named
// keyspaces by the catalog.
const (
	CatalogKeyspace   KeyspaceID = 0
	BlocksKeyspace    KeyspaceID = 1
	DefaultKeyspace   KeyspaceID = 2
	FirstUserKeyspace KeyspaceID = 16
)

// Kind says what an entry is.
type Kind uint8

// A deleted key is a tombstone, never an empty value.
const (
	KindValue     Kind = 1
	KindTombstone Kind = 2
)

// Package engine is what a storage engine must do to take part in the comparison: a [Store], which
// a driver of about a page implements for each of them.
package engine

import "errors"

// ErrNotFound is what Get returns for a key that is absent.
var ErrNotFound = errors.New("not found")

// Config is what a store is opened with. It says what the work needs; everything else is the
// driver's choice, the same for all workloads, with its reason in a comment.
type Config struct {
	Dir        string // an existing directory, which may hold a store that the same engine has closed or that was killed
	CacheBytes int64  // what the engine may keep in memory, for reading and writing together
	Durable    bool   // Put, Batch and Update return when their commit is synced to the medium; otherwise at once
	Compressed bool   // values and pages are compressed, if the engine can
	Memory     bool   // nothing needs to outlive the process; Dir is on a file system in memory, for engines that cannot do without files
}

// Pair is a key and its value.
type Pair struct{ Key, Value []byte }

// Store is an open store. All methods but Close are safe for concurrent use. Keys and values that
// are passed in belong to the caller again when the call returns.
type Store interface {
	// Put commits one pair.
	Put(key, value []byte) error
	// Batch commits pairs, atomically, in one transaction.
	Batch(pairs []Pair) error
	// Get reads what was committed last. It appends the value to dst, or returns ErrNotFound. If dst is
	// empty it may return a slice of its own instead, which stays valid and must not be written to.
	Get(key, dst []byte) ([]byte, error)
	// View calls read with a snapshot, which is valid until read returns.
	View(read func(Reader) error) error
	// Update runs a serializable transaction, again and again while it conflicts. An engine without
	// transactions returns errors.ErrUnsupported.
	Update(write func(Tx) error) error
	// Sync makes all that was committed durable.
	Sync() error
	// Settle waits until work in the background (flushes, merges) has nothing left to do.
	Settle() error
	// Close closes the store in an orderly way.
	Close() error
}

// Reader reads one snapshot. It is for one goroutine.
type Reader interface {
	// Get is as that of Store.
	Get(key, dst []byte) ([]byte, error)
	// Scan calls each with up to limit pairs (0: all) from the first key ≥ from on, ascending, and
	// returns how many there were. key and value are valid until each returns.
	Scan(from []byte, limit int, each func(key, value []byte)) (int, error)
}

// Tx is a read-write transaction. It is for one goroutine. What is passed in belongs to the caller
// again when a call returns.
type Tx interface {
	// Get is as that of Store, and sees the transaction's own writes.
	Get(key, dst []byte) ([]byte, error)
	Put(key, value []byte) error
}

// Driver opens stores of one engine.
type Driver struct {
	Name       string // as it stands in tables
	Version    string // of the engine, as far as it can be known
	Settings   string // one line: what was set, and why
	Compresses bool   // Config.Compressed has an effect
	InMemory   bool   // it can keep everything in memory (Config.Memory), with files on a memory file system or without any
	Open       func(Config) (Store, error)
}

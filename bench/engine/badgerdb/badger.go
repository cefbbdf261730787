// Package badgerdb drives Badger, a log-structured merge tree with transactions.
package badgerdb

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/settle"
)

// Driver is Badger, with its memory cut to what is given.
var Driver = engine.Driver{
	Name:       "badger",
	Version:    engine.ModuleVersion("github.com/dgraph-io/badger/v4"),
	Settings:   "half the memory for memtables, half for the block cache (none without compression, as its authors advise); values in the tree; 1 version; 2 compactors; Snappy or none; conflict detection",
	Compresses: true,
	InMemory:   true,
	Open:       open,
}

type store struct{ db *badger.DB }

func open(c engine.Config) (engine.Store, error) {
	dir := c.Dir
	if c.Memory {
		dir = "" // Badger insists on it
	}
	o := badger.DefaultOptions(dir)
	o.InMemory = c.Memory
	o.SyncWrites = c.Durable && !c.Memory
	o.Logger = nil
	o.MetricsEnabled = false // counters that all clients share
	o.NumVersionsToKeep = 1
	o.DetectConflicts = true // serializable transactions need it
	o.NumCompactors = 2      // one per core, and the fewest that it takes
	// Four of at most 64 MiB (the default) each, the one in use included. Below 8 MiB its limit on a
	// transaction, which goes with the size of a memtable, would refuse a value of 1 MiB.
	o.NumMemtables = 4
	o.MemTableSize = min(max(c.CacheBytes/8, 8<<20), 64<<20)
	// Zero keeps all indexes and filters in memory, some 3 bytes for a key: the fastest, and little here.
	o.IndexCacheSize = 0
	o.Compression, o.BlockCacheSize = options.None, 0 // the tables are mapped: a cache is one copy more
	if c.Compressed {
		o.Compression = options.Snappy
		o.BlockCacheSize = max(c.CacheBytes-int64(o.NumMemtables)*o.MemTableSize, c.CacheBytes/2)
	}
	db, err := badger.Open(o)
	if err != nil {
		return nil, err
	}
	return store{db}, nil
}

// Put is a transaction: Badger's commits share a sync by themselves when they come together.
func (s store) Put(key, value []byte) error {
	return s.db.Update(func(txn *badger.Txn) error { return txn.Set(key, value) })
}

func (s store) Batch(pairs []engine.Pair) error {
	return s.db.Update(func(txn *badger.Txn) error {
		for _, p := range pairs {
			if err := txn.Set(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s store) Get(key, dst []byte) ([]byte, error) {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return tx{txn}.Get(key, dst)
}

func (s store) View(read func(engine.Reader) error) error {
	return s.db.View(func(txn *badger.Txn) error { return read(tx{txn}) })
}

func (s store) Update(write func(engine.Tx) error) error {
	for {
		err := s.db.Update(func(txn *badger.Txn) error { return write(tx{txn}) })
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func (s store) Sync() error { return s.db.Sync() }

// Settle waits until no level is due for compaction. Badger has no call that flushes its memtables.
func (s store) Settle() error {
	type state [16]struct {
		tables int
		bytes  int64
	}
	return settle.Wait(func() (st state, busy bool, err error) {
		for i, l := range s.db.Levels() {
			st[i].tables, st[i].bytes = l.NumTables, l.Size
			busy = busy || l.Score >= 1
		}
		return st, busy, nil
	})
}

func (s store) Close() error { return s.db.Close() }

// tx is a transaction of either kind.
type tx struct{ txn *badger.Txn }

func (t tx) Get(key, dst []byte) ([]byte, error) {
	item, err := t.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return dst, engine.ErrNotFound
	}
	if err != nil {
		return dst, err
	}
	err = item.Value(func(v []byte) error {
		dst = append(dst, v...)
		return nil
	})
	return dst, err
}

// Put copies what it is given, as Badger keeps it until the commit.
func (t tx) Put(key, value []byte) error {
	return t.txn.Set(append([]byte(nil), key...), append([]byte(nil), value...))
}

// Scan does not prefetch values. Badger starts a goroutine for each value that it prefetches, which is
// for values in its value log; here they stand beside their keys, and are in memory with them.
func (t tx) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	it := t.txn.NewIterator(o)
	defer it.Close()
	n := 0
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			each(item.Key(), v)
			return nil
		})
		if err != nil {
			return n, err
		}
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

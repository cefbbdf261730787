// Package bboltdb drives bbolt, a B+tree in one file that is mapped into memory.
package bboltdb

import (
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/group"
)

// Driver is bbolt, tuned as etcd does.
var Driver = engine.Driver{
	Name:     "bbolt",
	Version:  engine.ModuleVersion("go.etcd.io/bbolt"),
	Settings: "hashmap freelist, not synced; 16 GiB mapped at once; no statistics; concurrent writes share a commit; NoSync where durability is not asked for",
	InMemory: true,
	Open:     open,
}

var bucketName = []byte("kv")

type store struct {
	db     *bbolt.DB
	writes *group.Group[*call]
	noSync bool
}

// call is a write that waits for its commit.
type call struct {
	write func(*bbolt.Bucket) error
	err   error
}

func open(c engine.Config) (engine.Store, error) {
	noSync := !c.Durable || c.Memory
	db, err := bbolt.Open(filepath.Join(c.Dir, "bbolt.db"), 0o600, &bbolt.Options{
		// The list of free pages is found again at open, by a walk through the file. Each commit is
		// shorter for it. The map is quick where the list is long.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		// Growing the map would wait for all readers. Address space costs nothing.
		InitialMmapSize: 16 << 30,
		NoStatistics:    true, // counters that all readers share
		NoSync:          noSync,
		NoGrowSync:      noSync, // else each 16 MiB of growth is an fsync
	})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName)
		return err
	})
	if err != nil {
		return nil, err
	}
	s := &store{db: db, noSync: noSync}
	s.writes = group.New(s.commit)
	return s, nil
}

func (s *store) Put(key, value []byte) error {
	return s.update(func(b *bbolt.Bucket) error { return b.Put(key, value) })
}

func (s *store) Batch(pairs []engine.Pair) error {
	return s.update(func(b *bbolt.Bucket) error {
		for _, p := range pairs {
			if err := b.Put(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) Update(write func(engine.Tx) error) error {
	return s.update(func(b *bbolt.Bucket) error { return write(tx{b}) })
}

// update runs write in a read-write transaction, and returns when that is committed. Writes that come
// while a commit is under way share the next one. It is what bbolt's own DB.Batch is for, without
// its timer: that makes a lone caller wait, and closes a batch long before the commit in front of it
// has ended.
func (s *store) update(write func(*bbolt.Bucket) error) error {
	c := &call{write: write}
	s.writes.Do(c)
	return c.err
}

// commit runs calls in one transaction; if one of them fails, each in its own.
func (s *store) commit(calls []*call) {
	err := s.run(calls)
	for i, c := range calls {
		c.err = err
		if err != nil && len(calls) > 1 {
			c.err = s.run(calls[i : i+1])
		}
	}
}

func (s *store) run(calls []*call) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketName)
		for _, c := range calls {
			if err := c.write(b); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) Get(key, dst []byte) (value []byte, err error) {
	err = s.db.View(func(t *bbolt.Tx) error {
		value, err = tx{t.Bucket(bucketName)}.Get(key, dst)
		return err
	})
	return value, err
}

func (s *store) View(read func(engine.Reader) error) error {
	return s.db.View(func(t *bbolt.Tx) error { return read(tx{t.Bucket(bucketName)}) })
}

func (s *store) Sync() error { return s.db.Sync() }

// Settle has nothing to wait for: bbolt does all its work in commits.
func (s *store) Settle() error { return nil }

func (s *store) Close() error {
	if s.noSync {
		if err := s.db.Sync(); err != nil {
			return err
		}
	}
	return s.db.Close()
}

// tx is the bucket, in a transaction of either kind.
type tx struct{ b *bbolt.Bucket }

func (t tx) Get(key, dst []byte) ([]byte, error) {
	v := t.b.Get(key)
	if v == nil {
		return dst, engine.ErrNotFound
	}
	return append(dst, v...), nil // v is part of the map, and goes with the transaction
}

// Put copies the value, as bbolt keeps it until the commit. The key it copies itself.
func (t tx) Put(key, value []byte) error {
	return t.b.Put(key, append([]byte(nil), value...))
}

func (t tx) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	c, n := t.b.Cursor(), 0
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		each(k, v)
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

// Package aegisdb drives aegis.
package aegisdb

import (
	"context"
	"errors"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/settle"
)

// Driver is aegis as it comes: nothing is set but what [engine.Config] asks for.
var Driver = engine.Driver{
	Name:       "aegis",
	Version:    engine.ModuleVersion("github.com/aegis-storage/aegis"),
	Settings:   "defaults; MemoryBudget is the cache size, NoSync where durability is not asked for, LZ4 or none, memory backend",
	Compresses: true,
	InMemory:   true,
	Open:       open,
}

type store struct{ db *aegis.DB }

func open(c engine.Config) (engine.Store, error) {
	o := aegis.Options{MemoryBudget: c.CacheBytes}
	if !c.Durable {
		o.Durability = aegis.NoSync
	}
	if !c.Compressed {
		o.Compression = aegis.NoCompression
	}
	if c.Memory {
		o.Backend = backends.NewMemory()
	}
	db, err := aegis.Open(c.Dir, &o)
	if err != nil {
		return nil, err
	}
	return store{db}, nil
}

func (s store) Put(key, value []byte) error {
	return s.db.Put(context.Background(), key, value)
}

func (s store) Batch(pairs []engine.Pair) error {
	return s.db.Update(context.Background(), func(tx *aegis.Tx) error {
		for _, p := range pairs {
			if err := tx.Put(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s store) Get(key, dst []byte) ([]byte, error) {
	v, err := s.db.Get(context.Background(), key)
	return result(v, err, dst)
}

func (s store) View(read func(engine.Reader) error) error {
	return s.db.View(context.Background(), func(t *aegis.Tx) error { return read(tx{t}) })
}

func (s store) Update(write func(engine.Tx) error) error {
	return s.db.Update(context.Background(), func(t *aegis.Tx) error { return write(tx{t}) })
}

func (s store) Sync() error { return s.db.Sync(context.Background()) }

// Settle flushes, and waits for the merges that follow from it, those included that the engine begins
// when writers have paused. It forces none.
func (s store) Settle() error {
	if err := s.db.Checkpoint(context.Background()); err != nil {
		return err
	}
	type state struct {
		flushes, steps, checkpoints uint64
		tables                      int
	}
	return settle.Wait(func() (state, bool, error) {
		stats, err := s.db.Stats(context.Background())
		t := &stats.Tables
		return state{t.Flushes, t.MergeSteps, t.Checkpoints, t.Tables}, !t.Settled, err
	})
}

func (s store) Close() error { return s.db.Close() }

// tx is a transaction of either kind.
type tx struct{ *aegis.Tx }

func (t tx) Get(key, dst []byte) ([]byte, error) {
	v, err := t.Tx.Get(key)
	return result(v, err, dst)
}

func (t tx) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	n := 0
	for k, v := range t.Range(from, nil) {
		each(k, v)
		if n++; n == limit {
			break
		}
	}
	return n, t.Err()
}

// result appends a value to dst: what aegis returns must not be written to, what a Store returns may be.
func result(v []byte, err error, dst []byte) ([]byte, error) {
	switch {
	case errors.Is(err, aegis.ErrNotFound):
		return dst, engine.ErrNotFound
	case err != nil:
		return dst, err
	}
	return append(dst, v...), nil
}

// Package pebbledb drives Pebble, the log-structured merge tree of CockroachDB.
package pebbledb

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/settle"
)

// Driver is Pebble, tuned after the benchmark program of its authors.
var Driver = engine.Driver{
	Name:       "pebble",
	Version:    engine.ModuleVersion("github.com/cockroachdb/pebble/v2"),
	Settings:   "cache as given, memtables of up to 64 MiB are counted in it; L0 thresholds of CockroachDB; bloom filters of 10 bits but in L6; 2 compactions; newest format; Snappy or none; no transactions",
	Compresses: true,
	InMemory:   true,
	Open:       open,
}

type store struct {
	db    *pebble.DB
	write *pebble.WriteOptions
}

func open(c engine.Config) (engine.Store, error) {
	o := options(c)
	if c.Memory {
		o.FS = vfs.NewMem()
	}
	db, err := pebble.Open(c.Dir, o)
	if err != nil {
		return nil, err
	}
	if c.Durable {
		return store{db, pebble.Sync}, nil
	}
	return store{db, pebble.NoSync}, nil
}

func options(c engine.Config) *pebble.Options {
	o := &pebble.Options{
		CacheSize: c.CacheBytes, // blocks; Pebble takes the memtables' bytes out of it by itself
		// One is written while another is flushed. A quarter of the memory is 64 MiB, as CockroachDB
		// has it, from 256 MiB on. Four of them may wait before writers do.
		MemTableSize:                uint64(min(max(c.CacheBytes/4, 4<<20), 64<<20)),
		MemTableStopWritesThreshold: 4,
		// As CockroachDB's: L0 is merged early, and does not stop writers.
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: 1000,
		LBaseMaxBytes:         64 << 20,
		MaxOpenFiles:          16384,
		FormatMajorVersion:    pebble.FormatNewest,
		// One while there is little to do, as many as there are cores when it falls behind.
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		Logger:                     quiet{pebble.DefaultLogger},
	}
	compression := sstable.NoCompression
	if c.Compressed {
		compression = sstable.SnappyCompression
	}
	for i := range o.Levels {
		l := &o.Levels[i]
		// Pebble's default. The 32 KiB of CockroachDB make fewer bytes on disk, but a lookup that
		// misses the cache has to read and decompress eight times as much.
		l.BlockSize = 4 << 10
		l.IndexBlockSize = 256 << 10
		l.FilterPolicy = bloom.FilterPolicy(10)
		l.Compression = func() *sstable.CompressionProfile { return compression }
	}
	o.Levels[6].FilterPolicy = pebble.NoFilterPolicy // lookups do not ask those
	o.Experimental.EnableColumnarBlocks = func() bool { return true }
	o.FlushSplitBytes = 2 << 20 // the size of a table in L0: flushes can be merged in parts
	return o
}

func (s store) Put(key, value []byte) error { return s.db.Set(key, value, s.write) }

func (s store) Batch(pairs []engine.Pair) error {
	size := 32
	for _, p := range pairs {
		size += len(p.Key) + len(p.Value) + 16
	}
	b := s.db.NewBatchWithSize(size)
	defer b.Close()
	for _, p := range pairs {
		if err := b.Set(p.Key, p.Value, nil); err != nil {
			return err
		}
	}
	return b.Commit(s.write)
}

func (s store) Get(key, dst []byte) ([]byte, error) { return get(s.db, key, dst) }

func (s store) View(read func(engine.Reader) error) error {
	snap := s.db.NewSnapshot()
	defer snap.Close()
	return read(reader{snap})
}

// Update is not there: Pebble has atomic batches, but nothing that finds or prevents conflicts.
func (s store) Update(func(engine.Tx) error) error { return errors.ErrUnsupported }

// Sync syncs the log by an empty record. Logs before the present one were synced when they were closed.
func (s store) Sync() error { return s.db.LogData(nil, pebble.Sync) }

func (s store) Settle() error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	type state struct{ flushes, compactions int64 }
	return settle.Wait(func() (state, bool, error) {
		m := s.db.Metrics()
		return state{m.Flush.Count, m.Compact.Count}, m.Flush.NumInProgress+m.Compact.NumInProgress > 0, nil
	})
}

func (s store) Close() error { return s.db.Close() }

type reader struct{ *pebble.Snapshot }

func (r reader) Get(key, dst []byte) ([]byte, error) { return get(r.Snapshot, key, dst) }

func (r reader) Scan(from []byte, limit int, each func(key, value []byte)) (n int, err error) {
	it, err := r.NewIter(nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.SeekGE(from); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return n, err
		}
		each(it.Key(), v)
		if n++; n == limit {
			break
		}
	}
	return n, it.Error()
}

func get(r pebble.Reader, key, dst []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, engine.ErrNotFound
	}
	if err != nil {
		return dst, err
	}
	dst = append(dst, v...)
	return dst, closer.Close()
}

// quiet logs failures only.
type quiet struct{ pebble.Logger }

func (quiet) Infof(string, ...any) {}

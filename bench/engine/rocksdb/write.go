//go:build rocksdb

package rocksdb

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"sync"

	"github.com/aegis-storage/aegis/bench/engine"
)

// direct is how many durable puts may be in C. RocksDB groups them by itself, and groups as many as
// that well; but each waits with a thread, and hundreds of threads are slower than one that commits
// for many goroutines.
const direct = 16

// put is one caller's part of a group.
type put struct {
	pair engine.Pair
	err  error
}

var puts = sync.Pool{New: func() any { return new(put) }}

func (s *store) Put(key, value []byte) error {
	if !s.durable {
		return s.put(key, value)
	}
	defer s.inside.Add(-1)
	if s.inside.Add(1) <= direct {
		return s.put(key, value)
	}
	p := puts.Get().(*put)
	p.pair = engine.Pair{Key: key, Value: value}
	s.puts.Do(p)
	err := p.err
	*p = put{}
	puts.Put(p)
	return err
}

func (s *store) put(key, value []byte) error {
	return failed("put", C.rk_put(s.db, chars(key), C.size_t(len(key)), chars(value), C.size_t(len(value))))
}

// commit writes what has gathered, by one batch.
func (s *store) commit(all []*put) {
	buf := s.batch.Get().(*[]byte)
	defer s.batch.Put(buf)
	b := begin(*buf, len(all))
	for _, p := range all {
		b = record(b, p.pair)
	}
	*buf = b
	err := s.write(b)
	for _, p := range all {
		p.err = err
	}
}

// Batch encodes pairs as a write batch is encoded, so that C takes it over by one copy.
func (s *store) Batch(pairs []engine.Pair) error {
	buf := s.batch.Get().(*[]byte)
	defer s.batch.Put(buf)
	b := begin(*buf, len(pairs))
	for i := range pairs {
		b = record(b, pairs[i])
	}
	*buf = b
	return s.write(b)
}

// begin makes b the head of a write batch: eight bytes for the sequence number, which RocksDB sets,
// and the number of records.
func begin(b []byte, records int) []byte {
	return binary.LittleEndian.AppendUint32(append(b[:0], make([]byte, 8)...), uint32(records))
}

// record appends a put into the default column family.
func record(b []byte, p engine.Pair) []byte {
	const put = 1
	b = binary.AppendUvarint(append(b, put), uint64(len(p.Key)))
	b = binary.AppendUvarint(append(b, p.Key...), uint64(len(p.Value)))
	return append(b, p.Value...)
}

func (s *store) write(batch []byte) error {
	return failed("write", C.rk_write(s.db, chars(batch), C.size_t(len(batch))))
}

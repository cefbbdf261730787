//go:build rocksdb

package rocksdb

/*
#cgo CXXFLAGS: -O2 -std=c++17
#cgo LDFLAGS: -lrocksdb -lstdc++
#cgo noescape rk_put
#cgo nocallback rk_put
#cgo noescape rk_write
#cgo nocallback rk_write
#cgo noescape rk_get
#cgo nocallback rk_get
#cgo noescape rk_view_begin
#cgo nocallback rk_view_begin
#cgo noescape rk_view_end
#cgo nocallback rk_view_end
#cgo noescape rk_view_get
#cgo nocallback rk_view_get
#cgo noescape rk_scan
#cgo nocallback rk_scan
#cgo noescape rk_tx_get
#cgo nocallback rk_tx_get
#cgo noescape rk_tx_put
#cgo nocallback rk_tx_put
#cgo noescape rk_tx_commit
#cgo nocallback rk_tx_commit
#cgo noescape rk_tx_abort
#cgo nocallback rk_tx_abort
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/group"
)

// Driver opens RocksDB databases.
var Driver = engine.Driver{
	Name:       "rocksdb",
	Version:    C.GoString(C.rk_version()),
	Settings:   settings,
	Compresses: true,
	InMemory:   true,
	Open:       open,
}

const settings = "cache as given, memtables of up to 64 MiB and table readers are counted in it; bloom filters of 10 bits, in memtables too; LZ4 or none; 3 background jobs; pipelined writes; log buffered until Sync when not durable, recycled when durable, none in memory; optimistic transactions"

type store struct {
	db      *C.rk
	durable bool
	inside  atomic.Int32 // callers of durable puts
	puts    *group.Group[*put]

	batch sync.Pool // *[]byte: write batches

	mu   sync.Mutex
	free []*C.rk_tx // transactions between two uses
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func open(cfg engine.Config) (engine.Store, error) {
	dir := []byte(cfg.Dir)
	opened := C.rk_open(chars(dir), C.size_t(len(dir)), C.int64_t(cfg.CacheBytes), flag(cfg.Durable), flag(cfg.Compressed), flag(cfg.Memory))
	if opened.error != nil {
		return nil, fail("open", opened.error)
	}
	s := &store{db: opened.db, durable: cfg.Durable && !cfg.Memory}
	s.batch.New = func() any { return new([]byte) }
	s.puts = group.New(s.commit)
	return s, nil
}

// fail makes an error of a text that C has allocated, which it frees.
func fail(what string, text *C.char) error {
	defer C.free(unsafe.Pointer(text))
	return fmt.Errorf("rocksdb: %s: %s", what, C.GoString(text))
}

func chars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

// errConflict says that a transaction must run again.
var errConflict = errors.New("rocksdb: conflict")

func failed(what string, r C.rk_result) error {
	switch r.code {
	case C.RK_OK:
		return nil
	case C.RK_NOT_FOUND:
		return engine.ErrNotFound
	case C.RK_CONFLICT:
		return errConflict
	}
	return fail(what, r.error)
}

func (s *store) Get(key, dst []byte) ([]byte, error) {
	for {
		room := dst[len(dst):cap(dst)]
		got := C.rk_get(s.db, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if int(got.n) <= len(room) {
			return dst[:len(dst)+int(got.n)], failed("get", got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

func (s *store) Sync() error { return failed("sync", C.rk_sync(s.db)) }

// Settle asks again and again: this version of RocksDB has no call that waits for compactions.
// Between two of them there is a moment when none runs, so it must be quiet for a while.
func (s *store) Settle() error {
	const interval, quiet = 5 * time.Millisecond, 20
	for calm := 0; calm < quiet; calm++ {
		if C.rk_working(s.db) != 0 {
			calm = 0
		}
		time.Sleep(interval)
	}
	return nil
}

func (s *store) Close() error {
	for _, t := range s.free {
		C.rk_tx_free(t)
	}
	s.free = nil
	return failed("close", C.rk_close(s.db))
}

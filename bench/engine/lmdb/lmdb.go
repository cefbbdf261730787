//go:build lmdb

package lmdb

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -llmdb
#cgo noescape lm_put
#cgo nocallback lm_put
#cgo noescape lm_get
#cgo nocallback lm_get
#cgo noescape lm_read_begin
#cgo nocallback lm_read_begin
#cgo noescape lm_read_end
#cgo nocallback lm_read_end
#cgo noescape lm_read_get
#cgo nocallback lm_read_get
#cgo noescape lm_scan
#cgo nocallback lm_scan
#cgo noescape lm_tx_get
#cgo nocallback lm_tx_get
#cgo noescape lm_tx_apply
#cgo nocallback lm_tx_apply
#cgo noescape lm_tx_commit
#cgo nocallback lm_tx_commit
#include <lmdb.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/group"
)

// mapSize is the largest size of the database, enough for the largest of the workloads. Only what
// is used takes memory or disk.
const mapSize = 64 << 30

// Driver opens LMDB environments.
var Driver = engine.Driver{
	Name:     "lmdb",
	Version:  fmt.Sprintf("%d.%d.%d", C.MDB_VERSION_MAJOR, C.MDB_VERSION_MINOR, C.MDB_VERSION_PATCH),
	Settings: settings,
	InMemory: true,
	Open:     open,
}

const settings = "NOSYNC and WRITEMAP when not durable, full sync when durable; map of 64 GiB; NOTLS, pooled readers; Go groups concurrent writes into one transaction; the memory is the system's cache; no compression"

type store struct {
	env *C.lm
	// All writes go through here: LMDB has one writer at a time, who would wait in C with its thread.
	// Those who wait for it are then committed together, by one sync and one copy of the tree's path.
	// A lone writer does not wait.
	writes *group.Group[*request]
	apply  []byte // records of a commit; its user holds the group's turn
}

// flags are the environment's.
func flags(cfg engine.Config) C.uint {
	// Read transactions are pooled and pass from thread to thread with their goroutines.
	// MDB_NORDAHEAD stays off: the data fits into the system's cache, where scans gain by reading
	// ahead and gets do not lose.
	f := C.uint(C.MDB_NOTLS)
	if cfg.Durable && !cfg.Memory {
		// Both syncs of a commit, and no writable map: it was not faster here, since msync writes the
		// same pages as pwrite and fdatasync do. Pages need not be zeroed before they are filled.
		return f | C.MDB_NOMEMINIT
	}
	// Nothing is synced but by Sync. With the writable map a commit changes pages in place of the
	// system's cache, without one system call: many times as fast as pwrite for small transactions.
	// MDB_MAPASYNC would add nothing: MDB_NOSYNC leaves out the msync that it makes asynchronous.
	return f | C.MDB_NOSYNC | C.MDB_WRITEMAP
}

func open(cfg engine.Config) (engine.Store, error) {
	dir := append([]byte(cfg.Dir), 0)
	opened := C.lm_open(chars(dir), mapSize, flags(cfg))
	if opened.rc != 0 {
		return nil, fail("open", opened.rc)
	}
	s := &store{env: opened.env}
	s.writes = group.New(s.commit)
	return s, nil
}

func fail(what string, rc C.int) error {
	return fmt.Errorf("lmdb: %s: %s", what, C.GoString(C.lm_error(rc)))
}

func chars(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }

func (s *store) Get(key, dst []byte) ([]byte, error) {
	for {
		room := dst[len(dst):cap(dst)]
		got := C.lm_get(s.env, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if got.rc != 0 || int(got.n) <= len(room) {
			return took(dst, got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

// took is dst with the value that was copied behind it.
func took(dst []byte, got C.lm_result) ([]byte, error) {
	switch got.rc {
	case 0:
		return dst[:len(dst)+int(got.n)], nil
	case C.MDB_NOTFOUND:
		return dst, engine.ErrNotFound
	}
	return dst, fail("get", got.rc)
}

// entry is lm_entry. Key and value are in the map, outside of Go's memory.
type entry struct {
	key, value       unsafe.Pointer
	keyLen, valueLen uint32
}

// block is as many entries as one crossing hands over: 64 KiB.
const block = (64 << 10) / int(unsafe.Sizeof(entry{}))

type reader struct {
	txn     *C.lm_reader
	entries []entry
}

var readers = sync.Pool{New: func() any { return &reader{entries: make([]entry, block)} }}

func (s *store) View(read func(engine.Reader) error) error {
	begun := C.lm_read_begin(s.env)
	if begun.rc != 0 {
		return fail("begin", begun.rc)
	}
	r := readers.Get().(*reader)
	r.txn = begun.reader
	defer func() {
		C.lm_read_end(r.txn)
		readers.Put(r)
	}()
	return read(r)
}

func (r *reader) Get(key, dst []byte) ([]byte, error) {
	for {
		room := dst[len(dst):cap(dst)]
		got := C.lm_read_get(r.txn, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if got.rc != 0 || int(got.n) <= len(room) {
			return took(dst, got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

func (r *reader) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	more, total := C.int(0), 0
	for {
		want := block
		if limit > 0 {
			want = min(want, limit-total)
		}
		into := (*C.char)(unsafe.Pointer(unsafe.SliceData(r.entries)))
		got := C.lm_scan(r.txn, chars(from), C.size_t(len(from)), more, into, C.size_t(want))
		if got.rc != 0 {
			return total, fail("scan", got.rc)
		}
		for i := range r.entries[:got.n] {
			e := &r.entries[i]
			each(unsafe.Slice((*byte)(e.key), e.keyLen), unsafe.Slice((*byte)(e.value), e.valueLen))
		}
		if total += int(got.n); int(got.n) < want || total == limit {
			return total, nil
		}
		more = 1
	}
}

func (s *store) Sync() error {
	if rc := C.lm_sync(s.env); rc != 0 {
		return fail("sync", rc)
	}
	return nil
}

// Settle has nothing to wait for: LMDB does nothing in the background.
func (s *store) Settle() error { return nil }

func (s *store) Close() error {
	if s.env == nil {
		return errors.New("lmdb: closed")
	}
	C.lm_close(s.env)
	s.env = nil
	return nil
}

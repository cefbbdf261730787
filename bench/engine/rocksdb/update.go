//go:build rocksdb

package rocksdb

// #include "shim.h"
import "C"

import (
	"slices"

	"github.com/aegis-storage/aegis/bench/engine"
)

type tx struct{ t *C.rk_tx }

func (t tx) Get(key, dst []byte) ([]byte, error) {
	for {
		room := dst[len(dst):cap(dst)]
		got := C.rk_tx_get(t.t, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if int(got.n) <= len(room) {
			return dst[:len(dst)+int(got.n)], failed("get", got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

func (t tx) Put(key, value []byte) error {
	return failed("put", C.rk_tx_put(t.t, chars(key), C.size_t(len(key)), chars(value), C.size_t(len(value))))
}

// Update validates at commit that nothing of what was read or written has been changed by others,
// and runs write again if it was.
func (s *store) Update(write func(engine.Tx) error) error {
	t := s.take()
	defer s.give(t)
	for {
		err := write(tx{t})
		if err == nil {
			err = failed("commit", C.rk_tx_commit(t))
		}
		if err != errConflict {
			return err
		}
		C.rk_tx_abort(t)
	}
}

// take returns a transaction that has not begun.
func (s *store) take() *C.rk_tx {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		t := s.free[n-1]
		s.free = s.free[:n-1]
		return t
	}
	return C.rk_tx_new(s.db)
}

func (s *store) give(t *C.rk_tx) {
	C.rk_tx_abort(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, t)
}

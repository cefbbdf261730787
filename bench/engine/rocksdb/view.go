//go:build rocksdb

package rocksdb

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/bench/engine"
)

// block is what one crossing of a scan fills. An entry that is larger makes its own.
const block = 64 << 10

type reader struct {
	view *C.rk_view
	buf  []byte
}

var readers = sync.Pool{New: func() any { return &reader{buf: make([]byte, block)} }}

func (s *store) View(read func(engine.Reader) error) error {
	r := readers.Get().(*reader)
	r.view = C.rk_view_begin(s.db)
	defer func() {
		C.rk_view_end(r.view)
		readers.Put(r)
	}()
	return read(r)
}

func (r *reader) Get(key, dst []byte) ([]byte, error) {
	for {
		room := dst[len(dst):cap(dst)]
		got := C.rk_view_get(r.view, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if int(got.n) <= len(room) {
			return dst[:len(dst)+int(got.n)], failed("get", got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

func (r *reader) Scan(from []byte, limit int, each func(key, value []byte)) (int, error) {
	more, total := C.int(0), 0
	for {
		left := C.size_t(1) << 62
		if limit > 0 {
			left = C.size_t(limit - total)
		}
		got := C.rk_scan(r.view, chars(from), C.size_t(len(from)), more, chars(r.buf), C.size_t(len(r.buf)), left)
		if got.error != nil {
			return total, fail("scan", got.error)
		}
		for b := r.buf[:got.used]; len(b) > 0; total++ {
			key := 8 + int(binary.NativeEndian.Uint32(b))
			end := key + int(binary.NativeEndian.Uint32(b[4:]))
			each(b[8:key:key], b[key:end:end])
			b = b[end:]
		}
		if got.need == 0 {
			return total, nil
		}
		if int(got.need) > len(r.buf) {
			r.buf = make([]byte, got.need)
		}
		more = 1
	}
}

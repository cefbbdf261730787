//go:build lmdb

package lmdb

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/aegis-storage/aegis/bench/engine"
)

// request is one caller's part of a commit.
type request struct {
	pairs []engine.Pair         // what Put and Batch write
	one   [1]engine.Pair        // the array of pairs, for Put
	write func(engine.Tx) error // what Update runs; pairs is empty
	err   error
}

var requests = sync.Pool{New: func() any { return new(request) }}

// errKey is for keys that LMDB does not take. It is found before the commit, which others share.
var errKey = errors.New("lmdb: keys must have 1 to 511 bytes")

func valid(key []byte) bool { return len(key) > 0 && len(key) <= 511 }

func (s *store) Put(key, value []byte) error {
	if !valid(key) {
		return errKey
	}
	r := requests.Get().(*request)
	r.one[0] = engine.Pair{Key: key, Value: value}
	r.pairs = r.one[:]
	return s.do(r)
}

func (s *store) Batch(pairs []engine.Pair) error {
	for i := range pairs {
		if !valid(pairs[i].Key) {
			return errKey
		}
	}
	r := requests.Get().(*request)
	r.pairs = pairs
	return s.do(r)
}

// Update runs write in the goroutine that commits for all. Transactions run one after another, so
// they never conflict.
func (s *store) Update(write func(engine.Tx) error) error {
	r := requests.Get().(*request)
	r.write = write
	return s.do(r)
}

func (s *store) do(r *request) error {
	s.writes.Do(r)
	err := r.err
	*r = request{}
	requests.Put(r)
	return err
}

// commit serves all requests by one transaction. It is the group's function: one call at a time.
func (s *store) commit(all []*request) {
	if len(all) == 1 && len(all[0].pairs) == 1 {
		p := &all[0].pairs[0]
		rc := C.lm_put(s.env, chars(p.Key), C.size_t(len(p.Key)), chars(p.Value), C.size_t(len(p.Value)))
		s.answer(all, rc)
		return
	}
	records, updates := s.apply[:0], 0
	for _, r := range all {
		if r.write != nil {
			updates++
		}
		for i := range r.pairs {
			records = record(records, r.pairs[i].Key, r.pairs[i].Value)
		}
	}
	s.apply = records
	if updates > 0 {
		s.update(all)
		return
	}
	s.answer(all, C.lm_tx_commit(s.env, chars(records), C.size_t(len(records))))
}

// answer gives the outcome of the transaction to those whose own part of it went well.
func (s *store) answer(all []*request, rc C.int) {
	if rc == 0 {
		return
	}
	err := fail("commit", rc)
	for _, r := range all {
		if r.err == nil {
			r.err = err
		}
	}
}

// record appends a pair as lm_tx_apply reads it.
func record(b, key, value []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(len(key)))
	b = binary.NativeEndian.AppendUint32(b, uint32(len(value)))
	return append(append(b, key...), value...)
}

// update commits s.apply and the requests that are functions. A write transaction belongs to the
// thread that began it, so the goroutine keeps its thread until the end.
func (s *store) update(all []*request) {
	runtime.LockOSThread()
	ended := false
	defer func() {
		if !ended { // a function ended the goroutine
			C.lm_tx_abort(s.env)
		}
		runtime.UnlockOSThread()
	}()
	t := &tx{s: s}
	for _, r := range all {
		if r.write == nil {
			continue
		}
		t.flush() // what was written before must be seen, and must stay if this function fails
		if t.rc == 0 {
			if r.err = r.write(t); r.err != nil {
				s.apply = s.apply[:0]
			}
		}
		t.own = t.own[:0]
	}
	if t.rc == 0 {
		t.rc = C.lm_tx_commit(s.env, chars(s.apply), C.size_t(len(s.apply)))
	}
	ended = true
	s.answer(all, t.rc)
}

// tx collects what a function writes, so that it crosses into C once, and not at all if the
// function fails.
type tx struct {
	s   *store
	own []span // where in s.apply the function's own pairs are
	rc  C.int  // why the transaction is no more
}

// span is a pair in store.apply.
type span struct{ key, value, end int }

// flush hands what has been collected to the write transaction.
func (t *tx) flush() {
	if len(t.s.apply) == 0 || t.rc != 0 {
		return
	}
	t.rc = C.lm_tx_apply(t.s.env, chars(t.s.apply), C.size_t(len(t.s.apply)))
	t.s.apply = t.s.apply[:0]
}

func (t *tx) Get(key, dst []byte) ([]byte, error) {
	for _, at := range slices.Backward(t.own) {
		if string(t.s.apply[at.key:at.value]) == string(key) {
			return append(dst, t.s.apply[at.value:at.end]...), nil
		}
	}
	for {
		room := dst[len(dst):cap(dst)]
		got := C.lm_tx_get(t.s.env, chars(key), C.size_t(len(key)), chars(room), C.size_t(len(room)))
		if got.rc != 0 || int(got.n) <= len(room) {
			return took(dst, got)
		}
		dst = slices.Grow(dst, int(got.n))
	}
}

func (t *tx) Put(key, value []byte) error {
	if !valid(key) {
		return errKey
	}
	t.s.apply = record(t.s.apply, key, value)
	end := len(t.s.apply)
	start := end - len(value)
	t.own = append(t.own, span{key: start - len(key), value: start, end: end})
	return nil
}

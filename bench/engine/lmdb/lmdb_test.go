//go:build lmdb

package lmdb

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestDriver(t *testing.T) { enginetest.Run(t, Driver) }

// TestOneTransactionForMany mixes puts, updates that succeed and updates that fail, which are
// committed together: what failed must leave nothing, and take nothing with it.
func TestOneTransactionForMany(t *testing.T) {
	s, err := Driver.Open(engine.Config{Dir: t.TempDir(), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mine := errors.New("mine")
	update := func(key, value []byte, outcome error) error {
		err := s.Update(func(tx engine.Tx) error {
			if err := tx.Put(key, value); err != nil {
				return err
			}
			if v, err := tx.Get(key, nil); err != nil || string(v) != string(value) {
				return fmt.Errorf("own write: %q, %w", v, err)
			}
			return outcome
		})
		if err != outcome {
			return fmt.Errorf("%s: update returned %v, want %v", key, err, outcome)
		}
		return nil
	}
	const clients, each = 16, 20
	var wait sync.WaitGroup
	for id := range clients {
		wait.Go(func() {
			for i := range each {
				key := fmt.Appendf(nil, "%d/%d", id, i)
				err := errors.Join(s.Put(key, key), update(key, []byte("wrong"), mine), update(append(key, '+'), key, nil))
				if err != nil {
					t.Error(err)
				}
				if s.Put(nil, key) == nil || s.Put(make([]byte, 512), key) == nil {
					t.Error("a key that LMDB does not take was taken")
				}
				for _, k := range [][]byte{key, append(key, '+')} {
					if v, err := s.Get(k, nil); err != nil || string(v) != string(key) {
						t.Errorf("%s: %q, %v", k, v, err)
					}
				}
			}
		})
	}
	wait.Wait()
}

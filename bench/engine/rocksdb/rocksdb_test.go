//go:build rocksdb

package rocksdb

import (
	"fmt"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/engine/enginetest"
)

func TestDriver(t *testing.T) { enginetest.Run(t, Driver) }

// TestMorePutsThanGoDirectly has more durable writers than wait in C, so that the others are
// committed in groups.
func TestMorePutsThanGoDirectly(t *testing.T) {
	s, err := Driver.Open(engine.Config{Dir: t.TempDir(), CacheBytes: 64 << 20, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const clients, each = 6 * direct, 10
	var wait sync.WaitGroup
	for id := range clients {
		wait.Go(func() {
			for i := range each {
				key := fmt.Appendf(nil, "%d/%d", id, i)
				if err := s.Put(key, key); err != nil {
					t.Error(err)
				}
				if v, err := s.Get(key, nil); err != nil || string(v) != string(key) {
					t.Errorf("%s: %q, %v", key, v, err)
				}
			}
		})
	}
	wait.Wait()
	err = s.View(func(r engine.Reader) error {
		n, err := r.Scan(nil, 0, func(key, value []byte) {
			if string(key) != string(value) {
				t.Errorf("%s: %s", key, value)
			}
		})
		if n != clients*each {
			t.Errorf("%d keys, want %d", n, clients*each)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

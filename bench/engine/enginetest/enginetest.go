// Package enginetest checks that a driver does what [engine.Store] says, so that the comparison
// compares the same work. A driver's test calls [Run].
package enginetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
)

const cacheBytes = 64 << 20

// Run checks a driver in each way that a store of it can be opened.
func Run(t *testing.T, d engine.Driver) {
	if dir := os.Getenv(killedDir); dir != "" {
		fillAndHang(t, d, dir)
		return
	}
	if d.Name == "" || d.Version == "" || d.Settings == "" {
		t.Errorf("the driver does not say what it is: %+v", d)
	}
	for _, c := range []engine.Config{
		{Durable: true, Compressed: true},
		{Durable: true},
		{Compressed: true},
		{},
		{Memory: true},
		{Memory: true, Durable: true, Compressed: true},
	} {
		c.CacheBytes = cacheBytes
		if c.Memory && !d.InMemory {
			continue
		}
		t.Run(fmt.Sprintf("durable=%v,compressed=%v,memory=%v", c.Durable, c.Compressed, c.Memory), func(t *testing.T) {
			for _, check := range []struct {
				name string
				run  func(*testing.T, engine.Driver, engine.Config)
			}{
				{"Get", checkGet},
				{"Batch", checkBatch},
				{"Buffers", checkBuffers},
				{"Scan", checkScan},
				{"Snapshot", checkSnapshot},
				{"Update", checkUpdate},
				{"Concurrent", checkConcurrent},
				{"Transfers", checkTransfers},
				{"Failures", checkFailures},
				{"Settle", checkSettle},
				{"Reopen", checkReopen},
			} {
				t.Run(check.name, func(t *testing.T) {
					c := c
					c.Dir = dir(t, c.Memory)
					check.run(t, d, c)
				})
			}
		})
	}
	t.Run("Killed", func(t *testing.T) { checkKilled(t, d) })
}

// dir returns an empty directory, on a file system in memory where that is asked for and there is one.
func dir(t *testing.T, memory bool) string {
	if _, err := os.Stat("/dev/shm"); !memory || err != nil {
		return t.TempDir()
	}
	d, err := os.MkdirTemp("/dev/shm", "enginetest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(d); err != nil {
			t.Error(err)
		}
	})
	return d
}

// open opens a store that the test's end closes.
func open(t *testing.T, d engine.Driver, c engine.Config) engine.Store {
	t.Helper()
	s, err := d.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// key returns 16 bytes, in the order of i.
func key(i int) []byte {
	return append([]byte("user____"), binary.BigEndian.AppendUint64(nil, uint64(i))...)
}

// value returns 100 bytes that tell i and a version, and compress by half.
func value(i, version int) []byte {
	v := fmt.Appendf(nil, "%d/%d:", i, version)
	for x := uint64(i)*0x9e3779b97f4a7c15 + uint64(version); len(v) < 50; x *= 0xbf58476d1ce4e5b9 {
		x ^= x>>29 + 1
		v = binary.LittleEndian.AppendUint64(v, x)
	}
	return append(v, make([]byte, 100-len(v))...)
}

// fill writes keys from ≤ i < to in batches.
func fill(t *testing.T, s engine.Store, from, to, version int) {
	t.Helper()
	const batch = 1000
	for ; from < to; from += batch {
		var pairs []engine.Pair
		for i := from; i < min(from+batch, to); i++ {
			pairs = append(pairs, engine.Pair{Key: key(i), Value: value(i, version)})
		}
		must(t, s.Batch(pairs))
	}
}

type getter interface {
	Get(key, dst []byte) ([]byte, error)
}

// expect wants key i in version; it passes a dst that holds something.
func expect(t *testing.T, g getter, i, version int) {
	t.Helper()
	want := append([]byte("dst"), value(i, version)...)
	if got, err := g.Get(key(i), []byte("dst")); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("key %d: %q, %v; want %q", i, got, err, want)
	}
}

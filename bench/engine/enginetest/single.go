package enginetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/aegis-storage/aegis/bench/engine"
)

func checkGet(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	if v, err := s.Get(key(1), nil); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("in an empty store: %q, %v", v, err)
	}
	must(t, s.Put(key(1), value(1, 1)))
	must(t, s.Put(key(3), value(3, 1)))
	must(t, s.Put(key(1), value(1, 2)))
	expect(t, s, 1, 2)
	expect(t, s, 3, 1)
	for _, dst := range [][]byte{nil, make([]byte, 0, 8), make([]byte, 0, 1000)} {
		if v, err := s.Get(key(1), dst); err != nil || !bytes.Equal(v, value(1, 2)) {
			t.Fatalf("with an empty dst: %q, %v", v, err)
		}
	}
	if v, err := s.Get(key(2), nil); !errors.Is(err, engine.ErrNotFound) {
		t.Fatalf("an absent key between two: %q, %v", v, err)
	}
	must(t, s.Put(key(4), nil))
	if v, err := s.Get(key(4), nil); err != nil || len(v) != 0 {
		t.Fatalf("an empty value: %q, %v", v, err)
	}
	long := bytes.Repeat(value(5, 5), 10000) // of about 1 MiB
	must(t, s.Put(key(5), long))
	if v, err := s.Get(key(5), nil); err != nil || !bytes.Equal(v, long) {
		t.Fatalf("a long value: %d bytes, %v", len(v), err)
	}
	must(t, s.Sync())
	must(t, s.View(func(r engine.Reader) error {
		expect(t, r, 1, 2)
		if v, err := r.Get(key(2), nil); !errors.Is(err, engine.ErrNotFound) {
			t.Fatalf("absent in a View: %q, %v", v, err)
		}
		return nil
	}))
	if err := s.View(func(engine.Reader) error { return errMine }); !errors.Is(err, errMine) {
		t.Fatalf("View lost its function's error: %v", err)
	}
}

var errMine = errors.New("mine")

func checkBatch(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	fill(t, s, 0, 3000, 1)
	fill(t, s, 500, 1500, 2)
	for i := 0; i < 3000; i++ {
		version := 1
		if i >= 500 && i < 1500 {
			version = 2
		}
		expect(t, s, i, version)
	}
	// Of two writes to one key in a batch the last one counts.
	must(t, s.Batch([]engine.Pair{{Key: key(0), Value: value(0, 3)}, {Key: key(0), Value: value(0, 4)}}))
	expect(t, s, 0, 4)
}

// checkBuffers overwrites what it passed in, and looks whether values keep what they said.
func checkBuffers(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	k, v := make([]byte, 16), make([]byte, 100)
	for i := range 50 {
		copy(k, key(i))
		copy(v, value(i, 1))
		must(t, s.Put(k, v))
		clear(k)
		clear(v)
	}
	var kept [][]byte
	for i := range 50 {
		expect(t, s, i, 1)
		got, err := s.Get(key(i), nil)
		must(t, err)
		kept = append(kept, got)
	}
	fill(t, s, 0, 50, 2)
	for i, got := range kept {
		if !bytes.Equal(got, value(i, 1)) {
			t.Fatalf("what Get returned for key %d has changed: %q", i, got)
		}
	}
	// A caller's one buffer, used again and again.
	var buffer []byte
	for i := range 50 {
		got, err := s.Get(key(i), buffer[:0])
		if err != nil || !bytes.Equal(got, value(i, 2)) {
			t.Fatalf("key %d: %q, %v", i, got, err)
		}
		buffer = got
	}
	for i := range 50 {
		expect(t, s, i, 2)
	}
}

func checkScan(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	const n = 5000
	fill(t, s, 1, n, 1)
	for i := n - 1; i > 0; i -= 7 { // newer versions in other places
		must(t, s.Put(key(i), value(i, 2)))
	}
	for _, scan := range []struct {
		from              []byte
		limit, first, end int // first ≤ i < end is what it gives
	}{
		{nil, 0, 1, n},
		{nil, 10, 1, 11},
		{key(0), 3, 1, 4},
		{key(100), 100, 100, 200},
		{append(key(100), 0), 1, 101, 102}, // between two keys
		{key(n - 5), 100, n - 5, n},
		{key(n - 1), 0, n - 1, n},
		{key(n), 10, n, n},
		{key(2500), 0, 2500, n},
	} {
		must(t, s.View(func(r engine.Reader) error {
			i := scan.first
			got, err := r.Scan(scan.from, scan.limit, func(k, v []byte) {
				version := 1
				if (n-1-i)%7 == 0 {
					version = 2
				}
				if !bytes.Equal(k, key(i)) || !bytes.Equal(v, value(i, version)) {
					t.Fatalf("%+v: %q = %q, want key %d in version %d", scan, k, v, i, version)
				}
				i++
			})
			if err != nil || i != scan.end || got != scan.end-scan.first {
				t.Fatalf("%+v: ended before key %d, says %d, %v", scan, i, got, err)
			}
			return nil
		}))
	}
}

func checkSnapshot(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	fill(t, s, 0, 2000, 1)
	must(t, s.View(func(r engine.Reader) error {
		// Before the first read of this snapshot, and between its reads.
		for version := 2; version < 5; version++ {
			fill(t, s, 1000, 3000, version)
			must(t, s.Put(key(5), value(5, version)))
			for _, i := range []int{5, 999, 1000, 1999} {
				expect(t, r, i, 1)
			}
			if v, err := r.Get(key(2000), nil); !errors.Is(err, engine.ErrNotFound) {
				t.Fatalf("a key from after the snapshot: %q, %v", v, err)
			}
			i := 0
			n, err := r.Scan(key(0), 0, func(_, v []byte) {
				if !bytes.Equal(v, value(i, 1)) {
					t.Fatalf("scanned %q for key %d", v, i)
				}
				i++
			})
			if err != nil || n != 2000 {
				t.Fatalf("scanned %d entries, want 2000: %v", n, err)
			}
			expect(t, s, 5, version) // outside of it
		}
		return nil
	}))
	expect(t, s, 2999, 4)
}

func checkSettle(t *testing.T, d engine.Driver, c engine.Config) {
	s := open(t, d, c)
	for version := range 3 {
		fill(t, s, 0, 20000, version)
	}
	must(t, s.Sync())
	must(t, s.Settle())
	for i := 0; i < 20000; i += 97 {
		expect(t, s, i, 2)
	}
}

func checkReopen(t *testing.T, d engine.Driver, c engine.Config) {
	if c.Memory {
		t.Skip("nothing needs to outlive the process")
	}
	for version := 1; version < 4; version++ {
		s, err := d.Open(c)
		must(t, err)
		for v := 1; v < version; v++ {
			expect(t, s, v, v)
			expect(t, s, 10000+v, v)
		}
		must(t, s.Put(key(version), value(version, version)))
		fill(t, s, 10000+version, 15000, version)
		must(t, s.Close())
	}
	s := open(t, d, c)
	for i := 10003; i < 15000; i++ {
		expect(t, s, i, 3)
	}
}

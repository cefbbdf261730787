package workload

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"math"
	"testing"
)

// The data must not change, or results of different days cannot be compared.
func TestDataStaysTheSame(t *testing.T) {
	key := AppendKey(nil, 12345)
	if got, want := hex.EncodeToString(key), "22118258a9d111a0040d6020823fbd3f"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	value := AppendValue(nil, key, 7, 40)
	want := "16baa62a1e937e4c79b8436a4a7ae298103c6ebb6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f"
	if got := hex.EncodeToString(value); got != want {
		t.Errorf("value %s, want %s", got, want)
	}
}

func TestKeysAreDistinctAndInRandomOrder(t *testing.T) {
	const n = 10_000
	seen := map[string]bool{}
	ascending := 0
	var last []byte
	for i := range n {
		key := AppendKey(nil, i)
		if len(key) != KeyBytes || seen[string(key)] {
			t.Fatalf("key %x of index %d: not of %d bytes, or not the first", key, i, KeyBytes)
		}
		seen[string(key)] = true
		if bytes.Compare(last, key) < 0 {
			ascending++
		}
		last = key
	}
	if ascending < n*4/10 || ascending > n*6/10 {
		t.Errorf("%d of %d keys are above the one before", ascending, n)
	}
}

func TestValuesHaveTheirSizeAndCompressToHalf(t *testing.T) {
	for _, size := range []int{8, 9, 10, 15, 16, 17, 40, 100, 1000, 1 << 20} {
		if got := len(AppendValue([]byte("before"), AppendKey(nil, 1), 1, size)); got != size+6 {
			t.Errorf("value of %d bytes, want %d", got-6, size)
		}
	}
	var all bytes.Buffer
	w, _ := flate.NewWriter(&all, flate.BestSpeed)
	const n, size = 2000, 100
	for i := range n {
		if _, err := w.Write(AppendValue(nil, AppendKey(nil, i), uint64(i), size)); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if ratio := float64(all.Len()) / (n * size); ratio < 0.45 || ratio > 0.6 {
		t.Errorf("values compress to %.2f", ratio)
	}
}

func TestCheckValueFindsEveryFlippedByte(t *testing.T) {
	key := AppendKey(nil, 3)
	value := AppendValue(nil, key, 9, 100)
	if _, err := checkValue(key, value, 100, nil); err != nil || versionOf(key, value) != 9 {
		t.Fatalf("a right value, version %d: %v", versionOf(key, value), err)
	}
	for i := range value {
		value[i] ^= 0x10
		if _, err := checkValue(key, value, 100, nil); err == nil {
			t.Errorf("byte %d is flipped, and the value is taken as right", i)
		}
		value[i] ^= 0x10
	}
	if _, err := checkValue(AppendKey(nil, 4), value, 100, nil); err == nil {
		t.Error("another key's value is taken as right")
	}
	if _, err := checkValue(key, value[:99], 100, nil); err == nil {
		t.Error("a value that is cut off is taken as right")
	}
}

func TestRandomIsItsOwnForEachPart(t *testing.T) {
	seen := map[uint64]bool{}
	for round := range 4 {
		for client := range 64 {
			r := NewRandom(1, round, client)
			seen[r.Next()] = true
		}
	}
	if len(seen) != 4*64 {
		t.Errorf("%d first numbers, want %d", len(seen), 4*64)
	}
	r := NewRandom(1)
	var counts [10]int
	for range 100_000 {
		counts[r.Below(10)]++
	}
	for i, n := range counts {
		if n < 9_500 || n > 10_500 {
			t.Errorf("%d was drawn %d times of 100,000", i, n)
		}
	}
}

func TestZipfShape(t *testing.T) {
	const n, draws = 100_000, 2_000_000
	z := newZipf(n)
	r := NewRandom(1)
	counts := make([]float64, n)
	for range draws {
		counts[z.rank(&r)]++
	}
	zeta := 0.0
	for i := 1; i <= n; i++ {
		zeta += math.Pow(float64(i), -0.99)
	}
	// Ranks one by one, then by ranges: the method is exact for the first two, and close above.
	for _, part := range []struct {
		from, to  int
		tolerance float64
	}{{0, 1, 0.02}, {1, 2, 0.02}, {2, 10, 0.12}, {10, 100, 0.05}, {100, 10_000, 0.05}, {10_000, n, 0.05}} {
		got, want := 0.0, 0.0
		for i := part.from; i < part.to; i++ {
			got += counts[i] / draws
			want += math.Pow(float64(i+1), -0.99) / zeta
		}
		if math.Abs(got/want-1) > part.tolerance {
			t.Errorf("ranks %d to %d: %.4f of all, want %.4f", part.from, part.to, got, want)
		}
	}
	for _, few := range []int{1, 2, 3} {
		z := newZipf(few)
		for range 1000 {
			if i := z.index(&r); i < 0 || i >= few {
				t.Fatalf("index %d of %d", i, few)
			}
		}
	}
}

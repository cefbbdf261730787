package pages

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func genKeyspace() *rapid.Generator[KeyspaceID] {
	return rapid.OneOf(
		rapid.SampledFrom([]KeyspaceID{0, 1, 2, 16, 0xEE, 0xEF, 0xF0, 0xF1, 0xFF, 0x100, math.MaxUint32}),
		rapid.Map(rapid.Uint32(), func(v uint32) KeyspaceID { return KeyspaceID(v) }))
}

// TestKeyOrder: internal keys sort by keyspace, then by user key, and come apart again.
func TestKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genKeyspace().Draw(t, "a"), genKeyspace().Draw(t, "b")
		ka := rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "ka")
		kb := rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "kb")
		ia, ib := AppendKey(nil, a, ka), AppendKey(nil, b, kb)
		want := bytes.Compare(ka, kb)
		if a != b {
			want = -1
			if a > b {
				want = 1
			}
		}
		if got := bytes.Compare(ia, ib); got != want {
			t.Fatalf("(%d,%x) to (%d,%x): order %d, want %d", a, ka, b, kb, got, want)
		}
		ks, key, err := SplitKey(ia)
		if err != nil || ks != a || !bytes.Equal(key, ka) {
			t.Fatalf("split %x: %d, %x, %v", ia, ks, key, err)
		}
		if end := PrefixEnd(AppendKeyspace(nil, a)); end != nil {
			if bytes.Compare(ia, end) >= 0 {
				t.Fatalf("%x is not below the end %x of its keyspace", ia, end)
			}
			if b > a && bytes.Compare(ib, end) < 0 {
				t.Fatalf("%x of keyspace %d is below the end %x of %d", ib, b, end, a)
			}
		}
	})
}

func TestSplitKeyRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {0xF0}, {0xF0, 0, 0, 1}, {0xF1, 0, 0, 0, 0, 0}, {0xFF}} {
		if ks, key, err := SplitKey(b); err == nil {
			t.Errorf("SplitKey(%x) = %d, %x", b, ks, key)
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ prefix, end []byte }{
		{nil, nil},
		{[]byte{0xFF, 0xFF}, nil},
		{[]byte("a"), []byte("b")},
		{[]byte{1, 0xFF}, []byte{2}},
	} {
		if got := PrefixEnd(c.prefix); !bytes.Equal(got, c.end) {
			t.Errorf("PrefixEnd(%x) = %x, want %x", c.prefix, got, c.end)
		}
	}
}

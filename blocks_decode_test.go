package aegis

import (
	"bytes"
	"errors"
	"testing"
)

// TestBlockChecksum: damage that came before the block was put into a page is found by the
// block's own checksum, or its lengths, wherever it is.
func TestBlockChecksum(t *testing.T) {
	for _, c := range []Compression{NoCompression, LZ4, Zstd} {
		data := bytes.Repeat([]byte("some data that shrinks "), 20)
		v, err := NewBlock(data).WithCompression(c).encode()
		if err != nil {
			t.Fatal(err)
		}
		for i := range v {
			bad := bytes.Clone(v)
			bad[i] ^= 0x10
			got, err := decodeBlock(1, bad)
			var damage *CorruptionError
			if err == nil && !bytes.Equal(got.Data(), data) || err != nil && !errors.As(err, &damage) {
				t.Errorf("%s: byte %d: %v", c, i, err)
			}
			if _, err := decodeBlock(1, v[:i]); !errors.As(err, &damage) {
				t.Errorf("%s: cut to %d bytes: %v", c, i, err)
			}
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	for _, c := range []Compression{NoCompression, LZ4, Zstd} {
		v, err := NewBlock(bytes.Repeat([]byte("abc"), 100)).WithCompression(c).encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v)
	}
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x10a\x01\x00\x0faaaaa")) // LZ4 of nothing
	f.Fuzz(func(t *testing.T, v []byte) {
		b, err := decodeBlock(1, v)
		if err != nil {
			var damage *CorruptionError
			if !errors.As(err, &damage) {
				t.Fatalf("%v is no CorruptionError", err)
			}
			return
		}
		again, err := NewBlock(b.Data()).WithCompression(b.Compression()).encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeBlock(1, again); err != nil || !bytes.Equal(got.Data(), b.Data()) {
			t.Fatalf("does not survive a second time: %v", err)
		}
	})
}

package disk

import (
	"bytes"
	"testing"
)

// Writes that fill a file with zeros share their bytes; what is nearly that does not, and nobody
// changes what is shared.
func TestZeroWrites(t *testing.T) {
	d := New(Profile{Name: "torn", Sector: 512})
	m := d.Mount(quiet{})
	f, err := m.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 3*len(zeroes))
	write := func(p []byte, off int) {
		copy(want[off:], p)
		if _, err := f.WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		n, _ := f.ReadAt(got, 0)
		if !bytes.Equal(got[:n], want[:n]) || n < off+len(p) {
			t.Fatalf("%d bytes at %d: it reads otherwise", len(p), off)
		}
	}
	nearly := make([]byte, 2*pageBytes)
	nearly[2*pageBytes-1] = 1
	for _, size := range []int{pageBytes - 1, pageBytes, len(zeroes), len(zeroes) + 1} {
		write(make([]byte, size), 0)
		write(nearly, size/2)
		write([]byte("small"), pageBytes/2)
		write(make([]byte, size), len(zeroes))
		write(nearly, len(zeroes))
	}
	if !bytes.Equal(zeroes[:], make([]byte, len(zeroes))) {
		t.Error("the shared zeros were written to")
	}
}

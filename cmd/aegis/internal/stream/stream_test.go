package stream

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
)

var update = flag.Bool("update", false, "write the golden file anew")

const golden = "testdata/version1.dump"

// sample are the items of the golden file.
func sample() []Item {
	return []Item{
		{Keyspace: &Keyspace{Name: "default", Compression: aegis.LZ4}},
		{Key: []byte{}, Value: []byte("the empty key")},
		{Key: []byte{0}, Value: []byte{}},
		{Key: []byte("key"), Value: []byte("value")},
		{Keyspace: &Keyspace{Name: "empty", Compression: aegis.NoCompression}},
		{Keyspace: &Keyspace{Name: "packed \xff", Compression: aegis.Zstd, CompressionLevel: 3}},
		{Key: []byte("\xff\x00"), Value: bytes.Repeat([]byte("ab"), 100)},
		{Block: &Block{ID: 1<<32 | 7, Stored: []byte("a block")}},
		{Block: &Block{ID: 1 << 40, Stored: []byte{}}},
	}
}

func write(t *testing.T, items []Item) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out)
	for _, item := range items {
		switch {
		case err != nil:
			t.Fatal(err)
		case item.Keyspace != nil:
			err = w.Keyspace(*item.Keyspace)
		case item.Block != nil:
			err = w.Block(*item.Block)
		default:
			err = w.Entry(item.Key, item.Value)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != int64(out.Len()) {
		t.Errorf("%d bytes, the writer says %d", out.Len(), w.Bytes())
	}
	return out.Bytes()
}

func read(b []byte) (items []Item, sums Sums, err error) {
	r, err := NewReader(bytes.NewReader(b))
	for err == nil {
		var item Item
		if item, err = r.Next(); err == nil {
			items = append(items, item)
		}
	}
	if r != nil {
		sums = r.Sums()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return items, sums, err
}

// TestGolden: what version 1 wrote is written and read the same.
func TestGolden(t *testing.T) {
	b := write(t, sample())
	if *update {
		if err := os.WriteFile(golden, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("the writer's bytes are not those of %s", golden)
	}
	items, sums, err := read(want)
	if err != nil || !reflect.DeepEqual(items, sample()) || (sums != Sums{3, 4, 2}) {
		t.Errorf("read %+v, %+v, %v", items, sums, err)
	}
}

// TestLarge: entries are cut into frames, and one is as large as it may be.
func TestLarge(t *testing.T) {
	items := []Item{{Keyspace: &Keyspace{Name: "default", Compression: aegis.LZ4}}}
	for i := range 3000 {
		items = append(items, Item{Key: []byte{byte(i >> 8), byte(i)}, Value: bytes.Repeat([]byte{byte(i)}, i%200)})
	}
	items = append(items, Item{Key: []byte{0xff}, Value: make([]byte, 5<<20)})
	b := write(t, items)
	got, sums, err := read(b)
	if err != nil || !reflect.DeepEqual(got, items) || sums.Entries != 3001 {
		t.Fatalf("%d items, %+v, %v", len(got), sums, err)
	}
}

// TestDamage: no byte can be changed or cut off, and no frame left out, doubled or moved.
func TestDamage(t *testing.T) {
	b := write(t, sample())
	refuse := func(what string, at int, b []byte) {
		t.Helper()
		_, _, err := read(b)
		var bad *Error
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > int64(at) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	}
	for at := range b {
		refuse("cut", at, b[:at])
		for _, flip := range []byte{1, 0x80} {
			c := bytes.Clone(b)
			c[at] ^= flip
			refuse("changed", at, c)
		}
	}
	refuse("longer", len(b), append(bytes.Clone(b), 0))
	first := headerBytes + frameBytes + len("default") + 2 // of the first entries
	second := first + frameBytes + 2 + len("the empty key") + 2 + 1 + 2 + len("keyvalue")
	refuse("left out", first, append(bytes.Clone(b[:first]), b[second:]...))
	refuse("doubled", second, append(bytes.Clone(b[:second]), b[first:]...))
}

// TestSums: a stream that ends with other sums than it has is refused, though its checksums match.
func TestSums(t *testing.T) {
	for _, wrong := range []Sums{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}} {
		var out bytes.Buffer
		w, err := NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w.sums = wrong
		if err := w.Keyspace(Keyspace{Name: "default"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.End(); err != nil {
			t.Fatal(err)
		}
		if _, err := Check(&out); err == nil || !strings.Contains(err.Error(), "the end says") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// TestMisuse: a writer refuses what a reader would.
func TestMisuse(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Entry([]byte("a"), nil); err == nil || !strings.Contains(err.Error(), "before any keyspace") {
		t.Error(err)
	}
	if err := w.Keyspace(Keyspace{Name: ""}); err == nil {
		t.Error("a keyspace without a name")
	}
	if err := w.Keyspace(Keyspace{Name: "default"}); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"b", "a", "b", "", strings.Repeat("x", aegis.MaxKeyBytes+1)} {
		if err := w.Entry([]byte(key), nil); (err == nil) != (key == "b") && key != "b" {
			t.Errorf("%.5q: %v", key, err)
		}
	}
	if err := w.Entry([]byte("b"), nil); err == nil {
		t.Error("a key twice")
	}
}

type failing struct{ after int }

var errBroken = errors.New("broken pipe")

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, errBroken
	}
	return len(b), nil
}

func (f *failing) Read([]byte) (int, error) { return 0, errBroken }

// TestSource: errors of what is below come as they are.
func TestSource(t *testing.T) {
	b := write(t, sample())
	if _, err := Check(io.MultiReader(bytes.NewReader(b[:50]), &failing{})); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := Check(io.MultiReader(bytes.NewReader(b), &failing{})); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	w, err := NewWriter(&failing{after: 20})
	if err == nil {
		if err = w.Keyspace(Keyspace{Name: "default"}); !errors.Is(err, errBroken) {
			t.Error(err)
		}
	}
}

// FuzzReader: no bytes panic, and what is read whole is written again as it was.
func FuzzReader(f *testing.F) {
	b, err := os.ReadFile(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(b[:headerBytes])
	f.Fuzz(func(t *testing.T, b []byte) {
		items, _, err := read(b)
		var bad *Error
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		again, _, err := read(write(t, items))
		if err != nil || !reflect.DeepEqual(items, again) {
			t.Fatalf("%v", err)
		}
	})
}

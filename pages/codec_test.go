package pages

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

var codecs = []Codec{{}, {Compression: LZ4}, {Compression: Zstd}, {Compression: Zstd, Level: 3}, {Compression: Zstd, Level: 4}}

func TestCompressRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "unit")
		src := bytes.Repeat(unit, rapid.IntRange(0, 100).Draw(t, "times"))
		c := rapid.SampledFrom(codecs).Draw(t, "codec")
		prefix := []byte("kept")
		out, used := Compress(bytes.Clone(prefix), src, c)
		if !bytes.HasPrefix(out, prefix) {
			t.Fatal("what was in dst is gone")
		}
		if used != None && used != c.Compression {
			t.Fatalf("asked for %v, used %v", c.Compression, used)
		}
		stored := out[len(prefix):]
		if len(stored) > len(src) {
			t.Fatalf("%d bytes grew to %d", len(src), len(stored))
		}
		back, err := Decompress(bytes.Clone(prefix), stored, used, len(src))
		if err != nil || !bytes.Equal(back, append(prefix, src...)) {
			t.Fatalf("%d bytes came back as %d, %v", len(src), len(back)-len(prefix), err)
		}
	})
}

// TestCompressIsRepeatable: the same input gives the same bytes, whatever the pooled compressor
// has seen before; the simulator compares runs byte by byte.
func TestCompressIsRepeatable(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	inputs := make([][]byte, 50/stride+1)
	for i := range inputs {
		inputs[i] = make([]byte, 100+rng.IntN(20000))
		for j := range inputs[i] {
			inputs[i][j] = "abcdefgh"[rng.IntN(1+i%8)]
		}
	}
	for _, c := range codecs {
		var first [][]byte
		for round := range 3 {
			for k := range inputs {
				i := k
				if round == 2 {
					i = len(inputs) - 1 - k
				}
				out, _ := Compress(nil, inputs[i], c)
				if round == 0 {
					first = append(first, out)
				} else if !bytes.Equal(out, first[i]) {
					t.Fatalf("%+v: input %d gave other bytes in round %d", c, i, round)
				}
			}
		}
	}
}

func TestIncompressibleIsStoredRaw(t *testing.T) {
	src := make([]byte, 5000)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range src {
		src[i] = byte(rng.Uint32())
	}
	for _, c := range codecs {
		out, used := Compress(nil, src, c)
		if used != None || !bytes.Equal(out, src) {
			t.Errorf("%+v: used %v, %d bytes", c, used, len(out))
		}
	}
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileLengths: a length that the stored bytes cannot stand for is refused before anything
// of its size is allocated.
func TestHostileLengths(t *testing.T) {
	lz, _ := Compress(nil, bytes.Repeat([]byte("x"), 4096), Codec{Compression: LZ4})
	zs, _ := Compress(nil, bytes.Repeat([]byte("x"), 4096), Codec{Compression: Zstd})
	if _, err := Decompress(nil, zs, Zstd, 4096); err != nil { // makes the pooled decoder
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		src    []byte
		c      Compression
		rawLen int
	}{
		{"negative", lz, LZ4, -1},
		{"huge", lz, LZ4, math.MaxInt},
		{"lz4", lz, LZ4, 100 << 20},
		{"none", lz, None, 100 << 20},
		{"zstd", zs, Zstd, 100 << 20},
		{"zstd short", zs, Zstd, 4095},
		{"unknown", lz, 9, 100},
	} {
		bytes := allocated(func() {
			if _, err := Decompress(nil, c.src, c.c, c.rawLen); err == nil {
				t.Errorf("%s: no error", c.name)
			}
		})
		if bytes > 64<<10 {
			t.Errorf("%s: allocated %d bytes", c.name, bytes)
		}
	}
}

// TestHostilePages: the same for the lengths and counts inside of pages.
func TestHostilePages(t *testing.T) {
	u32 := binary.LittleEndian.PutUint32
	leafStored := storedLeaf(numbered(20, 40), Codec{})
	innerStored := storedInner(numbered(20, 0))
	filterStored := storedFilter(100)
	bomb, _ := Compress(nil, make([]byte, 100<<20), Codec{Compression: Zstd})
	bombed := header{kind: kindLeaf, compression: Zstd, count: 20, rawLen: 100 << 20, storedLen: uint32(len(bomb))}
	cases := []struct {
		name   string
		stored []byte
		kind   pageKind
		patch  func(b []byte)
	}{
		{"leaf count", leafStored, kindLeaf, func(b []byte) { u32(b[8:], 1<<31) }},
		{"leaf raw length", leafStored, kindLeaf, func(b []byte) { u32(b[12:], 1<<31) }},
		{"leaf stored length", leafStored, kindLeaf, func(b []byte) { u32(b[16:], 1<<31) }},
		{"leaf key bytes", leafStored, kindLeaf, func(b []byte) { u32(b[20:], 1<<31) }},
		{"leaf value bytes", leafStored, kindLeaf, func(b []byte) { u32(b[24:], 1<<31) }},
		{"leaf of one", leafStored, kindLeaf, func(b []byte) { u32(b[8:], 1); u32(b[12:], 200<<20) }},
		{"leaf of one, lz4", leafStored, kindLeaf, func(b []byte) { u32(b[8:], 1); u32(b[12:], 200<<20); b[6] = 1 }},
		{"inner count", innerStored, kindInner, func(b []byte) { u32(b[8:], 1<<31) }},
		{"inner separators", innerStored, kindInner, func(b []byte) { u32(b[28:], 1<<31) }},
		{"inner offset", innerStored, kindInner, func(b []byte) { u32(b[24:], 1<<31) }},
		{"filter blocks", filterStored, kindFilter, func(b []byte) { u32(b[8:], 1<<31) }},
		{"filter raw length", filterStored, kindFilter, func(b []byte) { u32(b[12:], 1<<31) }},
		{"filter probes", filterStored, kindFilter, func(b []byte) { b[7] = 200 }},
		{"zstd bomb", append(bombed.appendTo(nil), bomb...), kindLeaf, func(b []byte) {}},
		{"kind", leafStored, kindLeaf, func(b []byte) { b[5] = 9 }},
		{"version", leafStored, kindLeaf, func(b []byte) { b[4] = 2 }},
		{"magic", leafStored, kindLeaf, func(b []byte) { b[0]++ }},
		{"level", leafStored, kindLeaf, func(b []byte) { b[7] = 1 }},
		{"compression", leafStored, kindLeaf, func(b []byte) { b[6] = 7 }},
		{"no entries", leafStored, kindLeaf, func(b []byte) { u32(b[8:], 0) }},
	}
	for _, c := range cases {
		b := bytes.Clone(c.stored)
		c.patch(b)
		n := allocated(func() {
			if p, err := decodePage(b, c.kind, levelOf(c.kind), 1<<40, new(scratch)); err == nil {
				t.Errorf("%s: decoded %+v", c.name, p)
			}
		})
		if n > 64<<10 {
			t.Errorf("%s: allocated %d bytes", c.name, n)
		}
	}
}

func levelOf(k pageKind) uint8 {
	if k == kindInner {
		return 1
	}
	return 0
}

func TestDecompressToNothing(t *testing.T) {
	for _, c := range []Compression{LZ4, Zstd} {
		if out, err := Decompress(nil, []byte{0x10, 'a'}, c, 0); err == nil {
			t.Errorf("%s: two bytes decompress to nothing: %v", c, out)
		}
	}
}

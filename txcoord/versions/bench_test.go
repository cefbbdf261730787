package versions

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// benchKeys returns n distinct random keys of 16 bytes with their hashes.
func benchKeys(n int) (keys [][]byte, hashes []uint64) {
	rnd := rand.New(rand.NewPCG(1, 2))
	keys, hashes = make([][]byte, n), make([]uint64, n)
	flat := make([]byte, 0, 16*n)
	for i := range keys {
		flat = append(flat, 2)
		flat = append(flat, "user:"...)
		flat = binary.BigEndian.AppendUint64(flat, rnd.Uint64())
		flat = append(flat, byte(i), byte(i>>8))
		keys[i] = flat[16*i : 16*i+16]
		hashes[i] = pages.Hash(keys[i])
	}
	return keys, hashes
}

func filledIndex(n int) (x *Index, keys [][]byte, hashes []uint64) {
	keys, hashes = benchKeys(n)
	x = NewIndex(0, IndexOptions{ExpectKeys: n})
	value := make([]byte, 100)
	for i := range keys {
		x.Put(hashes[i], keys[i], value, pages.KindValue, pages.Seq(i+1), nil)
	}
	return x, keys, hashes
}

// shuffled returns the keys in another order, each copied next to its hash's neighbour: a caller
// has its key at hand, so a benchmark should not wait for memory to get it.
func shuffled(keys [][]byte) (flat []byte, hashes []uint64) {
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(len(keys)) {
		flat = append(flat, keys[i]...)
		hashes = append(hashes, pages.Hash(keys[i]))
	}
	return flat, hashes
}

func BenchmarkPutNew(b *testing.B) {
	for _, expect := range []int{0, 200_000} {
		b.Run(fmt.Sprintf("expect=%d", expect), func(b *testing.B) {
			const n = 200_000
			keys, hashes := benchKeys(n)
			value := make([]byte, 100)
			x, at := NewIndex(0, IndexOptions{ExpectKeys: expect}), 0
			b.ReportAllocs()
			for b.Loop() {
				if at == n {
					b.StopTimer()
					x, at = NewIndex(0, IndexOptions{ExpectKeys: expect}), 0
					b.StartTimer()
				}
				x.Put(hashes[at], keys[at], value, pages.KindValue, pages.Seq(at+1), nil)
				at++
			}
		})
	}
}

func BenchmarkPutUpdate(b *testing.B) {
	const n = 200_000
	x, keys, _ := filledIndex(n)
	flat, hashes := shuffled(keys)
	value := make([]byte, 100)
	keep := &Keep{Seqs: make([]pages.Seq, 1)}
	seq, at := pages.Seq(n), 0
	b.ReportAllocs()
	for b.Loop() {
		keep.Seqs[0] = seq
		seq++
		x.Put(hashes[at], flat[16*at:16*at+16], value, pages.KindValue, seq, keep)
		if at++; at == n {
			at = 0
		}
	}
}

func BenchmarkPutCounter(b *testing.B) {
	x := NewIndex(0, IndexOptions{})
	key, value := []byte("\x02counter"), make([]byte, 8)
	hash := pages.Hash(key)
	keep := &Keep{Seqs: make([]pages.Seq, 1)}
	seq := pages.Seq(0)
	b.ReportAllocs()
	for b.Loop() {
		keep.Seqs[0] = seq
		seq++
		x.Put(hash, key, value, pages.KindValue, seq, keep)
	}
}

func BenchmarkGet(b *testing.B) {
	const n = 200_000
	x, keys, _ := filledIndex(n)
	flat, hashes := shuffled(keys)
	for _, c := range []struct {
		name string
		flip uint64
	}{{"hit", 0}, {"miss", 1 << 32}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				if _, ok, _ := x.Get(hashes[at]^c.flip, flat[16*at:16*at+16], n); ok != (c.flip == 0) {
					b.Fatal("a key is missing")
				}
				if at++; at == n {
					at = 0
				}
			}
		})
	}
}

func BenchmarkSort(b *testing.B) {
	const n = 1_000_000
	x, _, _ := filledIndex(n)
	b.ReportAllocs()
	for b.Loop() {
		x.order.Store(&order{})
		x.Order()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}

func BenchmarkCursor(b *testing.B) {
	for _, n := range []int{200_000, 1_000_000} {
		x, keys, _ := filledIndex(n)
		x.Order()
		b.Run(fmt.Sprintf("next/keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			c := x.NewCursor(pages.Seq(n), nil, nil)
			for b.Loop() {
				if !c.Next() {
					c.First()
				}
			}
		})
		b.Run(fmt.Sprintf("prev/keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			c := x.NewCursor(pages.Seq(n), nil, nil)
			for b.Loop() {
				if !c.Prev() {
					c.Last()
				}
			}
		})
		b.Run(fmt.Sprintf("seek/keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			c := x.NewCursor(pages.Seq(n), nil, nil)
			at := 0
			for b.Loop() {
				c.SeekGE(keys[at])
				if at += 7919; at >= n {
					at -= n
				}
			}
		})
	}
}

// A short scan after every Put: what ordering costs when reads and writes alternate.
func BenchmarkPutThenScan(b *testing.B) {
	const n = 200_000
	x, _, _ := filledIndex(n / 2)
	keys, hashes := benchKeys(n)
	value, at := make([]byte, 100), n/2
	b.ReportAllocs()
	for b.Loop() {
		if at == n {
			b.StopTimer()
			x, _, _ = filledIndex(n / 2)
			at = n / 2
			b.StartTimer()
		}
		x.Put(hashes[at], keys[at], value, pages.KindValue, pages.Seq(at+1), nil)
		at++
		c := x.NewCursor(pages.Seq(at), keys[at%1000], nil)
		for i := 0; i < 10 && c.Next(); i++ {
		}
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	p := &Published{}
	p.View.Store(&View{Active: NewIndex(0, IndexOptions{})})
	now := time.Unix(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		p.Acquire(false, now).Release()
	}
}

func BenchmarkPublishedGet(b *testing.B) {
	const n = 200_000
	x, keys, _ := filledIndex(n)
	flat, hashes := shuffled(keys)
	p := &Published{}
	p.View.Store(&View{Active: x})
	p.Visible.Store(n)
	b.ReportAllocs()
	at, ctx := 0, b.Context()
	for b.Loop() {
		if _, _, _, ok, _ := p.Get(ctx, flat[16*at:16*at+16], hashes[at]); !ok {
			b.Fatal("a key is missing")
		}
		if at++; at == n {
			at = 0
		}
	}
}

func BenchmarkHorizon(b *testing.B) {
	p := &Published{}
	p.View.Store(&View{Active: NewIndex(0, IndexOptions{})})
	for range 20 {
		p.Acquire(false, time.Unix(1, 0))
	}
	pending := []pages.Seq{11, 12}
	var keep Keep
	b.ReportAllocs()
	for b.Loop() {
		p.Horizon(10, pending, &keep)
	}
}

// What an index of a million entries costs each collection.
func BenchmarkCollect(b *testing.B) {
	x, _, _ := filledIndex(1_000_000)
	x.Order()
	for b.Loop() {
		runtime.GC()
	}
	runtime.KeepAlive(x)
}

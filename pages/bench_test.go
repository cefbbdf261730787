package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

const benchKeys = 1_000_000

// benchRun is a run of four tables with 1 M entries: 16-byte keys in random places, 100-byte
// values that LZ4 halves.
func benchRun(b *testing.B, c Codec) (*Run, [][]byte) {
	b.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	keys := make([][]byte, benchKeys)
	for i := range keys {
		k := make([]byte, 16)
		binary.BigEndian.PutUint64(k, uint64(i)*(1<<43)+rng.Uint64N(1<<43))
		binary.BigEndian.PutUint64(k[8:], rng.Uint64())
		keys[i] = AppendKey(nil, DefaultKeyspace, k)
	}
	cache := NewCache(nil, nil)
	run := &Run{}
	const tables = 4
	for i := range tables {
		var entries []entry
		for _, k := range keys[i*benchKeys/tables : (i+1)*benchKeys/tables] {
			v := make([]byte, 100)
			for j := 0; j < 50; j += 8 {
				binary.LittleEndian.PutUint64(v[j:], rng.Uint64())
			}
			entries = append(entries, entry{k, v, KindValue})
		}
		m, f := build(b, TableOptions{ID: FileID(i)}, c, entries)
		run.Tables = append(run.Tables, NewTable(m, f.handle, cache))
	}
	run.Seal()
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return run, keys
}

// BenchmarkTableGet looks up random keys, all pages in memory, hash computed by the caller.
func BenchmarkTableGet(b *testing.B) {
	run, keys := benchRun(b, Codec{Compression: LZ4})
	flat := make([]byte, 0, len(keys)*17)
	for _, k := range keys {
		flat = append(flat, k...)
	}
	cur := run.NewCursor(CursorOptions{})
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		key := flat[i*17:][:17]
		v, _, ok, err := run.Get(ctx, key, Hash(key))
		if !ok || err != nil || len(v) != 100 {
			b.Fatal(ok, err)
		}
		if i++; i == len(keys) {
			i = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mget/s")
}

// BenchmarkTableGetAbsent looks up keys that are not there, as in an upper run.
func BenchmarkTableGetAbsent(b *testing.B) {
	run, keys := benchRun(b, Codec{Compression: LZ4})
	cur := run.NewCursor(CursorOptions{})
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
	}
	for _, t := range run.Tables {
		if _, err := t.page(ctx, t.filterPlace()); err != nil {
			b.Fatal(err)
		}
	}
	for _, k := range keys {
		k[16] ^= 0x55
	}
	for name, get := range map[string]func(k []byte) bool{
		"filter": func(k []byte) bool { _, _, ok, _ := run.GetFiltered(ctx, k, Hash(k)); return ok },
		"tree":   func(k []byte) bool { _, _, ok, _ := run.Get(ctx, k, Hash(k)); return ok },
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if get(keys[i]) {
					b.Fatal("found")
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkCursorNext scans all entries, all pages in memory.
func BenchmarkCursorNext(b *testing.B) {
	run, _ := benchRun(b, Codec{Compression: LZ4})
	cur := run.NewCursor(CursorOptions{})
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
	}
	b.ReportAllocs()
	sum := 0
	for b.Loop() {
		if !cur.Next(ctx) {
			cur.First(ctx)
		}
		sum += len(cur.Key()) + len(cur.Value())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
}

// BenchmarkCursorSeek seeks to random keys, all pages in memory.
func BenchmarkCursorSeek(b *testing.B) {
	run, keys := benchRun(b, Codec{Compression: LZ4})
	cur := run.NewCursor(CursorOptions{})
	for ok := cur.First(ctx); ok; ok = cur.Next(ctx) {
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if !cur.SeekGE(ctx, keys[i]) {
			b.Fatal(cur.Err())
		}
		if i++; i == len(keys) {
			i = 0
		}
	}
}

// BenchmarkBuild writes entries of 17 + 100 bytes; the unit is one entry.
func BenchmarkBuild(b *testing.B) {
	entries := numbered(200_000, 100)
	for _, c := range []Codec{{}, {Compression: LZ4}, {Compression: Zstd, Level: 1}} {
		b.Run(c.Compression.String(), func(b *testing.B) {
			b.ReportAllocs()
			w := NewBuilder(io.Discard, TableOptions{})
			w.SetCodec(c)
			i := 0
			for b.Loop() {
				e := &entries[i]
				if err := w.Add(e.key, e.value, e.kind); err != nil {
					b.Fatal(err)
				}
				if i++; i == len(entries) {
					if _, err := w.Finish(); err != nil {
						b.Fatal(err)
					}
					i, w = 0, NewBuilder(io.Discard, TableOptions{})
					w.SetCodec(c)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
		})
	}
}

// BenchmarkColdLoad reads, checks and decodes one leaf from a file in memory.
func BenchmarkColdLoad(b *testing.B) {
	for _, c := range []Codec{{}, {Compression: LZ4}, {Compression: Zstd, Level: 1}} {
		b.Run(c.Compression.String(), func(b *testing.B) {
			t, f := table(b, TableOptions{}, c, numbered(100_000, 100))
			t.file.Store(new(File))
			h, _ := f.handle()
			t.file.Store(&h)
			var places []place
			var collect func(w place)
			collect = func(w place) {
				if w.kind == kindLeaf {
					places = append(places, w)
					return
				}
				p, err := t.page(ctx, w)
				if err != nil {
					b.Fatal(err)
				}
				for i := range p.inner.refs {
					collect(childPlace(p, i))
				}
			}
			collect(t.rootPlace())
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p, err := t.page(ctx, places[i])
				if err != nil {
					b.Fatal(err)
				}
				p.Evict()
				t.cache.Drain(nil)
				if i++; i == len(places) {
					i = 0
				}
			}
		})
	}
}

// BenchmarkMergeCursor scans with private loads and read-ahead, as merges do.
func BenchmarkMergeCursor(b *testing.B) {
	run, _ := benchRun(b, Codec{Compression: LZ4})
	cur := run.NewCursor(CursorOptions{NoCache: true})
	b.ReportAllocs()
	for b.Loop() {
		if !cur.Next(ctx) && !cur.First(ctx) {
			b.Fatal(cur.Err())
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mentries/s")
}

// BenchmarkCodec compresses and decompresses one leaf's payload.
func BenchmarkCodec(b *testing.B) {
	var payload []byte
	for i, e := range numbered(34, 100) {
		payload = append(fmt.Appendf(payload, "%04d", i), e.value...)
	}
	payload = bytes.Clone(payload[:min(len(payload), 4096)])
	for _, c := range []Codec{{Compression: LZ4}, {Compression: Zstd, Level: 1}} {
		b.Run(c.Compression.String()+"/compress", func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				dst, _ = Compress(dst[:0], payload, c)
			}
		})
		b.Run(c.Compression.String()+"/decompress", func(b *testing.B) {
			stored, used := Compress(nil, payload, c)
			var dst []byte
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				var err error
				if dst, err = Decompress(dst[:0], stored, used, len(payload)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRunTable picks the table of a key among many, by the index and without.
func BenchmarkRunTable(b *testing.B) {
	const tables = 160
	run := &Run{}
	rng := rand.New(rand.NewPCG(7, 7))
	key := func(i uint64) []byte {
		return AppendKey(nil, DefaultKeyspace, binary.BigEndian.AppendUint64(nil, i<<40+rng.Uint64N(1<<40)))
	}
	for i := range uint64(tables) {
		run.Tables = append(run.Tables, NewTable(TableMeta{Min: key(2 * i), Max: key(2*i + 1)}, nil, nil))
	}
	keys := make([][]byte, 4096)
	for i := range keys {
		keys[i] = key(rng.Uint64N(2 * tables))
	}
	for _, seal := range []bool{false, true} {
		if seal {
			run.Seal()
		}
		b.Run(fmt.Sprintf("sealed=%v", seal), func(b *testing.B) {
			i := 0
			for b.Loop() {
				run.table(keys[i&4095])
				i++
			}
		})
	}
}

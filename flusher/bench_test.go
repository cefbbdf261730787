package flusher

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// randomIndex is a frozen index of n entries with random 16-byte keys and 100-byte values.
func randomIndex(rng *rand.Rand, after pages.Seq, n int, keys uint64) *versions.Index {
	x := versions.NewIndex(after, versions.IndexOptions{ExpectKeys: n})
	key := pages.AppendKey(nil, pages.DefaultKeyspace, make([]byte, 16))
	value := make([]byte, 100)
	for i := range n {
		for at := 0; at < 64; at += 8 { // compresses a little
			binary.LittleEndian.PutUint64(value[at:], rng.Uint64())
		}
		k := rng.Uint64N(keys) * 0x9E3779B97F4A7C15
		binary.BigEndian.PutUint64(key[1:], k)
		binary.BigEndian.PutUint64(key[9:], k)
		x.Put(pages.Hash(key), key, value, pages.KindValue, after+pages.Seq(i)+1, nil)
	}
	x.Freeze(after + pages.Seq(n))
	return x
}

func freshMachine(b backends.Backend, limits messages.Limits, codec pages.Codec) *Machine {
	c := &Checkpoint{NextFile: 1}
	if err := Publish(b, c); err != nil {
		panic(err)
	}
	return New(Config{Backend: b, Limits: limits, Cache: pages.NewCache(nil, nil), Checkpoint: c, Codec: codec})
}

// runAll steps the machine, runs every job in order, and plays txcoord, until nothing is left.
func runAll(m *Machine, batch ...messages.ToFlusher) error {
	var out Outbox
	for len(batch) > 0 {
		if err := m.Step(batch, &out); err != nil {
			return err
		}
		batch = nil
		for _, msg := range out.Txcoord {
			switch msg := msg.(type) {
			case messages.Flushed:
				batch = append(batch, messages.Reclaim{Tables: msg.Retired}, messages.Seen{UpTo: msg.No})
			case messages.FlushFailed:
				return msg.Err
			}
		}
		for _, j := range out.Jobs {
			batch = append(batch, messages.FlusherJobDone{Job: j, Err: j.Run(func() bool { return true })})
		}
		for _, r := range out.Replies {
			r.To.Resolve(r.Err)
		}
		out.Reset()
	}
	return nil
}

func BenchmarkFlush(b *testing.B) {
	for _, codec := range []pages.Codec{{}, {Compression: pages.LZ4}} {
		b.Run(codec.Compression.String(), func(b *testing.B) {
			const n = 200_000
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				m := freshMachine(backends.NewMemory(), messages.DefaultLimits(), codec)
				x := randomIndex(rand.New(rand.NewPCG(1, 1)), 0, n, 1<<40)
				b.StartTimer()
				if err := runAll(m, messages.Flush{Index: x, UpTo: n}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, codec := range []pages.Codec{{}, {Compression: pages.LZ4}} {
		b.Run(codec.Compression.String(), func(b *testing.B) {
			const n, runs = 100_000, 8
			limits := messages.DefaultLimits()
			limits.FanIn, limits.MaxRuns = 30, 120
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				rng := rand.New(rand.NewPCG(1, 1))
				m := freshMachine(backends.NewMemory(), limits, codec)
				m.policy.fanIn = 100
				for i := range runs {
					at := pages.Seq(i * n)
					m.flush(messages.Flush{Index: randomIndex(rng, at, n, 1<<40), UpTo: at + n})
					m.final = true // no merges yet
					if err := runAll(m, messages.Tick{}); err != nil {
						b.Fatal(err)
					}
					m.final = false
				}
				c := &messages.Compact{Reply: messages.NewReply[error]()}
				b.StartTimer()
				if err := runAll(m, c); err != nil {
					b.Fatal(err)
				}
				if len(m.staged.runs) != 1 || !c.Reply.Ready() {
					b.Fatal("not merged")
				}
			}
			b.ReportMetric(runs*n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// TestWriteAmplification loads uniformly random keys at a scale of 1 to 512 through the real
// machine: the figures of TestPolicyFigures hold for it.
func TestWriteAmplification(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const flush = 500 // entries, 64 KiB
	for _, c := range []struct {
		flushes int
		keys    uint64
	}{{40, 1 << 40}, {320, 1 << 40}, {320, 100_000}} {
		limits := messages.DefaultLimits()
		limits.TableBytes, limits.MergeStep, limits.IndexBytes, limits.LeafBytes = 128<<10, 128<<10, 64<<10, 1<<10
		limits.SettleBudget = 8
		m := freshMachine(backends.NewMemory(), limits, pages.Codec{})
		rng := rand.New(rand.NewPCG(9, 9))
		peak := 0
		for i := range c.flushes {
			at := pages.Seq(i * flush)
			if err := runAll(m, messages.Flush{Index: randomIndex(rng, at, flush, c.keys), UpTo: at + flush}); err != nil {
				t.Fatal(err)
			}
			peak = max(peak, len(m.staged.runs))
		}
		loading := m.newCheckpoint()
		size := m.Stats().TableBytes
		compact := &messages.Compact{Reply: messages.NewReply[error]()}
		if err := runAll(m, compact); err != nil {
			t.Fatal(err)
		}
		settled, live := m.newCheckpoint(), m.Stats().TableBytes
		figures := fmt.Sprintf("%d flushes over %d keys: write amplification %.2f, settled %.2f; space %.2f; at most %d runs",
			c.flushes, c.keys, float64(loading.WrittenBytes)/float64(loading.UserBytes),
			float64(settled.WrittenBytes)/float64(settled.UserBytes), float64(size)/float64(live), peak)
		t.Log(figures)
		if settled.WrittenBytes > 8*settled.UserBytes || float64(size) > 1.5*float64(live) || peak > 24 || len(m.staged.runs) != 1 {
			t.Error(figures)
		}
	}
}

package walwriter

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// nullFile takes writes and forgets them.
type nullFile struct{ backends.File }

func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Sync() error                            { return nil }

func benchRecords(n, size int) []byte {
	rng := rand.New(rand.NewPCG(1, 1))
	var b []byte
	for i := range n {
		b = messages.AppendRecord(b, pages.Seq(i+1), noise(rng, size))
	}
	return b
}

// BenchmarkEncode builds one group in the write buffer.
func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct{ records, size int }{{1, 130}, {64, 130}, {64, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", c.records, c.size), func(b *testing.B) {
			records := benchRecords(c.records, c.size)
			e := encoder{compressAbove: 4096}
			seg := &segment{number: 1, epoch: 1}
			b.SetBytes(int64(len(records)))
			b.ReportAllocs()
			for b.Loop() {
				for rest := records; len(rest) > 0; {
					n := recordBytes(rest)
					e.add(rest[:n])
					rest = rest[n:]
				}
				e.finish(seg, 0, e.bodyBytes())
				e.reset()
			}
		})
	}
}

// BenchmarkStep is a Turn of one Append, without the medium. What it allocates is the boxing
// of Written and Durable.
func BenchmarkStep(b *testing.B) {
	for _, records := range []int{1, 64} {
		b.Run(fmt.Sprintf("%dx130", records), func(b *testing.B) {
			h := newTestLog(b, newDisk(), messages.DefaultLimits())
			seg := h.m.current()
			seg.file, seg.size = nullFile{}, 1<<62
			buf := benchRecords(records, 130)
			a := messages.Append{
				Records: buf, Count: records, Sync: true,
				Charged: int64(records) * messages.CreditFor(130),
			}
			batch := []messages.ToWalwriter{a}
			h.m.credit.granted = 1 << 61
			b.ReportAllocs()
			for b.Loop() {
				// The same records again: the seqs are set back.
				h.m.last, h.m.synced, h.m.asserted = 0, 0, 0
				a.Last = pages.Seq(records)
				batch[0] = a
				if err := h.m.Step(batch, &h.out); err != nil {
					b.Fatal(err)
				}
				h.out.Reset()
			}
		})
	}
}

// BenchmarkRecover scans logs of 64 MiB in memory.
func BenchmarkRecover(b *testing.B) {
	for _, size := range []int{130, 4000, 60 << 10} {
		for _, group := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dx%d", group, size), func(b *testing.B) {
				l := messages.DefaultLimits()
				l.CompressAbove = 1 << 30
				back := backends.NewMemory()
				h := newTestLog(b, back, l)
				rng := rand.New(rand.NewPCG(1, 1))
				for h.logBytes < 64<<20 {
					var batches [][]byte
					for range group {
						batches = append(batches, noise(rng, size))
					}
					h.mustAppend(b, true, batches...)
					must(b, h.runJobs())
				}
				b.SetBytes(h.logBytes)
				b.ReportAllocs()
				for b.Loop() {
					r, err := Recover(back, h.source, func(pages.Seq, []byte) error { return nil }, nil)
					if err != nil || int(r.Records()) != len(h.commits) {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(h.commits))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
			})
		}
	}
}

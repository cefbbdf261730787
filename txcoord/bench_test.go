package txcoord

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// BenchmarkStep is the coordinator's part of a commit: conflicts, version index, log record. The
// log answers at once, flushes too.
func BenchmarkStep(b *testing.B) {
	for _, size := range []int{1, 64} {
		for _, checked := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/checked=%t", size, checked), func(b *testing.B) { benchmarkStep(b, size, checked) })
		}
	}
}

func benchmarkStep(b *testing.B, size int, checked bool) {
	limits := messages.DefaultLimits()
	pub := &versions.Published{}
	m := New(Config{Limits: limits, Published: pub, Active: versions.NewIndex(0, versions.IndexOptions{}), Log: true})
	var out Outbox
	batch := make([]messages.ToTxcoord, size)
	for i := range batch {
		batch[i] = &messages.Commit{Reply: messages.NewReply[messages.CommitResult]()}
	}
	var key [16]byte
	value := make([]byte, 100)
	inner := []messages.ToTxcoord{messages.Written{Credit: 1 << 30}}
	n := uint64(0)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += size {
		for i := range batch {
			c := batch[i].(*messages.Commit)
			n++
			binary.BigEndian.PutUint64(key[8:], n*0x9E3779B97F4A7C15)
			c.Batch, c.Ops = messages.AppendOp(c.Batch[:0], c.Ops[:0], pages.KindValue, pages.Hash(key[:]), key[:], value)
			c.Snapshot, c.CheckWrites = m.applied, checked
		}
		if err := m.Step(append(inner, batch...), &out); err != nil {
			b.Fatal(err)
		}
		inner = deliverAtOnce(pub, &out, inner[:0])
	}
}

// deliverAtOnce stores what the shell would, and answers as the log writer and the flusher would.
func deliverAtOnce(pub *versions.Published, out *Outbox, inner []messages.ToTxcoord) []messages.ToTxcoord {
	for _, msg := range out.Walwriter {
		if a, ok := msg.(messages.Append); ok {
			inner = append(inner, messages.Written{Credit: a.Charged, Appends: 1, Buffer: a.Records}, messages.Durable{UpTo: a.Last})
		}
	}
	for _, msg := range out.Flusher {
		if f, ok := msg.(messages.Flush); ok {
			inner = append(inner, messages.Flushed{Covered: f.UpTo})
		}
	}
	if out.View != nil {
		pub.View.Store(out.View)
	}
	pub.Applied.Store(uint64(out.Applied))
	pub.Visible.Store(uint64(out.Visible))
	pub.Durable.Store(uint64(out.Durable))
	out.Reset()
	return inner
}

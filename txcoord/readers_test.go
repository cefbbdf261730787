package txcoord

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// oneKey is written by every commit, so a read at seq s must find version s of it.
var oneKey = []byte("one")

// loop drives a machine as fast as it goes, with a log that is durable a few Turns later.
type loop struct {
	m       *Machine
	pub     *versions.Published
	out     Outbox
	pending []pages.Seq
	flush   []messages.Flush
}

func (l *loop) step(t *testing.T, batch ...messages.ToTxcoord) {
	if err := l.m.Step(batch, &l.out); err != nil {
		t.Error(err)
	}
	for _, m := range l.out.Walwriter {
		l.pending = append(l.pending, m.(messages.Append).Last)
	}
	for _, m := range l.out.Flusher {
		if f, ok := m.(messages.Flush); ok {
			l.flush = append(l.flush, f)
		}
	}
	if l.out.View != nil {
		l.pub.View.Store(l.out.View)
	}
	l.pub.Applied.Store(uint64(l.out.Applied))
	l.pub.Visible.Store(uint64(l.out.Visible))
	l.pub.Durable.Store(uint64(l.out.Durable))
	l.out.Reset()
}

func (l *loop) turn(t *testing.T, i int) {
	batch := []messages.ToTxcoord{messages.Written{Credit: 1 << 20, Appends: min(1, len(l.pending))}}
	if len(l.pending) > 2 || i%7 == 0 && len(l.pending) > 0 {
		batch = append(batch, messages.Durable{UpTo: l.pending[0]})
		l.pending = l.pending[1:]
	}
	if len(l.flush) > 0 && i%5 == 0 {
		batch = append(batch, messages.Flushed{Covered: l.flush[0].UpTo})
		l.flush = l.flush[1:]
	}
	for k := range 1 + i%3 {
		c := &messages.Commit{Snapshot: pages.MaxSeq, Durability: messages.Durability((i + k) / 2 % 2), Reply: messages.NewReply[messages.CommitResult]()}
		c.Batch, c.Ops = messages.AppendOp(nil, nil, pages.KindValue, pages.Hash(oneKey), oneKey, fmt.Appendf(nil, "%d", i))
		batch = append(batch, c)
	}
	l.step(t, batch...)
}

// TestReadersBesideTheMachine runs real readers beside the writer: the order of trimming,
// watermarks and slots. It means most with -race.
func TestReadersBesideTheMachine(t *testing.T) {
	limits := smallLimits()
	limits.IndexBytes, limits.TurnLimit = 32<<10, 1000
	l := &loop{pub: &versions.Published{}}
	l.m = New(Config{Limits: limits, Published: l.pub, Active: versions.NewIndex(0, versions.IndexOptions{ChunkBytes: 256}), Log: true})
	l.turn(t, 0)
	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for !stop.Load() && !t.Failed() {
				read(t, l.pub, r%3)
			}
		})
	}
	for i := 1; i < 5_000 && !t.Failed(); i++ {
		l.turn(t, i)
	}
	stop.Store(true)
	readers.Wait()
	if err := l.m.Check(); err != nil {
		t.Error(err)
	}
}

// read takes one read of a sort, and wants the version of just the seq that it reads at.
func read(t *testing.T, pub *versions.Published, sort int) {
	if sort == 2 {
		low := pages.Seq(pub.Visible.Load())
		_, _, seq, ok, err := pub.Get(context.Background(), oneKey, pages.Hash(oneKey))
		high := pages.Seq(pub.Visible.Load())
		if err != nil || ok && (seq < low || seq > high) {
			t.Errorf("a read between visible %d and %d finds %d, error %v", low, high, seq, err)
		}
		return
	}
	s := pub.Acquire(sort == 1, time.Time{})
	defer s.Release()
	v, ok, err := s.Get(context.Background(), oneKey, pages.Hash(oneKey))
	if err != nil || ok && v.Seq != s.Seq || !ok && s.Seq > s.View().RunSeq {
		t.Errorf("a snapshot (read-write %t) at %d finds %d (there: %t), runs up to %d, error %v", sort == 1, s.Seq, v.Seq, ok, s.View().RunSeq, err)
	}
}

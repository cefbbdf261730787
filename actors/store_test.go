package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/evictor"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
	"github.com/aegis-storage/aegis/walwriter"
)

// tinyLimits make everything happen within a few commits, and let nothing wait in numbers.
func tinyLimits() messages.Limits {
	return messages.Limits{
		IndexBytes: 8 << 10, MaxFrozen: 1, LogBytes: 32 << 10, SegmentBytes: 16 << 10, FirstSegment: 16 << 10,
		GatherBytes: 500, ChunkBytes: 512, TableBytes: 4 << 10, LeafBytes: 512, InnerBytes: 512, FanIn: 2, MaxRuns: 6,
		MergeStep: 2 << 10, TurnLimit: 2, Inbox: 2, RetainIndexes: 1,
		SyncInterval: time.Millisecond, RetryInterval: time.Millisecond, SettleAfter: time.Millisecond,
	}.Or(messages.DefaultLimits())
}

// store is a graph over a backend, the way the root package makes one.
type store struct {
	*Graph
	backend  backends.Backend
	pub      *versions.Published
	replayed map[string]string // by the log; what is in tables is not looked at
	failures []error           // that the graph told of, in turn
}

// open recovers what the backend holds and starts a graph on it.
func open(rt Runtime, b backends.Backend, limits messages.Limits) (*store, error) {
	s := &store{backend: b, pub: &versions.Published{}, replayed: make(map[string]string)}
	c, err := flusher.Load(b)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &flusher.Checkpoint{Number: 1, Epoch: 1, NextFile: 1, Clean: true, Log: true}
	}
	cache := pages.NewCache(rt, func() { s.PagesLoaded() })
	runs, err := flusher.Open(b, c, cache)
	if err != nil {
		return nil, err
	}
	active := versions.NewIndex(c.Freeze, versions.IndexOptions{ChunkBytes: limits.ChunkBytes})
	log, err := walwriter.Recover(b, walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch, Clean: c.Clean}, func(seq pages.Seq, batch []byte) error {
		ops, err := messages.DecodeBatch(batch, nil)
		for i := range ops {
			s.replayed[string(ops[i].Key(batch))] = string(ops[i].Value(batch))
		}
		txcoord.Insert(active, batch, ops, seq, limits.ChunkBytes, nil, true)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	next := *c
	next.Number, next.Epoch, next.Clean = c.Number+1, max(c.Epoch, log.Epoch())+1, false
	wal, err := log.Start(walwriter.Config{Backend: b, Limits: limits, Epoch: next.Epoch})
	if err != nil {
		return nil, err
	}
	if err := flusher.Publish(b, &next); err != nil {
		return nil, err
	}
	s.Graph = New(rt, limits, s.pub, Machines{
		Txcoord: txcoord.New(txcoord.Config{
			Limits: limits, Published: s.pub, Active: active, Runs: runs, RunSeq: c.Freeze, Last: log.Last(), Log: true,
		}),
		Walwriter: wal,
		Flusher:   flusher.New(flusher.Config{Backend: b, Limits: limits, Cache: cache, Checkpoint: &next, Runs: runs}),
		Evictor:   evictor.New(evictor.Config{Cache: cache, Budget: 64 << 10}),
	}, func(err error) { s.failures = append(s.failures, err) })
	s.Start()
	return s, nil
}

// newCommit is a commit of one value by a client that has read nothing.
func newCommit(key, value string, d messages.Durability) *messages.Commit {
	c := &messages.Commit{Snapshot: pages.MaxSeq, Durability: d, Reply: messages.NewReply[messages.CommitResult]()}
	c.Batch, c.Ops = messages.AppendOp(nil, nil, pages.KindValue, pages.Hash([]byte(key)), []byte(key), []byte(value))
	return c
}

// put commits one value.
func (s *store) put(ctx context.Context, key, value string, d messages.Durability) error {
	r, _ := s.Commit(ctx, newCommit(key, value, d))
	return r.Err
}

// get reads the newest acknowledged value.
func (s *store) get(ctx context.Context, key string) (string, error) {
	value, _, _, _, err := s.pub.Get(ctx, []byte(key), pages.Hash([]byte(key)))
	return string(value), err
}

// finish takes the last checkpoint and stops the graph.
func (s *store) finish() error {
	err := s.Checkpoint(context.Background(), &messages.Checkpoint{Final: true, Reply: messages.NewReply[error]()})
	return errors.Join(err, s.Stop())
}

// key is in the default keyspace.
func key(format string, args ...any) string {
	return string(pages.AppendKey(nil, pages.DefaultKeyspace, fmt.Appendf(nil, format, args...)))
}

// noneLeft fails if a goroutine of the engine is left. One that has just ended may still be seen.
func noneLeft(t *testing.T) {
	t.Helper()
	var stacks []byte
	for range 1000 {
		stacks = make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left := 0
		for _, g := range bytes.Split(stacks, []byte("\n\n")) {
			if bytes.Contains(g, []byte("created by github.com/aegis-storage/aegis/actors.")) && !bytes.Contains(g, []byte("actors.Test")) {
				left++
			}
		}
		if left == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("goroutines are left:\n%s", strings.TrimSpace(string(stacks)))
}

// within waits for done; a test that hangs says where everybody is.
func within(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		stacks := make([]byte, 1<<20)
		t.Fatalf("%s did not end:\n%s", what, stacks[:runtime.Stack(stacks, true)])
	}
}

package actors

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
)

// While the coordinator gets no turn, flusher goes on merging for a while and then waits: what it
// has to say does not fill the coordinator's mailbox. Afterwards it ends what it began, and no
// file is forgotten.
func TestStarvedCoordinator(t *testing.T) {
	ctx, b := context.Background(), backends.NewMemory()
	limits := tinyLimits()
	limits.IndexBytes, limits.LogBytes, limits.MergeStep = 4<<20, 4<<20, 1
	limits.SettleAfter = time.Hour
	s, err := open(Goroutines{}, b, limits)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const keys = 5000
	write := func(step int, value string) {
		for i := 0; i < keys; i += step {
			must(s.put(ctx, key("%06d", i), strings.Repeat(value, 250), messages.NoSync))
		}
		must(s.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()}))
	}
	write(1, "a")
	must(s.Compact(ctx, &messages.Compact{Reply: messages.NewReply[error]()}))
	write(2, "b") // into every table

	gate := make(chan struct{})
	slowDown(s.tx, func() { <-gate })
	before := s.flusherStats(t)
	compacted := make(chan error, 1)
	go func() { compacted <- s.Compact(ctx, &messages.Compact{Reply: messages.NewReply[error]()}) }()
	for now := before; now.JobsRunning > 0 || now.MergeSteps < before.MergeSteps+3; runtime.Gosched() {
		if now = s.flusherStats(t); s.failedErr.Load() != nil {
			break
		}
	}
	if n := len(s.tx.inner); n > 8 || len(compacted) > 0 {
		t.Errorf("%d messages wait, compacted %t", n, len(compacted) > 0)
	}
	close(gate)
	if err := <-compacted; err != nil {
		t.Fatal(err)
	}
	if after := s.flusherStats(t); after.Checkpoints-before.Checkpoints < 2*uint64(cap(s.tx.inner)) {
		t.Errorf("only %d publications", after.Checkpoints-before.Checkpoints)
	}
	for i := range keys {
		want := map[int]string{0: "b", 1: "a"}[i%2]
		if got, err := s.get(ctx, key("%06d", i)); err != nil || !strings.HasPrefix(got, want) {
			t.Fatalf("key %d is %.4q, want %q, error %v", i, got, want, err)
		}
	}
	clean := make(chan struct{})
	go func() {
		defer close(clean)
		for s.flusherStats(t).Reclaimable > 0 {
			runtime.Gosched()
		}
	}()
	within(t, clean, "the removal of what was merged")
	must(s.finish())
	noneLeft(t)
}

// flusherStats asks the flusher alone; the others may stand still.
func (s *store) flusherStats(t *testing.T) messages.FlusherStats {
	r := &messages.FlusherStatsRequest{Reply: messages.NewReply[messages.FlusherStats]()}
	st, err := ask[messages.ToFlusher](context.Background(), s.Graph, s.flush, r, r.Reply)
	if err != nil && s.failedErr.Load() == nil {
		t.Error(err)
	}
	return st
}

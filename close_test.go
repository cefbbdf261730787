package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aegis-storage/aegis"
)

// holdCheckpoint makes the next publication of a checkpoint wait in the sync of one of its copies
// until release is called. held is closed when it does.
func (h *hooks) holdCheckpoint(suffix string) (held <-chan struct{}, release func()) {
	waits, gate := make(chan struct{}), make(chan struct{})
	signal := sync.OnceFunc(func() { close(waits) })
	h.onSync(func(name string) error {
		if strings.HasPrefix(name, "checkpoint-") && strings.HasSuffix(name, suffix) {
			signal()
			<-gate
		}
		return nil
	})
	return waits, sync.OnceFunc(func() { close(gate) })
}

// TestVerifyBesidePublication: a checkpoint that is being written, of which a copy is not there
// yet, is no fault; nor is it that the one before goes.
func TestVerifyBesidePublication(t *testing.T) {
	for _, suffix := range []string{".a", ".b"} {
		h := newHooks()
		db := open(t, "", aegis.Options{Backend: h})
		must(t, db.Put(ctx, b("k"), b("v")))
		must(t, db.Checkpoint(ctx))
		must(t, db.Put(ctx, b("k"), b("w")))
		held, release := h.holdCheckpoint(suffix)
		done := make(chan error, 1)
		go func() { done <- db.Checkpoint(ctx) }()
		<-held
		err := db.Verify(ctx, func(p aegis.Progress) {
			if p.Stage == "log" {
				release()
			}
		})
		if err != nil {
			t.Errorf("held at %s: %v", suffix, err)
		}
		must(t, <-done)
		must(t, db.Verify(ctx, nil))
	}
}

// TestCloseDuringPublication: Close returns once its own checkpoint is durable, not when the one
// of a merge, which covers as much but does not say that nothing follows, comes before it.
func TestCloseDuringPublication(t *testing.T) {
	held := 0
	for range 20 {
		h := newHooks()
		if closeDuringMerge(t, h, open(t, "", aegis.Options{Backend: h})) {
			held++
		}
		db := open(t, "", aegis.Options{Backend: h})
		s, err := db.Stats(ctx)
		must(t, err)
		if !s.Recovery.Clean {
			t.Fatalf("recovery after Close: %+v", s.Recovery)
		}
	}
	if held == 0 {
		t.Error("no checkpoint of a merge was on its way")
	}
}

// closeDuringMerge closes the store while the checkpoint of a merge is being published, and
// reports whether it found one.
func closeDuringMerge(t *testing.T, h *hooks, db *aegis.DB) (found bool) {
	t.Helper()
	for i := range 3 {
		must(t, db.Put(ctx, fmt.Append(nil, i), b("v")))
		must(t, db.Checkpoint(ctx))
	}
	held, release := h.holdCheckpoint(".a")
	bounded, cancel := context.WithCancel(ctx)
	compacted := make(chan error, 1)
	go func() { compacted <- db.Compact(bounded, nil) }()
	select {
	case <-held:
		found = true
		cancel()
		<-compacted
	case err := <-compacted: // the store merged by itself before
		must(t, err)
		cancel()
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	for {
		if _, err := db.Stats(ctx); errors.Is(err, aegis.ErrClosed) {
			break
		}
	}
	for range 1000 { // Close's own request arrives, most likely
		runtime.Gosched()
	}
	release()
	must(t, <-closed)
	return found
}

// TestCompactGetsOn: each step of a merge gets further, also where a small table, of one value that
// compresses well, is as large as a step before compression.
func TestCompactGetsOn(t *testing.T) {
	limits := aegis.Limits{MergeStep: 16 << 10, TableBytes: 16 << 10}
	db := open(t, "", aegis.Options{Backend: newHooks(), Limits: &limits})
	compact := func() {
		t.Helper()
		bounded, cancel := context.WithCancel(ctx)
		defer cancel()
		steps := 0
		err := db.Compact(bounded, func(aegis.Progress) {
			if steps++; steps > 1000 {
				cancel()
			}
		})
		if err != nil {
			t.Fatalf("after %d reports of progress: %v", steps, err)
		}
	}
	must(t, db.Put(ctx, b("key05"), make([]byte, 20_000)))
	must(t, db.Put(ctx, b("key10"), b("v")))
	compact()
	must(t, db.Put(ctx, b("key09"), b("v")))
	must(t, db.Put(ctx, b("key10"), b("w")))
	compact()
	wantGet(t, db, "key10", "w")
}

// TestCloseLeavesNothingBehind: tables that only an open transaction still held, and those that
// were about to be removed, go with Close.
func TestCloseLeavesNothingBehind(t *testing.T) {
	h := newHooks()
	limits := aegis.Limits{IndexBytes: 16 << 10, TableBytes: 8 << 10, LeafBytes: 512}
	o := aegis.Options{Backend: h, Limits: &limits, Durability: aegis.NoSync}
	db := open(t, "", o)
	for round := range 3 {
		reader, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
		must(t, err)
		for i := range 400 {
			must(t, db.Put(ctx, fmt.Appendf(nil, "key%03d", i), bytes.Repeat([]byte{byte(i), byte(round)}, 100)))
		}
		must(t, db.Compact(ctx, nil))
		must(t, db.Close())
		if err := reader.Err(); err != nil {
			t.Fatal(err)
		}
		db = open(t, "", o)
		s, err := db.Stats(ctx)
		must(t, err)
		if !s.Recovery.Clean || s.Recovery.Orphans != 0 {
			t.Fatalf("round %d: recovery after Close: %+v", round, s.Recovery)
		}
	}
}

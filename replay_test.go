package aegis_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/actors"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/walwriter"
)

// countsPairs counts how often two tasks were to run side by side.
type countsPairs struct {
	actors.Goroutines
	pairs *atomic.Int64
}

func (c countsPairs) Parallel(n int, f func(i int)) {
	if n == 2 {
		c.pairs.Add(1)
	}
	c.Goroutines.Parallel(n, f)
}

// killed returns the directory of a store that holds what fill committed, in its log only.
func killed(t *testing.T, fill func(db *aegis.DB)) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	db := open(t, dir, aegis.Options{MemoryBudget: 1 << 30, CheckpointBytes: 128 << 20})
	fill(db)
	must(t, db.Sync(ctx))
	must(t, os.CopyFS(image, os.DirFS(dir)))
	return image
}

// TestReplayOverlaps: a log of many blocks is read ahead of what puts it into the index, and each
// key has its last value.
func TestReplayOverlaps(t *testing.T) {
	want := map[string][]byte{}
	dir := killed(t, func(db *aegis.DB) {
		for i := range 800 {
			must(t, db.UpdateWith(ctx, aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}, func(tx *aegis.Tx) error {
				key, value := fmt.Sprintf("%03d", i%200), bytes.Repeat([]byte{byte(i)}, 8000+i)
				if i%7 == 0 {
					value = append(value, bytes.Repeat(value, 40)...) // a chunk by itself, in the log compressed
				}
				if i%11 == 0 {
					delete(want, key)
					return tx.Delete([]byte(key))
				}
				want[key] = value
				return tx.Put([]byte(key), value)
			}))
		}
	})
	var pairs atomic.Int64
	db := open(t, dir, aegis.Options{Runtime: countsPairs{pairs: &pairs}})
	s, err := db.Stats(ctx)
	if err != nil || s.Recovery.Records != 800 || s.Recovery.Clean || pairs.Load() < 10 {
		t.Errorf("%+v, %v, %d times two tasks", s.Recovery, err, pairs.Load())
	}
	got := map[string][]byte{}
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		for k, v := range tx.Range(nil, nil) {
			got[string(k)] = v
		}
		return nil
	}))
	for i := range 200 {
		key := fmt.Sprintf("%03d", i)
		if !bytes.Equal(got[key], want[key]) || (got[key] == nil) != (want[key] == nil) {
			t.Fatalf("key %s has %d bytes %.4x, was %d bytes %.4x", key, len(got[key]), got[key], len(want[key]), want[key])
		}
	}
}

// TestReplayRefuses a record whose checksum is good and whose batch is none, and names it.
func TestReplayRefuses(t *testing.T) {
	dir := killed(t, func(db *aegis.DB) { must(t, db.Put(ctx, []byte("k"), []byte("v"))) })
	b, err := backends.NewLocal(dir, false)
	must(t, err)
	c, err := flusher.Load(b)
	must(t, err)
	from := walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch, Clean: c.Clean}
	log, err := walwriter.Recover(b, from, func(pages.Seq, []byte) error { return nil }, nil)
	must(t, err)
	wal, err := log.Start(walwriter.Config{Backend: b, Limits: messages.DefaultLimits(), Epoch: log.Epoch() + 1})
	must(t, err)
	seq, batch := log.Last()+1, []byte("\xffno batch")
	a := messages.Append{Records: messages.AppendRecord(nil, seq, batch), First: seq, Last: seq, Count: 1, Charged: messages.CreditFor(len(batch)), Sync: true}
	var out walwriter.Outbox
	wal.Start(&out)
	must(t, wal.Step([]messages.ToWalwriter{a}, &out))
	must(t, wal.Close())
	db, err := aegis.Open(dir, nil)
	if err == nil {
		must(t, db.Close())
	}
	if err == nil || errors.Is(err, aegis.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("replay commit %d", seq)) {
		t.Errorf("open of a log whose commit %d is no batch: %v", seq, err)
	}
}

package actors

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/messages"
)

// TestCloseIsClean closes a store right after a checkpoint, with merges and their publications
// under way: the last checkpoint says that no log follows, and none is left.
func TestCloseIsClean(t *testing.T) {
	for seed := range uint64(150) {
		b := backends.NewMemory()
		l := newLife(seed)
		l.hurry = int(seed % 12)
		l.spawn("main", func() {
			s, err := open(l.world, b, tinyLimits())
			if err != nil {
				l.err = err
				return
			}
			for i := range 40 {
				if err := s.put(context.Background(), key("%d", i), strings.Repeat("v", 400), messages.NoSync); err != nil {
					t.Error(err)
				}
			}
			if err := s.Checkpoint(context.Background(), &messages.Checkpoint{Reply: messages.NewReply[error]()}); err != nil {
				t.Error(err)
			}
			for range l.rng.IntN(400) {
				l.Park(background, nil)
			}
			l.err = s.finish()
		})
		if err := l.loop(); err != nil || l.err != nil {
			t.Fatalf("seed %d: %v %v", seed, err, l.err)
		}
		c, err := flusher.Load(b)
		if err != nil || !c.Clean {
			t.Errorf("seed %d: the last checkpoint is number %d, clean %t, error %v", seed, c.Number, c.Clean, err)
		}
		if noLog(t, b); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// lateFlusher is a Runtime in which the flusher, between its last message to the coordinator and
// its last one to the log writer, stands still until the engine has come as far as it can.
type lateFlusher struct {
	Goroutines
	s     *store
	armed atomic.Bool
}

func (l *lateFlusher) Effect(from, to string, _ messages.Message) {
	if from != flusherName || to != txcoordName || !l.armed.Load() || len(l.s.tx.inner) == 0 {
		return
	}
	l.s.tx.wakeUp()
	<-l.s.tx.ended
	for range 10_000 {
		if isClosed(l.s.wal.ended) {
			return
		}
		runtime.Gosched()
	}
}

// The log goes even when its release comes last.
func TestCloseAwaitsRelease(t *testing.T) {
	b := backends.NewMemory()
	rt := &lateFlusher{}
	s, err := open(rt, b, messages.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	rt.s = s
	if err := s.put(context.Background(), key("a"), "v", messages.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(context.Background(), &messages.Checkpoint{Reply: messages.NewReply[error]()}); err != nil {
		t.Fatal(err)
	}
	rt.armed.Store(true) // what flusher still has to say is that the last checkpoint is published
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	noLog(t, b)
}

func noLog(t *testing.T, b backends.Backend) {
	t.Helper()
	files, err := b.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name, "wal-") {
			t.Errorf("%s is left", f.Name)
		}
	}
}

package actors

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
)

// life runs clients against a store in a world. acked is what was acknowledged as durable.
type life struct {
	*world
	s     *store
	acked map[string]int
	begun map[string]int
	err   error
}

// clients starts n clients that each count up keys of their own, and one that closes the store
// after them.
func (l *life) clients(t *testing.T, b backends.Backend, n, operations int) {
	l.spawn("main", func() {
		s, err := open(l.world, b, tinyLimits())
		if err != nil {
			l.err = err
			return
		}
		l.s = s
		left := n
		for c := range n {
			l.spawn(fmt.Sprint("client-", c), func() {
				defer func() { left-- }()
				l.client(t, c, operations)
			})
		}
		l.Park(background, func() bool { return left == 0 })
		l.err = s.finish()
	})
}

func (l *life) client(t *testing.T, c, operations int) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(uint64(c), 7))
	for i := 1; i <= operations; i++ {
		k := key("%d-%d", c, rng.IntN(4))
		d := messages.Durability(rng.IntN(2))
		size := rng.IntN(400)
		if rng.IntN(30) == 0 {
			size = 12 << 10
		}
		l.begun[k] = max(l.begun[k], i)
		if err := l.s.put(ctx, k, fmt.Sprintf("%08d%s", i, strings.Repeat("x", size)), d); err != nil {
			t.Errorf("client %d: %v", c, err)
			return
		}
		if d == messages.Sync {
			l.acked[k] = i
		}
		switch rng.IntN(20) {
		case 0:
			if err := l.s.Checkpoint(ctx, &messages.Checkpoint{Reply: messages.NewReply[error]()}); err != nil {
				t.Errorf("client %d: checkpoint: %v", c, err)
			}
		case 1:
			if _, err := l.s.Stats(ctx); err != nil {
				t.Errorf("client %d: stats: %v", c, err)
			}
		case 2:
			// A deadline that passes while the commit is under way.
			brief, cancel := context.WithCancel(ctx)
			patience := rng.IntN(60)
			l.spawn("impatience", func() {
				for range patience {
					l.Park(background, nil)
				}
				cancel()
			})
			err := l.s.put(brief, key("late-%d", c), "v", d)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("client %d: late commit: %v", c, err)
			}
			l.note(fmt.Sprint(err))
		}
	}
}

func newLife(seed uint64) *life {
	return &life{world: newWorld(seed), acked: make(map[string]int), begun: make(map[string]int)}
}

// TestDeterminism drives the real graph through the Runtime seam, on one goroutine at a time. Each
// seed runs twice, with another collector and other processors, and has to take the same way.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(25) {
		var traces [2]string
		for i := range traces {
			l := newLife(seed)
			l.clients(t, backends.NewMemory(), 3, 40)
			if i == 1 {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				runtime.GC()
			}
			if err := l.loop(); err != nil {
				t.Fatalf("seed %d, run %d: %v", seed, i, err)
			}
			if l.err != nil || len(l.s.failures) > 0 {
				t.Fatalf("seed %d, run %d: %v, failures %v", seed, i, l.err, l.s.failures)
			}
			traces[i] = fmt.Sprintf("%x after %d picks", l.trace, l.picks)
		}
		if traces[0] != traces[1] {
			t.Fatalf("seed %d goes two ways: %s and %s", seed, traces[0], traces[1])
		}
	}
}

// TestCrash ends a life at some pick, by Goexit wherever tasks stand, and recovers from what is on
// the backend: no failure is reported, and nothing is lost that was acknowledged.
func TestCrash(t *testing.T) {
	for seed := range uint64(80) {
		b := backends.NewMemory()
		l := newLife(seed)
		l.crash = 20 + int(seed*17%3000)
		l.clients(t, b, 3, 40)
		if err := l.loop(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		l.reap()
		if l.s != nil && len(l.s.failures) > 0 {
			t.Fatalf("seed %d: the end of a life counts as a failure: %v", seed, l.s.failures)
		}
		next := newLife(seed)
		next.spawn("main", func() {
			if next.s, next.err = open(next.world, b, tinyLimits()); next.err != nil {
				return
			}
			for k, n := range l.acked {
				got, err := next.s.get(context.Background(), k)
				at := 0
				if _, scan := fmt.Sscanf(got, "%08d", &at); err != nil || scan != nil || at < n || at > l.begun[k] {
					t.Errorf("seed %d: %q is %.8q after a crash, acknowledged is %d, error %v", seed, k, got, n, err)
				}
			}
			next.err = next.s.finish()
		})
		if err := next.loop(); err != nil || next.err != nil {
			t.Fatalf("seed %d, after the crash: %v %v", seed, err, next.err)
		}
	}
}

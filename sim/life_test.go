package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/world"
)

// Which errors faults explain: of the profile, and of what struck when.
func TestExplained(t *testing.T) {
	corrupt := fmt.Errorf("reading: %w", &aegis.CorruptionError{})
	eio, full := &fs.PathError{Op: "read", Path: "f", Err: syscall.EIO}, fmt.Errorf("%w: log", aegis.ErrNoSpace)
	poisoned, stalled := fmt.Errorf("%w: eio", aegis.ErrPoisoned), fmt.Errorf("%w: eio", aegis.ErrStalled)
	medium := []error{eio, syscall.ENOSPC, full, poisoned, stalled}
	never := []error{errors.New("own"), aegis.ErrConflict, aegis.ErrClosed, context.DeadlineExceeded,
		fmt.Errorf("%w: %w in txcoord", aegis.ErrPoisoned, messages.ErrBroken)}
	for _, c := range []struct {
		profile       string
		earlier, here int // faults that struck in lives before and in this one
		medium, rot   bool
	}{
		{"torn", 0, 0, false, false},
		{"eio", 0, 0, false, false},
		{"eio", 3, 0, false, false}, // that life is over
		{"eio", 0, 1, true, false},
		{"full", 2, 1, true, false},
		{"drops", 0, 1, true, false},
		{"slow", 0, 1, true, false},
		{"media", 0, 0, false, false},
		{"media", 1, 0, true, true}, // damage stays
		{"media", 0, 1, true, true},
		{"lying", 1, 0, true, true},
	} {
		p, _ := disk.ProfileNamed(c.profile)
		l := &Life{run: &run{struck: c.earlier + c.here, drawn: drawn{profile: p}}, before: c.earlier}
		check := func(err error, want bool) {
			if got := l.Explained(err); got != want {
				t.Errorf("%s, %d faults before, %d here: %v explained: %v, want %v", c.profile, c.earlier, c.here, err, got, want)
			}
		}
		for _, err := range medium {
			check(err, c.medium)
		}
		for _, err := range never {
			check(err, false)
		}
		check(corrupt, c.rot)
		check(nil, true)
		if l.Calm() != (c.earlier+c.here == 0) {
			t.Errorf("%d faults, calm: %v", c.earlier+c.here, l.Calm())
		}
	}
}

var twoLives = []End{{Life: 1, Kind: Close}, {Life: 2, Kind: Power}}

// An error that nothing explains is a failure, by Must and by Excuse, in clients, main and closers.
func TestMust(t *testing.T) {
	own := errors.New("my own")
	plan := Plan{Seed: 1, Lives: 2, Ends: twoLives}
	past := false
	for _, subject := range []Subject{
		every(func(l *Life) { l.Must(own); past = true }),
		every(func(l *Life) { l.Excuse(own); past = true }),
		client(func(c *Client) { c.Must(own); past = true }),
		every(func(l *Life) { l.AtClose(func() error { return own }) }),
	} {
		fails(t, plan, subject, "error", "my own")
	}
	fails(t, plan, client(func(c *Client) { c.Failf("bad %d", 7); past = true }), "subject", "bad 7")
	fails(t, plan, every(func(l *Life) { l.Fail("mine", "bad"); past = true }), "mine", "bad")
	if past {
		t.Error("it went on after a failure")
	}
	holds(t, plan, every(func(l *Life) { l.Must(nil); l.Excuse(nil) }))
}

// After a fault, Must gives up the life, and Excuse goes on.
func TestMustAfterFault(t *testing.T) {
	gaveUp, wentOn := 0, 0
	subject := func(judge func(l *Life, err error), count *int) Subject {
		return every(func(l *Life) {
			_, err := l.Backend().List()
			for range 1000 {
				if err = touch(l); err != nil {
					break
				}
			}
			judge(l, err)
			if err != nil {
				*count++
			}
		})
	}
	plan := Plan{Seed: 3, Profile: "eio", Lives: 1, Ends: []End{{Life: 1, Kind: Kill}}}
	res := holds(t, plan, subject(func(l *Life, err error) { l.Must(err) }, &gaveUp))
	if len(res.Faults) == 0 || gaveUp != 0 {
		t.Errorf("faults %v, Must went on %d times", res.Faults, gaveUp)
	}
	holds(t, plan, subject(func(l *Life, err error) { l.Excuse(err) }, &wentOn))
	if wentOn != 1 {
		t.Errorf("Excuse went on %d times, want once: the last life has no faults", wentOn)
	}
}

// touch writes a file.
func touch(l *Life) error {
	f, err := l.Backend().Create("f")
	if errors.Is(err, fs.ErrExist) {
		f, err = l.Backend().Open("f")
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		return err
	}
	return f.Close()
}

// Closers run in an orderly end alone, the last one first, after all clients have returned.
func TestAtClose(t *testing.T) {
	var order []string
	var ends []EndKind
	subject := every(func(l *Life) {
		ends = append(ends, l.Before())
		l.AtClose(func() error { order = append(order, fmt.Sprint(l.Number(), " first added")); return nil })
		l.AtClose(func() error { order = append(order, fmt.Sprint(l.Number(), " last added")); return nil })
		l.Go("client", func(c *Client) {
			c.Sleep(time.Second)
			order = append(order, fmt.Sprint(l.Number(), " client"))
		})
	})
	res := holds(t, Plan{Seed: 1, Lives: 4, Ends: []End{{Life: 1, Kind: Close}, {Life: 2, Kind: Kill}, {Life: 3, Kind: Power}, {Life: 4, Kind: Close}}}, subject)
	want := []string{"1 client", "1 last added", "1 first added", "2 client", "3 client",
		"4 client", "4 last added", "4 first added", "5 client", "5 last added", "5 first added"}
	if !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}
	if want := []EndKind{Drawn, Close, Kill, Power, Close}; !slices.Equal(ends, want) {
		t.Errorf("the lives before ended by %v, want %v", ends, want)
	}
	if res.Lives != 5 || res.Cover["end close"] != 2 || res.Cover["end kill"] != 1 || res.Cover["end power cut"] != 1 {
		t.Errorf("%d lives, %v", res.Lives, res.Cover)
	}
}

// A life that has no closers, or gives up, does not end in an orderly way.
func TestGiveUp(t *testing.T) {
	plan := Plan{Seed: 1, Lives: 1, Ends: []End{{Life: 1, Kind: Close}}}
	past, closed := false, 0
	gives := every(func(l *Life) {
		l.AtClose(func() error { closed++; return nil })
		l.Go("works on", func(c *Client) {
			for !l.Last() {
				c.Sleep(time.Second)
			}
		})
		l.Go("gives up", func(c *Client) {
			if !l.Last() {
				l.GiveUp("enough")
				past = true
			}
		})
	})
	if res := holds(t, plan, gives); res.Cover["end kill"] != 1 || past || closed != 1 {
		t.Errorf("%v, went on: %v, closed %d times, want once, in the last life", res.Cover, past, closed)
	}
	if res := holds(t, plan, every(func(*Life) {})); res.Cover["end kill"] != 1 {
		t.Errorf("a life without closers ended by %v", res.Cover)
	}
}

// Ends says where a life ends, and which have no operations.
func TestEnds(t *testing.T) {
	var ops []int
	subject := every(func(l *Life) {
		l.Go("client", func(c *Client) {
			n := 0
			defer func() { ops = append(ops, n) }()
			for c.Next() {
				n++
				if n != c.Op() || c.Name() != "client" || c.Life() != l {
					t.Errorf("operation %d of %s calls itself %d", n, c.Name(), c.Op())
				}
				l.Must(touch(l))
			}
		})
	})
	res := holds(t, Plan{Seed: 1, Profile: "kind", Lives: 3, Each: 7, Ends: []End{
		{Life: 1, Kind: Kill, At: world.CrashAt{IO: 33}}, {Life: 2, Kind: Kill, Idle: true}, {Life: 3, Kind: Power},
	}}, subject)
	if len(ops) != 4 || ops[0] == 0 || ops[0] > 6 || ops[1] != 0 || ops[2] != 7 || ops[3] != 0 {
		t.Errorf("operations of the lives: %v, want a part, none, 7, and none in the last", ops)
	}
	if res.IO[0] != 33 || res.IO[1] != 0 || res.IO[2] < 40 {
		t.Errorf("boundaries %v", res.IO)
	}
}

// The last life has no faults and no operations.
func TestLastLife(t *testing.T) {
	struck, calls := 0, 0
	for seed := range uint64(5) {
		holds(t, Plan{Seed: seed, Profile: "all-honest", Lives: 1}, every(func(l *Life) {
			if l.Last() != (l.Number() == 2) {
				t.Errorf("life %d of 2, the last: %v", l.Number(), l.Last())
			}
			for range 300 {
				err := touch(l)
				if l.Last() && err != nil {
					t.Errorf("in the last life: %v", err)
				}
				calls++
			}
			if l.Last() && l.run.struck > l.before {
				t.Errorf("%d faults struck in the last life", l.run.struck-l.before)
			}
			struck += l.run.struck
			l.Go("client", func(c *Client) {
				if c.Next() && l.Last() {
					t.Error("an operation in the last life")
				}
			})
		}))
	}
	if struck == 0 {
		t.Error("no fault struck in other lives")
	}
}

// A client's panic is a failure with its stack; so are one of the subject and of its constructor.
func TestPanic(t *testing.T) {
	for _, subject := range []Subject{
		client(func(*Client) { explodes() }),
		every(func(*Life) { explodes() }),
		func() func(*Life) { explodes(); return nil },
		every(func(l *Life) { l.AtClose(func() error { explodes(); return nil }) }),
	} {
		fails(t, Plan{Seed: 1}, subject, "panic", "ouch", "sim.explodes")
	}
}

func explodes() { panic("ouch") }

// What t.Fatal does in a client is reported, and where.
func TestGoexit(t *testing.T) {
	before := runtime.NumGoroutine()
	res := fails(t, Plan{Seed: 1}, every(func(l *Life) {
		l.Go("patient", func(c *Client) { c.Sleep(time.Hour) })
		l.Go("hasty", func(*Client) { leaves() })
	}), "goexit", "hasty ended its goroutine", "t.Fatal", "sim.leaves")
	if res.Lives != 1 {
		t.Errorf("%d lives", res.Lives)
	}
	fails(t, Plan{Seed: 1}, func() func(*Life) { runtime.Goexit(); return nil }, "goexit", "the subject ended")
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
}

func leaves() { runtime.Goexit() }

// shortly has worlds that stand still found out soon.
func shortly(t *testing.T) {
	was := blockedAfter
	blockedAfter = 100 * time.Millisecond
	t.Cleanup(func() { blockedAfter = was })
}

// A mutex that is held across a call blocks the world, which is told with all stacks.
func TestBlocked(t *testing.T) {
	shortly(t)
	var mu sync.Mutex
	subject := every(func(l *Life) {
		for _, name := range []string{"a", "b"} {
			l.Go(name, func(c *Client) {
				locks(&mu)
				c.Sleep(time.Millisecond)
				mu.Unlock()
			})
		}
	})
	res, err := Shrink(t.Context(), Plan{Seed: 1}, subject, Config{})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, res, "blocked", "a mutex that another client holds", "sim.locks")
}

func locks(mu *sync.Mutex) { mu.Lock() }

// A client that waits for a goroutine that was refused is told of that goroutine.
func TestBlockedByForeign(t *testing.T) {
	shortly(t)
	rep, err := Run(t.Context(), Config{Seeds: 1, Strict: true, NoShrink: true}, client(func(c *Client) {
		answer := make(chan bool)
		go func() { c.Yield(); answer <- true }()
		<-answer
	}))
	if err != nil || len(rep.Failures) != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	wants(t, rep.Failures[0], "goroutine", "use Life.Go instead of go")
}

func TestClock(t *testing.T) {
	holds(t, Plan{Seed: 1, Lives: 2}, every(func(l *Life) {
		before := l.Now()
		l.Go("waits", func(c *Client) {
			ctx, cancel := c.WithTimeout(5 * time.Millisecond)
			defer cancel()
			child, cancelChild := context.WithCancel(ctx)
			defer cancelChild()
			if at, ok := child.Deadline(); !ok || at != before.Add(5*time.Millisecond) {
				t.Errorf("the deadline is %v, want %v", at, before.Add(5*time.Millisecond))
			}
			if ctx.Err() != nil || child.Err() != nil {
				t.Errorf("they ended before: %v, %v", ctx.Err(), child.Err())
			}
			l.run.world.Park(child, func() bool { return false })
			if waited := c.Now().Sub(before); waited != 5*time.Millisecond {
				t.Errorf("it waited for %v", waited)
			}
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("they ended by %v, %v", ctx.Err(), child.Err())
			}
			if cancel(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("cancelled later it ended by %v", ctx.Err())
			}
		})
		l.Go("cancels", func(c *Client) {
			ctx, cancel := c.WithTimeout(time.Hour)
			gone, forget := context.WithCancel(ctx)
			forget()
			child, forgetChild := context.WithCancel(ctx)
			defer forgetChild()
			cancel()
			for _, ctx := range []context.Context{ctx, gone, child} {
				if !errors.Is(ctx.Err(), context.Canceled) {
					t.Errorf("cancelled it ended by %v", ctx.Err())
				}
			}
			c.Sleep(2 * time.Hour)
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Errorf("its time came later, it ended by %v", ctx.Err())
			}
		})
	}))
}

// Counts of the subject come together, by run and by the classes of faults that struck.
func TestCover(t *testing.T) {
	rep, err := Run(t.Context(), Config{Seeds: 20, Profiles: []string{"eio", "kind"}}, every(func(l *Life) {
		l.Cover("lives", 2)
		l.Cover("never", 0)
		for range 20 {
			if touch(l) != nil {
				return
			}
		}
	}))
	if err != nil || len(rep.Failures) != 0 {
		t.Fatalf("%+v, %v", rep, err)
	}
	names := rep.CoverNames()
	if rep.Cover["lives"] < 80 || rep.Cover["lives"]%2 != 0 || slices.Contains(names, "never") || !slices.IsSorted(names) {
		t.Errorf("%v", rep.Cover)
	}
	if under := rep.Under["eio-write"]; rep.Cover["fault eio-write"] == 0 || under["lives"] == 0 || under["lives"] >= rep.Cover["lives"] {
		t.Errorf("under write errors: %v, of all %v", under, rep.Cover)
	}
}

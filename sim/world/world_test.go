package world

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/sim/trace"
)

func endless() bool { return false }

// newWorld returns a World that nobody has to give more than what matters.
func newWorld(seed uint64, s Strategy) *World {
	return New(Config{Seed: seed, Strategy: s, Log: &trace.Log{}})
}

// live runs one life in which main starts the tasks, to the end of all of them.
func live(w *World, main func()) Life {
	defer w.Close()
	defer w.Reap()
	return w.Live(CrashAt{}, false, main, endless, endless)
}

// busy is a strategy that switches wherever it may.
var busy = Strategy{Wait: 1, Yield: 1, IO: 1, Effect: 1}

func TestOneTaskAtATime(t *testing.T) {
	for _, order := range []Order{Uniform, Priorities, Keep} {
		s := busy
		s.Order = order
		w := newWorld(7, s)
		inside, switches, last := 0, 0, -1
		out := live(w, func() {
			for n := range 5 {
				w.Go("task", true, func() {
					for range 50 {
						if inside++; inside != 1 {
							t.Errorf("order %d: %d tasks run at the same time", order, inside)
						}
						if last != n {
							switches++
						}
						last = n
						inside--
						w.Park(context.Background(), nil)
					}
				})
			}
		})
		if out.Err != nil || out.Crashed {
			t.Fatalf("order %d: %+v", order, out)
		}
		switch { // five tasks that never wait
		case order == Keep && switches != 5:
			t.Errorf("Keep switched %d times, want 5: from task to task as each ends", switches)
		case order != Keep && switches < 20:
			t.Errorf("order %d switched only %d times", order, switches)
		}
	}
}

// Under Priorities the highest runs, and a task that was preempted falls to the end.
func TestPriorities(t *testing.T) {
	w := newWorld(3, Strategy{Order: Priorities, Yield: 4})
	var ran []int
	live(w, func() {
		for n := range 4 {
			w.Go(fmt.Sprint("task", n), true, func() {
				for range 20 {
					ran = append(ran, n)
					w.Park(background, nil)
				}
			})
		}
	})
	runs := len(slices.Compact(slices.Clone(ran)))
	switched := len(w.Preempts())
	if switched < 5 || switched > 35 || runs > switched+4 || runs < switched-8 { // the last one has nobody to go behind
		t.Errorf("%d preemptions of 4 tasks, %d stretches", switched, runs)
	}
}

// A task goes on only when what it waits for is there, or its context has ended.
func TestParkKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Strategy{
			Order: rapid.SampledFrom([]Order{Uniform, Priorities, Keep}).Draw(t, "order"),
			Wait:  rapid.IntRange(0, 3).Draw(t, "wait"), Yield: rapid.IntRange(0, 3).Draw(t, "yield"),
			Timers: rapid.IntRange(0, 3).Draw(t, "timers"),
		}
		w := newWorld(rapid.Uint64().Draw(t, "seed"), s)
		queue, taken, gaveUp := 0, 0, 0
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		out := live(w, func() {
			for n := range 3 {
				w.Go(fmt.Sprint("maker", n), true, func() {
					for range 5 {
						queue++
						w.Park(background, nil)
					}
				})
				w.Go(fmt.Sprint("taker", n), true, func() {
					for {
						w.Park(ctx, func() bool { return queue > 0 })
						if queue == 0 {
							if ctx.Err() == nil {
								t.Fatal("it went on for nothing")
							}
							gaveUp++
							return
						}
						queue--
						taken++
					}
				})
			}
			w.After(time.Second, cancel)
		})
		if out.Err != nil || taken+queue != 15 || gaveUp != 3 {
			t.Fatalf("%v: of 15 pieces %d were taken, %d are left, %d of 3 takers ended by their context", out.Err, taken, queue, gaveUp)
		}
	})
}

// The starved task runs only when no other can.
func TestStarve(t *testing.T) {
	w := newWorld(5, Strategy{Yield: 1, Starve: "txcoord"})
	left, early := 3, 0
	live(w, func() {
		w.Go("txcoord", false, func() {
			for range 10 {
				if left > 0 {
					early++
				}
				w.Park(background, nil)
			}
		})
		for n := range 3 {
			w.Go(fmt.Sprint("client", n), true, func() {
				for range 20 {
					w.Park(background, nil)
				}
				left--
			})
		}
	})
	if early != 0 {
		t.Errorf("the starved task ran %d times although others could", early)
	}
}

func TestTimersRingInOrder(t *testing.T) {
	w := newWorld(1, Strategy{})
	begin := w.Now()
	var rang []string
	var stopped func()
	ring := func(name string) func() {
		return func() { rang = append(rang, fmt.Sprint(name, " ", w.Now().Sub(begin))) }
	}
	out := live(w, func() {
		w.After(30*time.Millisecond, ring("c"))
		w.After(10*time.Millisecond, ring("a"))
		stopped = w.After(5*time.Millisecond, ring("stopped"))
		w.After(20*time.Millisecond, ring("b1"))
		w.After(20*time.Millisecond, ring("b2"))
		w.After(-time.Hour, ring("past"))
		stopped()
		w.Go("sleeper", true, func() {
			w.Sleep(25 * time.Millisecond)
			ring("sleeper")()
			w.After(0, ring("later"))
			w.Sleep(time.Hour)
			ring("end")()
		})
	})
	want := []string{"past 0s", "a 10ms", "b1 20ms", "b2 20ms", "sleeper 25ms", "later 25ms", "c 30ms", "end 1h0m0.025s"}
	if out.Err != nil || !slices.Equal(rang, want) {
		t.Errorf("%v: rang %v, want %v", out.Err, rang, want)
	}
	if w.Elapsed() != time.Hour+25*time.Millisecond {
		t.Errorf("%v went by", w.Elapsed())
	}
}

// Time that has gone by otherwise does not come back when a late timer rings.
func TestTimersRingLate(t *testing.T) {
	rang := time.Duration(-1)
	w := newWorld(1, Strategy{})
	live(w, func() {
		w.After(time.Microsecond, func() { rang = w.Elapsed() })
		for range 5 {
			w.Yield()
		}
		w.Sleep(0)
	})
	if rang != 5*time.Microsecond {
		t.Errorf("it rang at %v", rang)
	}
}

// With Timers a timer rings although tasks can run, and time never goes back.
func TestTimersComeBetween(t *testing.T) {
	w := newWorld(1, Strategy{Yield: 1, Timers: 2})
	working, early, last := true, 0, time.Duration(0)
	live(w, func() {
		for n := range 10 {
			w.After(time.Duration(10-n)*time.Second, func() {
				if working {
					early++
				}
				if w.Elapsed() < last {
					t.Errorf("time went from %v to %v", last, w.Elapsed())
				}
				last = w.Elapsed()
			})
		}
		w.Go("busy", true, func() {
			for range 100 {
				w.Park(background, nil)
			}
			working = false
		})
	})
	if early == 0 {
		t.Error("no timer rang while a task could run")
	}
}

// What is reaped runs its deferred functions, none of which gets past a yield; no recover sees it.
func TestReap(t *testing.T) {
	for _, s := range []Strategy{busy, {}} {
		reap(t, newWorld(1, s))
	}
}

func reap(t *testing.T, w *World) {
	var deferred, past, recovered int
	clean := func() {
		deferred++
		if recover() != nil {
			recovered++
		}
		w.Park(context.Background(), nil)
		past++
	}
	before := runtime.NumGoroutine()
	w.Live(CrashAt{Step: 40}, false, func() {
		for n := range 4 {
			w.Go(fmt.Sprint("task", n), true, func() {
				defer clean()
				func() {
					defer clean()
					for {
						w.Park(background, nil)
						func() {
							defer func() {
								if recover() != nil {
									recovered++
								}
							}()
							w.Park(background, endless)
							past++
						}()
					}
				}()
			})
		}
		w.Go("panics", true, func() {
			defer panic("in a deferred function")
			w.Park(background, endless)
		})
	}, endless, func() bool { return true })
	w.Go("never began", true, func() { past++ })
	w.Reap()
	w.Close()
	if deferred != 8 || past != 0 || recovered != 0 {
		t.Errorf("%d deferred functions ran, want 8; %d got past a yield, %d saw the end by recover", deferred, past, recovered)
	}
	if len(w.tasks) != 0 || w.current != nil || w.Over() != nil {
		t.Errorf("%d tasks are left, the failure is %v", len(w.tasks), w.Over())
	}
	settles(t, before)
}

func TestStall(t *testing.T) {
	for _, words := range []bool{false, true} {
		w := New(Config{Seed: 1, Log: &trace.Log{}, Words: words})
		out := live(w, func() {
			w.Go("first", true, func() { waitsForSecond(w) })
			w.Go("second", true, func() { w.Park(background, endless) })
		})
		var stall *StallError
		if !errors.As(out.Err, &stall) || len(stall.Tasks) != 2 || stall.Steps != 0 {
			t.Fatalf("%v", out.Err)
		}
		for _, want := range []string{"first waits in world.waitsForSecond (world_test.go:", "second waits in world.TestStall.func", " ← "} {
			if !strings.Contains(stall.Error(), want) {
				t.Errorf("words %v: %v\nwant it to contain %q", words, stall, want)
			}
		}
	}
}

func waitsForSecond(w *World) {
	w.Park(context.Background(), endless)
	w.Park(context.Background(), nil)
}

// A life that idles may end, if the caller says so.
func TestIdle(t *testing.T) {
	w := newWorld(1, Strategy{})
	defer w.Close()
	defer w.Reap()
	out := w.Live(CrashAt{}, false, func() { w.Park(background, endless) }, endless, func() bool { return true })
	if out.Err != nil || out.Crashed {
		t.Errorf("%+v", out)
	}
}

func TestStepLimit(t *testing.T) {
	w := New(Config{Seed: 1, Log: &trace.Log{}, Strategy: busy, MaxSteps: 100})
	out := live(w, func() {
		for {
			w.Park(background, nil)
		}
	})
	var stall *StallError
	if !errors.As(out.Err, &stall) || stall.Steps != 101 {
		t.Fatalf("%v", out.Err)
	}
	if text := stall.Error(); !strings.Contains(text, "within 101 steps") || !strings.Contains(text, "main can go on in world.TestStepLimit.func") {
		t.Error(text)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	w := newWorld(1, Strategy{})
	out := live(w, func() { w.Go("job", false, func() { panic("ouch") }) })
	var panicked *PanicError
	if !errors.As(out.Err, &panicked) || !strings.HasPrefix(panicked.Text, "job: ouch\n") || !strings.Contains(panicked.Text, "TestPanicIsAFailure") {
		t.Errorf("%v", out.Err)
	}
}

// A Goexit that is not the world's ends the caller of Live, who is told.
func TestGoexitIsTold(t *testing.T) {
	w := newWorld(1, Strategy{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		live(w, func() { w.Go("client", true, runtime.Goexit) })
		t.Error("Live returned")
	}()
	<-ended
	var exit *GoexitError
	if !errors.As(w.Over(), &exit) || !strings.HasPrefix(exit.Text, "client ended") || !strings.Contains(exit.Text, "runtime.Goexit") {
		t.Errorf("%v", w.Over())
	}
}

// A goroutine that is no task is refused in words, with its stack.
func TestForeign(t *testing.T) {
	for _, engine := range []bool{false, true} {
		w := New(Config{Seed: 1, Log: &trace.Log{}, Strict: true})
		out := live(w, func() {
			w.Go("task", !engine, func() {
				ended := make(chan bool)
				go func() {
					returned := false
					defer func() { ended <- returned }()
					callsFromOutside(w)
					returned = true
				}()
				if <-ended {
					t.Error("the call from outside returned")
				}
				w.Park(background, nil)
			})
		})
		var foreign *ForeignError
		if !errors.As(out.Err, &foreign) || !strings.Contains(foreign.Text, "use Life.Go instead of go") || !strings.Contains(foreign.Text, "callsFromOutside") {
			t.Errorf("engine %v: %v", engine, out.Err)
		}
		if w.Foreign() == nil {
			t.Error("it is not told to who asks")
		}
	}
}

// A task may call from however deep.
func TestDeepCallIsOwn(t *testing.T) {
	w := New(Config{Seed: 1, Log: &trace.Log{}, Strict: true, Strategy: busy})
	deepest := 0
	var down func(n int)
	down = func(n int) {
		if n > 0 {
			down(n - 1)
			w.Park(background, nil)
			deepest = max(deepest, n)
		}
	}
	if out := live(w, func() { down(400) }); out.Err != nil || deepest != 400 {
		t.Errorf("%v, came to %d", out.Err, deepest)
	}
}

func callsFromOutside(w *World) { w.Park(context.Background(), nil) }

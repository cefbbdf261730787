package world

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/trace"
)

// work is a life of clients that use one engine: a queue that an actor empties.
type work struct {
	w                 *World
	choices           map[string]uint64 // what was chosen where: client, operation, place in it
	skip              string            // this operation of this client is left out
	requests, answers int
}

func (k *work) run() Life {
	k.choices = map[string]uint64{}
	return k.w.Live(CrashAt{}, false, func() {
		for c := range 3 {
			k.w.Go(fmt.Sprint("client", c), true, func() { k.client(c) })
		}
		k.w.Go("actor", false, func() {
			for {
				k.w.Park(background, func() bool { return k.requests > 0 })
				k.requests--
				k.answers++
				k.w.Effect("actor", "client", messages.Tick{})
			}
		})
	}, endless, func() bool { return true })
}

func (k *work) client(c int) {
	for op := range 10 {
		at := fmt.Sprint(c, " ", op)
		if at == k.skip {
			continue
		}
		k.w.BeginOp(op + 1)
		for place := range 6 {
			before := len(k.w.preempts)
			k.w.Park(background, nil)
			gaveWay := uint64(min(len(k.w.preempts)-before, 1)) // others count, too
			k.choices[fmt.Sprint(at, " ", place)] = gaveWay<<32 | uint64(k.w.Draw(1000))
		}
		k.requests++
		k.w.Park(background, func() bool { return k.answers > 0 })
		k.answers--
	}
}

// stays is the part of all choices that is the same without one operation.
func stays(seed uint64, drop string) float64 {
	s := Strategy{Yield: 3, Wait: 2, Effect: 2}
	with := &work{w: newWorld(seed, s)}
	with.run()
	with.w.Reap()
	with.w.Close()
	without := &work{w: newWorld(seed, s), skip: drop}
	without.run()
	without.w.Reap()
	without.w.Close()
	same := 0
	for at, choice := range without.choices {
		if with.choices[at] == choice {
			same++
		}
	}
	return float64(same) / float64(len(without.choices))
}

// When an operation is left out, what the others do and draw stays the same, which is what makes
// shrinking work.
func TestChoicesStay(t *testing.T) {
	const floor = 0.99 // a choice of a client depends on nothing but where it is
	for seed := range uint64(10) {
		if part := stays(seed, fmt.Sprint(seed%3, " ", seed)); part < floor {
			t.Errorf("seed %d: without one operation %.2f of the choices stay, want %.2f", seed, part, floor)
		}
	}
}

// Only what the filters keep happens; without it the rest does as before.
func TestFilters(t *testing.T) {
	all := &work{w: newWorld(4, busyWork)}
	all.run()
	all.w.Reap()
	all.w.Close()
	keys := all.w.Preempts()
	if len(keys) < 50 {
		t.Fatalf("only %d preemptions", len(keys))
	}
	same := &work{w: New(Config{Seed: 4, Strategy: busyWork, Log: &trace.Log{}, Preempts: set(keys)})}
	same.run()
	same.w.Reap()
	same.w.Close()
	if !slices.Equal(same.w.Preempts(), keys) || !maps.Equal(same.choices, all.choices) || same.w.cfg.Log.Hash() != all.w.cfg.Log.Hash() {
		t.Error("a run that keeps all is another run")
	}
	none := &work{w: New(Config{Seed: 4, Strategy: busyWork, Log: &trace.Log{}, Preempts: Filter{}})}
	none.run()
	none.w.Reap()
	none.w.Close()
	if len(none.w.Preempts()) != 0 {
		t.Errorf("%d preemptions, none was kept", len(none.w.Preempts()))
	}
	half := set(keys[:len(keys)/2])
	some := &work{w: New(Config{Seed: 4, Strategy: busyWork, Log: &trace.Log{}, Preempts: half})}
	some.run()
	some.w.Reap()
	some.w.Close()
	for _, key := range some.w.Preempts() {
		if !half[key] {
			t.Errorf("preemption %x was not kept", key)
		}
	}
	if len(some.w.Preempts()) < len(half)/2 {
		t.Errorf("of %d preemptions only %d happened", len(half), len(some.w.Preempts()))
	}
}

var busyWork = Strategy{Yield: 3, Wait: 2, Effect: 2}

func set(keys []uint32) Filter {
	f := Filter{}
	for _, k := range keys {
		f[k] = true
	}
	return f
}

// calls makes n I/O calls, and counts those that began and those that returned.
func calls(w *World, n int, begun, returned *int) {
	for range n {
		*begun++
		w.Begin(disk.Op{Call: "write", File: "f", Data: []byte("x")})
		w.End(disk.Op{Call: "write", File: "f"})
		*returned++
	}
}

func TestCrashAtBoundary(t *testing.T) {
	for io := int64(1); io <= 21; io++ {
		w := newWorld(1, Strategy{})
		begun, returned := 0, 0
		out := w.Live(CrashAt{IO: io}, false, func() { calls(w, 10, &begun, &returned) }, endless, endless)
		w.Reap()
		w.Close()
		if io == 21 { // there are two boundaries a call
			if out.Crashed || returned != 10 || out.IO != 20 {
				t.Errorf("it crashed behind its last boundary: %+v", out)
			}
			continue
		}
		if !out.Crashed || out.Err != nil || out.IO != io || begun != int(io+1)/2 || returned != int(io-1)/2 {
			t.Errorf("boundary %d: %+v, %d calls began, %d returned", io, out, begun, returned)
		}
	}
}

func TestCrashAtStep(t *testing.T) {
	for step := int64(1); step < 12; step++ {
		w := newWorld(1, Strategy{Yield: 1})
		out := w.Live(CrashAt{Step: step}, false, func() {
			for range 10 {
				w.Park(background, nil)
			}
		}, endless, endless)
		w.Reap()
		w.Close()
		if !out.Crashed || out.Steps != step {
			t.Errorf("step %d: %+v", step, out)
		}
	}
}

// A crash once in so many is a choice of each boundary, and one of the faults that a filter keeps.
func TestCrashOnce(t *testing.T) {
	one := func(seed uint64, faults Filter) (*World, Life) {
		w := New(Config{Seed: seed, Log: &trace.Log{}, Faults: faults})
		begun, returned := 0, 0
		out := w.Live(CrashAt{Once: 20}, false, func() { calls(w, 100, &begun, &returned) }, endless, endless)
		w.Reap()
		w.Close()
		return w, out
	}
	crashed, sum := 0, int64(0)
	for seed := range uint64(300) {
		w, out := one(seed, nil)
		if !out.Crashed {
			continue
		}
		crashed++
		sum += out.IO
		if len(w.Faults()) != 1 {
			t.Fatalf("seed %d: faults %v", seed, w.Faults())
		}
		if _, again := one(seed, set(w.Faults())); again != out {
			t.Errorf("seed %d: with its fault kept it ends %+v, without a filter %+v", seed, again, out)
		}
		if _, spared := one(seed, Filter{}); spared.Crashed {
			t.Errorf("seed %d crashed, no fault was kept", seed)
		}
	}
	if mean := sum / int64(crashed); crashed < 290 || mean < 15 || mean > 25 {
		t.Errorf("%d of 300 crashed, at boundary %d on average, want about 20", crashed, mean)
	}
}

func TestStrike(t *testing.T) {
	strikes := func(once int, calm bool, faults Filter) (n int, told int, keys []uint32) {
		w := New(Config{Seed: 9, Log: &trace.Log{}, Faults: faults, Struck: func(disk.Class) { told++ }})
		w.Live(CrashAt{}, calm, func() {
			for range 1000 {
				if w.Strike(disk.EIOWrite, once, "strikes") {
					n++
				}
			}
		}, endless, endless)
		w.Reap()
		w.Close()
		return n, told, w.Faults()
	}
	if n, _, _ := strikes(0, false, nil); n != 0 {
		t.Errorf("%d strikes at a rate of none", n)
	}
	if n, _, _ := strikes(1, false, nil); n != 1000 {
		t.Errorf("%d of 1,000 strikes at a rate of always", n)
	}
	if n, _, _ := strikes(1, true, nil); n != 0 {
		t.Errorf("%d strikes in a calm life", n)
	}
	n, told, keys := strikes(10, false, nil)
	if n < 70 || n > 130 || told != n || len(keys) != n {
		t.Errorf("%d strikes at one in ten of 1,000, %d told, %d keys", n, told, len(keys))
	}
	if kept, _, _ := strikes(10, false, set(keys[:7])); kept != 7 {
		t.Errorf("%d strikes, 7 are kept", kept)
	}
}

// An invariant of an actor that does not hold ends the life; so does Fail.
func TestFail(t *testing.T) {
	w := newWorld(1, Strategy{})
	broken := errors.New("broken")
	past := false
	out := live(w, func() {
		w.Fail(broken)
		past = true
	})
	if !errors.Is(out.Err, broken) || past {
		t.Errorf("%+v, it went on: %v", out, past)
	}
}

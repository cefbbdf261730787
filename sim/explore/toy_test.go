package explore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/sim"
)

// The subjects here keep one file by themselves, so that it is known at which boundaries which
// crashes harm them.

// journal writes a byte and says too early that it is safe: before the sync. Its I/O calls are
// create (boundaries 1, 2), syncdir (3, 4), write (5, 6), sync (7, 8) and close (9, 10).
func journal() func(*sim.Life) {
	acked := false
	return func(l *sim.Life) {
		b := l.Backend()
		if l.Number() > 1 {
			f, err := b.Open("journal")
			if errors.Is(err, fs.ErrNotExist) && !acked {
				return
			}
			l.Must(err)
			if _, err := f.ReadAt(make([]byte, 1), 0); errors.Is(err, io.EOF) && acked {
				l.Failf("the byte is lost")
			}
			l.Must(f.Close())
			return
		}
		f, err := b.Create("journal")
		l.Must(err)
		l.Must(b.SyncDir())
		_, err = f.WriteAt([]byte{1}, 0)
		l.Must(err)
		acked = true
		l.Must(f.Sync())
		l.Must(f.Close())
	}
}

func TestEarlyAcknowledgementIsFoundWhereItHarms(t *testing.T) {
	res := explored(t, Boundaries, Config{Failures: 100}, journal)
	// The call of the sync, before and behind it the byte is acknowledged; behind it, it is safe.
	want := []sim.End{power(1, 7, 1)}
	if got := ends(res, 0); !slices.Equal(got, want) {
		t.Errorf("it fails at %+v, want %+v", got, want)
	}
	if res.Boundaries != 10 || !res.Whole || res.Sampled != 0 {
		t.Errorf("10 boundaries, all images listed: %v", res)
	}
	// Each boundary has a kill and its images: with and without the name at 2 and 3, with and without
	// the byte at 6 and 7, and one elsewhere. Code of the subject runs between two calls, but not in
	// one: of the images and kills of the five calls 4, 3, 4, 3 and 2 differ.
	if res.Crashes != 10+10+4 || res.Distinct != 16 {
		t.Errorf("%d crashes, %d distinct", res.Crashes, res.Distinct)
	}
	if res.Runs != 1+res.Distinct {
		t.Errorf("%d runs for %d crashes", res.Runs, res.Distinct)
	}
}

// ledger moves what its log announces, byte by byte, in each recovery. The log is truncated at the
// end, but the balance is not written together with it: a recovery that is cut off adds twice.
func ledger() func(*sim.Life) {
	return func(l *sim.Life) {
		b := l.Backend()
		if l.Number() == 1 {
			for _, name := range []string{"log", "balance"} {
				f, err := b.Create(name)
				l.Must(err)
				_, err = f.WriteAt([]byte{1}, 0)
				l.Must(err)
				l.Must(f.Sync())
				l.Must(f.Close())
			}
			l.Must(b.SyncDir())
			return
		}
		balance, err := b.Open("balance")
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		l.Must(err)
		sum := make([]byte, 1)
		if _, err := balance.ReadAt(sum, 0); err != nil {
			return
		}
		log, err := b.Open("log")
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		l.Must(err)
		n, err := log.Size()
		l.Must(err)
		if n == 1 {
			sum[0]++
			_, err = balance.WriteAt(sum, 0)
			l.Must(err)
			l.Must(balance.Sync())
			l.Must(log.Truncate(0))
			l.Must(log.Sync())
		}
		if sum[0] > 2 {
			l.Failf("the balance is %d, what was announced is 2", sum[0])
		}
	}
}

func TestRecoveryThatIsNotIdempotentIsFoundNested(t *testing.T) {
	if res := explored(t, Boundaries, Config{Failures: 100}, ledger); len(res.Failures) > 0 || !res.Whole {
		t.Errorf("one crash does no harm: %v", res.Failures[0].Failure)
	}
	res := explored(t, Nested, Config{Failures: 1000}, ledger)
	if len(res.Failures) == 0 {
		t.Fatal("nothing was found")
	}
	// The recovery opens, reads, opens, asks for the size (1 to 8), and then writes (9, 10), syncs
	// (11, 12), truncates (13, 14) and syncs (15, 16). What the balance has and the log still, too, is
	// there behind the write, and up to the last sync. At 12 and 14 it is what it was in the same call.
	var at []int64
	for _, end := range ends(res, 1) {
		if !end.Idle || end.Life != 2 {
			t.Errorf("not a recovery: %+v", end)
		}
		at = append(at, end.At.IO)
	}
	slices.Sort(at)
	if at = slices.Compact(at); !slices.Equal(at, []int64{10, 11, 13, 15}) {
		t.Errorf("it fails at boundaries %d of the recovery", at)
	}
	three := explored(t, Nested, Config{Depth: 3, Failures: 1}, ledger)
	if len(three.Failures) != 1 || len(three.Failures[0].Plan.Ends) != 2 {
		t.Error("two crashes are enough")
	}
}

// racer has two clients without a store. The second one fails if it sees the first in the middle,
// and, with hard set, then at its end.
func racer(hard bool) sim.Subject {
	return func() func(*sim.Life) {
		state := 0
		return func(l *sim.Life) {
			if l.Number() > 1 {
				return
			}
			l.Go("writer", func(c *sim.Client) {
				state = 1
				c.Yield()
				state = 2
			})
			l.Go("reader", func(c *sim.Client) {
				seen := state
				c.Yield()
				if seen == 1 && (!hard || state == 2) {
					l.Failf("the state was 1, and is %d", state)
				}
			})
		}
	}
}

func TestRacesNeedAsManySwitchesAsTheyNeed(t *testing.T) {
	one := explored(t, Interleavings, Config{Switches: 1, Failures: 100}, racer(false))
	if len(one.Failures) != 1 || len(one.Failures[0].Plan.Switches) != 1 {
		t.Errorf("one switch is found once: %v", one)
	}
	// The writer is left at its yield, or before it begins; the reader has nobody to come in then.
	if one.Schedules != 3 || one.Choices != 2 {
		t.Errorf("three schedules of two choices: %v", one)
	}
	if res := explored(t, Interleavings, Config{Switches: 1, Failures: 100}, racer(true)); len(res.Failures) > 0 || !res.Whole {
		t.Errorf("one switch does no harm: %v", res)
	}
	two := explored(t, Interleavings, Config{Failures: 100}, racer(true))
	if len(two.Failures) != 1 || len(two.Failures[0].Plan.Switches) != 2 {
		t.Errorf("two switches are found once: %v", two)
	}
}

// explore is one of the ways to explore.
type explore func(context.Context, Config, sim.Subject) (*Result, error)

// explored explores twice, with one job and with three, and wants the same found. Each failure has
// to come back from its token.
func explored(t *testing.T, f explore, c Config, subject sim.Subject) *Result {
	t.Helper()
	var res *Result
	for _, c.Jobs = range []int{1, 3} {
		again, err := f(context.Background(), c, subject)
		if err != nil {
			t.Fatal(err)
		}
		if res != nil {
			same(t, res, again)
		}
		res = again
	}
	for _, fail := range res.Failures {
		replayed(t, fail, subject)
	}
	return res
}

func same(t *testing.T, a, b *Result) {
	t.Helper()
	x, y := *a, *b
	x.Elapsed, y.Elapsed, x.Failures, y.Failures = 0, 0, nil, nil
	if x.String() != y.String() || len(a.Failures) != len(b.Failures) {
		t.Fatalf("the same is explored twice:\n%v\n%v", a, b)
	}
	for i := range a.Failures {
		if a.Failures[i].Plan.Token() != b.Failures[i].Plan.Token() {
			t.Fatalf("failure %d is another one", i)
		}
	}
}

func replayed(t *testing.T, fail *sim.Result, subject sim.Subject) {
	t.Helper()
	plan, err := sim.ParseToken(fail.Plan.Token())
	if err != nil {
		t.Fatal(err)
	}
	res, err := sim.Execute(plan, subject, sim.Keep)
	if err != nil {
		t.Fatal(err)
	}
	if res.Failure == nil || *res.Failure != *fail.Failure || res.Hash != fail.Hash {
		t.Errorf("token %s fails as %v, it was %v", plan.Token(), res.Failure, fail.Failure)
	}
}

// ends lists how the lives of a number, from 0, ended in the failing runs.
func ends(res *Result, life int) (list []sim.End) {
	for _, f := range res.Failures {
		if len(f.Plan.Ends) > life {
			list = append(list, f.Plan.Ends[life])
		}
	}
	return list
}

func power(life int, io int64, image int) sim.End {
	e := sim.End{Life: life, Kind: sim.Power, Image: image}
	e.At.IO = io
	return e
}

package walwriter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// TestCrash drives a log through several lives that end at any call, by a power cut or a kill,
// with passing errors in between. The harness checks at each opening that a prefix was
// recovered that holds every durable commit.
func TestCrash(t *testing.T) {
	seeds := 2500
	if testing.Short() {
		seeds = 500
	}
	var total crashStats
	for seed := range seeds {
		stats, err := crashSeed(uint64(seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		total.add(stats)
	}
	t.Logf("%+v", total)
	// The rare paths must have been walked, or the test shows nothing.
	if total.Rotations == 0 || total.Recycled == 0 || total.Torn == 0 || total.IdleHeaders == 0 ||
		total.StartCrashes == 0 || total.SyncFailures == 0 || total.Oversize == 0 || total.TailKept == 0 {
		t.Errorf("paths were missed: %+v", total)
	}
}

func TestOneCrashSeed(t *testing.T) {
	if _, err := crashSeed(0); err != nil {
		t.Fatal(err)
	}
}

type crashStats struct {
	Rotations, Recycled, Torn, IdleHeaders, StartCrashes, SyncFailures, Oversize, TailKept, Commits uint64
}

func (s *crashStats) add(o crashStats) {
	s.Rotations += o.Rotations
	s.Recycled += o.Recycled
	s.Torn += o.Torn
	s.IdleHeaders += o.IdleHeaders
	s.StartCrashes += o.StartCrashes
	s.SyncFailures += o.SyncFailures
	s.Oversize += o.Oversize
	s.TailKept += o.TailKept
	s.Commits += o.Commits
}

// crashRun is one seed of TestCrash.
type crashRun struct {
	*harness
	d     *disk
	rng   *rand.Rand
	stats crashStats
}

func crashSeed(seed uint64) (crashStats, error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := newDisk()
	l := testLimits()
	l.GroupAlign = []int{1, 1, 8, 512}[rng.IntN(4)]
	c := &crashRun{harness: newHarness(d, l), d: d, rng: rng}
	for range 2 + rng.IntN(2) {
		if err := c.life(); err != nil {
			return c.stats, err
		}
	}
	return c.stats, c.reopen()
}

// life opens the log, works until a crash, and crashes.
func (c *crashRun) life() error {
	if err := c.reopen(); err != nil {
		return err
	}
	if c.rng.IntN(8) > 0 {
		c.publish()
	}
	c.d.budget = c.rng.IntN(90)
	if c.rng.IntN(6) == 0 {
		at := c.rng.IntN(20)
		c.d.fail = func(call, _ string) error {
			if at--; at > 0 || call != "sync" {
				return nil
			}
			c.d.fail = nil
			c.stats.SyncFailures++
			return errors.New("sync failed")
		}
	}
	for range 200 {
		if c.d.dead || c.poisoned != nil {
			break
		}
		if err := c.work(); err != nil {
			return err
		}
	}
	s := c.m.Stats()
	c.stats.Rotations += s.Rotations
	c.stats.Recycled += s.Recycled
	c.stats.IdleHeaders += s.IdleHeaders
	c.end()
	return nil
}

func (c *crashRun) end() {
	if c.rng.IntN(4) == 0 {
		c.d.restart()
	} else {
		c.d.crash(c.rng)
	}
}

// reopen opens the log, with crashes while that is done.
func (c *crashRun) reopen() error {
	for {
		if err := c.recoverTwice(); err != nil {
			return err
		}
		c.d.budget = -1
		crash := c.rng.IntN(3) == 0
		if crash {
			c.d.budget = c.rng.IntN(10)
		}
		before := len(c.commits)
		err := c.open()
		if err == nil {
			c.d.budget = -1
			if len(c.commits) > 0 && before > len(c.commits) {
				c.stats.Torn++
			}
			if c.m.asserted < c.m.last {
				c.stats.TailKept++
			}
			return nil
		}
		if !c.d.dead {
			return err
		}
		c.stats.StartCrashes++
		c.end()
	}
}

// recoverTwice checks that recovery changes nothing: not the disk, and not its own result.
func (c *crashRun) recoverTwice() error {
	calls := len(c.d.calls)
	var last pages.Seq
	for i := range 2 {
		r, err := c.recover()
		if err != nil {
			return err
		}
		if i == 1 && r.Last() != last {
			return fmt.Errorf("recovered up to %d, then %d", last, r.Last())
		}
		last = r.Last()
	}
	if len(c.d.calls) != calls {
		return fmt.Errorf("recovery wrote: %v", c.d.calls[calls:])
	}
	return nil
}

// work does one random thing.
func (c *crashRun) work() error {
	switch r := c.rng.IntN(20); {
	case r < 12:
		return c.appendSome()
	case r < 15:
		if len(c.jobs) > 0 {
			return c.runJob(c.rng.IntN(len(c.jobs)), func() bool { return c.rng.IntN(200) > 0 })
		}
	case r < 17:
		if c.durable > c.source.Seq && !c.source.Clean {
			c.source.Seq += pages.Seq(c.rng.IntN(int(c.durable-c.source.Seq) + 1))
			return c.step(messages.Release{UpTo: c.source.Seq})
		}
	case r < 19:
		if c.alarm {
			return c.tick()
		}
	default:
		return c.oversize()
	}
	return nil
}

func (c *crashRun) appendSome() error {
	var batch []messages.ToWalwriter
	for range 1 + c.rng.IntN(3) {
		var commits [][]byte
		for range 1 + c.rng.IntN(4) {
			most := []int{40, 300, 2000, 8000}[c.rng.IntN(4)]
			commits = append(commits, randomBatch(c.rng, min(most, int(c.limits.SegmentBytes/2)-60)))
		}
		a, ok := c.commit(c.rng.IntN(2) == 0, commits...)
		if !ok {
			break
		}
		c.stats.Commits += uint64(len(commits))
		batch = append(batch, a)
	}
	return c.step(batch...)
}

// oversize reserves space for a large commit, or appends the one that was reserved for.
func (c *crashRun) oversize() error {
	if c.pending == 0 {
		size := 9<<10 + c.rng.IntN(40<<10)
		c.pending = messages.CreditFor(size)
		return c.step(messages.Reserve{Bytes: c.pending})
	}
	if c.credit < c.pending {
		return nil
	}
	b := make([]byte, c.pending-messages.CreditFor(0))
	for i := range b {
		b[i] = byte(c.rng.Uint32())
	}
	a, _ := c.commit(true, b)
	c.pending = 0
	c.stats.Oversize++
	return c.step(a)
}

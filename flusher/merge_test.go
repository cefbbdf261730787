package flusher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestTombstonesDieAtTheBottom(t *testing.T) {
	d, _ := newTest(t, 3)
	d.world.write(200, pages.DefaultKeyspace, 50)
	d.flush()
	if st := d.m.Stats(); st.Tombstones != 0 {
		t.Fatalf("%d tombstones in the oldest run", st.Tombstones)
	}
	for i := range 50 {
		d.world.delete(pages.AppendKey(nil, pages.DefaultKeyspace, fmt.Appendf(nil, "key-%04d", i)))
	}
	d.step(d.world.freeze())
	d.hold = true
	for d.covered != d.world.seq {
		d.runJob()
	}
	if st := d.m.Stats(); st.Tombstones == 0 {
		t.Fatal("tombstones were dropped above older runs")
	}
	d.drain()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	if st := d.m.Stats(); st.Tombstones != 0 || st.Tables != 0 || len(d.runs) != 0 || st.Reclaimable == 0 {
		t.Fatalf("after everything was deleted: %+v", st)
	}
}

func TestBottomMergeReusesUntouchedTables(t *testing.T) {
	d, _ := newTest(t, 5)
	d.sequential(pages.DefaultKeyspace, 0, 1000)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	before := d.tables()
	written := d.m.Stats().MergedBytes
	d.sequential(pages.DefaultKeyspace, 500, 503)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	after := d.tables()
	reused := 0
	for _, id := range before {
		if slices.Contains(after, id) {
			reused++
		}
	}
	if len(before) < 20 || reused < len(before)-2 {
		t.Fatalf("%d of %d tables were reused", reused, len(before))
	}
	if n := d.m.Stats().MergedBytes - written; n > 10<<10 {
		t.Fatalf("merging 3 entries wrote %d bytes", n)
	}
}

func TestSequentialTablesMoveUnread(t *testing.T) {
	d, _ := newTest(t, 6)
	for i := range 20 {
		d.sequential(pages.DefaultKeyspace, i*100, (i+1)*100)
		d.flush()
	}
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	st := d.m.Stats()
	if len(d.runs) != 1 || st.MergedBytes > st.FlushedBytes/2 {
		t.Fatalf("%d runs; %d bytes flushed, %d merged", len(d.runs), st.FlushedBytes, st.MergedBytes)
	}
}

// TestSmallTablesJoin flushes little pieces in key order: the bottom must not become a string of
// little tables.
func TestSmallTablesJoin(t *testing.T) {
	d, _ := newTest(t, 7)
	for i := range 100 {
		d.sequential(pages.DefaultKeyspace, i*2, (i+1)*2)
		d.flush()
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := len(d.tables()), d.m.Stats().TableBytes; int64(n)*smallTable(2<<10) > bytes {
		t.Fatalf("%d tables for %d bytes", n, bytes)
	}
}

func TestSettlesWhenWritersPause(t *testing.T) {
	d, _ := newTest(t, 11)
	limits := tinyLimits()
	limits.FanIn, limits.MaxRuns, limits.SettleBudget = 6, 10, 20
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	d.world.write(400, pages.DefaultKeyspace, 1000)
	d.flush()
	d.world.write(30, pages.DefaultKeyspace, 1000)
	d.flush()
	if len(d.runs) < 2 || d.m.Stats().Settled {
		t.Fatalf("%d runs before the pause", len(d.runs))
	}
	d.wait()
	d.wait()
	d.drain()
	if len(d.runs) != 1 || !d.m.Stats().Settled {
		t.Fatalf("%d runs after the pause", len(d.runs))
	}
	if d.alarm != 0 {
		t.Fatalf("settled, but asks for a Tick after %v", d.alarm)
	}
}

func TestSettlingKeepsItsBudget(t *testing.T) {
	d, _ := newTest(t, 12)
	limits := tinyLimits()
	limits.FanIn, limits.MaxRuns, limits.SettleBudget = 6, 10, 2
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	d.world.write(400, pages.DefaultKeyspace, 1000)
	d.flush()
	for range 5 {
		d.world.write(20, pages.DefaultKeyspace, 1000)
		d.flush()
		for range 3 {
			if d.alarm != 0 {
				d.wait()
				d.drain()
			}
		}
	}
	c := d.m.newCheckpoint()
	if c.WrittenBytes > 2*c.UserBytes {
		t.Fatalf("wrote %d table bytes for %d of the user's", c.WrittenBytes, c.UserBytes)
	}
	if len(d.runs) < 2 {
		t.Fatal("settled beyond its budget")
	}
	if err := d.compact(); err != nil || len(d.runs) != 1 {
		t.Fatalf("%d runs after Compact, %v", len(d.runs), err)
	}
}

func TestCompactReportsProgress(t *testing.T) {
	d, _ := newTest(t, 13)
	d.world.write(2000, pages.DefaultKeyspace, 5000)
	d.flush()
	d.world.write(200, pages.DefaultKeyspace, 5000)
	d.flush()
	calls, last := 0, int64(0)
	c := &messages.Compact{Reply: messages.NewReply[error](), Progress: func(done, total int64) {
		calls++
		if done < last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}}
	d.step(c)
	d.drain()
	if err := <-c.Reply.Done(); err != nil || calls < 5 {
		t.Fatalf("%d calls, %v", calls, err)
	}
}

// TestBoundariesOfTargetTables updates nothing but the first, or the last, key of a table.
func TestBoundariesOfTargetTables(t *testing.T) {
	d, _ := newTest(t, 18)
	d.sequential(pages.DefaultKeyspace, 0, 200)
	d.flush()
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	for i := range len(d.runs[0].Tables) * 2 {
		m := d.runs[0].Tables[i/2%len(d.runs[0].Tables)].Meta()
		key := m.Min
		if i%2 == 1 {
			key = m.Max
		}
		d.world.put(key, fmt.Sprint("changed ", i))
		d.flush()
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.keys(pages.DefaultKeyspace); n != 200 {
		t.Fatalf("%d keys", n)
	}
}

// TestSmallTablesJoinBackwards is TestSmallTablesJoin in descending order.
func TestSmallTablesJoinBackwards(t *testing.T) {
	d, _ := newTest(t, 19)
	for i := range 100 {
		d.sequential(pages.DefaultKeyspace, 1000-i*2, 1000-i*2+2)
		d.flush()
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := len(d.tables()), d.m.Stats().TableBytes; int64(n)*smallTable(2<<10) > bytes {
		t.Fatalf("%d tables for %d bytes", n, bytes)
	}
}

// TestStepsOfCompressibleDataGetOn: steps that end by what they read make tables that are small
// and that the next step joins. That must not be all it does.
func TestStepsOfCompressibleDataGetOn(t *testing.T) {
	d, _ := newTest(t, 24)
	limits := tinyLimits()
	limits.LeafBytes, limits.TableBytes = 4<<10, 64<<10
	if err := d.open(limits); err != nil {
		t.Fatal(err)
	}
	d.world.name(16, pages.Codec{Compression: pages.Zstd})
	d.sequential(pages.DefaultKeyspace, 0, 10)
	d.flush()
	for range 3 {
		for i := range 400 {
			d.world.put(pages.AppendKey(nil, 16, fmt.Appendf(nil, "key-%04d", i)), fmt.Sprintf("%01000d", d.world.seq))
		}
		d.flush()
		if err := d.compact(); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.m.Stats().MergeSteps; n > 30 {
		t.Fatalf("%d steps for 1.2 MB in pieces of 128 KiB", n)
	}
	if n := d.keys(16); n != 400 {
		t.Fatalf("%d keys", n)
	}
}

func TestStepSizeOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 1))
	limits := tinyLimits()
	limits.MergeStep, limits.TableBytes = 1, 8<<10
	d := newDriver(t, newDisk(), newWorld(rng), limits)
	for range 5 {
		d.world.write(40, pages.DefaultKeyspace, 60)
		d.flush()
	}
	if err := d.compact(); err != nil {
		t.Fatal(err)
	}
	if len(d.runs) != 1 {
		t.Fatalf("%d runs", len(d.runs))
	}
}

package walwriter

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func countCalls(d *disk, call string) int {
	n := 0
	for _, c := range d.calls {
		if strings.HasPrefix(c, call+" ") {
			n++
		}
	}
	return n
}

func TestAppendIsOneWriteAndOneSync(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	credit := h.credit
	d.calls = nil
	var turn []messages.ToWalwriter
	var buffers [][]byte
	for i := range 5 {
		a, _ := h.commit(i == 2, []byte("one"), []byte("two"))
		turn = append(turn, a)
		buffers = append(buffers, a.Records)
	}
	must(t, h.step(turn...))
	if w, s := countCalls(d, "write"), countCalls(d, "sync"); w != 1 || s != 1 {
		t.Errorf("%d writes and %d syncs: %v", w, s, d.calls)
	}
	if h.written != 5 || h.durable != 10 {
		t.Errorf("%d Written, durable %d", h.written, h.durable)
	}
	for i, b := range h.buffers {
		if &b[0] != &buffers[i][0] {
			t.Errorf("buffer %d did not come back", i)
		}
	}
	if h.credit != credit {
		t.Errorf("credit %d, was %d", h.credit, credit) // the spare backs it all
	}
	if s := h.m.Stats(); s.Groups != 1 || s.LiveBytes != h.logBytes || h.logBytes == 0 {
		t.Errorf("%+v, LogBytes %d", s, h.logBytes)
	}
}

func TestSyncOnlyAppend(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, false, []byte("a"))
	if h.durable != 0 {
		t.Fatalf("durable %d without a sync", h.durable)
	}
	d.calls = nil
	must(t, h.step(messages.Append{Sync: true}))
	if h.durable != 1 || countCalls(d, "sync") != 1 || countCalls(d, "write") != 0 {
		t.Fatalf("durable %d after %v", h.durable, d.calls)
	}
	// A sync with nothing to do is answered, and costs nothing.
	d.calls = nil
	must(t, h.m.Step([]messages.ToWalwriter{messages.Append{Sync: true}}, &h.out))
	if len(h.out.Txcoord) != 2 || h.out.Txcoord[1] != messages.ToTxcoord(messages.Durable{UpTo: 1}) || len(d.calls) != 0 {
		t.Fatalf("%v after %v", h.out.Txcoord, d.calls)
	}
}

func TestRotationSyncsTheOldSegment(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(1, 1))
	for h.m.stats.Rotations == 0 {
		b := make([]byte, 1000)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		h.mustAppend(t, false, b)
	}
	if want := pages.Seq(len(h.commits) - 1); h.durable != want {
		t.Errorf("durable %d after a rotation behind %d", h.durable, want)
	}
	if len(h.jobs) != 1 {
		t.Fatalf("%d jobs, a spare is to be prepared", len(h.jobs))
	}
	must(t, h.runJobs())
	h.mustAppend(t, true, []byte("x"))
	must(t, h.open())
	if h.durable != pages.Seq(len(h.commits)) {
		t.Errorf("recovered %d of %d", h.durable, len(h.commits))
	}
}

func TestReleaseRecyclesAndRemoves(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(1, 2))
	for h.m.stats.Rotations < 5 {
		h.mustAppend(t, true, noise(rng, 3000))
		must(t, h.runJobs())
	}
	live := len(h.m.live)
	must(t, h.step(messages.Release{UpTo: h.m.live[2].last - 1}))
	if len(h.m.live) != live-2 {
		t.Fatalf("%d segments live, of %d two were covered", len(h.m.live), live)
	}
	must(t, h.step(messages.Release{UpTo: h.durable}))
	must(t, h.runJobs())
	s := h.m.Stats()
	if s.Segments != 1 || s.Spares != keepSpares || s.Recycled == 0 {
		t.Errorf("%+v", s)
	}
	if list, _ := d.List(); len(list) != 1+keepSpares {
		t.Errorf("files %v", list)
	}
	h.source.Seq = h.durable
	must(t, h.open())
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestFinalReleaseLeavesNoFile(t *testing.T) {
	d := newDisk()
	h := newHarness(d, testLimits())
	must(t, h.open()) // a preparation is on its way
	h.mustAppend(t, true, []byte("a"), []byte("b"))
	must(t, h.step(messages.Release{UpTo: 2, Final: true}))
	if h.durable != 2 {
		t.Errorf("durable %d", h.durable)
	}
	must(t, h.runJobs()) // the job comes back with a spare, which goes as well
	must(t, h.m.Close())
	if list, _ := d.List(); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	h.source = Source{Seq: 2, Epoch: uint64(h.m.epoch), Clean: true}
	must(t, h.open())
	h.mustAppend(t, true, []byte("c"))
	if h.durable != 3 {
		t.Errorf("durable %d", h.durable)
	}
}

func TestFinalReleaseWithoutTheJobsAnswer(t *testing.T) {
	d := newDisk()
	h := newHarness(d, testLimits())
	must(t, h.open())
	job := h.jobs[0]
	must(t, h.step(messages.Release{Final: true}))
	must(t, job.Run(always)) // the actor has stopped: nobody handles the answer
	must(t, h.m.Close())
	if list, _ := d.List(); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestFinalReleaseReportsWhatItCouldNotRemove(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	failure := errors.New("not now")
	d.fail = func(call, _ string) error {
		if call == "remove" {
			return failure
		}
		return nil
	}
	must(t, h.step(messages.Release{Final: true}))
	if err := h.m.Close(); !errors.Is(err, failure) {
		t.Errorf("Close: %v", err)
	}
}

func TestWriteFailurePoisons(t *testing.T) {
	for _, call := range []string{"write", "sync"} {
		t.Run(call, func(t *testing.T) {
			d := newDisk()
			h := newTestLog(t, d, testLimits())
			h.mustAppend(t, true, []byte("a"))
			failure := errors.New("broken")
			d.fail = func(c, _ string) error {
				if c == call {
					return failure
				}
				return nil
			}
			h.mustAppend(t, true, []byte("b"))
			if !errors.Is(h.poisoned, failure) || h.durable != 1 {
				t.Fatalf("poisoned by %v, durable %d", h.poisoned, h.durable)
			}
			// From here on nothing is tried again, and nothing is claimed.
			d.fail, d.calls = nil, nil
			h.mustAppend(t, true, []byte("c"))
			must(t, h.step(messages.Append{Sync: true}, messages.Tick{}, messages.Reserve{Bytes: 1 << 20}, messages.Release{UpTo: 3, Final: true}))
			must(t, h.step(messages.Append{Sync: true}, messages.Release{UpTo: 2}))
			if len(d.calls) != 0 || h.durable != 1 || h.written != 0 {
				t.Errorf("after poisoning: durable %d, %d Written, calls %v", h.durable, h.written, d.calls)
			}
			must(t, h.m.Step([]messages.ToWalwriter{&messages.WalStatsRequest{}}, &h.out))
			if len(h.out.Stats) != 1 || h.out.Stats[0].Stats.Groups == 0 {
				t.Errorf("stats %+v", h.out.Stats)
			}
			must(t, h.m.Close())
			if list, _ := d.List(); len(list) == 0 {
				t.Error("a poisoned log was removed")
			}
		})
	}
}

func TestIdleHeaderClosesTheLastGroup(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	if !h.alarm {
		t.Fatal("no Tick asked for")
	}
	must(t, h.tick()) // something was written since the last one
	if h.m.stats.IdleHeaders != 0 || !h.alarm {
		t.Fatalf("closed while busy: %+v", h.m.stats)
	}
	d.calls = nil
	must(t, h.tick())
	if h.m.stats.IdleHeaders != 1 || h.m.asserted != 1 || h.alarm {
		t.Fatalf("%+v, asserted %d, alarm %v", h.m.stats, h.m.asserted, h.alarm)
	}
	if len(d.calls) != 2 || d.calls[0][:5] != "write" || d.calls[1][:4] != "sync" {
		t.Errorf("calls %v", d.calls)
	}
	must(t, h.tick())
	if len(d.calls) != 2 {
		t.Errorf("closed twice: %v", d.calls)
	}
	// The record is asserted now: damage to it is corruption.
	name := fileName(h.m.current().slot)
	d.names[name].cache[dataStart+groupHeaderBytes+messages.RecordOverhead] ^= 1
	var corrupt *pages.CorruptionError
	if _, err := h.recover(); !errors.As(err, &corrupt) || corrupt.File != name {
		t.Errorf("recover: %v", err)
	}
}

func TestIdleHeaderInAFullSegment(t *testing.T) {
	h := newTestLog(t, newDisk(), testLimits())
	seg := h.m.current()
	for room := seg.room(); room > 0; room = seg.room() {
		n := min(room, 4096) - groupHeaderBytes - messages.RecordOverhead
		if left := room - min(room, 4096); left > 0 && left < 128 {
			n -= 128
		}
		h.mustAppend(t, true, noise(rand.New(rand.NewPCG(1, 5)), int(n)))
	}
	if h.m.current() != seg || seg.room() != 0 {
		t.Fatalf("room %d", seg.room())
	}
	must(t, h.tick())
	must(t, h.tick())
	if h.m.current() == seg || h.m.asserted != h.durable || h.m.stats.IdleHeaders != 1 {
		t.Errorf("asserted %d of %d, %+v", h.m.asserted, h.durable, h.m.stats)
	}
	must(t, h.runJobs())
	h.mustAppend(t, true, []byte("x"))
	must(t, h.open())
}

func TestLongTurnIsSeveralGroups(t *testing.T) {
	l := messages.DefaultLimits()
	l.CompressAbove = 1 << 30
	d := newDisk()
	h := newTestLog(t, d, l)
	var batches [][]byte
	rng := rand.New(rand.NewPCG(1, 6))
	for range 50 {
		batches = append(batches, noise(rng, 100<<10))
	}
	d.calls = nil
	h.mustAppend(t, true, batches...)
	if s := h.m.Stats(); s.Groups < 5 || cap(h.m.enc.buf) > 2*groupLimit {
		t.Errorf("%+v, buffer of %d", s, cap(h.m.enc.buf))
	}
	must(t, h.open())
	if h.durable != 50 {
		t.Errorf("recovered %d", h.durable)
	}
}

func TestCompression(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(1, 7))
	h.mustAppend(t, true, bytes.Repeat([]byte("pattern "), 800), noise(rng, 1500), []byte("short"))
	s := h.m.Stats()
	if s.PayloadRaw != 6400 || s.PayloadStored == 0 || s.PayloadStored > 400 || s.BytesWritten > 2500 {
		t.Errorf("%+v", s)
	}
	must(t, h.open())
	must(t, h.open()) // the tail is carried over as it is stored
}

func TestJobsStopWhenTold(t *testing.T) {
	d := newDisk()
	l := testLimits()
	l.SegmentBytes = 4 << 20
	h := newHarness(d, l)
	must(t, h.open())
	n := 0
	must(t, h.runJob(0, func() bool { n++; return n < 3 }))
	if len(must1(d.List())) != 1 || n != 3 {
		t.Errorf("files %v after %d yields", must1(d.List()), n)
	}
	if len(h.jobs) != 0 {
		t.Error("a stopped job was sent off again at once")
	}
}

func TestRemovalIsTriedAgain(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(1, 8))
	for h.m.stats.Rotations < 6 {
		h.mustAppend(t, true, noise(rng, 3000))
		must(t, h.runJobs())
	}
	d.fail = func(call, _ string) error {
		if call == "remove" {
			return errors.New("busy")
		}
		return nil
	}
	must(t, h.step(messages.Release{UpTo: h.durable}))
	must(t, h.runJobs())
	d.fail = nil
	if !h.alarm {
		t.Fatal("no Tick asked for")
	}
	must(t, h.tick())
	must(t, h.runJobs())
	if list := must1(d.List()); len(list) != 1+keepSpares {
		t.Errorf("files %v", list)
	}
}

func TestRemoveAll(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	must1(d.Create("wal-xyz"))
	must1(d.Create("wal-0000000A"))
	must(t, RemoveAll(d))
	if list := must1(d.List()); len(list) != 2 {
		t.Errorf("files %v", list)
	}
	must(t, RemoveAll(d))
}

func TestBrokenPromisesPanic(t *testing.T) {
	record := func(seq pages.Seq) []byte { return messages.AppendRecord(nil, seq, []byte("x")) }
	charge := messages.CreditFor(1)
	for name, msg := range map[string]messages.ToWalwriter{
		"gap":       messages.Append{Records: record(2), First: 2, Last: 2, Count: 1, Charged: charge},
		"count":     messages.Append{Records: record(1), First: 1, Last: 1, Count: 2, Charged: charge},
		"charge":    messages.Append{Records: record(1), First: 1, Last: 1, Count: 1, Charged: charge - 1},
		"last":      messages.Append{Records: record(1), First: 1, Last: 2, Count: 1, Charged: charge},
		"short":     messages.Append{Records: record(1)[:19], First: 1, Last: 1, Count: 1, Charged: charge},
		"cut":       messages.Append{Records: record(1)[:20], First: 1, Last: 1, Count: 1, Charged: charge},
		"no credit": messages.Append{Records: messages.AppendRecord(nil, 1, make([]byte, 1<<20)), First: 1, Last: 1, Count: 1, Charged: messages.CreditFor(1 << 20)},
		"job":       messages.WalJobDone{Job: strangeJob{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestLog(t, newDisk(), testLimits())
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "walwriter: ") {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = h.m.Step([]messages.ToWalwriter{msg}, &h.out)
		})
	}
}

type strangeJob struct{}

func (strangeJob) Run(messages.Yield) error { return nil }

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	d := newDisk()
	for _, name := range []string{"wal-1", "table-0000000000000001", "wal-000000010", "LOCK"} {
		must1(d.Create(name))
	}
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	must(t, h.open())
	must(t, h.runJobs())
	must(t, h.step(messages.Release{UpTo: 1, Final: true}))
	must(t, h.m.Close())
	if list := must1(d.List()); len(list) != 4 {
		t.Errorf("files %v", list)
	}
}

func TestOpenKeepsNoStaleFiles(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	for range 3 {
		h.mustAppend(t, true, []byte("a"), []byte("b"))
		must(t, h.open())
		h.publish()
		must(t, h.runJobs())
	}
	must(t, h.step(messages.Release{UpTo: h.durable}))
	must(t, h.runJobs())
	names := must1(d.List())
	if len(names) != 2 || !slices.ContainsFunc(names, func(f backends.FileInfo) bool {
		return f.Name == fileName(h.m.current().slot)
	}) {
		t.Errorf("files %v", names)
	}
	if _, err := d.Open("wal-00000001"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of the first segment: %v", err)
	}
}

package walwriter

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// TestFailedSyncBeforeRestart: after a sync that failed, the records can be read and are not
// on the medium. What a restart serves of them must be there after a power cut.
func TestFailedSyncBeforeRestart(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("synced"))
	d.fail = func(call, _ string) error {
		if call == "sync" {
			return errors.New("lost pages")
		}
		return nil
	}
	h.mustAppend(t, true, []byte("in the cache only"))
	if h.poisoned == nil {
		t.Fatal("not poisoned")
	}
	d.restart()
	must(t, h.open())
	if h.durable != 2 {
		t.Fatalf("recovered up to %d", h.durable)
	}
	h.publish()
	rng := rand.New(rand.NewPCG(1, 1))
	d.crash(rng)
	must(t, h.open()) // refuses to lose commit 2
	h.publish()
	d.crash(rng)
	must(t, h.open())
}

// TestPowerCutAtEveryCallOfStart: a crash at any call of the new epoch's start, and of the
// start after that, leaves the same commits.
func TestPowerCutAtEveryCallOfStart(t *testing.T) {
	const calls = 12 // a Start has fewer
	for seed := range uint64(40) {
		for first := range calls {
			rng := rand.New(rand.NewPCG(seed, uint64(first)))
			d := newDisk()
			h := newTestLog(t, d, testLimits())
			h.mustAppend(t, true, []byte("a"))
			h.mustAppend(t, true, []byte("b"), noise(rng, 1000))
			h.mustAppend(t, false, []byte("c"))
			d.restart()
			for _, budget := range []int{first, int(seed % calls)} {
				d.budget = budget
				if err := h.open(); err != nil && !d.dead {
					t.Fatalf("budget %d: %v", budget, err)
				}
				if d.dead && budget >= calls-1 {
					t.Fatalf("Start has more calls than are tried: %v", d.calls)
				}
				d.crash(rng)
			}
			must(t, h.open())
		}
	}
}

func TestStartWithoutSpaceLeavesTheLog(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	before := len(d.names)
	for _, call := range []string{"create", "write", "sync"} {
		d.fail = func(c, _ string) error {
			if c == call {
				return backends.ErrNoSpace
			}
			return nil
		}
		if err := h.open(); !errors.Is(err, backends.ErrNoSpace) {
			t.Errorf("%s: %v", call, err)
		}
		if len(d.names) > before { // fewer: spares went to make room
			t.Errorf("%s: a file was left behind", call)
		}
	}
	d.fail = nil
	must(t, h.open())
}

// TestFailedHeaderSyncUsesUpTheEpoch: the header may be on the medium, so its file stays, and
// the next life takes a higher epoch.
func TestFailedHeaderSyncUsesUpTheEpoch(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	syncs := 0
	d.fail = func(c, _ string) error {
		if c == "sync" {
			if syncs++; syncs == 2 {
				return errors.New("failed")
			}
		}
		return nil
	}
	if err := h.open(); err == nil {
		t.Fatal("a failed sync was ignored")
	}
	d.restart()
	r, err := h.recover()
	must(t, err)
	if r.Epoch() != 2 || r.Last() != 1 {
		t.Errorf("epoch %d, last %d", r.Epoch(), r.Last())
	}
	must(t, h.open())
	d.crash(rand.New(rand.NewPCG(3, 3)))
	must(t, h.open())
}

func TestStartRefusesUsedEpochs(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	for _, epoch := range []uint64{0, 1, 1 << 32} {
		r, err := h.recover()
		must(t, err)
		if _, err := r.Start(Config{Backend: d, Limits: h.limits, Epoch: epoch}); err == nil {
			t.Errorf("epoch %d after 1 was accepted", epoch)
		}
	}
	r, err := h.recover()
	must(t, err)
	must(t, r.Close())
	if _, err := r.Start(Config{Backend: d, Limits: h.limits, Epoch: 9}); err == nil {
		t.Error("Start after Close")
	}
}

func TestReadErrorsAreNotTheEnd(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	failure := errors.New("read failed")
	var lost *pages.CorruptionError
	for at := 0; ; at++ {
		reads := 0
		d.readErr = func(string, int64) error {
			if reads++; reads == at+1 {
				return failure
			}
			return nil
		}
		_, err := h.recover()
		if reads <= at {
			must(t, err)
			break
		}
		if !errors.Is(err, failure) || errors.As(err, &lost) {
			t.Errorf("read %d: %v", at, err)
		}
	}
	d.readErr = nil
	must(t, h.open())
}

// shortBackend hides the end of every file from reads, as a file system does that lost its
// size.
type shortBackend struct{ backends.Backend }

func (b shortBackend) Open(name string) (backends.File, error) {
	f, err := b.Backend.Open(name)
	return shortFile{f}, err
}

type shortFile struct{ backends.File }

func (f shortFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > dataStart+50 {
		if off >= dataStart+50 {
			return 0, io.EOF
		}
		n, _ := f.File.ReadAt(p[:dataStart+50-off], off)
		return n, io.EOF
	}
	return f.File.ReadAt(p, off)
}

func TestShortReadIsNotTheEnd(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	h.mustAppend(t, true, []byte("b"))
	h.backend, h.durable = shortBackend{d}, 0
	if r, err := h.recover(); err == nil {
		t.Errorf("recovered up to %d of 2", r.Last())
	}
}

func TestApplyErrorEndsRecovery(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"), []byte("b"))
	failure := errors.New("no memory")
	_, err := Recover(d, h.source, func(seq pages.Seq, _ []byte) error {
		if seq == 2 {
			return failure
		}
		return nil
	}, nil)
	if !errors.Is(err, failure) {
		t.Errorf("recover: %v", err)
	}
}

func TestCleanSourceIgnoresOlderEpochs(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	// A clean close whose removals did not reach the medium.
	h.source = Source{Seq: 1, Epoch: 1, Clean: true}
	r, err := h.recover()
	must(t, err)
	if r.Records() != 0 || r.Last() != 1 || r.Epoch() != 1 {
		t.Errorf("records %d, last %d, epoch %d", r.Records(), r.Last(), r.Epoch())
	}
	// The next life began, and ended before its checkpoint was published.
	must(t, h.open())
	h.mustAppend(t, true, []byte("b"))
	must(t, h.open())
	if h.durable != 2 {
		t.Errorf("recovered up to %d", h.durable)
	}
}

func TestLogMustContinueTheCheckpoint(t *testing.T) {
	build := func() (*harness, *disk) {
		d := newDisk()
		h := newTestLog(t, d, testLimits())
		rng := rand.New(rand.NewPCG(4, 4))
		for h.m.stats.Rotations < 3 {
			h.mustAppend(t, true, noise(rng, 3000))
			must(t, h.runJobs())
		}
		return h, d
	}
	for name, prepare := range map[string]func(*harness, *disk){
		"no log at all":                 func(h *harness, d *disk) { clear(d.names) },
		"log of an older epoch":         func(h *harness, _ *disk) { h.source.Epoch = 2 },
		"checkpoint ahead of the log":   func(h *harness, _ *disk) { h.source.Seq = h.durable + 1 },
		"first segment missing":         func(h *harness, d *disk) { delete(d.names, fileName(h.m.live[0].slot)) },
		"segment missing in the middle": func(h *harness, d *disk) { delete(d.names, fileName(h.m.live[1].slot)) },
		"segment there twice": func(h *harness, d *disk) {
			d.names["wal-000000ff"] = d.names[fileName(h.m.live[1].slot)]
		},
		"segment of another log": func(h *harness, d *disk) {
			n := d.names[fileName(h.m.live[1].slot)]
			head, _ := decodeSegmentHeader(n.cache)
			head.chain++
			copy(n.cache, head.appendTo(nil))
			copy(n.cache[headerCopyAt:], head.appendTo(nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, d := build()
			prepare(h, d)
			h.durable = 0
			_, err := h.recover()
			var lost *pages.CorruptionError
			if !errors.As(err, &lost) {
				t.Errorf("recover: %v", err)
			}
		})
	}
}

// TestCheckpointInsideAGroup: a checkpoint may end anywhere in a group. What it covers is not
// applied again, and what follows is.
func TestCheckpointInsideAGroup(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("1"), []byte("2"), []byte("3"), []byte("4"))
	for seq := range pages.Seq(5) {
		h.source.Seq = seq
		r, err := h.recover()
		must(t, err)
		if r.Records() != int64(4-seq) {
			t.Errorf("from %d: %d records", seq, r.Records())
		}
		d2 := newDisk()
		for name, n := range d.names {
			d2.names[name] = &inode{cache: slices.Clone(n.cache), medium: slices.Clone(n.cache)}
			d2.synced[name] = d2.names[name]
		}
		h2 := newHarness(d2, h.limits)
		h2.source, h2.commits = h.source, slices.Clone(h.commits)
		must(t, h2.open())
		h2.publish()
		h2.mustAppend(t, true, []byte("5"))
		// The old segment and the new one join in the middle of a group.
		h2.source.Seq = 0
		must1(h2.recover())
		h2.source.Seq = seq
		d2.crash(rand.New(rand.NewPCG(5, uint64(seq))))
		h2.commits = h2.commits[:5]
		must(t, h2.open())
	}
}

// TestDamageInARewrittenTail: the records that a new epoch's segment began with were synced
// before its header was, so they do not pass for a torn tail, although nothing later asserts
// them.
func TestDamageInARewrittenTail(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("the tail"))
	must(t, h.open())
	n := d.names[fileName(h.m.current().slot)]
	n.cache[dataStart+groupHeaderBytes+messages.RecordOverhead] ^= 1
	h.durable = 0
	_, err := h.recover()
	var lost *pages.CorruptionError
	if !errors.As(err, &lost) || lost.Offset != dataStart+groupHeaderBytes {
		t.Errorf("recover: %v", err)
	}
}

func TestUnknownRecordsAreRefused(t *testing.T) {
	payload := append([]byte{200, 0, 0, 0}, noise(rand.New(rand.NewPCG(1, 1)), 60)...)
	for name, change := range map[string]func(rec []byte){
		"flag":       func(rec []byte) { rec[16] = 3 },
		"zero bytes": func(rec []byte) { rec[18] = 1 },
		"not LZ4":    func(rec []byte) { rec[16] = flagLZ4 },
		"raw length": func(rec []byte) { rec[16] = flagLZ4; rec[messages.RecordOverhead+3] = 0xFF },
		"raw length 0": func(rec []byte) {
			rec[16] = flagLZ4
			clear(rec[messages.RecordOverhead : messages.RecordOverhead+4])
		},
		"not S2":        func(rec []byte) { rec[16] = flagS2 },
		"S2 length 0":   func(rec []byte) { rec[16] = flagS2; rec[messages.RecordOverhead] = 0 },
		"S2 raw length": func(rec []byte) { rec[16] = flagS2; copy(rec[messages.RecordOverhead:], "\xFF\xFF\xFF\xFF\x0F") },
		"seq":           func(rec []byte) { rec[8] = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			rec := messages.AppendRecord(nil, 1, payload)
			change(rec)
			_, err := recoverGroups(t, rec)
			var lost *pages.CorruptionError
			if !errors.As(err, &lost) || lost.Offset != dataStart+groupHeaderBytes {
				t.Errorf("recover: %v", err)
			}
		})
	}
}

// recoverGroups recovers a log of one segment with one group that holds records, whose
// checksums are made good.
func recoverGroups(t testing.TB, records []byte) (*Recovered, error) {
	b := backends.NewMemory()
	f, err := b.Create(fileName(1))
	must(t, err)
	seg := &segment{slot: 1, file: f, size: alignUp(dataStart+groupHeaderBytes+int64(len(records)), blockBytes), number: 1, epoch: 1}
	h := segmentHeader{number: 1, epoch: 1, base: 1, size: seg.size, align: minAlign}
	must(t, fill(f, seg.size, func() error { return nil }))
	must(t, seg.writeHeader(&h))
	e := encoder{chain: salt(0, 1, 1)}
	for rest := records; len(rest) > 0; {
		n := len(rest)
		if len(rest) >= messages.RecordOverhead {
			n = min(n, recordBytes(rest))
		}
		if n < messages.RecordOverhead {
			break
		}
		e.addStored(rest[:n])
		rest = rest[n:]
	}
	if len(e.buf) > 0 {
		if _, err := f.WriteAt(e.finish(seg, 0, e.bodyBytes()), dataStart); err != nil {
			t.Fatal(err)
		}
	}
	return Recover(b, Source{Epoch: 1}, func(pages.Seq, []byte) error { return nil }, nil)
}

func TestProgressRises(t *testing.T) {
	s := newSample(t)
	var last, total int64
	_, err := Recover(s.d, s.source, func(pages.Seq, []byte) error { return nil }, func(done, of int64) {
		if done < last || done > of || total != 0 && of != total {
			t.Errorf("progress %d of %d after %d of %d", done, of, last, total)
		}
		last, total = done, of
	})
	must(t, err)
	if last == 0 {
		t.Error("no progress")
	}
}

func TestTornBytes(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	h.mustAppend(t, true, []byte("a"))
	r, err := h.recover()
	must(t, err)
	if r.TornBytes() != 0 || r.Bytes() == 0 {
		t.Errorf("torn %d of %d", r.TornBytes(), r.Bytes())
	}
	h.mustAppend(t, false, []byte("b"), []byte("c"))
	n := d.names[fileName(h.m.current().slot)]
	n.cache[h.m.current().end-8] ^= 1
	r, err = h.recover()
	must(t, err)
	if r.TornBytes() != messages.RecordOverhead+1 || r.Last() != 2 {
		t.Errorf("torn %d, last %d", r.TornBytes(), r.Last())
	}
}

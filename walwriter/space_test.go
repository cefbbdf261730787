package walwriter

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestPrepareFailureIsNoSpace(t *testing.T) { testPrepareFailure(t, backends.ErrNoSpace) }

// TestPrepareFailureIsStall: a medium that is not full is not said to be.
func TestPrepareFailureIsStall(t *testing.T) { testPrepareFailure(t, errors.New("input/output error")) }

func testPrepareFailure(t *testing.T, cause error) {
	t.Helper()
	d := newDisk()
	l := testLimits()
	l.FirstSegment = 20 << 10
	h := newHarness(d, l)
	full := true
	d.fail = func(call, name string) error {
		if full && call == "write" && name != "wal-00000001" {
			return fmt.Errorf("write %s: %w", name, cause)
		}
		return nil
	}
	must(t, h.open())
	h.publish()
	must(t, h.runJobs())
	if s := h.m.Stats(); s.PrepareFailures != 1 || !h.alarm {
		t.Fatalf("%+v, alarm %v", s, h.alarm)
	}
	// Credit above half a segment covers any ordinary commit: no alarm yet.
	if h.noSpace != nil {
		t.Fatalf("NoSpace with a credit of %d", h.credit)
	}
	h.mustAppend(t, true, noise(rand.New(rand.NewPCG(1, 9)), 5000))
	if !errors.Is(h.noSpace, cause) {
		t.Fatalf("no NoSpace with a credit of %d", h.credit)
	}
	// What is left can be used to the last byte.
	for h.credit > 0 {
		n := min(h.credit-minCharge, 500)
		if n < 0 {
			break
		}
		h.mustAppend(t, true, make([]byte, n))
	}
	if h.poisoned != nil || h.durable != pages.Seq(len(h.commits)) {
		t.Fatalf("poisoned %v", h.poisoned)
	}
	must(t, h.tick())
	must(t, h.runJobs())
	if h.noSpace == nil || !h.alarm {
		t.Fatal("trying again did not fail")
	}
	for _, f := range must1(d.List()) {
		if f.Name != "wal-00000001" {
			t.Errorf("%s was left behind", f.Name)
		}
	}
	full = false
	must(t, h.tick())
	must(t, h.runJobs())
	if h.noSpace != nil || h.credit < h.limits.SegmentBytes/2 {
		t.Fatalf("after relief: NoSpace %v, credit %d", h.noSpace, h.credit)
	}
	h.mustAppend(t, true, make([]byte, 5000))
	must(t, h.open())
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReleaseEndsNoSpace(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	d.fail = func(call, _ string) error {
		if call == "create" {
			return backends.ErrNoSpace
		}
		return nil
	}
	rng := rand.New(rand.NewPCG(1, 3))
	for h.credit > 200 {
		h.mustAppend(t, true, noise(rng, int(min(h.credit-60, 700))))
		must(t, h.runJobs())
	}
	if h.noSpace == nil || len(h.m.live) < 2 {
		t.Fatalf("NoSpace %v with %d segments", h.noSpace, len(h.m.live))
	}
	must(t, h.step(messages.Release{UpTo: h.m.live[0].last}))
	if h.m.Stats().Recycled == 0 || h.noSpace != nil || h.credit < h.limits.SegmentBytes/2 {
		t.Fatalf("%+v, NoSpace %v, credit %d", h.m.Stats(), h.noSpace, h.credit)
	}
	h.source.Seq = h.m.released
	for range 5 {
		h.mustAppend(t, true, noise(rng, 1000))
	}
	d.fail = nil
	must(t, h.open())
}

func TestReserveGrantsExactly(t *testing.T) {
	for _, size := range []int{9 << 10, 100 << 10, compressMax + 5} {
		d := newDisk()
		h := newTestLog(t, d, testLimits())
		h.mustAppend(t, true, []byte("before"))
		want := messages.CreditFor(size)
		must(t, h.step(messages.Reserve{Bytes: want}))
		must(t, h.runJobs())
		if h.granted != want {
			t.Fatalf("granted %d of %d", h.granted, want)
		}
		batch := bytes.Repeat([]byte("oversize"), size/8+1)[:size]
		h.mustAppend(t, true, batch)
		h.mustAppend(t, true, []byte("after"))
		if h.durable != 3 || h.poisoned != nil {
			t.Fatalf("durable %d, poisoned %v", h.durable, h.poisoned)
		}
		must(t, h.runJobs())
		rng := rand.New(rand.NewPCG(1, 4))
		for h.m.current().size != h.m.segmentSize {
			h.mustAppend(t, true, noise(rng, 4000))
			must(t, h.runJobs())
		}
		must(t, h.step(messages.Release{UpTo: h.durable}))
		must(t, h.runJobs())
		for _, f := range must1(d.List()) {
			if f.Size != h.m.segmentSize {
				t.Errorf("oversize file %s of %d bytes is still there", f.Name, f.Size)
			}
		}
		h.source.Seq = 1
		if h.durable > 3 {
			h.source.Seq = h.durable
		}
		must(t, h.open())
	}
}

func TestReserveWithoutSpace(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	credit := h.credit
	d.fail = func(call, _ string) error {
		if call == "create" {
			return backends.ErrNoSpace
		}
		return nil
	}
	must(t, h.step(messages.Reserve{Bytes: 1 << 20}))
	must(t, h.runJobs())
	if h.noSpace == nil || h.credit != credit {
		t.Fatalf("NoSpace %v, credit %d", h.noSpace, h.credit)
	}
	d.fail = nil
	h.mustAppend(t, true, []byte("small ones go on"))
	must(t, h.tick())
	must(t, h.runJobs())
	if h.credit != credit {
		t.Errorf("credit %d, was %d", h.credit, credit)
	}
}

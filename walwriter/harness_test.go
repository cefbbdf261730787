package walwriter

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// harness is a txcoord, a flusher and a shell around a Machine, and knows what the log must
// hold.
type harness struct {
	backend backends.Backend
	limits  messages.Limits
	m       *Machine
	out     Outbox
	jobs    []messages.WalJob
	alarm   bool

	commits  [][]byte // batch of commit i+1
	durable  pages.Seq
	credit   int64
	pending  int64 // a reservation's bytes
	written  int   // Written messages since the last step
	granted  int64 // credit in them
	buffers  [][]byte
	logBytes int64
	noSpace  error
	poisoned error
	source   Source // the newest synced checkpoint
}

func testLimits() messages.Limits {
	l := messages.DefaultLimits()
	l.SegmentBytes, l.FirstSegment, l.CompressAbove = 16<<10, 16<<10, 512
	return l
}

func newHarness(b backends.Backend, l messages.Limits) *harness {
	return &harness{backend: b, limits: l, source: Source{Clean: true}}
}

// open recovers the log and starts the machine. What was recovered must be a prefix of what
// was appended, and hold all that was durable.
func (h *harness) open() error {
	r, err := h.recover()
	if err != nil {
		return err
	}
	epoch := max(r.Epoch(), h.source.Epoch) + 1
	m, err := r.Start(Config{Backend: h.backend, Limits: h.limits, Epoch: epoch})
	if err != nil {
		return err
	}
	h.m, h.out, h.jobs, h.alarm = m, Outbox{}, nil, false
	h.commits = h.commits[:r.Last()]
	h.durable = r.Last()
	h.credit, h.pending, h.noSpace, h.poisoned = 0, 0, nil, nil
	h.m.Start(&h.out)
	return h.deliver()
}

// publish is the checkpoint that follows the start of an epoch.
func (h *harness) publish() { h.source.Epoch, h.source.Clean = uint64(h.m.epoch), false }

func (h *harness) recover() (*Recovered, error) {
	next := h.source.Seq + 1
	r, err := Recover(h.backend, h.source, func(seq pages.Seq, batch []byte) error {
		if seq != next {
			return fmt.Errorf("replayed %d, expected %d", seq, next)
		}
		next++
		if int(seq) > len(h.commits) {
			return fmt.Errorf("replayed %d of %d commits", seq, len(h.commits))
		}
		if !bytes.Equal(batch, h.commits[seq-1]) {
			return fmt.Errorf("commit %d replayed as %d bytes %.20x, was %d bytes %.20x",
				seq, len(batch), batch, len(h.commits[seq-1]), h.commits[seq-1])
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	if r.Last() != next-1 {
		return nil, fmt.Errorf("recovered up to %d, says %d", next-1, r.Last())
	}
	if r.Last() < h.durable {
		return nil, fmt.Errorf("recovered up to %d, durable was %d", r.Last(), h.durable)
	}
	return r, nil
}

func (h *harness) step(batch ...messages.ToWalwriter) error {
	h.written, h.granted, h.buffers = 0, 0, nil
	if err := h.m.Step(batch, &h.out); err != nil {
		return err
	}
	return h.deliver()
}

// deliver takes what is in the outbox.
func (h *harness) deliver() error {
	for _, msg := range h.out.Txcoord {
		switch msg := msg.(type) {
		case messages.Written:
			h.written++
			h.granted += msg.Credit
			h.credit += msg.Credit
			h.logBytes = msg.LogBytes
			if msg.Buffer != nil {
				h.buffers = append(h.buffers, msg.Buffer)
			}
			if msg.Credit > 0 {
				h.noSpace = nil
			}
		case messages.Durable:
			if msg.UpTo < h.durable {
				return fmt.Errorf("durable fell from %d to %d", h.durable, msg.UpTo)
			}
			h.durable = msg.UpTo
		case messages.NoSpace:
			if full := errors.Is(msg.Err, backends.ErrNoSpace); errors.Is(msg.Err, messages.ErrNoSpace) != full ||
				errors.Is(msg.Err, messages.ErrStalled) == full {
				return fmt.Errorf("NoSpace with %w", msg.Err)
			}
			h.noSpace = msg.Err
		case messages.Poisoned:
			if h.poisoned != nil {
				return fmt.Errorf("poisoned twice, by %w", msg.Err)
			}
			h.poisoned = msg.Err
		}
	}
	h.jobs = append(h.jobs, h.out.Jobs...)
	h.alarm = h.alarm || h.out.Alarm > 0
	h.out.Reset()
	return h.m.Check()
}

// commit makes an Append of batches, charged to the credit; ok is false if it does not
// suffice.
func (h *harness) commit(sync bool, batches ...[]byte) (messages.Append, bool) {
	a := messages.Append{Sync: sync, Count: len(batches)}
	for _, b := range batches {
		a.Charged += messages.CreditFor(len(b))
	}
	if a.Charged > h.credit {
		return a, false
	}
	h.credit -= a.Charged
	for _, b := range batches {
		h.commits = append(h.commits, b)
		seq := pages.Seq(len(h.commits))
		if a.First == 0 {
			a.First = seq
		}
		a.Last = seq
		a.Records = messages.AppendRecord(a.Records, seq, b)
	}
	return a, true
}

// runJob runs the i-th waiting job and returns its answer.
func (h *harness) runJob(i int, yield messages.Yield) error {
	job := h.jobs[i]
	h.jobs = slices.Delete(h.jobs, i, i+1)
	return h.step(messages.WalJobDone{Job: job, Err: job.Run(yield)})
}

func always() bool { return true }

// runJobs runs jobs until none is left.
func (h *harness) runJobs() error {
	for len(h.jobs) > 0 {
		if err := h.runJob(0, always); err != nil {
			return err
		}
	}
	return nil
}

func (h *harness) tick() error {
	h.alarm = false
	return h.step(messages.Tick{})
}

// mustAppend appends one commit per batch and steps once.
func (h *harness) mustAppend(t testing.TB, sync bool, batches ...[]byte) {
	t.Helper()
	a, ok := h.commit(sync, batches...)
	if !ok {
		t.Fatalf("credit %d does not cover the commit", h.credit)
	}
	must(t, h.step(a))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTestLog opens an empty log, with its first spare ready.
func newTestLog(t testing.TB, b backends.Backend, l messages.Limits) *harness {
	t.Helper()
	h := newHarness(b, l)
	must(t, h.open())
	h.publish()
	must(t, h.runJobs())
	return h
}

// randomBatch returns a batch of up to most bytes; half of them compress well.
func randomBatch(rng *rand.Rand, most int) []byte {
	b := make([]byte, 1+rng.IntN(most))
	if rng.IntN(2) == 0 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	fill := byte(rng.Uint32())
	for i := range b {
		b[i] = fill + byte(i/64)
	}
	return b
}

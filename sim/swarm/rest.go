package swarm

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/history"
)

// maintain is a client that does what an operator does.
func (s *swarm) maintain(c *sim.Client) {
	for c.Next() {
		acked := s.acked
		var err error
		switch c.Intn(5) {
		case 0:
			c.Does("Checkpoint")
			err = s.db.Checkpoint(c.Context())
		case 1:
			c.Does("Compact")
			err = s.db.Compact(c.Context(), nil)
		case 2:
			c.Does("Sync")
			if err = s.db.Sync(c.Context()); s.noLog {
				acked = 0
			}
		case 3:
			c.Does("Verify")
			acked = 0
			err = s.db.Verify(c.Context(), nil)
		default:
			c.Does("Stats")
			acked = 0
			_, err = s.db.Stats(c.Context())
		}
		c.Did("%v", err)
		if err == nil {
			s.history.Synced(c.Life().Number(), acked)
		} else if !refusal(err) {
			c.Life().Excuse(err)
		}
	}
}

// bulkLoad makes a keyspace from sorted input, which is one transaction.
func (s *swarm) bulkLoad(c *sim.Client, number int) {
	name := s.spaceToChange(c)
	r := s.begin(c, number, history.Serializable)
	n := c.Intn(30)
	var pairs []history.Op
	for i := range n {
		pairs = append(pairs, history.Op{Kind: history.Put, Space: name, Key: fmt.Sprintf("k%03d", i*3), Value: s.value(c, r, i)})
	}
	c.Does("BulkLoad of %d pairs into %s", n, name)
	r.tx.NoSync, r.committing, r.names = s.noLog, true, name
	r.op(history.Op{Kind: history.CreateSpace, Space: name})
	for _, p := range pairs {
		r.op(p)
	}
	_, err := s.db.BulkLoad(c.Context(), name, aegis.KeyspaceOptions{}, entries(pairs))
	outcome := s.outcome(c.Life(), r.tx.Begin, err)
	if outcome == history.Refused && r.sent && !refusal(err) {
		outcome = history.Unknown // a fault may have come after the commit
	}
	if outcome != history.Committed && !r.sent {
		outcome = history.Refused
	}
	if outcome == history.Refused {
		r.tx.Ops = nil // whether the keyspace was there at that moment, it does not say
	}
	r.end(outcome)
	c.Did("%v", err)
}

func entries(ops []history.Op) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, op := range ops {
			if !yield([]byte(op.Key), []byte(op.Value)) {
				return
			}
		}
	}
}

// blocks are those that were written, with what is known of them.
type blocks struct{ list []block }

type block struct {
	id    aegis.BlockID
	data  string
	gone  bool // its deletion was called
	firm  bool // its writing, or its deletion, was acknowledged as durable
	life  int
	noLog bool
}

// use writes, reads or deletes a block.
func (b *blocks) use(s *swarm, c *sim.Client) {
	n := c.Intn(3)
	if len(b.list) == 0 || n == 0 {
		data := noise(uint64(c.Intn(1<<20)), 1+c.Intn(9000))
		c.Does("WriteBlock of %d bytes", len(data))
		id, err := s.db.WriteBlock(c.Context(), aegis.NewBlock([]byte(data)).WithCompression([]aegis.Compression{aegis.LZ4, aegis.Zstd, aegis.NoCompression}[c.Intn(3)]))
		c.Did("%d, %v", id, err)
		if s.outcome(c.Life(), 0, err); err == nil {
			firm := !s.noLog && c.Life().Intn("nosync", 3) > 0
			s.noSync = s.noSync || !firm
			b.list = append(b.list, block{id: id, data: data, firm: firm, life: c.Life().Number(), noLog: s.noLog})
		}
		return
	}
	x := &b.list[c.Intn(len(b.list))]
	if n == 1 {
		x.gone, x.firm = true, false
		c.Does("DeleteBlock %d", x.id)
		err := s.db.DeleteBlock(c.Context(), x.id)
		c.Did("%v", err)
		s.outcome(c.Life(), 0, err)
		return
	}
	c.Does("ReadBlock %d", x.id)
	gone, id, want := x.gone, x.id, x.data
	got, err := s.db.ReadBlock(c.Context(), id)
	c.Did("%v", err)
	switch {
	case err != nil && !errors.Is(err, aegis.ErrNotFound):
		s.outcome(c.Life(), 0, err)
	case err != nil && !gone && x.firm && !x.gone:
		c.Life().Fail("blocks", "block %d is not found, though it was written", id)
	case err == nil && string(got.Data()) != want:
		c.Life().Fail("blocks", "block %d reads as %d bytes that are not the %d that were written", id, got.Size(), len(want))
	}
}

// check reads all blocks after recovery, and forgets those whose fate was open.
func (b *blocks) check(s *swarm, l *sim.Life) {
	lax := s.history.Lives[len(s.history.Lives)-1].Rules == history.Lying || lying(&s.history)
	var left []block // a crash comes in between, so the list changes all at once
	for _, x := range b.list {
		got, err := s.db.ReadBlock(l.Context(), x.id)
		for errors.Is(err, aegis.ErrSnapshotTooOld) {
			got, err = s.db.ReadBlock(l.Context(), x.id)
		}
		switch {
		case errors.Is(err, aegis.ErrNotFound):
			if x.firm && !x.gone && !lax {
				l.Fail("blocks", "block %d of life %d is lost, though its writing was acknowledged", x.id, x.life)
			}
			continue
		case err != nil:
			l.Must(err)
		case string(got.Data()) != x.data && !lax:
			l.Fail("blocks", "block %d reads as %d bytes that are not the %d that were written", x.id, got.Size(), len(x.data))
		}
		if !x.gone {
			left = append(left, x)
		}
	}
	b.list = left
}

// lying reports whether some life's disk may have lost what it promised.
func lying(h *history.History) bool {
	return slices.ContainsFunc(h.Lives, func(l *history.Life) bool { return l.Rules == history.Lying })
}

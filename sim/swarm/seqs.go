package swarm

import (
	"bytes"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/txcoord"
)

// A client that dies before its answer, or does not wait for it, never hears which seq its commit
// got. The messages between the actors tell: the answer names it, and a commit's batch passes by
// twice, from the client to the coordinator and, under its seq, from there to the log writer.

// onWay is a commit between a client's call and its seq.
type onWay struct {
	of      *recorded // nil: nobody's
	unknown bool      // it did not wait for a sync, and its seq has not been seen
	above   uint64    // its seq is above this one
}

// observe follows commits.
func (s *swarm) observe(from, to string, what messages.Message) {
	switch m := what.(type) {
	case *messages.Commit:
		if from == keeper {
			return // another store's
		}
		h := xxhash.Sum64(m.Batch)
		w := &onWay{of: s.committingOf(from, m.Batch), unknown: m.Durability == messages.NoSync || s.noLog, above: s.newest}
		s.asked[m.Reply], s.called = w, append(s.called, w)
		if before := s.sent[h]; before != nil {
			w = &onWay{unknown: w.unknown || before.unknown, above: before.above} // which of the two, nobody knows
		}
		s.sent[h] = w
	case *txcoord.CommitReply:
		if w := s.asked[m.To]; w != nil {
			s.settle(w, uint64(m.Result.Seq), m.Result.Err == nil)
		}
	case messages.Append:
		for records := m.Records; len(records) >= messages.RecordOverhead; {
			size := messages.RecordOverhead + int(binary.LittleEndian.Uint32(records[4:]))
			if w := s.sent[xxhash.Sum64(records[messages.RecordOverhead:size])]; w != nil {
				s.settle(w, binary.LittleEndian.Uint64(records[8:]), true)
			}
			records = records[size:]
		}
	}
}

// settle takes note of what became of a commit.
func (s *swarm) settle(w *onWay, seq uint64, committed bool) {
	unsynced := w.unknown
	w.unknown = false
	if !committed {
		return
	}
	s.newest = max(s.newest, seq)
	if w.of != nil {
		w.of.tx.Seq = seq
	}
	if unsynced {
		s.history.Unsynced(s.life.Number(), seq)
	}
}

// settleRest ends a life: commits whose seq nobody saw may have been seen all the same.
func (s *swarm) settleRest() {
	for _, w := range s.called {
		if w.unknown {
			s.history.Unsynced(s.life.Number(), w.above+1)
		}
	}
	s.called, s.newest = s.called[:0], 0
}

// committingOf returns the transaction whose commit a client has just called, if that is this one:
// writing a block is a commit that is nobody's, and a bulk load makes two, of which the one that
// names the keyspace counts.
func (s *swarm) committingOf(client string, batch []byte) *recorded {
	for i := len(s.open) - 1; i >= 0; i-- {
		r := s.open[i]
		if r.client != client || !r.committing || r.sent || r.names != "" && !bytes.Contains(batch, []byte(r.names)) {
			continue
		}
		r.sent = true
		return r
	}
	return nil
}

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

// observe follows commits.
func (s *swarm) observe(from, to string, what messages.Message) {
	switch m := what.(type) {
	case *messages.Commit:
		h := xxhash.Sum64(m.Batch)
		r := s.committingOf(from, m.Batch)
		if _, twice := s.sent[h]; twice {
			r = nil
		}
		s.sent[h] = r
		s.asked[m.Reply] = r
	case *txcoord.CommitReply:
		if r := s.asked[m.To]; r != nil && m.Result.Err == nil {
			r.tx.Seq = uint64(m.Result.Seq)
		}
	case messages.Append:
		for records := m.Records; len(records) >= messages.RecordOverhead; {
			size := messages.RecordOverhead + int(binary.LittleEndian.Uint32(records[4:]))
			if r := s.sent[xxhash.Sum64(records[messages.RecordOverhead:size])]; r != nil {
				r.tx.Seq = binary.LittleEndian.Uint64(records[8:])
			}
			records = records[size:]
		}
	}
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

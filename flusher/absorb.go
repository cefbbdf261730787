package flusher

import (
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// Absorb does what a flush of the index does, without publishing anything: it writes the index's
// entries up to upTo as tables to cfg.Backend, and returns what a checkpoint would say then and
// the runs that it names. A backup of a store that is open for reading only takes in what that
// store has in its log by this. The index must be its caller's alone; it is frozen.
func Absorb(cfg Config, index *versions.Index, upTo pages.Seq) (*Checkpoint, []*pages.Run, error) {
	m := New(cfg)
	index.Freeze(upTo)
	m.flush(messages.Flush{Index: index, UpTo: upTo})
	var out Outbox
	m.scheduleFlush(&out)
	if j := m.flushing; j != nil {
		if err := j.Run(func() bool { return true }); err != nil {
			return nil, nil, err
		}
		m.flushDone(j, nil, &out)
	}
	return m.newCheckpoint(), m.staged.views(), nil
}

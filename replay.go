package aegis

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord"
	"github.com/aegis-storage/aegis/txcoord/versions"
	"github.com/aegis-storage/aegis/walwriter"
)

// replay puts what the log holds into the index: the next block is read, verified and decoded
// while the one before is put.
func (r *recovered) replay(log *walwriter.Replay, rt Runtime, chunkBytes int) error {
	var blocks [2]replayBlock
	ahead, here := &blocks[0], &blocks[1]
	for ahead.read(log); ; {
		ahead, here = here, ahead
		tasks := 1
		if here.more {
			tasks = 2
		}
		rt.Parallel(tasks, func(i int) {
			if i == 0 {
				here.put(r, chunkBytes)
			} else {
				ahead.read(log)
			}
		})
		if err := cmp.Or(here.invalid, here.failed, r.lostLoad); err != nil || !here.more {
			return err
		}
	}
}

// replayBlock is a block of commits on its way from the log into the index.
type replayBlock struct {
	walwriter.Block
	ops     []messages.Op // of all commits, one after the other
	ends    []int         // per commit: where its ops end
	invalid error         // why the commits behind those of ends cannot be put
	failed  error         // why the log could not be read on behind the block
	more    bool
}

// read fills the block.
func (b *replayBlock) read(log *walwriter.Replay) {
	b.ops, b.ends, b.invalid = b.ops[:0], b.ends[:0], nil
	b.more, b.failed = log.Next(&b.Block)
	for i, batch := range b.Batches {
		ops, err := messages.DecodeBatch(batch, b.ops)
		if err != nil {
			b.invalid = fmt.Errorf("aegis: replay commit %d: %w", b.seq(i), err)
			return
		}
		b.ops, b.ends = ops, append(b.ends, len(ops))
	}
}

func (b *replayBlock) seq(i int) pages.Seq { return b.First + pages.Seq(i) }

// put inserts the commits as txcoord does. There are no readers yet, so no older version is kept.
func (b *replayBlock) put(r *recovered, chunkBytes int) {
	keep, from := &versions.Keep{}, 0
	for i, end := range b.ends {
		for j := range b.ops[from:end] {
			if op := &b.ops[from+j]; pages.IsNameKey(op.Key(b.Batches[i])) && op.Kind == pages.KindValue {
				r.checkLoaded(op.Value(b.Batches[i]))
			}
		}
		txcoord.Insert(r.active, b.Batches[i], b.ops[from:end], b.seq(i), chunkBytes, keep, true)
		r.last, from = b.seq(i), end
	}
}

// checkLoaded sees to it that the checkpoint has the tables of a bulk load whose commit the log has:
// that checkpoint was synced before the commit was made.
func (r *recovered) checkLoaded(entry []byte) {
	e, err := pages.DecodeCatalogEntry(entry)
	if err != nil || !e.Loaded || r.lostLoad != nil {
		return // a bad entry is reported by those who use it
	}
	if !slices.ContainsFunc(r.checkpoint.Keyspaces, func(k pages.CatalogEntry) bool { return k.ID == e.ID }) {
		r.lostLoad = &CorruptionError{File: r.checkpoint.Name(), What: fmt.Sprintf("the log names bulk-loaded keyspace %d, whose tables no checkpoint has: the medium has lost what it had synced", e.ID)}
	}
}

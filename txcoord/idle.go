package txcoord

import (
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// idle has the active index flushed when writers pause and it holds deletions that are worth it: until
// they are in a table, no merge gives the space of what they delete back. It knows time from Ticks
// alone, so a pause is noticed after one to two times SettleAfter.
type idle struct {
	deleted uint64    // keys deleted in the active index
	dropped bool      // or a keyspace
	entries uint64    // in the tables
	last    pages.Seq // applied, at the first Tick since it was that
	since   time.Time // that Tick; zero: none yet
}

// idleShare: deletions of one in so many entries are worth a flush of their own.
const idleShare = 10

// note takes the writes of a commit in.
func (d *idle) note(batch []byte, ops []messages.Op) {
	for i := range ops {
		if ops[i].Kind == pages.KindTombstone {
			d.deleted++
		} else if key := ops[i].Key(batch); key[0] == byte(pages.CatalogKeyspace) {
			_, drop := pages.ParseDrop(key)
			d.dropped = d.dropped || drop
		}
	}
}

// frozen forgets what went with the frozen index.
func (d *idle) frozen() { d.deleted, d.dropped, d.since = 0, false, time.Time{} }

// tables counts the entries that deletions can be of.
func (d *idle) tables(runs []*pages.Run) {
	d.entries = 0
	for _, r := range runs {
		for _, t := range r.Tables {
			d.entries += t.Meta().Entries
		}
	}
}

// worth reports whether the active index's deletions are worth a flush.
func (d *idle) worth() bool {
	return d.entries > 0 && (d.dropped || d.deleted > 0 && d.deleted*idleShare >= d.entries)
}

// due reports, at a Tick, whether writers have paused for that long.
func (d *idle) due(now time.Time, applied pages.Seq, after time.Duration) bool {
	if !d.worth() {
		return false
	}
	if d.since.IsZero() || d.last != applied {
		d.since, d.last = now, applied
		return false
	}
	return now.Sub(d.since) >= after
}

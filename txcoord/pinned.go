package txcoord

import (
	"fmt"
	"math"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// What old snapshots may hold. A snapshot holds the indexes and the tables of its View. What the
// present View does not have any more is pinned: memory (indexes) or files (tables) that only
// snapshots need.
//
// A snapshot pins at most what its own View had: an active index, MaxFrozen frozen ones, and the
// tables of that day. That does not grow, however long it lives, so nobody is ended for it. What
// grows is the number of Views that snapshots of different ages keep. Hence the rule, for indexes
// and for tables alike: of all that is pinned, what the oldest snapshot that pins anything does
// not hold itself may be so much and no more
//
//	indexes:  (MaxFrozen + 1) × index, one View's worth
//	tables:   the bytes of the present View's tables, or smallStore × index if that is more
//
// where index is IndexBytes, or leastIndex if that is more.
// Above it the snapshots of that oldest View are ended (ErrTooOld), then those of the next, until
// the rest is within. A snapshot that is alone has nothing beside what it holds itself, so it is
// never ended, however tiny the limits and however large the commits. With the defaults of the
// Options snapshots pin three eighths of the memory budget beside what the oldest holds, and the
// files take up to three stores: the present one, the oldest snapshot's, and the present one again.
//
// Flushed indexes that are retained for conflict checks are not pinned while they are: they are
// few, and are counted by themselves.

// retiredTables are tables that snapshots may hold.
type retiredTables struct {
	gone   uint64 // the first View without them
	tables []*pages.Table
}

// leastIndex is the size below which a limit on indexes is no reason to end anybody: an index that
// is almost empty has some kilobytes, whatever IndexBytes says.
const leastIndex = 64 << 10

// smallStore is the size, in indexes, below which a store's tables may be outgrown by those that
// snapshots pin: with the defaults of the Options twice the memory budget.
const smallStore = 16

// lifespan says which Views have an index or a table: born ≤ epoch < gone.
type lifespan struct{ born, gone uint64 }

// holder returns the lowest epoch in open (ascending) of a View that has it.
func (l lifespan) holder(open []uint64) (epoch uint64, held bool) {
	i, _ := slices.BinarySearch(open, l.born)
	if i == len(open) || open[i] >= l.gone {
		return 0, false
	}
	return open[i], true
}

// has reports whether the View of the epoch has it.
func (l lifespan) has(epoch uint64) bool { return l.born <= epoch && epoch < l.gone }

// pinnedIndex is a flushed index that snapshots may hold. It is sorted, so its size stays.
type pinnedIndex struct {
	lifespan
	index *versions.Index
	bytes int64
}

// pin counts an index that neither the View nor the conflict checks need.
func (m *Machine) pin(f frozen) {
	p := pinnedIndex{f.lifespan, f.index, f.index.Bytes()}
	m.pinned = append(m.pinned, p)
	m.pinnedBytes += p.bytes
	m.judged = 0
}

// bear notes the tables that the View of epoch is the first to have, and adds up all of them.
func (m *Machine) bear(runs []*pages.Run, epoch uint64) {
	m.tableBytes, m.judged = 0, 0
	for _, r := range runs {
		for _, t := range r.Tables {
			m.tableBytes += t.Meta().Size
			if _, known := m.born[t]; !known {
				m.born[t] = epoch
			}
		}
	}
}

// reclaim lets go of the indexes, and sends the tables, that no View holds any more: those of
// which every open snapshot is either older or newer, so that one that stays open for long holds
// what it had at its beginning and no more. The View without them was stored by an earlier Turn,
// so whoever registers now gets it, or sees that it must look again:
//
//	reader                          txcoord
//	v = View.Load()  (old)
//	                                shell: View.Store(new)
//	slot.epoch = old                Step: scans the slots, sees none
//	View.Load() != v: again         Reclaim
//
// Snapshots that hold too much are ended here, by the same scan.
func (m *Machine) reclaim(out *Outbox) {
	if len(m.retained) > 0 {
		m.trimRetained()
	}
	if len(m.retired)+len(m.pinned) == 0 {
		return
	}
	open := m.pub.Snapshots.Epochs(m.openBuf)
	older, _ := slices.BinarySearch(open, m.epoch) // the present View's snapshots pin nothing
	open = open[:older]
	same := slices.Equal(open, m.open) && m.judged == m.epoch
	m.open, m.openBuf, m.judged = open, m.open, m.epoch
	if same {
		return
	}
	free := m.letGo(nil)
	for {
		epoch, over := m.overdrawn()
		if !over {
			break
		}
		m.endSnapshots(epoch, out)
		free = m.letGo(free)
	}
	if len(free) > 0 {
		out.Flusher = append(out.Flusher, messages.Reclaim{Tables: free})
	}
}

// overdrawn returns the epoch of the oldest View whose snapshots have to end, if some have to.
func (m *Machine) overdrawn() (epoch uint64, over bool) {
	index := max(m.limits.IndexBytes, leastIndex)
	if epoch, beside := m.besideOldest(m.pinnedIndexes()); beside > int64(m.limits.MaxFrozen+1)*index {
		return epoch, true
	}
	if epoch, beside := m.besideOldest(m.pinnedTables()); beside > max(m.tableBytes, smallStore*index) {
		return epoch, true
	}
	return 0, false
}

// pinnedBytes is what an index or a table has that is pinned for certain.
type pinnedBytes struct {
	lifespan
	bytes int64
}

// besideOldest returns the lowest epoch of an open snapshot that pins anything, and the bytes of
// what is pinned and not by its View.
func (m *Machine) besideOldest(all []pinnedBytes) (oldest uint64, bytes int64) {
	oldest = math.MaxUint64
	for _, p := range all {
		if epoch, held := p.holder(m.open); held {
			oldest = min(oldest, epoch)
		}
	}
	for _, p := range all {
		if !p.has(oldest) {
			bytes += p.bytes
		}
	}
	return oldest, bytes
}

// pinnedIndexes returns the indexes that are pinned for certain, until the next call of it or of
// pinnedTables.
func (m *Machine) pinnedIndexes() []pinnedBytes {
	m.scratch = m.scratch[:0]
	for _, p := range m.pinned {
		if p.gone <= m.judged {
			m.scratch = append(m.scratch, pinnedBytes{p.lifespan, p.bytes})
		}
	}
	return m.scratch
}

// pinnedTables is pinnedIndexes for tables.
func (m *Machine) pinnedTables() []pinnedBytes {
	m.scratch = m.scratch[:0]
	for _, r := range m.retired {
		for _, t := range r.tables {
			if r.gone <= m.judged {
				m.scratch = append(m.scratch, pinnedBytes{lifespan{m.born[t], r.gone}, t.Meta().Size})
			}
		}
	}
	return m.scratch
}

// endSnapshots ends those of the View of epoch. Their next read says so; until then they hold no
// View, however long their owners leave them alone.
func (m *Machine) endSnapshots(epoch uint64, out *Outbox) {
	n := m.expire(out, false, func(s versions.SnapshotInfo) bool { return s.Epoch == epoch })
	m.stats.SnapshotsEnded += uint64(n)
	if i, found := slices.BinarySearch(m.open, epoch); found {
		m.open = slices.Delete(m.open, i, i+1)
	}
}

// expire ends the snapshots for which f says so, and tells which they were.
func (m *Machine) expire(out *Outbox, forAge bool, f func(versions.SnapshotInfo) bool) int {
	return m.pub.Snapshots.Expire(f, func(s versions.SnapshotInfo) {
		out.Ended = append(out.Ended, Ended{Snapshot: s, ForAge: forAge})
	})
}

// letGo forgets the indexes that no open snapshot has, and moves such tables to free.
func (m *Machine) letGo(free []*pages.Table) []*pages.Table {
	m.pinned = slices.DeleteFunc(m.pinned, func(p pinnedIndex) bool {
		if _, held := p.holder(m.open); held || p.gone > m.judged {
			return false
		}
		m.pinnedBytes -= p.bytes
		return true
	})
	for i := range m.retired {
		r := &m.retired[i]
		if r.gone > m.judged {
			continue
		}
		all := r.tables // still the message's
		r.tables = nil
		for _, t := range all {
			if _, held := (lifespan{m.born[t], r.gone}).holder(m.open); held {
				r.tables = append(r.tables, t)
				continue
			}
			delete(m.born, t)
			free = append(free, t)
		}
	}
	m.retired = slices.DeleteFunc(m.retired, func(r retiredTables) bool { return len(r.tables) == 0 })
	return free
}

// checkPinned verifies invariants 7 and 8 as of the last look, by a recount.
func (m *Machine) checkPinned() error {
	var bytes int64
	for _, p := range m.pinned {
		same := func(f frozen) bool { return f.index == p.index }
		if p.index == m.active || slices.ContainsFunc(m.frozen, same) || slices.ContainsFunc(m.retained, same) {
			return fmt.Errorf("txcoord: an index of epochs %d to %d is counted as pinned, and once more", p.born, p.gone)
		}
		if p.bytes != p.index.Bytes() {
			return fmt.Errorf("txcoord: a pinned index of %d bytes is counted as %d", p.index.Bytes(), p.bytes)
		}
		if _, held := p.holder(m.open); !held && p.gone <= m.judged {
			return fmt.Errorf("txcoord: an index of epochs %d to %d is pinned by none of %d", p.born, p.gone, m.open)
		}
		bytes += p.bytes
	}
	if bytes != m.pinnedBytes {
		return fmt.Errorf("txcoord: %d bytes are pinned, %d are counted", bytes, m.pinnedBytes)
	}
	if epoch, over := m.overdrawn(); over && m.judged != 0 {
		return fmt.Errorf("txcoord: the snapshots of View %d should have ended", epoch)
	}
	return nil
}

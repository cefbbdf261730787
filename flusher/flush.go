package flusher

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// orderPart is how many entries are sorted between two yields.
const orderPart = 4 << 10

// flushJob writes the newest version at or below upTo of every key of a frozen index as the
// tables of a run. The catalog's keys come first, so the job learns of new keyspaces and of drops
// before it meets their keys.
type flushJob struct {
	index          *versions.Index
	upTo           pages.Seq
	dropTombstones bool // there is no older run
	codecs         codecs
	dropped        []Dropped
	out            output

	named      []pages.CatalogEntry // result: catalog entries met
	newDropped []Dropped            // result: drops met
}

// Run implements messages.FlusherJob.
func (j *flushJob) Run(yield messages.Yield) (err error) {
	defer func() {
		if err != nil {
			j.out.abort()
		}
	}()
	j.out.pace = &pacer{yield: yield}
	for !j.index.OrderPart(orderPart) {
		if !yield() {
			return messages.ErrClosed
		}
	}
	return j.write()
}

// Report implements messages.Reporter.
func (j *flushJob) Report() messages.JobReport {
	return messages.JobReport{Tables: len(j.out.tables), Bytes: j.out.stored, Seq: j.upTo}
}

func (j *flushJob) write() error {
	dead, skip := ranges(j.dropped), false
	space := keyspaceRun{codecs: j.codecs}
	c := j.index.NewCursor(j.upTo, nil, nil)
	for c.Next() {
		key := c.Key()
		if err := j.out.pace.spend(len(key) + len(c.Value())); err != nil {
			return err
		}
		codec, changed, err := space.enter(key)
		if err != nil {
			return fmt.Errorf("flusher: flush: %w", err)
		}
		if changed {
			if err := j.enter(codec); err != nil {
				return err
			}
			skip = slices.ContainsFunc(dead, func(r keyRange) bool { return r.has(key) })
		}
		if skip {
			continue
		}
		if key[0] == byte(pages.CatalogKeyspace) {
			if dead, err = j.learn(c, &space, dead); err != nil {
				return err
			}
		}
		if c.Kind() == pages.KindTombstone && j.dropTombstones {
			continue
		}
		if err := j.out.add(key, c.Value(), c.Kind()); err != nil {
			return err
		}
	}
	if c.Trimmed() {
		return errors.New("flusher: a frozen index was trimmed below its freeze seq")
	}
	return j.out.finish()
}

// enter begins a keyspace: with its codec, and in a new table if the open one is worth a file, so
// that a keyspace that is dropped takes whole tables with it.
func (j *flushJob) enter(codec pages.Codec) error {
	if j.out.openSize() >= smallTable(j.out.limit) {
		if err := j.out.cut(); err != nil {
			return err
		}
	}
	j.out.setCodec(codec)
	return nil
}

// learn takes news of keyspaces from an entry of the catalog. The store's own codecs are not in
// the catalog, so what is learned never concerns the keyspace that is being written.
func (j *flushJob) learn(c *versions.Cursor, space *keyspaceRun, dead []keyRange) ([]keyRange, error) {
	if c.Kind() != pages.KindValue {
		return dead, nil
	}
	if id, ok := pages.ParseDrop(c.Key()); ok {
		j.newDropped = append(j.newDropped, Dropped{Keyspace: id, Seq: c.Seq()})
		j.dropped = drop(j.dropped, Dropped{Keyspace: id, Seq: c.Seq()})
		return ranges(j.dropped), nil
	}
	if _, ok := pages.ParseName(c.Key()); ok {
		e, err := pages.DecodeCatalogEntry(c.Value())
		if err != nil {
			return dead, fmt.Errorf("flusher: flush: catalog entry %q: %w", c.Key(), err)
		}
		j.named = append(j.named, e)
		space.codecs.named = name(space.codecs.named, e)
	}
	return dead, nil
}

// flush takes a frozen index in.
func (m *Machine) flush(msg messages.Flush) {
	if m.final {
		panic(fmt.Sprintf("flusher: flush up to %d after the final one", msg.UpTo))
	}
	m.final = msg.Final
	m.flushes = append(m.flushes, msg)
	if !empty(msg.Index) {
		m.settle.active()
	}
}

func empty(x *versions.Index) bool { return x == nil || x.Len() == 0 }

// scheduleFlush starts the flush of the oldest index that waits. Indexes are flushed one after
// the other: an older one's run must be below.
func (m *Machine) scheduleFlush(out *Outbox) {
	for m.flushing == nil && len(m.flushes) > 0 && !m.waits.flush {
		next := m.flushes[0]
		if empty(next.Index) {
			m.stageFlush(next, nil)
			continue
		}
		s := &m.staged
		tier := uint8(0)
		if len(s.runs) == 0 {
			tier = BottomTier
		}
		m.flushing = &flushJob{
			index: next.Index, upTo: next.UpTo, dropTombstones: len(s.runs) == 0,
			codecs: m.codecs(), dropped: s.dropped, out: m.output(tier, min(s.freeze+1, next.UpTo), next.UpTo),
		}
		out.Jobs = append(out.Jobs, m.flushing)
	}
}

// flushDone stages the run, or has the flush tried again with new files.
func (m *Machine) flushDone(j *flushJob, err error, out *Outbox) {
	m.flushing = nil
	if err != nil {
		m.fail(err)
		m.waits.flush = !m.stopping
		m.tellFailed(messages.FlushFailed{Err: told(err)}, out)
		return
	}
	m.stats.Flushes++
	m.stats.FlushedBytes += uint64(j.out.stored)
	m.stageFlush(m.flushes[0], j)
}

// stageFlush moves the freeze seq, with the run that j wrote on top; j is nil for an empty index.
func (m *Machine) stageFlush(f messages.Flush, j *flushJob) {
	s := &m.staged
	if f.UpTo < s.freeze {
		panic(fmt.Sprintf("flusher: flush up to %d after %d", f.UpTo, s.freeze))
	}
	if j != nil {
		s.learn(j.named, j.newDropped)
		if len(j.out.tables) > 0 {
			r := &pages.Run{Tier: j.out.options.Tier, SeqLo: j.out.options.SeqLo, SeqHi: j.out.options.SeqHi}
			if len(s.runs) > 0 {
				r.Tier = 0 // a bulk load came between
			}
			r.Tables = m.open(j.out.tables)
			n := newRun(m.newRunID(), r)
			s.user += n.raw
			s.written += uint64(n.bytes)
			s.insert(0, n)
		}
	}
	s.freeze, s.clean = f.UpTo, f.Final
	m.flushes = m.flushes[1:]
	m.unanswered++
	m.purge()
	m.revision++
}

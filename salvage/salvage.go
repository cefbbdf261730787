package salvage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/walwriter"
)

// Options choose how Run works. The zero value is good.
type Options struct {
	// Progress is told how far Run is: first the tables, in bytes of their files, then the log, in
	// commits. Default: nil: nobody is told.
	Progress func(aegis.Progress)
}

// ErrNotEmpty is what Run answers when the new store holds something already.
var ErrNotEmpty = errors.New("salvage: the new store is not empty")

// Run copies what is sound of the store in from into to, which must be open for writing and empty,
// and tells what it did. from is only read, under its shared lock: a store that is open for
// writing gives aegis.ErrLocked, and one without any file of a store aegis.ErrNoStore. Keyspaces
// keep their names and compression, blocks their ids.
//
// Damage is no error: the Report lists it. An error is one of the new store, of listing the files of
// the damaged one, or ctx's; then the new store holds a part, and the Report, which is nil only when
// nothing was begun, says what was copied and lost so far. All is durable in tables of the new store
// when Run returns without an error.
//
// Memory stays within a few pages and the inner pages of one table for each run, one commit of the
// log, and what the new store takes: keyspaces of some size go through DB.BulkLoad, the rest
// through transactions of about a megabyte.
func Run(ctx context.Context, from backends.Backend, to *aegis.DB, o Options) (*Report, error) {
	if to.Seq() != 0 {
		return nil, ErrNotEmpty
	}
	release, err := from.Lock(false)
	if err != nil {
		return nil, fmt.Errorf("salvage: lock the damaged store: %w", err)
	}
	medium := &patient{Backend: from, bad: map[string]*unread{}}
	s := &salvage{ctx: ctx, from: medium, to: to, report: &Report{}, catalog: newCatalog(), o: o}
	if s.o.Progress == nil {
		s.o.Progress = func(aegis.Progress) {}
	}
	s.target = &target{ctx: ctx, to: to, refused: s.refused}
	if s.source, err = look(s.from, s.report); err != nil {
		return nil, errors.Join(err, release())
	}
	err = s.mark()
	if err == nil {
		err = s.run()
	}
	s.report.Keyspaces = 1 + len(s.catalog.made)
	s.from.tell(s.report)
	return s.report, errors.Join(err, release())
}

// UnfinishedName is a keyspace that the new store has from before the first entry until all of them
// are in it, durably: a store with it is of a Run that failed or that a crash has ended, and holds a part.
const UnfinishedName = "salvage-unfinished"

// mark makes the keyspace UnfinishedName, durably.
func (s *salvage) mark() error {
	err := s.to.Update(s.ctx, func(tx *aegis.Tx) error {
		k, err := tx.CreateKeyspace(UnfinishedName, aegis.KeyspaceOptions{})
		if err != nil {
			return err
		}
		return k.Put([]byte("why"), []byte("A salvage into this store has not ended. It holds a part: begin anew, with another store."))
	})
	if err == nil {
		err = s.to.Checkpoint(s.ctx)
	}
	return written(err)
}

// finish takes the mark away, when all else is durable.
func (s *salvage) finish() error {
	if err := s.to.Checkpoint(s.ctx); err != nil {
		return written(err)
	}
	err := s.to.Update(s.ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace(UnfinishedName) })
	if err != nil {
		return written(err)
	}
	return written(s.to.Checkpoint(s.ctx))
}

// written wraps an error of the new store.
func written(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("salvage: write to the new store: %w", err)
}

// salvage is one Run.
type salvage struct {
	ctx      context.Context
	from     *patient
	to       *aegis.DB
	o        Options
	report   *Report
	source   *source
	log      *walwriter.Remains
	survey   logSurvey
	catalog  catalog
	target   *target
	tables   *merge
	progress aegis.Progress
}

func (s *salvage) run() error {
	// Without a whole checkpoint nothing says where the log goes on.
	where := walwriter.Source{}
	if c := s.source.checkpoint; c != nil && s.source.whole {
		where = walwriter.Source{Seq: c.Freeze, Epoch: c.Epoch, Clean: c.Clean || !c.Log}
	}
	s.report.Covers = uint64(s.source.covers)
	var err error
	if s.log, err = walwriter.NewRemains(s.from, where); err != nil {
		return err
	}
	if err := s.surveyLog(); err != nil {
		return err
	}
	s.progress = aegis.Progress{Stage: "tables", Total: s.source.bytes, Unit: "bytes"}
	s.tables = newMerge(s.ctx, s.from, s.source.runs, func(n int64) {
		s.progress.Done += n
		s.tell()
	})
	s.tables.holes = s.source.doubts
	err = s.copyTables()
	s.tables.close()
	s.report.Tables, s.report.Unlisted = s.tables.tables, s.report.Unlisted+s.tables.unlisted
	s.goBack()
	s.placeHoles(s.tables.holes)
	if err != nil {
		return err
	}
	s.progress = aegis.Progress{Stage: "log", Total: int64(s.report.LastSeq), Unit: "commits"}
	if err := s.applyLog(); err != nil {
		return err
	}
	return s.finish()
}

func (s *salvage) tell() { s.o.Progress(s.progress) }

// refused lists a block that was read, but is not what a store wrote.
func (s *salvage) refused(id aegis.BlockID, err error) {
	key := binary.BigEndian.AppendUint64(nil, uint64(id))
	s.report.add(Lost{Kind: Entries, Keyspace: BlocksLabel, Lo: key, Hi: pages.KeyAfter(key), Why: err.Error()})
}

const blockKeyBytes = 8

// copyTables writes the entries of all tables.
func (s *salvage) copyTables() error {
	m := s.tables
	catalogEnd := pages.PrefixEnd(pages.AppendKeyspace(nil, pages.CatalogKeyspace))
	for m.next() && bytes.Compare(m.key, catalogEnd) < 0 { // what is before the catalog is no key at all
		s.catalog.learn(m.key, m.value)
		m.take()
	}
	if m.err != nil {
		return m.err
	}
	s.settleCatalog()
	for m.next() {
		if err := s.copyNext(); err != nil {
			return err
		}
	}
	if m.err != nil {
		return m.err
	}
	for _, id := range s.catalog.live() {
		if _, err := s.open(id); err != nil {
			return err
		}
	}
	return s.target.flush()
}

// copyNext writes the keyspace that the tables have come to.
func (s *salvage) copyNext() error {
	id, _, err := pages.SplitKey(s.tables.key)
	switch {
	case err != nil:
		s.report.note("a table holds %q, which is no key of a keyspace", s.tables.key)
		s.tables.take()
		return nil
	case id == pages.BlocksKeyspace:
		return s.copyBlocks()
	case id == pages.DefaultKeyspace:
		return s.copySmall(aegis.DefaultKeyspaceName, s.counted(id))
	case s.catalog.dropped[id] || id < pages.FirstUserKeyspace:
		for range s.entries(id) { // nobody misses them
			continue
		}
		return nil
	}
	return s.copyKeyspace(id)
}

// entries yields what is left of a keyspace.
func (s *salvage) entries(id pages.KeyspaceID) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for m := s.tables; m.next(); {
			at, key, err := pages.SplitKey(m.key)
			if err != nil || at != id {
				return
			}
			value := m.value
			m.take()
			if len(key) > aegis.MaxKeyBytes {
				s.report.note("a table holds a key of %d bytes", len(key))
				continue
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// counted is entries, counted.
func (s *salvage) counted(id pages.KeyspaceID) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for k, v := range s.entries(id) {
			s.report.Entries++
			s.report.Bytes += int64(len(k) + len(v))
			if !yield(k, v) {
				return
			}
		}
	}
}

func (s *salvage) copyBlocks() error {
	for k, v := range s.entries(pages.BlocksKeyspace) {
		if len(k) != blockKeyBytes {
			s.report.note("a table holds a block under %d bytes that are no id", len(k))
			continue
		}
		s.report.Blocks++
		s.report.Bytes += int64(len(k) + len(v))
		s.target.add(op{kind: opCopyBlock, id: aegis.BlockID(binary.BigEndian.Uint64(k)), value: v})
		if s.target.full() {
			if err := s.target.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySmall writes entries by transactions.
func (s *salvage) copySmall(name string, entries iter.Seq2[[]byte, []byte]) error {
	for k, v := range entries {
		s.target.add(op{kind: opPut, keyspace: name, key: k, value: v})
		if s.target.full() {
			if err := s.target.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyKeyspace writes a keyspace: a small one by transactions, as a bulk load makes files of its
// own and syncs them.
func (s *salvage) copyKeyspace(id pages.KeyspaceID) error {
	next, stop := iter.Pull2(s.counted(id))
	defer stop()
	var first []op
	size := 0
	for size < batchBytes && len(first) < batchOps {
		k, v, ok := next()
		if !ok {
			return s.copyFew(id, first)
		}
		first = append(first, op{key: k, value: v})
		size += len(k) + len(v)
	}
	if err := s.target.flush(); err != nil {
		return err
	}
	name := s.name(id)
	s.catalog.made[id] = true
	_, err := s.to.BulkLoad(s.ctx, name, s.catalog.options(id), func(yield func(k, v []byte) bool) {
		for i := range first {
			if !yield(first[i].key, first[i].value) {
				return
			}
		}
		clear(first)
		for k, v, ok := next(); ok && yield(k, v); {
			k, v, ok = next()
		}
	})
	return written(err)
}

func (s *salvage) copyFew(id pages.KeyspaceID, entries []op) error {
	name, err := s.open(id)
	if err != nil {
		return err
	}
	for _, o := range entries {
		s.target.add(op{kind: opPut, keyspace: name, key: o.key, value: o.value})
	}
	if s.target.full() {
		return s.target.flush()
	}
	return nil
}

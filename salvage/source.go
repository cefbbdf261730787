package salvage

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// source is what the damaged store has, and how it is to be read.
type source struct {
	checkpoint *flusher.Checkpoint // nil: none
	name       string              // of its file
	whole      bool                // it is the store's state; else it is an older one, or none is there
	runs       []run
	bytes      int64     // of the tables
	covers     pages.Seq // commits up to this one are in the tables
}

// look finds out what there is.
func look(from backends.Backend, r *Report) (*source, error) {
	files, err := from.List()
	if err != nil {
		return nil, fmt.Errorf("salvage: list files: %w", err)
	}
	s, ours := &source{}, false
	sizes := map[string]int64{}
	newest := uint64(0)
	for _, f := range files {
		sizes[f.Name] = f.Size
		n, isCheckpoint := flusher.ParseCheckpointName(f.Name)
		_, isTable := pages.ParseTableName(f.Name)
		ours = ours || isCheckpoint || isTable || len(f.Name) == len("wal-00000000") && f.Name[:4] == "wal-"
		if !isCheckpoint {
			continue
		}
		newest = max(newest, n)
		c, err := readCheckpoint(from, f)
		if err == nil && c.Number != n {
			err = fmt.Errorf("holds checkpoint %d", c.Number)
		}
		switch {
		case err != nil:
			r.note("%s cannot be used: %v", f.Name, err)
		case s.checkpoint == nil || c.Number > s.checkpoint.Number:
			s.checkpoint, s.name = c, f.Name
		}
	}
	if !ours {
		return nil, aegis.ErrNoStore
	}
	if s.checkpoint != nil && (s.checkpoint.Number == newest || s.hasTables(sizes)) {
		s.byCheckpoint(sizes, r)
	} else {
		s.byFooters(from, files, r)
	}
	return s, nil
}

// maxCheckpoint bounds what is read of a checkpoint's file, in bytes.
const maxCheckpoint = 1 << 30

func readCheckpoint(from backends.Backend, info backends.FileInfo) (c *flusher.Checkpoint, err error) {
	if info.Size > maxCheckpoint {
		return nil, fmt.Errorf("%d bytes are too many for a checkpoint", info.Size)
	}
	f, err := from.Open(info.Name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, info.Size)
	if n, err := f.ReadAt(b, 0); n < len(b) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return flusher.DecodeCheckpoint(b, info.Name)
}

// hasTables reports whether all tables of the checkpoint are there with their sizes: then a newer
// one was being published when the store ended, and this one is its state.
func (s *source) hasTables(sizes map[string]int64) bool {
	for _, r := range s.checkpoint.Runs {
		for _, t := range r.Tables {
			if size, ok := sizes[pages.TableName(t.ID)]; !ok || size != t.Size {
				return false
			}
		}
	}
	return true
}

// byCheckpoint takes the runs of the checkpoint.
func (s *source) byCheckpoint(sizes map[string]int64, r *Report) {
	s.whole, s.covers = true, s.checkpoint.Freeze
	r.Checkpoint = s.name
	named := map[string]bool{}
	for i := range s.checkpoint.Runs {
		m := &s.checkpoint.Runs[i]
		run := run{consumed: m.Consumed}
		for j := range m.Tables {
			t := table{name: pages.TableName(m.Tables[j].ID), meta: &m.Tables[j]}
			named[t.name] = true
			s.bytes += t.meta.Size
			run.tables = append(run.tables, t)
		}
		s.runs = append(s.runs, run)
	}
	for name := range sizes {
		if _, ok := pages.ParseTableName(name); ok && !named[name] {
			r.Ignored = append(r.Ignored, name)
		}
	}
	slices.Sort(r.Ignored)
}

// byFooters takes each table as a run, those with the newest commits first. Tables whose footer is
// lost come last.
func (s *source) byFooters(from backends.Backend, files []backends.FileInfo, r *Report) {
	there := map[pages.FileID]bool{}
	for _, info := range files {
		id, ok := pages.ParseTableName(info.Name)
		if !ok {
			continue
		}
		there[id] = true
		if info.Size == 0 { // a job had only just begun, or nothing is left
			r.Ignored = append(r.Ignored, info.Name)
			continue
		}
		t := table{name: info.Name}
		m, err := readFooter(from, info)
		if err == nil && m.ID == id {
			t.meta = &m
			s.bytes += m.Size
			s.covers = max(s.covers, m.SeqHi)
		} else {
			if err == nil {
				err = fmt.Errorf("it is table %d", m.ID)
			}
			l := Lost{Kind: Unordered, File: info.Name}
			l.Why = "its footer is lost, which says how old it is: " + why(err, &l.Offset)
			r.add(l)
		}
		s.runs = append(s.runs, run{tables: []table{t}})
	}
	slices.SortStableFunc(s.runs, func(a, b run) int { return newerFirst(a.tables[0].meta, b.tables[0].meta) })
	s.findRetired()
	if s.checkpoint == nil {
		return
	}
	s.covers = max(s.covers, s.checkpoint.Freeze)
	for i := range s.checkpoint.Runs {
		for _, t := range s.checkpoint.Runs[i].Tables {
			if !there[t.ID] {
				r.note("%s, which the older checkpoint %s names, is not there: it was merged since, or is missing", pages.TableName(t.ID), s.name)
			}
		}
	}
}

// findRetired tells what of each table went into a merge, by the tables that the merge has made. They
// are labelled with all the commits that went in, their ids are higher, and they overlap tables
// only that went in: others that the merge left, or moved as they were, lie beside them.
// A merge goes through the keys once; so what is not above its last table was dealt with.
func (s *source) findRetired() {
	type label struct {
		lo, hi pages.Seq
		tier   uint8
	}
	reach := map[label][]byte{}
	for _, r := range s.runs {
		if m := r.tables[0].meta; m != nil {
			l := label{m.SeqLo, m.SeqHi, m.Tier}
			reach[l] = slices.MaxFunc([][]byte{reach[l], m.Max}, bytes.Compare)
		}
	}
	for i := range s.runs {
		t := &s.runs[i].tables[0]
		if t.meta == nil || t.meta.SeqHi == 0 { // of a bulk load: no commits to tell by
			continue
		}
		for j := range i {
			m := s.runs[j].tables[0].meta
			if m.SeqLo > t.meta.SeqLo || m.SeqHi < t.meta.SeqHi || m.ID <= t.meta.ID ||
				bytes.Compare(m.Min, t.meta.Max) > 0 || bytes.Compare(m.Max, t.meta.Min) < 0 {
				continue
			}
			t.dead = slices.MaxFunc([][]byte{t.dead, reach[label{m.SeqLo, m.SeqHi, m.Tier}]}, bytes.Compare)
		}
	}
}

func newerFirst(a, b *pages.TableMeta) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Or(cmp.Compare(b.SeqHi, a.SeqHi), cmp.Compare(b.ID, a.ID))
}

func readFooter(from backends.Backend, info backends.FileInfo) (pages.TableMeta, error) {
	f, err := from.Open(info.Name)
	if err != nil {
		return pages.TableMeta{}, err
	}
	defer f.Close()
	return pages.ReadTableMeta(f, info.Size, info.Name)
}

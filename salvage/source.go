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
	doubts     []*hole
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
		s.byCheckpoint(from, files, r)
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
func (s *source) byCheckpoint(from backends.Backend, files []backends.FileInfo, r *Report) {
	s.whole, s.covers = true, s.checkpoint.Freeze
	r.Checkpoint = s.name
	found := identify(from, files)
	used := map[string]bool{}
	for i := range s.checkpoint.Runs {
		m := &s.checkpoint.Runs[i]
		run := run{consumed: m.Consumed}
		for j := range m.Tables {
			t := found.table(&m.Tables[j], r)
			used[t.name] = true
			s.bytes += t.meta.Size
			run.tables = append(run.tables, t)
		}
		s.runs = append(s.runs, run)
	}
	var retired []table
	for _, f := range found {
		if used[f.name] {
			continue
		}
		r.Ignored = append(r.Ignored, f.name)
		if f.meta != nil && f.meta.ID == f.id && f.id < s.checkpoint.NextFile {
			retired = append(retired, table{name: f.name, meta: f.meta, dead: f.meta.Max, retired: true})
		}
	}
	s.addRetired(retired)
}

// addRetired puts each table that waited for its removal behind the last run that has something which
// was merged of it, those with the newest commits first.
func (s *source) addRetired(retired []table) {
	slices.SortStableFunc(retired, func(a, b table) int { return newerFirst(a.meta, b.meta) })
	behind := make([][]run, len(s.runs))
	for _, t := range retired {
		for i := len(s.runs) - 1; i >= 0; i-- {
			if slices.ContainsFunc(s.runs[i].tables, func(m table) bool { return m.meta.ID > t.meta.ID && covers(m.meta, t.meta) }) {
				behind[i] = append(behind[i], run{tables: []table{t}})
				s.bytes += t.meta.Size
				break
			}
		}
	}
	var all []run
	for i, r := range s.runs {
		all = append(append(all, r), behind[i]...)
	}
	s.runs = all
}

// covers reports whether a merge that had the label m may have read t.
func covers(m, t *pages.TableMeta) bool { return m.SeqLo <= t.SeqLo && t.SeqHi <= m.SeqHi }

// byFooters takes each table as a run, those with the newest commits first. Tables whose footer is
// lost come last.
func (s *source) byFooters(from backends.Backend, files []backends.FileInfo, r *Report) {
	there := map[pages.FileID]bool{}
	found := identify(from, files)
	for _, f := range found {
		t := table{name: f.name}
		switch {
		case f.size == 0: // a job had only just begun, or nothing is left
			r.Ignored = append(r.Ignored, f.name)
			continue
		case f.meta == nil:
			l := Lost{Kind: Unordered, File: f.name}
			l.Why = "its footer is lost, which says how old it is: " + why(f.err, &l.Offset)
			r.add(l)
		case there[f.meta.ID] || f.meta.ID != f.id && found.has(f.meta.ID):
			r.note("%s is a copy of %s", f.name, pages.TableName(f.meta.ID))
			r.Ignored = append(r.Ignored, f.name)
			continue
		default:
			if f.meta.ID != f.id {
				r.note("%s is %s", f.name, pages.TableName(f.meta.ID))
			}
			there[f.meta.ID] = true
			t.meta = f.meta
			s.bytes += t.meta.Size
			s.covers = max(s.covers, t.meta.SeqHi)
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
		if t.meta == nil {
			continue
		}
		for j := range i {
			m := s.runs[j].tables[0].meta
			if m.ID <= t.meta.ID || bytes.Compare(m.Min, t.meta.Max) > 0 || bytes.Compare(m.Max, t.meta.Min) < 0 {
				continue
			}
			if t.meta.SeqHi == 0 { // of a bulk load: no commits to tell by
				if m.Tier > 0 {
					s.doubt(t)
					break
				}
				continue
			}
			if !covers(m, t.meta) {
				continue
			}
			t.dead = slices.MaxFunc([][]byte{t.dead, reach[label{m.SeqLo, m.SeqHi, m.Tier}]}, bytes.Compare)
		}
	}
}

// doubt lists a bulk-loaded table that may have been merged: a table of a merge has keys among its own.
func (s *source) doubt(t *table) {
	h := &hole{lo: t.meta.Min, hi: pages.KeyAfter(t.meta.Max)}
	h.Kind, h.File = Unordered, t.name
	h.Why = "it was bulk-loaded, and nothing says whether it was merged since: what was deleted since then may be back"
	s.doubts = append(s.doubts, h)
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

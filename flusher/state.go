package flusher

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"github.com/aegis-storage/aegis/pages"
)

// run is a run with an identity that outlives its steps: a merge replaces the pages.Run of its
// source again and again, each with a higher Consumed, under one id. It is never changed.
type run struct {
	*pages.Run
	id                  uint64
	bytes               int64 // files; a table that is consumed in part counts in full
	raw                 uint64
	entries, tombstones uint64
}

func newRun(id uint64, r *pages.Run) *run {
	n := &run{Run: r.Seal(), id: id}
	for _, t := range r.Tables {
		m := t.Meta()
		n.bytes += m.Size
		n.raw += m.RawBytes
		n.entries += m.Entries
		n.tombstones += m.Tombstones
	}
	return n
}

// with returns the run with other tables and Consumed, nil if it has no tables left.
func (r *run) with(tables []*pages.Table, consumed []byte) *run {
	if len(tables) == 0 {
		return nil
	}
	p := *r.Run
	p.Tables, p.Consumed = tables, consumed
	return newRun(r.id, &p)
}

// state is what a checkpoint says. Values that it points to are never changed, so a copy of the
// struct is a snapshot.
type state struct {
	runs          []*run // newest first
	freeze        pages.Seq
	clean         bool
	keyspaces     []pages.CatalogEntry // ascending ids
	dropped       []Dropped            // ascending ids
	pending       []pages.KeyspaceID   // ascending
	user, written uint64
}

// bottom returns the bottom run, nil if there is none.
func (s *state) bottom() *run {
	if n := len(s.runs); n > 0 && s.runs[n-1].Tier == BottomTier {
		return s.runs[n-1]
	}
	return nil
}

// find returns the position of the run with the id, -1 if it is gone.
func (s *state) find(id uint64) int {
	return slices.IndexFunc(s.runs, func(r *run) bool { return r.id == id })
}

// set replaces the run at position i, or removes it if r is nil.
func (s *state) set(i int, r *run) {
	s.runs = slices.Clone(s.runs)
	if r == nil {
		s.runs = slices.Delete(s.runs, i, i+1)
		return
	}
	s.runs[i] = r
}

// insert puts r at position i.
func (s *state) insert(i int, r *run) {
	s.runs = slices.Insert(slices.Clone(s.runs), i, r)
}

// views returns what readers get.
func (s *state) views() []*pages.Run {
	v := make([]*pages.Run, len(s.runs))
	for i, r := range s.runs {
		v[i] = r.Run
	}
	return v
}

// tables counts them.
func (s *state) tables() (n int) {
	for _, r := range s.runs {
		n += len(r.Tables)
	}
	return n
}

// consumeUpTo returns r without the keys at or below bound, nil if nothing is left, and the
// tables that it loses.
func (r *run) consumeUpTo(bound []byte) (left *run, gone []*pages.Table) {
	n := sort.Search(len(r.Tables), func(i int) bool { return bytes.Compare(r.Tables[i].Meta().Max, bound) > 0 })
	if bytes.Compare(r.Consumed, bound) >= 0 {
		return r, nil
	}
	return r.with(r.Tables[n:], bound), r.Tables[:n]
}

// replace returns tables without gone and with added, in key order. Tables that would overlap
// break an invariant of whoever built them.
func replace(tables, gone, added []*pages.Table) []*pages.Table {
	kept := make([]*pages.Table, 0, len(tables)+len(added))
	for _, t := range tables {
		if !slices.Contains(gone, t) {
			kept = append(kept, t)
		}
	}
	kept = append(kept, added...)
	slices.SortFunc(kept, func(a, b *pages.Table) int { return bytes.Compare(a.Meta().Min, b.Meta().Min) })
	for i := 1; i < len(kept); i++ {
		if a, b := kept[i-1].Meta(), kept[i].Meta(); bytes.Compare(a.Max, b.Min) >= 0 {
			panic(fmt.Sprintf("flusher: table %d up to %q overlaps table %d from %q", a.ID, a.Max, b.ID, b.Min))
		}
	}
	return kept
}

// overlaps reports whether keys of tables and the span of m have a key range in common.
func overlaps(tables []*pages.Table, m *pages.TableMeta) bool {
	i := sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].Meta().Max, m.Min) >= 0 })
	return i < len(tables) && bytes.Compare(tables[i].Meta().Min, m.Max) <= 0
}

package flusher

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/aegis-storage/aegis/pages"
)

// codecs knows the compressor of each keyspace; those that the catalog does not name (it, the
// blocks and the default keyspace) have the store's own.
type codecs struct {
	byDefault pages.Codec
	named     []pages.CatalogEntry // ascending ids
}

func (c codecs) of(id pages.KeyspaceID) pages.Codec {
	if i, ok := slices.BinarySearchFunc(c.named, id, byID); ok {
		return c.named[i].Codec
	}
	return c.byDefault
}

func byID(e pages.CatalogEntry, id pages.KeyspaceID) int { return cmp.Compare(e.ID, id) }

func (d Dropped) compare(id pages.KeyspaceID) int { return cmp.Compare(d.Keyspace, id) }

// name returns entries with e in its place; the slice that it was given is not changed.
func name(entries []pages.CatalogEntry, e pages.CatalogEntry) []pages.CatalogEntry {
	i, ok := slices.BinarySearchFunc(entries, e.ID, byID)
	entries = slices.Clone(entries)
	if ok {
		entries[i] = e
		return entries
	}
	return slices.Insert(entries, i, e)
}

// drop returns dropped with d in its place; the slice that it was given is not changed.
func drop(dropped []Dropped, d Dropped) []Dropped {
	i, ok := slices.BinarySearchFunc(dropped, d.Keyspace, Dropped.compare)
	if ok {
		return dropped
	}
	return slices.Insert(slices.Clone(dropped), i, d)
}

// keyRange is a dropped keyspace: lo ≤ key < hi; a nil hi means to the end.
type keyRange struct{ lo, hi []byte }

func (r keyRange) has(key []byte) bool {
	return bytes.Compare(key, r.lo) >= 0 && (r.hi == nil || bytes.Compare(key, r.hi) < 0)
}

// ranges returns the key ranges of dropped keyspaces, ascending.
func ranges(dropped []Dropped) []keyRange {
	out := make([]keyRange, len(dropped))
	for i, d := range dropped {
		prefix := pages.AppendKeyspace(nil, d.Keyspace)
		out[i] = keyRange{prefix, pages.PrefixEnd(prefix)}
	}
	return out
}

// begin returns the key from which t may hold entries of a run that is consumed up to consumed.
func begin(consumed []byte, t *pages.Table) []byte {
	if m := t.Meta(); bytes.Compare(consumed, m.Min) < 0 {
		return m.Min
	}
	return consumed
}

// covers reports whether all that t can hold above consumed lies within one of the ranges.
func covers(dropped []keyRange, consumed []byte, t *pages.Table) bool {
	from := begin(consumed, t)
	return slices.ContainsFunc(dropped, func(d keyRange) bool { return d.has(from) && d.has(t.Meta().Max) })
}

// touches reports whether t can hold, above consumed, a key of one of the ranges. (Then t is
// dirty: the next merge into its run rewrites it.)
func touches(dropped []keyRange, consumed []byte, t *pages.Table) bool {
	if len(dropped) == 0 {
		return false
	}
	from := begin(consumed, t)
	return slices.ContainsFunc(dropped, func(d keyRange) bool {
		return bytes.Compare(t.Meta().Max, d.lo) >= 0 && (d.hi == nil || bytes.Compare(from, d.hi) < 0)
	})
}

// keyspaceRun follows the keyspaces of ascending keys, so that each key costs one comparison.
type keyspaceRun struct {
	codecs  codecs
	prefix  []byte
	started bool
}

// enter reports whether key begins another keyspace than the keys before it, and its codec then.
func (k *keyspaceRun) enter(key []byte) (codec pages.Codec, changed bool, err error) {
	if k.started && bytes.HasPrefix(key, k.prefix) {
		return pages.Codec{}, false, nil
	}
	id, _, err := pages.SplitKey(key)
	if err != nil {
		return pages.Codec{}, false, err
	}
	k.prefix, k.started = pages.AppendKeyspace(k.prefix[:0], id), true
	return k.codecs.of(id), true, nil
}

// learn takes a flush's news of keyspaces into the state, which it makes: drops, names, and that
// bulk-loaded ids are named now.
func (s *state) learn(named []pages.CatalogEntry, dropped []Dropped) {
	for _, e := range named {
		s.keyspaces = name(s.keyspaces, e)
		s.pending = without(s.pending, e.ID)
	}
	for _, d := range dropped {
		s.dropped = drop(s.dropped, d)
		s.pending = without(s.pending, d.Keyspace)
		if i, ok := slices.BinarySearchFunc(s.keyspaces, d.Keyspace, byID); ok {
			s.keyspaces = slices.Delete(slices.Clone(s.keyspaces), i, i+1)
		}
	}
}

func without(ids []pages.KeyspaceID, id pages.KeyspaceID) []pages.KeyspaceID {
	i, ok := slices.BinarySearch(ids, id)
	if !ok {
		return ids
	}
	return slices.Delete(slices.Clone(ids), i, i+1)
}

// purge takes out tables that lie wholly in dropped keyspaces, unread, and forgets the keyspaces
// that no table can hold a key of. It returns the tables taken out.
func (s *state) purge() (gone []*pages.Table) {
	if len(s.dropped) == 0 {
		return nil
	}
	dead := ranges(s.dropped)
	kept := make([]*run, 0, len(s.runs))
	for _, r := range s.runs {
		tables := make([]*pages.Table, 0, len(r.Tables))
		for _, t := range r.Tables {
			if covers(dead, r.Consumed, t) {
				gone = append(gone, t)
			} else {
				tables = append(tables, t)
			}
		}
		if len(tables) < len(r.Tables) {
			r = r.with(tables, r.Consumed)
		}
		if r != nil {
			kept = append(kept, r)
		}
	}
	s.runs = kept
	left := make([]Dropped, 0, len(s.dropped))
	for i, d := range s.dropped {
		if s.holds(dead[i : i+1]) {
			left = append(left, d)
		}
	}
	s.dropped = left
	return gone
}

func (s *state) holds(dead []keyRange) bool {
	for _, r := range s.runs {
		for _, t := range r.Tables {
			if touches(dead, r.Consumed, t) {
				return true
			}
		}
	}
	return false
}

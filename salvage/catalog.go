package salvage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/pages"
)

// catalog is what is known of keyspaces, from tables, log and checkpoint. An id is never used
// again, so what any of them says of one holds, except that a keyspace may have been dropped.
type catalog struct {
	entries map[pages.KeyspaceID]pages.CatalogEntry
	names   map[pages.KeyspaceID]string
	dropped map[pages.KeyspaceID]bool
	made    map[pages.KeyspaceID]bool // in the new store
	loaded  map[pages.KeyspaceID]bool // by a bulk load; not there: not known
}

func newCatalog() catalog {
	return catalog{
		entries: map[pages.KeyspaceID]pages.CatalogEntry{}, names: map[pages.KeyspaceID]string{},
		dropped: map[pages.KeyspaceID]bool{}, made: map[pages.KeyspaceID]bool{}, loaded: map[pages.KeyspaceID]bool{},
	}
}

// learn takes an entry of the catalog; other keys are passed over.
func (c *catalog) learn(internal, value []byte) {
	if id, ok := pages.ParseDrop(internal); ok {
		c.dropped[id] = true
		return
	}
	name, ok := pages.ParseName(internal)
	if !ok || len(name) > aegis.MaxKeyspaceName || name == aegis.DefaultKeyspaceName {
		return
	}
	if e, err := pages.DecodeCatalogEntry(value); err == nil && e.ID >= pages.FirstUserKeyspace {
		c.entries[e.ID], c.names[e.ID], c.loaded[e.ID] = e, name, e.Loaded
	}
}

// unique drops the older one of two keyspaces of one name: its drop was lost.
func (c *catalog) unique(tell func(format string, args ...any)) {
	newest := map[string]pages.KeyspaceID{}
	for _, id := range slices.Sorted(maps.Keys(c.names)) {
		if c.dropped[id] {
			continue
		}
		if older, ok := newest[c.names[id]]; ok {
			c.dropped[older] = true
			tell("keyspace %d was dropped, as keyspace %d has its name %q", older, id, c.names[id])
		}
		newest[c.names[id]] = id
	}
}

// live returns the ids of keyspaces that have a name, ascending.
func (c *catalog) live() (ids []pages.KeyspaceID) {
	for _, id := range slices.Sorted(maps.Keys(c.names)) {
		if !c.dropped[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// has reports whether a keyspace has the name.
func (c *catalog) has(name string) bool {
	for id, n := range c.names {
		if n == name && !c.dropped[id] {
			return true
		}
	}
	return false
}

// fresh returns the name, or that with a number, so that no keyspace has it.
func (c *catalog) fresh(name string) string {
	fresh := name
	for n := 1; c.has(fresh); n++ {
		fresh = fmt.Sprintf("%s-%d", name, n)
	}
	return fresh
}

// options returns how the keyspace was created.
func (c *catalog) options(id pages.KeyspaceID) aegis.KeyspaceOptions {
	e, ok := c.entries[id]
	switch {
	case !ok:
		return aegis.KeyspaceOptions{}
	case e.Codec.Compression == pages.Zstd:
		return aegis.KeyspaceOptions{Compression: aegis.Zstd, CompressionLevel: int(min(max(e.Codec.Level, 1), 4))}
	case e.Codec.Compression == pages.None:
		return aegis.KeyspaceOptions{Compression: aegis.NoCompression}
	}
	return aegis.KeyspaceOptions{Compression: aegis.LZ4}
}

// settleCatalog completes the catalog, once that of the tables was read: it precedes all data.
func (s *salvage) settleCatalog() {
	c := &s.catalog
	if p := s.source.checkpoint; p != nil {
		for _, d := range p.Dropped {
			c.dropped[d.Keyspace] = true
		}
		for _, e := range p.Keyspaces {
			if _, ok := c.entries[e.ID]; !ok {
				c.entries[e.ID] = e
			}
		}
		for _, id := range p.Pending {
			// Without its commit a bulk load has not happened, unless the commit is what was lost.
			if _, ok := c.names[id]; !ok && s.source.whole && !s.survey.gap {
				c.dropped[id] = true
				s.report.note("a bulk load into keyspace %d was not committed", id)
			}
		}
		for _, e := range p.Keyspaces { // it names those that are there: their names may be lost
			if s.source.whole && !c.dropped[e.ID] && e.ID >= pages.FirstUserKeyspace {
				s.name(e.ID)
			}
		}
	}
	c.unique(s.report.note)
	for _, id := range c.live() {
		if c.names[id] == UnfinishedName {
			c.names[id] = c.fresh(UnfinishedName + "-before")
			s.report.note("keyspace %q is called %q: the store itself is of a Run that was cut short", UnfinishedName, c.names[id])
		}
	}
}

// name returns the name of a keyspace, a made-up one if it is lost.
func (s *salvage) name(id pages.KeyspaceID) string {
	c := &s.catalog
	if name, ok := c.names[id]; ok {
		return name
	}
	name := c.fresh(fmt.Sprintf("recovered-%d", id))
	c.names[id] = name
	s.report.add(Lost{Kind: Name, Keyspace: name, Why: fmt.Sprintf("the catalog entry of keyspace %d is lost", id)})
	return name
}

// open returns the name of a keyspace that the new store has from the next batch on.
func (s *salvage) open(id pages.KeyspaceID) (string, error) {
	if id == pages.DefaultKeyspace {
		return aegis.DefaultKeyspaceName, nil
	}
	name := s.name(id)
	if !s.catalog.made[id] {
		s.catalog.made[id] = true
		s.target.add(op{kind: opCreate, keyspace: name, options: s.catalog.options(id)})
	}
	return name, nil
}

// placeHoles lists the holes, by the keyspaces that they lie in.
func (s *salvage) placeHoles(holes []*hole) {
	slices.SortStableFunc(holes, func(a, b *hole) int { return cmp.Compare(string(a.lo), string(b.lo)) })
	ids := append([]pages.KeyspaceID{pages.CatalogKeyspace, pages.BlocksKeyspace, pages.DefaultKeyspace}, s.catalog.live()...)
	for _, h := range holes {
		placed, healed := false, false
		for _, id := range ids {
			lo := pages.AppendKeyspace(nil, id)
			hi := pages.PrefixEnd(lo)
			if string(h.lo) >= string(hi) || h.hi != nil && string(h.hi) <= string(lo) {
				continue
			}
			placed = true
			if s.inLog(h, id) {
				healed = true
				continue
			}
			l := h.Lost
			l.Keyspace, l.Lo, l.Hi = s.label(id), nil, nil
			if string(h.lo) > string(lo) {
				l.Lo = h.lo[len(lo):]
			}
			if h.hi != nil && string(h.hi) < string(hi) {
				l.Hi = h.hi[min(len(lo), len(h.hi)):]
			}
			s.report.add(l)
		}
		if healed {
			s.report.note("%s at offset %d: %s; the log has the commits %d to %d", h.File, h.Offset, h.Why, h.SeqLo, h.SeqHi)
		}
		if id, _, err := pages.SplitKey(h.lo); !placed && !(err == nil && s.catalog.dropped[id]) {
			s.report.add(h.Lost) // of keyspaces that nothing else is known of
		}
	}
}

// inLog reports whether all that the hole has lost of the keyspace is applied from the log. What
// came by a bulk load was never there.
func (s *salvage) inLog(h *hole, id pages.KeyspaceID) bool {
	if h.Kind != Entries || h.SeqLo == 0 || pages.Seq(h.SeqLo) < s.survey.first || pages.Seq(h.SeqHi) > s.source.covers {
		return false
	}
	loaded, known := s.catalog.loaded[id]
	return id < pages.FirstUserKeyspace || known && !loaded
}

// The labels of what is no keyspace of the user's. A user's own keyspace could have such a name.
const (
	// CatalogLabel is the Keyspace of a Lost range of the catalog: names of keyspaces.
	CatalogLabel = "\x00catalog"
	// BlocksLabel is the Keyspace of a Lost range of blocks, whose keys are their ids, big endian.
	BlocksLabel = "\x00blocks"
)

func (s *salvage) label(id pages.KeyspaceID) string {
	switch id {
	case pages.CatalogKeyspace:
		return CatalogLabel
	case pages.BlocksKeyspace:
		return BlocksLabel
	case pages.DefaultKeyspace:
		return aegis.DefaultKeyspaceName
	}
	return s.catalog.names[id]
}

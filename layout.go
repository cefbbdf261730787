package aegis

import (
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// RunLayout is a run: tables that do not overlap, in the order of their keys. Lookups go through runs
// from the first to the last.
type RunLayout struct {
	Tier   int  // 0 for flushes; a merge of runs of one tier makes one of the next
	Bottom bool // the last tier: one run, below all others
	Tables []TableLayout
}

// TableLayout is a table file.
type TableLayout struct {
	File                string // its name
	Bytes, RawBytes     int64  // of the file; keys and values before compression
	Entries, Tombstones uint64 // tombstones are entries too
	Min, Max            TableKey
	SeqLo, SeqHi        uint64 // of the commits that its entries come from
}

// TableKey is the first or the last key of a table.
type TableKey struct {
	Keyspace uint32 // number of the keyspace: 0 is the catalog, 1 the blocks, 2 the default one, from 16 on those that were created
	Key      []byte // must not be written to; it stays valid for ever
}

// Layout returns the runs and tables that readers see now, the newest run first. It takes time in the
// number of tables, waits for nothing, and works on a store that is closed too.
func (db *DB) Layout() []RunLayout {
	view := db.pub.View.Load()
	runs := make([]RunLayout, 0, len(view.Runs))
	for _, r := range view.Runs {
		l := RunLayout{Tier: int(r.Tier), Bottom: r.Tier == flusher.BottomTier, Tables: make([]TableLayout, 0, len(r.Tables))}
		for _, t := range r.Tables {
			m := t.Meta()
			l.Tables = append(l.Tables, TableLayout{
				File: pages.TableName(m.ID), Bytes: m.Size, RawBytes: int64(m.RawBytes), Entries: m.Entries,
				Tombstones: m.Tombstones, Min: tableKey(m.Min), Max: tableKey(m.Max), SeqLo: uint64(m.SeqLo), SeqHi: uint64(m.SeqHi),
			})
		}
		runs = append(runs, l)
	}
	return runs
}

func tableKey(internal []byte) TableKey {
	ks, key, err := pages.SplitKey(internal)
	if err != nil { // readers would have found it damaged before
		return TableKey{Key: internal}
	}
	return TableKey{Keyspace: uint32(ks), Key: key[:len(key):len(key)]}
}

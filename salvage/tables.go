package salvage

import (
	"bytes"
	"fmt"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// tableFile is a file with the name of a table, and what its own footer says that it is.
type tableFile struct {
	name string
	id   pages.FileID // by its name
	size int64
	meta *pages.TableMeta // by its footer; nil: lost
	err  error            // why
}

// tableFiles are all files with the names of tables, ascending.
type tableFiles []tableFile

// identify reads the footers of all tables.
func identify(from backends.Backend, files []backends.FileInfo) (found tableFiles) {
	for _, info := range files {
		id, ok := pages.ParseTableName(info.Name)
		if !ok {
			continue
		}
		f := tableFile{name: info.Name, id: id, size: info.Size}
		if m, err := readFooter(from, info); err != nil {
			f.err = err
		} else {
			f.meta = &m
		}
		found = append(found, f)
	}
	return found
}

func readFooter(from backends.Backend, info backends.FileInfo) (m pages.TableMeta, err error) {
	f, err := from.Open(info.Name)
	if err != nil {
		return m, err
	}
	defer f.Close()
	return pages.ReadTableMeta(f, info.Size, info.Name)
}

// has reports whether the file with the table's name is the table.
func (found tableFiles) has(id pages.FileID) bool {
	for i := range found {
		if f := &found[i]; f.id == id {
			return f.meta != nil && f.meta.ID == id
		}
	}
	return false
}

// table is the table that a checkpoint describes: in the file with its name, unless that is another
// one by its own footer; then in the one that is it.
func (found tableFiles) table(m *pages.TableMeta, r *Report) table {
	t := table{name: pages.TableName(m.ID), meta: m}
	want := m.AppendTo(nil)
	is := func(f *tableFile) bool { return f.meta != nil && bytes.Equal(f.meta.AppendTo(nil), want) }
	var named *tableFile
	for i := range found {
		if found[i].id == m.ID {
			named = &found[i]
		}
	}
	if named != nil && named.meta == nil {
		r.note("%s has no footer that can be read; the checkpoint says what it would: %v", t.name, named.err)
		return t
	}
	if named != nil && is(named) {
		return t
	}
	for i := range found {
		if f := &found[i]; is(f) {
			r.note("%s is %s", f.name, t.name)
			t.name = f.name
			return t
		}
	}
	if named != nil {
		t.foreign = &pages.CorruptionError{File: t.name, What: fmt.Sprintf("the file is another table, by its own footer number %d", named.meta.ID)}
	}
	return t
}

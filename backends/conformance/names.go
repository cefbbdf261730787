package conformance

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/backends"
)

var goodNames = []string{
	"a", "Z", "0", "-", "_", ".hidden", "table-00000000000000ff", "a.b.c", "checkpoint-1.a",
	"wal_7", "x" + strings.Repeat("y", 254),
}

var badNames = []string{
	"", ".", "..", "a/b", "/a", "../a", "a\\b", "a b", "a\x00", "a\n", "ä", "a:b", "a*", "~", "+",
	"dot.", backends.LockName, strings.Repeat("x", 256),
}

// checkNames: allowed names work, others are refused by every call, without an effect.
func checkNames(t T, s Subject) {
	b := s.Backend
	for _, name := range goodNames {
		f, err := b.Create(name)
		if err != nil {
			t.Errorf("Create(%q) failed: %v; the name is allowed", name, err)
			continue
		}
		closeFile(t, f)
		closeFile(t, open(t, b, name))
	}
	for _, name := range badNames {
		wantRefused(t, name, "Create", func() error { return discard(b.Create(name)) })
		wantRefused(t, name, "Open", func() error { return discard(b.Open(name)) })
		wantRefused(t, name, "Remove", func() error { return b.Remove(name) })
	}
	want := slices.Clone(goodNames)
	slices.Sort(want)
	wantNames(t, b, want, "calls with bad names")
}

func discard(f backends.File, err error) error {
	if err == nil {
		f.Close()
	}
	return err
}

func wantRefused(t T, name, call string, f func() error) {
	t.Helper()
	err := f()
	if err == nil {
		t.Errorf("%s(%q) succeeded; the name must be refused (use backends.CheckName)", call, name)
	} else if !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("%s(%q) failed with %v; errors.Is(err, fs.ErrInvalid) must hold (use backends.CheckName)", call, name, err)
	}
}

func checkCreate(t T, s Subject) {
	wantNames(t, s.Backend, nil, "opening an empty backend")
	f := create(t, s.Backend, "new")
	defer f.Close()
	wantSize(t, f, 0, "Create")
	wantNames(t, s.Backend, []string{"new"}, "Create (List must show a file at once, before SyncDir)")
	write(t, f, pattern(10, 1), 0)
	wantBytes(t, f, 0, pattern(10, 1), "a write through the handle that Create returned")
	wantFile(t, s.Backend, "new", pattern(10, 1), "Create and a write, before any Sync")
}

func checkCreateTwice(t T, s Subject) {
	f := createWith(t, s.Backend, "once", pattern(10, 1))
	defer f.Close()
	again, err := s.Backend.Create("once")
	if err == nil {
		again.Close()
		t.Errorf("Create of an existing file succeeded; it must fail with fs.ErrExist")
	} else if !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of an existing file: %v; errors.Is(err, fs.ErrExist) must hold", err)
	}
	wantFile(t, s.Backend, "once", pattern(10, 1), "Create of an existing file (it must leave the file alone)")
}

func checkMissing(t T, s Subject) {
	wantNotExist(t, discard(s.Backend.Open("missing")), "Open")
	wantNotExist(t, s.Backend.Remove("missing"), "Remove")
	wantNames(t, s.Backend, nil, "Open and Remove of a missing file (neither may create it)")

	closeFile(t, create(t, s.Backend, "gone"))
	remove(t, s.Backend, "gone")
	wantNotExist(t, discard(s.Backend.Open("gone")), "Open")
	wantNotExist(t, s.Backend.Remove("gone"), "a second Remove")
}

func checkList(t T, s Subject) {
	sizes := map[string]int{"b": 3, "a-2": 0, "a": 70000, "C": 1, "a.1": 12, "_": 5, "0": 2}
	order := []string{"0", "C", "_", "a", "a-2", "a.1", "b"}
	for _, name := range []string{"b", "a-2", "a", "C", "a.1", "_", "0"} {
		f := createWith(t, s.Backend, name, pattern(sizes[name], 1))
		defer f.Close()
	}
	wantNames(t, s.Backend, order, "creating seven files")
	infos, err := s.Backend.List()
	if err != nil {
		t.Fatalf("List failed: %v", err)
	}
	for _, info := range infos {
		if info.Size != int64(sizes[info.Name]) {
			t.Errorf("List shows %q with %d bytes, it has %d (written, not yet synced)", info.Name, info.Size, sizes[info.Name])
		}
	}
}

func checkRemoveWhileOpen(t T, s Subject) {
	want := pattern(5000, 1)
	f := createWith(t, s.Backend, "open", want)
	other := open(t, s.Backend, "open")
	removeErr := s.Backend.Remove("open")
	after := "Remove of an open file"
	if removeErr != nil {
		after = "Remove of an open file, which failed"
	}
	wantBytes(t, f, 0, want, after+" (reading through the handle that created it)")
	wantBytes(t, other, 0, want, after+" (reading through another handle)")
	wantSize(t, f, int64(len(want)), after)
	closeFile(t, f)
	wantBytes(t, other, 1, want[1:], after+" and closing one of two handles")
	closeFile(t, other)
	if removeErr != nil {
		remove(t, s.Backend, "open")
	}
	wantNotExist(t, discard(s.Backend.Open("open")), "Open")
	wantNames(t, s.Backend, nil, "Remove")
}

func checkCreateAfterRemove(t T, s Subject) {
	old := createWith(t, s.Backend, "again", pattern(100, 1))
	if err := s.Backend.Remove("again"); err != nil {
		closeFile(t, old) // a system that cannot remove an open file
		remove(t, s.Backend, "again")
	} else {
		defer old.Close()
	}
	f := create(t, s.Backend, "again")
	defer f.Close()
	wantSize(t, f, 0, "Create of a name that was removed (the new file must be empty)")
	write(t, f, pattern(50, 2), 0)
	wantFile(t, s.Backend, "again", pattern(50, 2), "writing a file whose name was removed before")
	if _, err := old.Size(); err == nil {
		wantBytes(t, old, 0, pattern(100, 1), "writing a new file of the same name (the old handle must keep the old file)")
	}
}

package backends

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// dirTrace records the order of mkdir and sync, and fails at the given step (1 for the first).
type dirTrace struct {
	root   string
	steps  []string
	failAt int
}

var errPlanned = errors.New("planned")

func (d *dirTrace) step(op, path string) error {
	rel, err := filepath.Rel(d.root, path)
	if err != nil {
		return err
	}
	d.steps = append(d.steps, op+" "+filepath.ToSlash(rel))
	if len(d.steps) == d.failAt {
		return errPlanned
	}
	return nil
}

func (d *dirTrace) mkdir(path string) error {
	if err := d.step("mkdir", path); err != nil {
		return err
	}
	return makeDir(path)
}

func (d *dirTrace) sync(path string) error { return d.step("sync", path) }

func (d *dirTrace) make(t *testing.T, rel string, want ...string) {
	t.Helper()
	d.steps = nil
	err := makeDirs(filepath.Join(d.root, filepath.FromSlash(rel)), d.mkdir, d.sync)
	if !slices.Equal(d.steps, want) {
		t.Errorf("makeDirs(%s) did %q, want %q", rel, d.steps, want)
	}
	if failed := d.failAt != 0 && d.failAt <= len(want); failed != errors.Is(err, errPlanned) {
		t.Errorf("makeDirs(%s) returned %v, with a failure planned at step %d", rel, err, d.failAt)
	}
}

func TestMakeDirsSyncsEachParent(t *testing.T) {
	d := &dirTrace{root: t.TempDir()}
	d.make(t, "a/b/c", "sync ..", "mkdir a", "sync .", "mkdir a/b", "sync a", "mkdir a/b/c", "sync a/b")
	d.make(t, "a/b/c", "sync a/b") // empty: its first maker may have died before the sync
	d.make(t, "a/b")
}

func TestMakeDirsResumes(t *testing.T) {
	want := []string{"sync ..", "mkdir a", "sync .", "mkdir a/b", "sync a"}
	for failAt := 1; failAt <= len(want); failAt++ {
		d := &dirTrace{root: t.TempDir(), failAt: failAt}
		d.make(t, "a/b", want[:failAt]...)
		d.failAt = 0
		resumed := want
		switch failAt {
		case 3, 4: // a exists, its entry may not be durable
			resumed = want[2:]
		case 5:
			resumed = want[4:]
		}
		d.make(t, "a/b", resumed...)
	}
}

// TestMakeDirsTrustsUsedDirectories: files came only after the directory was durable.
func TestMakeDirsTrustsUsedDirectories(t *testing.T) {
	d := &dirTrace{root: t.TempDir()}
	for _, name := range []string{LockName, "lost+found"} {
		if err := os.WriteFile(filepath.Join(d.root, name), nil, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	d.make(t, ".", "sync ..")
	if err := os.WriteFile(filepath.Join(d.root, "zz"), nil, fileMode); err != nil {
		t.Fatal(err)
	}
	d.make(t, ".")
}

func TestMakeDirsRefusesFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{path, filepath.Join(path, "below")} {
		for _, readOnly := range []bool{false, true} {
			if _, err := NewLocal(dir, readOnly); err == nil {
				t.Errorf("NewLocal(%s, %t) on a file succeeded", dir, readOnly)
			}
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := NewLocal(missing, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("NewLocal of a missing directory, read-only: %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("NewLocal, read-only, has made the directory")
	}
	if err := os.Symlink("nowhere", missing); err == nil {
		if _, err := NewLocal(missing, false); err == nil {
			t.Error("NewLocal on a dangling link succeeded")
		}
	}
}

package run

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/aegis-storage/aegis/bench/measure"
)

func TestCopyKeepsDataAndHoles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(src, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("data"), 5000)
	files := map[string]int64{"one": 0, "a/two": 1 << 30, "a/b/three": 1 << 20}
	for name, at := range files {
		f, err := os.Create(filepath.Join(src, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(at + 1<<21); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := os.WriteFile(filepath.Join(src, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(src, dst); err != nil {
		t.Fatal(err)
	}
	for name, at := range files {
		f, err := os.Open(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(data)+10)
		if _, err := f.ReadAt(got, at); err != nil || !bytes.Equal(got[:len(data)], data) || got[len(data)] != 0 {
			t.Errorf("%s: other data, or %v", name, err)
		}
		if info, err := f.Stat(); err != nil || info.Size() != at+1<<21 {
			t.Errorf("%s: size %d, %v", name, info.Size(), err)
		}
		f.Close()
	}
	if info, err := os.Stat(filepath.Join(dst, "empty")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the empty file: %v", err)
	}
	if n, err := measure.DiskBytes(dst); err != nil || n > 1<<20 {
		t.Errorf("%d bytes are allocated, %v", n, err)
	}
	if err := os.Symlink("one", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(src, t.TempDir()); err == nil {
		t.Error("a link is copied")
	}
}

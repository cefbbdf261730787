package backends_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/backends/conformance"
)

// interrupted is a raw file whose calls are cut short and interrupted at random.
type interrupted struct {
	backends.RawFile
	mu  *sync.Mutex
	rng *rand.Rand
}

func (i interrupted) cut(p []byte) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch i.rng.IntN(4) {
	case 0:
		return p, nil
	case 1:
		return nil, syscall.EINTR
	case 2:
		return p[:i.rng.IntN(len(p))], syscall.EINTR
	}
	return p[:1+i.rng.IntN(len(p))], nil
}

func (i interrupted) Pread(p []byte, off int64) (int, error) {
	return i.call(i.RawFile.Pread, p, off)
}

func (i interrupted) Pwrite(p []byte, off int64) (int, error) {
	return i.call(i.RawFile.Pwrite, p, off)
}

func (i interrupted) call(f func([]byte, int64) (int, error), p []byte, off int64) (int, error) {
	p, cause := i.cut(p)
	if len(p) == 0 {
		return 0, cause
	}
	n, err := f(p, off)
	if err == nil {
		err = cause
	}
	return n, err
}

// interruptedLocal is a Local all of whose files are interrupted.
type interruptedLocal struct {
	*backends.Local
	seed uint64
}

func (l interruptedLocal) shim(f backends.File, err error) (backends.File, error) {
	if err != nil {
		return nil, err
	}
	return backends.Intercept(f, func(raw backends.RawFile) backends.RawFile {
		return interrupted{raw, new(sync.Mutex), rand.New(rand.NewPCG(l.seed, 1))}
	}), nil
}

func (l interruptedLocal) Create(name string) (backends.File, error) {
	return l.shim(l.Local.Create(name))
}

func (l interruptedLocal) Open(name string) (backends.File, error) {
	return l.shim(l.Local.Open(name))
}

func TestInterruptedLocalConformance(t *testing.T) {
	for seed := range uint64(3) {
		conformance.Run(t, func(t *testing.T) conformance.Subject {
			s := localSubject(t)
			s.Backend = interruptedLocal{s.Backend.(*backends.Local), seed}
			return s
		})
	}
}

func TestLocalMakesItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := newLocal(t, dir)
	if l.Dir() != dir {
		t.Errorf("Dir() = %s, want %s", l.Dir(), dir)
	}
	f, err := l.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if info, err := os.Stat(filepath.Join(dir, "f")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the file is missing or open to all users: %v, %v", info.Mode(), err)
	}
}

// TestLocalStaysInItsDirectory: a relative directory is the one it was at NewLocal.
func TestLocalStaysInItsDirectory(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	l := newLocal(t, "store")
	t.Chdir(t.TempDir())
	f, err := l.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := os.Stat(filepath.Join(root, "store", "f")); err != nil {
		t.Error(err)
	}
}

// TestLocalListsForeignFiles: an engine refuses to initialise a directory with anything in it.
func TestLocalListsForeignFiles(t *testing.T) {
	dir := t.TempDir()
	l := newLocal(t, dir)
	for _, name := range []string{"not ours.txt", backends.LockName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"subdirectory", "lost+found"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	want := []backends.FileInfo{{Name: "not ours.txt", Size: 5}, {Name: "subdirectory"}}
	got, err := l.List()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List() = %v, %v; want %v", got, err, want)
	}
}

func TestLocalReadOnly(t *testing.T) {
	dir := t.TempDir()
	w := newLocal(t, dir)
	f, err := w.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("contents"), 0); err != nil {
		t.Fatal(err)
	}
	r, err := backends.NewLocal(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	got := make([]byte, 8)
	if _, err := g.ReadAt(got, 0); err != nil || string(got) != "contents" {
		t.Errorf("read %q, %v", got, err)
	}
	_, createErr := r.Create("g")
	_, writeErr := g.WriteAt([]byte("x"), 0)
	_, lockErr := r.Lock(true)
	for call, err := range map[string]error{
		"Create": createErr, "WriteAt": writeErr, "Lock(true)": lockErr, "Truncate": g.Truncate(0),
		"Sync": g.Sync(), "SyncDir": r.SyncDir(), "Remove": r.Remove("f"),
	} {
		if !errors.Is(err, backends.ErrReadOnly) {
			t.Errorf("%s on a read-only backend: %v, want ErrReadOnly", call, err)
		}
	}
	infos, err := r.List()
	if want := []backends.FileInfo{{Name: "f", Size: 8}}; err != nil || !slices.Equal(infos, want) {
		t.Errorf("List() = %v, %v; want %v, nil", infos, err, want)
	}
}

func TestLocalLinkTo(t *testing.T) {
	dir, target := t.TempDir(), t.TempDir()
	l := newLocal(t, dir)
	f, err := l.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("contents"), 0); err != nil {
		t.Fatal(err)
	}
	if err := l.LinkTo("f", target); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := l.LinkTo("f", target); !errors.Is(err, fs.ErrExist) {
		t.Errorf("LinkTo over an existing file: %v, want fs.ErrExist", err)
	}
	if err := l.LinkTo("missing", target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LinkTo of a missing file: %v, want fs.ErrNotExist", err)
	}
	if err := l.LinkTo("../f", target); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("LinkTo of a bad name: %v, want fs.ErrInvalid", err)
	}
	f.Close()
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	g, err := newLocal(t, target).Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	got := make([]byte, 8)
	if n, err := g.ReadAt(got, 0); n != 8 || err != nil && err != io.EOF || string(got) != "contents" {
		t.Errorf("the linked file reads as %q, %v", got, err)
	}
}

// TestLocalLinkToOtherFileSystem: callers copy.
func TestLocalLinkToOtherFileSystem(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "aegis")
	if err != nil {
		t.Skip("no second file system:", err)
	}
	defer os.RemoveAll(shm)
	l := newLocal(t, t.TempDir())
	f, err := l.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = l.LinkTo("f", shm)
	if err == nil {
		t.Skip("/dev/shm is not another file system")
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("LinkTo another file system: %v, want errors.ErrUnsupported", err)
	}
}

package backends_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

func wantUsage(t *testing.T, l *backends.Limited, want int64, after string) {
	t.Helper()
	if used, _, err := l.Usage(); used != want || err != nil {
		t.Errorf("after %s: %d bytes in use, %v; want %d", after, used, err, want)
	}
}

func mustCreate(t *testing.T, b backends.Backend, name string) backends.File {
	t.Helper()
	f, err := b.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustWrite(t *testing.T, f backends.File, size int, off int64) {
	t.Helper()
	if n, err := f.WriteAt(make([]byte, size), off); n != size || err != nil {
		t.Fatalf("WriteAt(%d bytes, offset %d) = %d, %v", size, off, n, err)
	}
}

func wantNoSpace(t *testing.T, err error, call string) {
	t.Helper()
	if !errors.Is(err, backends.ErrNoSpace) {
		t.Errorf("%s beyond the limit: %v, want ErrNoSpace", call, err)
	}
}

func TestLimitStopsGrowth(t *testing.T) {
	l := backends.Limit(backends.NewMemory(), 1000)
	f := mustCreate(t, l, "f")
	mustWrite(t, f, 600, 0)
	n, err := f.WriteAt(make([]byte, 500), 501)
	if wantNoSpace(t, err, "WriteAt"); n != 0 {
		t.Errorf("a refused write has written %d bytes", n)
	}
	if !strings.Contains(err.Error(), "f needs 401 bytes more, 600 of 1000 are in use") {
		t.Errorf("the error does not give the figures: %v", err)
	}
	wantNoSpace(t, f.Truncate(1001), "Truncate")
	if size, err := f.Size(); size != 600 || err != nil {
		t.Errorf("refused calls have left %d bytes, %v; want 600", size, err)
	}
	wantUsage(t, l, 600, "refused calls")

	mustWrite(t, f, 400, 600) // up to the last byte
	mustWrite(t, f, 1000, 0)  // overwriting takes no space
	wantUsage(t, l, 1000, "filling it up")
	g := mustCreate(t, l, "g")
	if _, err := g.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a second file may grow beyond the limit")
	}

	l.SetLimit(1001)
	mustWrite(t, g, 1, 0)
	if used, limit, err := l.Usage(); used != 1001 || limit != 1001 || err != nil {
		t.Errorf("Usage() = %d, %d, %v; want 1001, 1001, nil", used, limit, err)
	}
	l.SetLimit(10)
	mustWrite(t, f, 1000, 0)
	_, err = g.WriteAt([]byte("x"), 1)
	wantNoSpace(t, err, "WriteAt")
}

func TestLimitGivesSpaceBack(t *testing.T) {
	l := backends.Limit(backends.NewMemory(), 1000)
	f := mustCreate(t, l, "f")
	mustWrite(t, f, 1000, 0)
	if err := f.Truncate(300); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 300, "Truncate(300)")
	g, err := l.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 300, "removing a file with two handles")
	f.Close()
	f.Close()
	wantUsage(t, l, 300, "closing one of two handles, twice")
	again := mustCreate(t, l, "f")
	mustWrite(t, again, 50, 0)
	mustWrite(t, g, 10, 300)
	wantUsage(t, l, 360, "writing to the removed file, and to a new one of its name")
	g.Close()
	wantUsage(t, l, 50, "closing the last handle of a removed file")
	again.Close()
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 0, "removing all")
	if err := l.Remove("f"); err == nil {
		t.Error("a second Remove succeeded")
	}
	wantUsage(t, l, 0, "removing twice")
}

func TestLimitCountsWhatIsThere(t *testing.T) {
	m := backends.NewMemory()
	mustWrite(t, mustCreate(t, m, "old"), 700, 0)
	l := backends.Limit(m, 1000)
	g := mustCreate(t, l, "new")
	_, err := g.WriteAt(make([]byte, 301), 0)
	wantNoSpace(t, err, "WriteAt")
	mustWrite(t, g, 300, 0)

	// A file made behind its back counts once it is opened, and with the lock everything does.
	mustWrite(t, mustCreate(t, m, "foreign"), 70, 0)
	f, err := l.Open("foreign")
	if err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 1070, "opening a file that something else has made")
	f.Close()
	g.Close()
	mustWrite(t, mustCreate(t, m, "foreign-2"), 7, 0)
	release, err := l.Lock(true)
	if err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 1077, "taking the lock")
	f, err = l.Open("old")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if release, err = l.Lock(true); err != nil {
		t.Fatal(err)
	}
	defer release()
	l.SetLimit(2000)
	mustWrite(t, f, 710, 0)
	wantUsage(t, l, 1087, "taking the lock with a file open, and extending it")
	f.Close()
	if err := l.Remove("old"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 377, "removing that file")
}

// TestLimitCreateOvertakesRemove: between the removal beneath and the return of Remove, another
// call makes a file of the same name.
func TestLimitCreateOvertakesRemove(t *testing.T) {
	b := &overtaken{Backend: backends.NewMemory()}
	l := backends.Limit(b, 1000)
	f := mustCreate(t, l, "f")
	mustWrite(t, f, 300, 0)
	f.Close()
	b.afterRemove = func() { mustWrite(t, mustCreate(t, l, "f"), 20, 0) }
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 20, "a Remove that Create overtook")
	b.afterRemove = func() {}
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 20, "removing the new file, still open")
}

// TestLimitForgetsForeignRemoval: something else has removed a file that l knows.
func TestLimitForgetsForeignRemoval(t *testing.T) {
	m := backends.NewMemory()
	mustWrite(t, mustCreate(t, m, "f"), 300, 0)
	l := backends.Limit(m, 1000)
	wantUsage(t, l, 300, "counting")
	if err := m.Remove("f"); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, mustCreate(t, l, "f"), 20, 0)
	wantUsage(t, l, 20, "creating a file that was removed behind its back")
}

type overtaken struct {
	backends.Backend
	afterRemove func()
}

func (b *overtaken) Remove(name string) error {
	err := b.Backend.Remove(name)
	b.afterRemove()
	return err
}

// broken fails calls of a backend by name of the call.
type broken struct {
	backends.Backend
	fail map[string]bool
}

type brokenFile struct {
	backends.File
	fail map[string]bool
}

// Close ends the plan to fail Size, which shows that it was called.
func (f brokenFile) Close() error {
	f.fail["Size"] = false
	return f.File.Close()
}

func (b broken) List() ([]backends.FileInfo, error) {
	if b.fail["List"] {
		return nil, syscall.EIO
	}
	return b.Backend.List()
}

func (b broken) Open(name string) (backends.File, error) {
	if b.fail["Open"] {
		return nil, syscall.EIO
	}
	f, err := b.Backend.Open(name)
	if err != nil {
		return nil, err
	}
	return brokenFile{f, b.fail}, nil
}

func (f brokenFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fail["WriteAt"] {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, syscall.EIO
	}
	return f.File.WriteAt(p, off)
}

func (f brokenFile) Truncate(size int64) error {
	if f.fail["Truncate"] {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func (f brokenFile) Size() (int64, error) {
	if f.fail["Size"] {
		return 0, syscall.EIO
	}
	return f.File.Size()
}

// TestLimitAfterFailures: after an error beneath, the count is never less than the files.
func TestLimitAfterFailures(t *testing.T) {
	m := backends.NewMemory()
	mustWrite(t, mustCreate(t, m, "f"), 100, 0)
	fail := map[string]bool{"List": true}
	l := backends.Limit(broken{m, fail}, 1000)
	if _, _, err := l.Usage(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Usage() with a List that fails: %v, want its error", err)
	}
	if _, err := l.Create("g"); !errors.Is(err, syscall.EIO) {
		t.Errorf("Create with a List that fails: %v, want its error", err)
	}
	fail["List"] = false
	f, err := l.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fail["WriteAt"] = true
	if n, err := f.WriteAt(make([]byte, 200), 100); n != 100 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("WriteAt = %d, %v; want 100, EIO", n, err)
	}
	wantUsage(t, l, 300, "a write that failed half-way")
	fail["Truncate"] = true
	if err := f.Truncate(100); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Truncate: %v, want EIO", err)
	}
	wantUsage(t, l, 300, "a Truncate that failed")
	fail["Truncate"] = false
	if err := f.Truncate(100); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 100, "a Truncate")

	mustWrite(t, mustCreate(t, m, "foreign"), 50, 0)
	fail["Size"] = true
	if _, err := l.Open("foreign"); !errors.Is(err, syscall.EIO) {
		t.Errorf("Open of a file whose size cannot be had: %v, want EIO", err)
	}
	if fail["Size"] {
		t.Error("Open of a file whose size cannot be had has left it open")
	}
	if _, err := l.Open("missing"); err == nil {
		t.Error("Open of a missing file succeeded")
	}
	fail["Open"] = true
	if _, err := l.Open("f"); !errors.Is(err, syscall.EIO) {
		t.Errorf("Open that fails beneath: %v, want EIO", err)
	}
	wantUsage(t, l, 100, "Opens that failed")
	f.Close()
	if err := l.Remove("f"); err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, 0, "Remove (an Open that failed must not hold the file)")
	if err := l.LinkTo("f", "/"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("LinkTo over a backend without links: %v, want errors.ErrUnsupported", err)
	}
}

func TestLimitLinks(t *testing.T) {
	l := backends.Limit(newLocal(t, t.TempDir()), 100)
	mustWrite(t, mustCreate(t, l, "f"), 100, 0)
	target := t.TempDir()
	if err := l.LinkTo("f", target); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("LinkTo over a backend with links: %v", err)
	}
}

// TestLimitInParallel: whatever happens at once, the limit holds and in the end the count is the
// sum of the files.
func TestLimitInParallel(t *testing.T) {
	const limit = 40_000
	m := backends.NewMemory()
	l := backends.Limit(m, limit)
	shared := mustCreate(t, l, "shared")
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 5))
			name := string(rune('a' + worker))
			for range 300 {
				f, err := l.Create(name)
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					size := 1 + rng.IntN(9000)
					if _, err := f.WriteAt(make([]byte, size), rng.Int64N(5000)); err != nil && !errors.Is(err, backends.ErrNoSpace) {
						t.Error(err)
					}
					_, err := shared.WriteAt([]byte{1}, rng.Int64N(10)*4+int64(worker))
					if err != nil && !errors.Is(err, backends.ErrNoSpace) {
						t.Error(err)
					}
				}
				if used, _, err := l.Usage(); used > limit || err != nil {
					t.Errorf("%d bytes of %d in use, %v", used, limit, err)
				}
				if err := errors.Join(l.Remove(name), f.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	size, err := shared.Size()
	if err != nil {
		t.Fatal(err)
	}
	wantUsage(t, l, size, "parallel work on files of which one is left")
}

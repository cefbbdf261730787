package conformance

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"github.com/aegis-storage/aegis/backends"
)

// patternPeriod is prime, so that no two blocks of a size that backends use look the same.
const patternPeriod = 65537

// pattern returns n bytes that differ from place to place and from seed to seed, none of them 0.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range min(n, patternPeriod) {
		p[i] = byte((i*7+i>>8*13+int(seed)*31)%255) + 1
	}
	for done := patternPeriod; done < n; done += patternPeriod {
		copy(p[done:], p[:patternPeriod])
	}
	return p
}

func create(t T, b backends.Backend, name string) backends.File {
	t.Helper()
	f, err := b.Create(name)
	if err != nil {
		t.Fatalf("Create(%q) of a file that is not there failed: %v", name, err)
	}
	return f
}

func open(t T, b backends.Backend, name string) backends.File {
	t.Helper()
	f, err := b.Open(name)
	if err != nil {
		t.Fatalf("Open(%q) of a file that was created and not removed failed: %v", name, err)
	}
	return f
}

// createWith makes a file with the given contents.
func createWith(t T, b backends.Backend, name string, p []byte) backends.File {
	t.Helper()
	f := create(t, b, name)
	write(t, f, p, 0)
	return f
}

func write(t T, f backends.File, p []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(p, off)
	if err != nil || n != len(p) {
		t.Fatalf("WriteAt(%d bytes, offset %d) returned %d, %v; it must write all and return %d, nil", len(p), off, n, err, len(p))
	}
}

func truncate(t T, f backends.File, size int64) {
	t.Helper()
	if err := f.Truncate(size); err != nil {
		t.Fatalf("Truncate(%d) failed: %v", size, err)
	}
}

func syncFile(t T, f backends.File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatalf("Sync failed: %v", err)
	}
}

func syncDir(t T, b backends.Backend) {
	t.Helper()
	if err := b.SyncDir(); err != nil {
		t.Fatalf("SyncDir failed: %v", err)
	}
}

func remove(t T, b backends.Backend, name string) {
	t.Helper()
	if err := b.Remove(name); err != nil {
		t.Fatalf("Remove(%q) of a file that no handle has open failed: %v", name, err)
	}
}

func closeFile(t T, f backends.File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Errorf("Close of an open file failed: %v", err)
	}
}

func wantSize(t T, f backends.File, want int64, after string) {
	t.Helper()
	got, err := f.Size()
	if err != nil || got != want {
		t.Errorf("after %s: Size() = %d, %v; want %d, nil", after, got, err, want)
	}
}

// wantBytes checks that the range at off holds want, reading exactly that range.
func wantBytes(t T, f backends.File, off int64, want []byte, after string) {
	t.Helper()
	// Filled, so that a ReadAt that skips what it takes for zeros is found.
	got := bytes.Repeat([]byte{0xEE}, len(want))
	n, err := f.ReadAt(got, off)
	if err == io.EOF && n == len(want) {
		err = nil // an io.ReaderAt may say so when it stops right at the end
	}
	if err != nil || n != len(want) {
		t.Errorf("after %s: ReadAt(%d bytes, offset %d) returned %d, %v; all of these bytes are in the file", after, len(want), off, n, err)
		return
	}
	if at := firstDifference(got, want); at >= 0 {
		t.Errorf("after %s: byte %d of the file reads as %#02x, want %#02x", after, off+int64(at), got[at], want[at])
	}
}

// wantFile checks the whole of a file's contents and its size.
func wantFile(t T, b backends.Backend, name string, want []byte, after string) {
	t.Helper()
	f, err := b.Open(name)
	if err != nil {
		t.Errorf("after %s: Open(%q) failed: %v", after, name, err)
		return
	}
	defer f.Close()
	wantSize(t, f, int64(len(want)), after)
	wantBytes(t, f, 0, want, after)
}

func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func wantNotExist(t T, err error, call string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s of a file that is not there succeeded", call)
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s of a file that is not there: %v; errors.Is(err, fs.ErrNotExist) must hold (wrap it with %%w)", call, err)
	}
}

// wantNames checks the names that List shows, in order.
func wantNames(t T, b backends.Backend, want []string, after string) {
	t.Helper()
	infos, err := b.List()
	if err != nil {
		t.Fatalf("after %s: List failed: %v", after, err)
	}
	got := make([]string, len(infos))
	for i, info := range infos {
		got[i] = info.Name
	}
	if len(got) != len(want) {
		t.Errorf("after %s: List shows %q, want %q", after, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("after %s: List shows %q, want %q (sorted by name, bytewise)", after, got, want)
			return
		}
	}
}

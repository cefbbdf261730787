//go:build unix || windows

package backends

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
)

// effect is what one raw call does: it transfers at most n bytes, and reports err.
type effect struct {
	n   int
	err error
}

// shim is a rawFile in memory that follows a script; a call beyond its end transfers all. It
// counts how often each byte is written, which contents cannot show.
type shim struct {
	data    []byte
	written []int
	script  []effect
	syncs   int
}

func newShim(size int, script ...effect) *shim {
	return &shim{data: make([]byte, size), written: make([]int, size), script: script}
}

func (s *shim) next(size int) effect {
	if len(s.script) == 0 {
		return effect{n: size}
	}
	e := s.script[0]
	s.script = s.script[1:]
	e.n = min(e.n, size)
	return e
}

func (s *shim) Pread(p []byte, off int64) (int, error) {
	left := max(0, int64(len(s.data))-off)
	e := s.next(int(min(int64(len(p)), left)))
	copy(p[:e.n], s.data[min(off, int64(len(s.data))):])
	return e.n, e.err
}

func (s *shim) Pwrite(p []byte, off int64) (int, error) {
	e := s.next(len(p))
	copy(s.data[off:], p[:e.n])
	for i := range e.n {
		s.written[off+int64(i)]++
	}
	return e.n, e.err
}

func (s *shim) Fdatasync() error {
	s.syncs++
	return s.next(0).err
}

func (s *shim) file() *localFile { return &localFile{raw: s, path: "shim"} }

func text(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i%251) + 1
	}
	return p
}

var interruptions = map[string][]effect{
	"whole":                    nil,
	"EINTR first":              {{0, syscall.EINTR}, {0, syscall.EINTR}},
	"EINTR after a part":       {{300, syscall.EINTR}, {0, syscall.EINTR}, {1, syscall.EINTR}},
	"EINTR after all":          {{1000, syscall.EINTR}},
	"short":                    {{1, nil}, {700, nil}, {1, nil}},
	"short, EINTR, short":      {{10, nil}, {0, syscall.EINTR}, {20, nil}},
	"EINTR wrapped by package": {{5, &os.PathError{Op: "pwrite", Path: "shim", Err: syscall.EINTR}}},
}

func TestWriteAtContinues(t *testing.T) {
	for name, script := range interruptions {
		t.Run(name, func(t *testing.T) {
			s := newShim(1200, script...)
			n, err := s.file().WriteAt(text(1000), 100)
			if n != 1000 || err != nil {
				t.Fatalf("WriteAt = %d, %v; want 1000, nil", n, err)
			}
			if !bytes.Equal(s.data[100:1100], text(1000)) {
				t.Error("contents differ from what was written")
			}
			want := slices.Concat(make([]int, 100), slices.Repeat([]int{1}, 1000), make([]int, 100))
			if !slices.Equal(s.written, want) {
				t.Error("some byte was not written exactly once at its place")
			}
		})
	}
}

func TestReadAtContinues(t *testing.T) {
	for name, script := range interruptions {
		t.Run(name, func(t *testing.T) {
			s := newShim(1200, script...)
			copy(s.data, text(1200))
			p := make([]byte, 1000)
			n, err := s.file().ReadAt(p, 100)
			if n != 1000 || err != nil {
				t.Fatalf("ReadAt = %d, %v; want 1000, nil: a short read is not the end", n, err)
			}
			if !bytes.Equal(p, text(1200)[100:1100]) {
				t.Error("read other bytes than are in the file")
			}
		})
	}
}

func TestReadAtEnd(t *testing.T) {
	s := newShim(100, effect{30, nil}, effect{0, syscall.EINTR})
	copy(s.data, text(100))
	p := make([]byte, 80)
	n, err := s.file().ReadAt(p, 50)
	if n != 50 || err != io.EOF || !bytes.Equal(p[:50], text(100)[50:]) {
		t.Errorf("ReadAt across the end = %d, %v; want the 50 bytes and io.EOF", n, err)
	}
}

func TestRandomInterruptions(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		script := make([]effect, 20)
		for i := range script {
			script[i] = effect{n: 1 + rng.IntN(60)}
			if rng.IntN(2) == 0 {
				script[i] = effect{n: rng.IntN(60), err: syscall.EINTR}
			}
		}
		s := newShim(1000, script...)
		n, err := s.file().WriteAt(text(1000), 0)
		if n != 1000 || err != nil || !bytes.Equal(s.data, text(1000)) || slices.Max(s.written) > 1 {
			t.Fatalf("seed %d: WriteAt = %d, %v, or contents differ, or bytes were written twice", seed, n, err)
		}
	}
}

func TestTransferErrors(t *testing.T) {
	tests := []struct {
		name   string
		script []effect
		n      int
		want   error
	}{
		{"EIO at once", []effect{{0, syscall.EIO}}, 0, syscall.EIO},
		{"EIO after a part", []effect{{10, nil}, {0, syscall.EINTR}, {5, syscall.EIO}}, 15, syscall.EIO},
		{"space ends", []effect{{600, nil}, {0, syscall.ENOSPC}}, 600, syscall.ENOSPC},
	}
	for _, test := range tests {
		s := newShim(1000, slices.Clone(test.script)...)
		if n, err := s.file().WriteAt(text(1000), 0); n != test.n || !errors.Is(err, test.want) {
			t.Errorf("%s: WriteAt = %d, %v; want %d, %v", test.name, n, err, test.n, test.want)
		}
		s = newShim(1000, slices.Clone(test.script)...)
		if n, err := s.file().ReadAt(make([]byte, 1000), 0); n != test.n || !errors.Is(err, test.want) {
			t.Errorf("%s: ReadAt = %d, %v; want %d, %v", test.name, n, err, test.n, test.want)
		}
	}
	s := newShim(1000, effect{10, nil}, effect{0, nil})
	if n, err := s.file().WriteAt(text(1000), 0); n != 10 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a file that takes no more: WriteAt = %d, %v; want 10, io.ErrShortWrite", n, err)
	}
}

// TestSyncFailureIsFinal: whatever the failure, EINTR included, the system is asked once, and
// the handle never reports success again.
func TestSyncFailureIsFinal(t *testing.T) {
	for _, cause := range []error{syscall.EINTR, syscall.EIO, syscall.ENOSPC} {
		s := newShim(0, effect{0, nil}, effect{0, cause})
		f := s.file()
		if err := f.Sync(); err != nil {
			t.Fatalf("first Sync: %v", err)
		}
		first := f.Sync()
		if !errors.Is(first, cause) {
			t.Errorf("Sync that meets %v returned %v", cause, first)
		}
		if again := f.Sync(); again != first {
			t.Errorf("Sync after a failed one returned %v, want the first failure %v", again, first)
		}
		if s.syncs != 2 {
			t.Errorf("the system was asked to sync %d times, want 2: a failed sync is not repeated", s.syncs)
		}
	}
}

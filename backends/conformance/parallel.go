package conformance

import (
	"bytes"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis/backends"
)

const (
	workers     = 6
	rounds      = 60
	stripeBytes = 3000 // not a multiple of any block: neighbours share blocks
)

// checkParallelReadWrite: writers have a stripe of the file each, readers read a settled range
// and the stripes as they change. Run it with the race detector.
func checkParallelReadWrite(t T, s Subject) {
	settled := pattern(stripeBytes, 99)
	f := createWith(t, s.Backend, "f", settled)
	defer f.Close()
	truncate(t, f, (workers+1)*stripeBytes)
	s.parallel(2*workers, func(i int) {
		if i < workers {
			rewriteStripe(t, f, int64(i+1)*stripeBytes, byte(i))
			return
		}
		buf := make([]byte, (workers+1)*stripeBytes)
		for range rounds {
			n, err := f.ReadAt(buf, 0)
			if n != len(buf) || err != nil && err != io.EOF {
				t.Errorf("ReadAt while other ranges are written returned %d, %v; want %d, nil", n, err, len(buf))
				return
			}
			if !bytes.Equal(buf[:stripeBytes], settled) {
				t.Errorf("a range that nobody writes read wrong while other ranges were written")
				return
			}
		}
	})
	for i := range workers {
		wantBytes(t, f, int64(i+1)*stripeBytes, pattern(stripeBytes, byte(i+rounds-1)), "parallel writes to ranges that do not overlap")
	}
	wantBytes(t, f, 0, settled, "parallel writes to other ranges")
}

// rewriteStripe writes a range again and again, and reads its own writes.
func rewriteStripe(t T, f backends.File, off int64, seed byte) {
	got := make([]byte, stripeBytes)
	for round := range rounds {
		want := pattern(stripeBytes, seed+byte(round))
		if n, err := f.WriteAt(want, off); n != len(want) || err != nil {
			t.Errorf("WriteAt in parallel with calls on other ranges returned %d, %v; want %d, nil", n, err, len(want))
			return
		}
		n, err := f.ReadAt(got, off)
		if n != len(got) || err != nil && err != io.EOF || !bytes.Equal(got, want) {
			t.Errorf("a write was not read back while other ranges were written (ReadAt returned %d, %v)", n, err)
			return
		}
	}
}

// checkParallelAppend: writes that extend the file, side by side and out of order, all stay.
func checkParallelAppend(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	s.parallel(workers, func(i int) {
		for round := rounds - 1; round >= 0; round-- {
			block := round*workers + i
			off := int64(block) * stripeBytes
			if n, err := f.WriteAt(pattern(stripeBytes, byte(block)), off); n != stripeBytes || err != nil {
				t.Errorf("WriteAt that extends the file, in parallel with others, returned %d, %v; want %d, nil", n, err, stripeBytes)
				return
			}
			if size, err := f.Size(); err != nil || size < off+stripeBytes {
				t.Errorf("Size() = %d, %v after a write up to %d; the size must never fall behind a write that has returned", size, err, off+stripeBytes)
				return
			}
		}
	})
	wantSize(t, f, rounds*workers*stripeBytes, "parallel writes that extend the file")
	for block := range rounds * workers {
		wantBytes(t, f, int64(block)*stripeBytes, pattern(stripeBytes, byte(block)), "parallel writes that extend the file")
	}
}

// checkParallelFiles: files come and go while others list them.
func checkParallelFiles(t T, s Subject) {
	f := createWith(t, s.Backend, "stays", pattern(100, 1))
	defer f.Close()
	s.parallel(workers, func(i int) {
		for round := range rounds / 2 {
			if err := oneLife(s.Backend, fmt.Sprintf("w%d-%d", i, round), byte(i)); err != nil {
				t.Errorf("creating, reading and removing files in parallel: %v", err)
				return
			}
			infos, err := s.Backend.List()
			if err != nil {
				t.Errorf("List while files come and go failed: %v", err)
				return
			}
			if !listed(infos, "stays", 100) {
				t.Errorf("List while files come and go does not show a file that stays, or shows a wrong size")
				return
			}
		}
	})
	wantNames(t, s.Backend, []string{"stays"}, "creating and removing files in parallel")
}

func oneLife(b backends.Backend, name string, seed byte) error {
	f, err := b.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(pattern(300, seed), 0); err != nil {
		return err
	}
	g, err := b.Open(name)
	if err != nil {
		return err
	}
	got := make([]byte, 300)
	if n, err := g.ReadAt(got, 0); n != 300 || !bytes.Equal(got, pattern(300, seed)) {
		return fmt.Errorf("%s read back wrong: %d bytes, %v", name, n, err)
	}
	if err := g.Close(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return b.Remove(name)
}

func listed(infos []backends.FileInfo, name string, size int64) bool {
	for _, info := range infos {
		if info.Name == name {
			return info.Size == size
		}
	}
	return false
}

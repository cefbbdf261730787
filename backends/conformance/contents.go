package conformance

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"

	"github.com/aegis-storage/aegis/backends"
)

func checkReadWrite(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	want := pattern(200_000, 1)
	write(t, f, want, 0)
	wantSize(t, f, 200_000, "writing 200000 bytes at 0")
	for _, r := range [][2]int{{0, 1}, {1, 1}, {511, 2}, {4095, 4098}, {65535, 2}, {65536, 65536}, {131071, 3}, {199_999, 1}, {0, 200_000}} {
		wantBytes(t, f, int64(r[0]), want[r[0]:r[0]+r[1]], "one write")
	}
	patch := pattern(70_000, 2)
	write(t, f, patch, 30_001)
	copy(want[30_001:], patch)
	wantBytes(t, f, 0, want, "overwriting 70000 bytes at 30001 (the bytes around must stay)")
	wantSize(t, f, 200_000, "overwriting within the file")
	write(t, f, pattern(10, 3), 199_995)
	want = append(want[:199_995], pattern(10, 3)...)
	wantBytes(t, f, 0, want, "a write across the end")
	wantSize(t, f, 200_005, "a write across the end")
	wantFile(t, s.Backend, "f", want, "all of these writes")
}

func checkTwoHandles(t T, s Subject) {
	a := createWith(t, s.Backend, "f", pattern(100, 1))
	defer a.Close()
	b := open(t, s.Backend, "f")
	write(t, b, pattern(100, 2), 50)
	wantBytes(t, a, 50, pattern(100, 2), "a write through another handle (it must be seen at once)")
	wantSize(t, a, 150, "a write through another handle")
	truncate(t, a, 20)
	wantSize(t, b, 20, "Truncate through another handle")
	closeFile(t, b)
	wantBytes(t, a, 0, pattern(20, 1), "closing another handle of the same file")
}

// checkBuffers: the caller's buffers are the caller's again once a call returns.
func checkBuffers(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	p := pattern(5000, 1)
	write(t, f, p, 0)
	clear(p)
	wantBytes(t, f, 0, pattern(5000, 1), "changing the buffer that was given to WriteAt (the backend must copy it)")
	got := make([]byte, 5000)
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF {
		t.Fatalf("ReadAt failed: %v", err)
	}
	clear(got)
	wantBytes(t, f, 0, pattern(5000, 1), "changing the buffer that ReadAt filled (the backend must not keep it)")
	write(t, f, pattern(5000, 2), 0)
	if at := firstDifference(got, make([]byte, 5000)); at >= 0 {
		t.Errorf("a write changed byte %d of a buffer that an earlier ReadAt had filled", at)
	}
	p = pattern(100, 3)
	write(t, f, p, 0)
	if at := firstDifference(p, pattern(100, 3)); at >= 0 {
		t.Errorf("WriteAt changed byte %d of its argument", at)
	}
}

func checkEndOfFile(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(1000, 1))
	defer f.Close()
	wantEOF(t, f, 500, 1000, 500)
	wantEOF(t, f, 999, 2, 1)
	wantEOF(t, f, 1000, 1, 0)
	wantEOF(t, f, 5000, 10, 0)
	wantEOF(t, f, 1<<33, 10, 0)
	if n, err := f.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("ReadAt(no bytes, offset 0) returned %d, %v; want 0, nil", n, err)
	}
	if n, err := f.ReadAt(make([]byte, 1000), 0); n != 1000 || err != nil && err != io.EOF {
		t.Errorf("ReadAt of a whole file of 1000 bytes returned %d, %v; want 1000 and nil or io.EOF", n, err)
	}
	empty := create(t, s.Backend, "empty")
	defer empty.Close()
	wantEOF(t, empty, 0, 10, 0)
}

// wantEOF reads size bytes at off, of which only want are there.
func wantEOF(t T, f backends.File, off int64, size, want int) {
	t.Helper()
	p := make([]byte, size)
	n, err := f.ReadAt(p, off)
	if n != want || err != io.EOF {
		t.Errorf("ReadAt(%d bytes, offset %d) across the end returned %d, %v; want %d, io.EOF itself (not wrapped)", size, off, n, err, want)
	}
	if at := firstDifference(p[:want], pattern(1000, 1)[min(off, 1000):]); want > 0 && at >= 0 {
		t.Errorf("ReadAt across the end returned a wrong byte at %d", off+int64(at))
	}
}

func checkGaps(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(10, 1))
	defer f.Close()
	write(t, f, pattern(10, 2), 300_000)
	wantSize(t, f, 300_010, "a write far behind the end")
	wantBytes(t, f, 10, make([]byte, 299_990), "a write far behind the end (the gap must read as zeros)")
	wantBytes(t, f, 0, pattern(10, 1), "a write far behind the end")
	wantBytes(t, f, 300_000, pattern(10, 2), "a write far behind the end")
	write(t, f, pattern(10, 3), 150_000)
	want := make([]byte, 300_010)
	copy(want, pattern(10, 1))
	copy(want[150_000:], pattern(10, 3))
	copy(want[300_000:], pattern(10, 2))
	wantBytes(t, f, 0, want, "a write into the gap")
}

func checkEmptyWrite(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	write(t, f, nil, 100)
	wantSize(t, f, 0, "WriteAt(no bytes, offset 100) (it must not extend the file)")
	write(t, f, []byte{}, 0)
	wantSize(t, f, 0, "WriteAt(no bytes, offset 0)")
}

func checkBadOffsets(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(100, 1))
	defer f.Close()
	if n, err := f.ReadAt(make([]byte, 10), -1); err == nil || err == io.EOF || n != 0 {
		t.Errorf("ReadAt at offset -1 returned %d, %v; want 0 and an error that is not io.EOF", n, err)
	}
	if n, err := f.WriteAt(pattern(10, 2), -1); err == nil || n != 0 {
		t.Errorf("WriteAt at offset -1 returned %d, %v; want 0 and an error", n, err)
	}
	if n, err := f.WriteAt(pattern(10, 2), math.MaxInt64-5); err == nil {
		t.Errorf("WriteAt beyond the largest offset returned %d, nil; want an error", n)
	}
	if err := f.Truncate(-1); err == nil {
		t.Errorf("Truncate(-1) succeeded; want an error")
	}
	wantFile(t, s.Backend, "f", pattern(100, 1), "calls with bad offsets (they must change nothing)")
}

// checkLargeOffsets goes beyond 4 GiB, where 32-bit arithmetic wraps around.
func checkLargeOffsets(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(100, 1))
	defer f.Close()
	const far = 5<<30 + 4095
	write(t, f, pattern(100, 2), far)
	wantSize(t, f, far+100, "a write at 5 GiB")
	wantBytes(t, f, far, pattern(100, 2), "a write at 5 GiB")
	wantBytes(t, f, 0, pattern(100, 1), "a write at 5 GiB (offsets must be 64 bits wide)")
	wantBytes(t, f, far&(1<<32-1), make([]byte, 100), "a write at 5 GiB (offsets must be 64 bits wide)")
	wantBytes(t, f, far-3, append(make([]byte, 3), pattern(100, 2)...), "a write at 5 GiB")
	truncate(t, f, 4<<30+1)
	wantSize(t, f, 4<<30+1, "Truncate to 4 GiB and 1 byte")
	truncate(t, f, 50)
	wantFile(t, s.Backend, "f", pattern(50, 1), "Truncate from 4 GiB to 50 bytes")
}

func checkLargeWrite(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	p := pattern(9<<20+17, 1)
	write(t, f, p, 3)
	wantBytes(t, f, 0, append(make([]byte, 3), p...), "one write of 9 MiB")
	wantSize(t, f, int64(len(p))+3, "one write of 9 MiB")
}

func checkTruncateDown(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(200_000, 1))
	defer f.Close()
	truncate(t, f, 70_001)
	wantSize(t, f, 70_001, "Truncate(70001)")
	wantBytes(t, f, 0, pattern(200_000, 1)[:70_001], "Truncate (the bytes before must stay)")
	if n, err := f.ReadAt(make([]byte, 1), 70_001); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the new end returned %d, %v; want 0, io.EOF", n, err)
	}
	write(t, f, pattern(5, 2), 100_000)
	wantBytes(t, f, 70_001, make([]byte, 29_999), "Truncate and a write behind the end (what was cut off must not come back)")
	truncate(t, f, 0)
	wantSize(t, f, 0, "Truncate(0)")
	truncate(t, f, 200_000)
	wantBytes(t, f, 0, make([]byte, 200_000), "Truncate(0) and Truncate(200000) (what was cut off must not come back)")
}

func checkTruncateUp(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(10, 1))
	defer f.Close()
	truncate(t, f, 10)
	wantFile(t, s.Backend, "f", pattern(10, 1), "Truncate to the size that the file has")
	truncate(t, f, 150_000)
	wantSize(t, f, 150_000, "Truncate(150000) of a file of 10 bytes")
	wantBytes(t, f, 0, append(pattern(10, 1), make([]byte, 149_990)...), "Truncate to a larger size (the rest must read as zeros)")
	write(t, f, pattern(10, 2), 149_995)
	wantBytes(t, f, 149_990, append(make([]byte, 5), pattern(10, 2)...), "a write across the end of a file that Truncate extended")
	wantSize(t, f, 150_005, "a write across the end of a file that Truncate extended")
}

// checkRandomOperations compares a file with a slice over many small steps around block borders.
func checkRandomOperations(t T, s Subject) {
	f := create(t, s.Backend, "f")
	defer f.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var model []byte
	for step := range 600 {
		off := rng.IntN(4)*65536 + rng.IntN(200)
		switch rng.IntN(5) {
		case 0, 1, 2:
			p := pattern(1+rng.IntN(1<<(1+rng.IntN(16))), byte(step))
			write(t, f, p, int64(off))
			if end := off + len(p); end > len(model) {
				model = append(model, make([]byte, end-len(model))...)
			}
			copy(model[off:], p)
		case 3:
			truncate(t, f, int64(off))
			model = append(model, make([]byte, max(0, off-len(model)))...)[:off]
		}
		if step%8 == 0 {
			wantSize(t, f, int64(len(model)), "random writes and truncations")
			wantBytes(t, f, 0, model, "random writes and truncations")
		}
	}
}

func checkClosedHandle(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(100, 1))
	other := open(t, s.Backend, "f")
	defer other.Close()
	closeFile(t, f)
	_, readErr := f.ReadAt(make([]byte, 10), 0)
	_, writeErr := f.WriteAt(pattern(10, 2), 0)
	_, sizeErr := f.Size()
	for _, call := range []struct {
		name string
		err  error
	}{
		{"ReadAt", readErr}, {"WriteAt", writeErr}, {"Size", sizeErr},
		{"Truncate", f.Truncate(5)}, {"Sync", f.Sync()}, {"Close", f.Close()},
	} {
		if !errors.Is(call.err, fs.ErrClosed) {
			t.Errorf("%s on a closed file returned %v; errors.Is(err, fs.ErrClosed) must hold", call.name, call.err)
		}
	}
	wantBytes(t, other, 0, pattern(100, 1), "calls on a closed handle (they must change nothing)")
	write(t, other, pattern(100, 2), 0)
	wantBytes(t, other, 0, pattern(100, 2), "closing another handle of the same file")
}

// checkCloseUnsynced: Close does not sync, but what was written stays what readers see.
func checkCloseUnsynced(t T, s Subject) {
	f := createWith(t, s.Backend, "f", pattern(10_000, 1))
	closeFile(t, f)
	wantFile(t, s.Backend, "f", pattern(10_000, 1), "a write and Close, without Sync (what was written must not be dropped)")
	f = open(t, s.Backend, "f")
	write(t, f, pattern(500, 2), 9_800)
	closeFile(t, f)
	want := append(pattern(10_000, 1)[:9_800], pattern(500, 2)...)
	wantFile(t, s.Backend, "f", want, "Open, a write and Close, without Sync (what was written must not be dropped)")
}

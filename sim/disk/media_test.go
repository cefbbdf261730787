package disk

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

// mediaDisk is a disk whose file f has four sectors, all synced.
func mediaDisk(t *testing.T, w World) (*Disk, *Mounted, backends.File) {
	d := New(Profile{Sector: 512, BitFlip: 1, BadSector: 1, Misdirected: 1, StaleWrite: 1, ZeroTail: 1})
	durable(t, d, "f", strings.Repeat("f", 2048))
	m := d.Mount(w)
	return d, m, open(t, m, "f")
}

func TestBitFlip(t *testing.T) {
	w := striking("a bit flips")
	w.draws = []int{7, 1}
	d, _, f := mediaDisk(t, w)
	got := make([]byte, 100)
	must[int](t)(f.ReadAt(got, 1000))
	want := strings.Repeat("f", 1007) + "d" + strings.Repeat("f", 1040)
	if string(got) != want[1000:1100] || contents(d)["f"] != want {
		t.Errorf("byte 1007 was to change to 'd': %q", got)
	}
	d.PowerCut(keep)
	if contents(d)["f"] != want {
		t.Errorf("a flipped bit is not for good")
	}
}

// TestBitFlipDirty: what is not yet on the medium cannot rot there.
func TestBitFlipDirty(t *testing.T) {
	w := striking("a bit flips")
	d, _, f := mediaDisk(t, w)
	write(t, f, strings.Repeat("x", 2048), 0)
	must[int](t)(f.ReadAt(make([]byte, 100), 0))
	check(t, f.Sync())
	if got := contents(d)["f"]; got != strings.Repeat("x", 2048) {
		t.Errorf("an unsynced write has a flipped bit: %.10q", got)
	}
}

func TestBadSector(t *testing.T) {
	w := striking("a sector becomes unreadable")
	w.draws = []int{500}
	d, _, f := mediaDisk(t, w)
	if _, err := f.ReadAt(make([]byte, 1000), 100); !errors.Is(err, syscall.EIO) {
		t.Errorf("reading an unreadable sector: %v", err)
	}
	clear(w.faults)
	before := d.Image()
	if d.Clone().Image() != before {
		t.Errorf("a clone can read an unreadable sector")
	}
	d.PowerCut(keep)
	if d.Image() != before {
		t.Errorf("a power cut has changed an unreadable sector")
	}
	f = open(t, d.Mount(w), "f")
	for _, r := range []struct {
		off, n int64
		fails  bool
	}{{0, 512, false}, {511, 1, false}, {511, 2, true}, {512, 512, true}, {1000, 100, true}, {1024, 1024, false}} {
		if _, err := f.ReadAt(make([]byte, r.n), r.off); (err != nil) != r.fails {
			t.Errorf("reading %d bytes at %d: %v", r.n, r.off, err)
		}
	}
	write(t, f, strings.Repeat("x", 511), 512)
	if _, err := f.ReadAt(make([]byte, 1), 600); !errors.Is(err, syscall.EIO) {
		t.Errorf("a part of an unreadable sector was written: %v", err)
	}
	write(t, f, strings.Repeat("x", 512), 512)
	must[int](t)(f.ReadAt(make([]byte, 512), 512))
	if d.Image() == before {
		t.Errorf("the image does not tell an unreadable sector from a readable one")
	}
}

func TestStaleWrite(t *testing.T) {
	w := striking("a write is lost")
	d, _, f := mediaDisk(t, w)
	write(t, f, strings.Repeat("x", 1024), 1536)
	check(t, f.Sync())
	if got := contents(d)["f"]; got != strings.Repeat("f", 2048)+strings.Repeat("\x00", 512) {
		t.Errorf("a lost write: %d bytes, %q", len(got), got[1500:1550])
	}
}

func TestMisdirectedWrite(t *testing.T) {
	for _, other := range []bool{false, true} {
		w := striking("a write goes elsewhere")
		d, m, _ := mediaDisk(t, w)
		durable(t, d, "g", strings.Repeat("g", 2048))
		f := open(t, m, "f")
		target, letter := "f", "f"
		w.draws = []int{1, 2} // the same file, its third sector
		if other {
			target, letter = "g", "g"
			w.draws = []int{0, 1, 2} // another file, the second one, its third sector
		}
		write(t, f, strings.Repeat("x", 512), 0)
		d.PowerCut(lose)
		if got, want := contents(d)[target], strings.Repeat(letter, 1024)+strings.Repeat("x", 512)+strings.Repeat(letter, 512); got != want {
			t.Errorf("other %t: the write was to go to the third sector of %s: %q", other, target, got)
		}
		if got := contents(d)["f"]; got[:512] != strings.Repeat("f", 512) {
			t.Errorf("other %t: the write was not to go where it belongs", other)
		}
	}
}

func TestZeroTail(t *testing.T) {
	w := striking("the tail reads as zeros")
	w.draws = []int{1} // two sectors
	d, _, _ := mediaDisk(t, w)
	if got, want := contents(d)["f"], strings.Repeat("f", 1024)+strings.Repeat("\x00", 1024); got != want {
		t.Errorf("two sectors were to be zeroed: %q", got)
	}
}

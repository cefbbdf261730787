package disk

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchDisk has eight files of 32 KiB, synced.
func benchDisk(b *testing.B, p Profile) *Disk {
	d := New(p)
	m := d.Mount(quiet{})
	for i := range 8 {
		f := create(b, m, fmt.Sprint("file-", i))
		must[int](b)(f.WriteAt(make([]byte, 32<<10), 0))
		check(b, f.Sync())
	}
	check(b, m.SyncDir())
	return d
}

func BenchmarkWriteSync(b *testing.B) {
	for _, size := range []int{100, 4096, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := benchDisk(b, Profile{})
			f := open(b, d.Mount(quiet{}), "file-3")
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := range b.N {
				if _, err := f.WriteAt(p, int64(i%16)*100); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	f := open(b, benchDisk(b, Profile{}).Mount(quiet{}), "file-3")
	p := make([]byte, 16384)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := f.ReadAt(p, 8192); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPowerCut is a clone, ten unsynced writes of 1 KiB, and the cut.
func BenchmarkPowerCut(b *testing.B) {
	for _, p := range Profiles()[:3] {
		b.Run(p.Name, func(b *testing.B) {
			d := benchDisk(b, p)
			rng := rand.New(rand.NewPCG(1, 1))
			data := make([]byte, 1024)
			f := open(b, d.Mount(quiet{}), "file-3")
			for i := range 10 {
				must[int](b)(f.WriteAt(data, int64(i)*700))
			}
			b.ReportAllocs()
			for b.Loop() {
				d.Clone().PowerCut(rng.IntN)
			}
		})
	}
}

func BenchmarkClone(b *testing.B) {
	d := benchDisk(b, Profile{})
	b.ReportAllocs()
	for b.Loop() {
		d.Clone()
	}
}

func BenchmarkMountKill(b *testing.B) {
	d := benchDisk(b, Profile{})
	for b.Loop() {
		d.Mount(quiet{})
		d.Kill()
	}
}

// BenchmarkStates counts the 64 images of six unsynced sectors.
func BenchmarkStates(b *testing.B) {
	d := benchDisk(b, Profile{AtomicSectors: true})
	f := open(b, d.Mount(quiet{}), "file-3")
	for i := range 6 {
		must[int](b)(f.WriteAt([]byte("unsynced"), int64(i)*1000))
	}
	for b.Loop() {
		if n, exact := d.Clone().States(65); n != 64 || !exact {
			b.Fatal(n, exact)
		}
		d.images = nil
	}
}

func BenchmarkImage(b *testing.B) {
	d := benchDisk(b, Profile{})
	f := open(b, d.Mount(quiet{}), "file-3")
	for b.Loop() {
		must[int](b)(f.WriteAt([]byte("changed"), 100))
		d.Image()
	}
}

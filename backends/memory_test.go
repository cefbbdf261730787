package backends_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

// TestMemoryOutlivesItsEngine: the next holder of the lock finds what the last one left.
func TestMemoryOutlivesItsEngine(t *testing.T) {
	m := backends.NewMemory()
	for life := range 3 {
		release, err := m.Lock(true)
		if err != nil {
			t.Fatal(err)
		}
		infos, err := m.List()
		if err != nil || len(infos) != life {
			t.Errorf("life %d finds %v, %v", life, infos, err)
		}
		mustWrite(t, mustCreate(t, m, fmt.Sprint("f", life)), 10, 0)
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemoryRefusesHugeFiles(t *testing.T) {
	f := mustCreate(t, backends.NewMemory(), "f")
	if _, err := f.WriteAt([]byte("x"), 1<<40); !errors.Is(err, backends.ErrNoSpace) {
		t.Errorf("WriteAt at 1 TiB: %v, want ErrNoSpace", err)
	}
	if err := f.Truncate(1<<40 + 1); !errors.Is(err, backends.ErrNoSpace) {
		t.Errorf("Truncate beyond 1 TiB: %v, want ErrNoSpace", err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Errorf("Truncate to 1 TiB: %v; a hole takes no memory", err)
	}
}

// TestMemoryStaysSmall: small files take little, holes nothing, and what is cut off is freed.
func TestMemoryStaysSmall(t *testing.T) {
	before := liveBytes()
	m := backends.NewMemory()
	for i := range 2000 {
		mustWrite(t, mustCreate(t, m, fmt.Sprint("f", i)), 100, 0)
	}
	f := mustCreate(t, m, "large")
	mustWrite(t, f, 64<<20, 0)
	if err := f.Truncate(10); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if grown := liveBytes() - before; grown > 8<<20 {
		t.Errorf("2000 files of 100 bytes and a hole take %d KiB", grown>>10)
	}
	runtime.KeepAlive(m)
}

func liveBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func benchmarkFile(b *testing.B, size int) backends.File {
	f, err := backends.NewMemory().Create("f")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkMemoryReadAt(b *testing.B) {
	const size = 64 << 20
	for _, bytes := range []int{128, 4096} {
		b.Run(fmt.Sprint(bytes), func(b *testing.B) {
			f := benchmarkFile(b, size)
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				rng := rand.New(rand.NewPCG(1, 2))
				p := make([]byte, bytes)
				for pb.Next() {
					if _, err := f.ReadAt(p, rng.Int64N(size/4096)*4096); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkMemoryWriteAt(b *testing.B) {
	const size = 64 << 20
	p := make([]byte, 4096)
	for name, prepared := range map[string]int{"append": 0, "overwrite": size} {
		b.Run(name, func(b *testing.B) {
			f := benchmarkFile(b, prepared)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%(size/4096) == 0 && prepared == 0 {
					f.Truncate(0)
				}
				if _, err := f.WriteAt(p, int64(i)*4096%size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLocalReadAt(b *testing.B) {
	f := benchmarkLocal(b, 16<<20)
	p := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(1, 2))
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.ReadAt(p, rng.Int64N(4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLocalOverwriteSync is what a log does: overwriting what is there, and a sync.
func BenchmarkLocalOverwriteSync(b *testing.B) {
	f := benchmarkLocal(b, 16<<20)
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := f.WriteAt(p, int64(i%4096)*4096); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkLocal(b *testing.B, size int) backends.File {
	l, err := backends.NewLocal(b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	f, err := l.Create("f")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return f
}

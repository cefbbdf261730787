package measure

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSamplerSeesAPeak(t *testing.T) {
	const size = 64 << 20
	s, err := StartSampler("")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * memoryEvery)
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	peaks, err := s.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if block[0] != 1 || peaks.Anon < size || peaks.Resident < peaks.Anon || peaks.Disk != 0 {
		t.Errorf("peaks %+v with %d bytes in use", peaks, size)
	}
}

func TestSamplerSeesFilesThatAreGoneLater(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := StartSampler(dir)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * diskEvery)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if peaks, err := s.Stop(); err != nil || peaks.Disk < 1<<20 {
		t.Errorf("peaks %+v, %v", peaks, err)
	}
}

func TestDiskBytesCountsBlocksNotHoles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "below", "full"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "hole"), 1<<30); err != nil {
		t.Fatal(err)
	}
	got, err := DiskBytes(dir)
	if err != nil || got < 1<<20 || got > 1<<20+64<<10 {
		t.Errorf("%d bytes, %v", got, err)
	}
	if _, err := DiskBytes(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a directory that is deleted: %v", err)
	}
}

func TestUsageCountsWorkAndWrites(t *testing.T) {
	before, err := ReadUsage()
	if err != nil {
		t.Fatal(err)
	}
	// Beside this file, as the directory for temporary files may be in memory.
	file, err := os.CreateTemp(".", "usage-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Millisecond); time.Now().Before(until); {
	}
	after, err := ReadUsage()
	if err != nil {
		t.Fatal(err)
	}
	if after.CPU <= before.CPU || after.WrittenBytes-before.WrittenBytes < 4<<20 {
		t.Errorf("from %+v to %+v after writing 4 MiB", before, after)
	}
}

func TestLatencyPercentiles(t *testing.T) {
	a, b := NewLatency(), NewLatency()
	for i := 1; i <= 1000; i++ {
		l := a
		if i%2 == 0 {
			l = b
		}
		l.Record(time.Duration(i) * time.Microsecond)
	}
	b.Record(-1)
	b.Record(2 * longest)
	a.Merge(b)
	if a.Count() != 1002 {
		t.Errorf("%d are counted, want 1002", a.Count())
	}
	var r Result
	a.Fill(&r)
	for _, p := range []struct {
		name      string
		got, want int64
	}{{"p50", r.P50, 500e3}, {"p90", r.P90, 900e3}, {"p99", r.P99, 990e3}, {"p99.9", r.P999, 1000e3}, {"max", r.Max, int64(longest)}} {
		if d := float64(p.got)/float64(p.want) - 1; d < -0.01 || d > 0.01 {
			t.Errorf("%s is %d, want %d", p.name, p.got, p.want)
		}
	}
}

func TestCounterNeedsItsLine(t *testing.T) {
	text := []byte("Name:\tx\nVmRSS:\t  123 kB\nEmpty:\n")
	if n, err := counter(text, "VmRSS:"); n != 123 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, name := range []string{"RssAnon:", "Empty:", "Name:"} {
		if n, err := counter(text, name); err == nil {
			t.Errorf("%s is %d", name, n)
		}
	}
}

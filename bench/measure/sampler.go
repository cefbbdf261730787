package measure

import (
	"fmt"
	"io"
	"os"
	"time"
)

const (
	memoryEvery = 20 * time.Millisecond
	diskEvery   = 100 * time.Millisecond
)

// Peaks are the highest values that a [Sampler] saw, bytes.
type Peaks struct {
	Anon     int64 // RssAnon: heaps and stacks, without pages of files
	Resident int64 // VmRSS: with pages of files that are mapped
	Disk     int64 // allocated to the files of the directory, 0 without one
}

// Sampler watches this process's memory every 20 ms, and the disk space of a directory every
// 100 ms.
type Sampler struct {
	status *os.File
	buffer []byte
	dir    string
	quit   chan struct{}
	done   chan struct{}
	peaks  Peaks
	err    error
}

// StartSampler starts to watch. dir may be empty.
func StartSampler(dir string) (*Sampler, error) {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("measure: memory: %w", err)
	}
	s := &Sampler{
		status: status, buffer: make([]byte, 8192), dir: dir,
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s, nil
}

// Stop takes a last sample and returns the peaks. It is called once.
func (s *Sampler) Stop() (Peaks, error) {
	close(s.quit)
	<-s.done
	return s.peaks, s.err
}

func (s *Sampler) run() {
	defer close(s.done)
	defer s.status.Close()
	memory, disk := time.NewTicker(memoryEvery), time.NewTicker(diskEvery)
	defer memory.Stop()
	defer disk.Stop()
	for {
		select {
		case <-memory.C:
			s.sampleMemory()
		case <-disk.C:
			s.sampleDisk()
		case <-s.quit:
			s.sampleMemory()
			s.sampleDisk()
			return
		}
	}
}

func (s *Sampler) sampleMemory() {
	n, err := s.status.ReadAt(s.buffer, 0)
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("measure: memory: %w", err)
		return
	}
	for name, peak := range map[string]*int64{"RssAnon:": &s.peaks.Anon, "VmRSS:": &s.peaks.Resident} {
		kib, err := counter(s.buffer[:n], name)
		if err != nil {
			s.err = err
			return
		}
		*peak = max(*peak, kib<<10)
	}
}

func (s *Sampler) sampleDisk() {
	if s.dir == "" {
		return
	}
	n, err := DiskBytes(s.dir)
	if err != nil {
		s.err = err
		return
	}
	s.peaks.Disk = max(s.peaks.Disk, n)
}

package sim

import (
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/sim/disk"
)

// Over makes of a subject for the simulated disk one for a Backend that is laid over it: Backend in
// Life.Options is what wrap returns. wrap is called in each life, with that life's disk, as a
// program makes its Backend when it starts. The Backend must not hold a mutex while it calls the
// disk, nor call it from goroutines of its own.
func Over(wrap func(disk backends.Backend) backends.Backend, subject Subject) Subject {
	return func() func(*Life) {
		live := subject()
		return func(l *Life) {
			l.options.Backend = wrap(l.mounted)
			live(l)
		}
	}
}

// Files lists the files of this life's disk, with how much of each is synced. It is no I/O call:
// nobody comes in, and no fault strikes.
func (l *Life) Files() []disk.FileState { return l.run.disk.Files() }

// Storage is a simulated disk by itself, outside of any run, for those who lay a Backend of their
// own over it and have package backends/conformance check that. No fault strikes but PowerCut. It
// is safe for concurrent use.
type Storage struct{ disk *disk.Disk }

// NewStorage returns an empty one.
func NewStorage() *Storage { return &Storage{disk: disk.New(disk.Profile{})} }

// Backend returns the disk as a process has it that starts now. It works until the next PowerCut.
func (s *Storage) Backend() backends.Backend { return s.disk.Mount(alone{}) }

// PowerCut drops all that is not synced, contents and names, and returns the Backend of a process
// that starts after it.
func (s *Storage) PowerCut() backends.Backend {
	s.disk.PowerCut(least)
	return s.Backend()
}

func least(int) int { return 0 }

// alone is the world of a disk that nothing happens to.
type alone struct{}

func (alone) Begin(disk.Op)                       {}
func (alone) End(disk.Op)                         {}
func (alone) Draw(int) int                        { return 0 }
func (alone) Strike(disk.Class, int, string) bool { return false }
func (alone) Delay(disk.Op, time.Duration)        {}

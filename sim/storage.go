package sim

import (
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/world"
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

// Disk returns another directory of this machine by its name, to restore a backup to or to copy a
// store to: an empty one when it is first asked for. It outlives the crashes of the run, and has its
// faults, like the store's own. The trace has its files under the name.
func (l *Life) Disk(name string) backends.Backend {
	l.run.world.OwnCalls()
	return l.run.besides(name).Mount(directory{l.run.world, name})
}

// beside is a directory that is not the store's.
type beside struct {
	name string
	disk *disk.Disk
}

// besides returns the directory with the name.
func (r *run) besides(name string) *disk.Disk {
	for _, b := range r.others {
		if b.name == name {
			return b.disk
		}
	}
	d := disk.New(r.drawn.profile)
	if r.world.Words() {
		d.TellRanges()
	}
	r.others = append(r.others, beside{name, d})
	return d
}

// cutOthers takes the process, and perhaps the power, away from the other directories, and adds what
// they lost.
func (r *run) cutOthers(kind EndKind, loss *disk.Loss) {
	for _, b := range r.others {
		if kind != Power {
			b.disk.Kill()
			continue
		}
		lost := b.disk.PowerCut(r.world.Draw)
		for _, f := range lost.Files {
			f.Name = b.name + "/" + f.Name
			loss.Files = append(loss.Files, f)
		}
		for _, n := range lost.Names {
			n.Name = b.name + "/" + n.Name
			loss.Names = append(loss.Names, n)
		}
	}
}

// directory is the world of a directory with a name.
type directory struct {
	*world.World
	name string
}

func (d directory) named(op disk.Op) disk.Op {
	op.File = d.name + "/" + op.File
	return op
}

// Begin implements disk.World.
func (d directory) Begin(op disk.Op) { d.World.Begin(d.named(op)) }

// End implements disk.World.
func (d directory) End(op disk.Op) { d.World.End(d.named(op)) }

// Delay implements disk.World.
func (d directory) Delay(op disk.Op, wait time.Duration) { d.World.Delay(d.named(op), wait) }

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

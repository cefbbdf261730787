package sim

import "github.com/aegis-storage/aegis/sim/disk"

// Probe looks at a run while it goes on, for those that explore a subject's runs systematically,
// such as package explore. Its functions may be nil. They are called between two steps of the run
// and must not call the subject or its store.
type Probe struct {
	// Boundary is told of each boundary of an I/O call, before the life may end there.
	Boundary func(b Boundary)
	// Choice is told of each choice of a sequential schedule (Plan.Switches is not nil) behind the last
	// of its switches at which so many other tasks could have run; not of the last life's.
	Choice func(life int, at int64, others int)
	// Ended is told how a life has ended, and what its disk looks like to the next one: disk.Disk.Image.
	// It is not told of the last life.
	Ended func(life int, kind EndKind, image uint64)
}

// Boundary is a point before or behind the effect of an I/O call.
type Boundary struct {
	Life int
	IO   int64 // its number in this life, from 1: world.CrashAt.IO ends the life here
	// Code rises whenever code of the subject may have run: where it is the same, so is what the
	// subject remembers. Code in a Backend of its own, wrapped around that of Options, is not seen;
	// around Life.Backend it is.
	Code uint64
	// Disk may be read, cloned and counted, but not changed.
	Disk *disk.Disk
	seed uint64
}

// Image is one of those that a power cut may leave.
type Image struct {
	Number int    // End.Image
	Hash   uint64 // disk.Disk.Image of what it leaves
}

// Images lists what a power cut at the boundary may leave, each once. They are all there are if
// exact is set; else they are some, and drawn more that chance decides on.
func (b *Boundary) Images(drawn int) (images []Image, exact bool) {
	hashes, exact := b.Disk.Images(MaxImages)
	images = make([]Image, len(hashes), len(hashes)+drawn)
	for i, h := range hashes {
		images[i] = Image{i + 1, h}
	}
	if exact {
		return images, true
	}
	for i := range drawn {
		d := b.Disk.Clone()
		number := MaxImages + 1 + i
		cutImage(d, b.seed, number)
		images = append(images, Image{number, d.Image()})
	}
	return images, false
}

// cutImage takes the power away so that the image of a number is left.
func cutImage(d *disk.Disk, seed uint64, number int) disk.Loss {
	if number <= MaxImages {
		d.States(MaxImages)
		if loss, ok := d.PowerCutNth(number - 1); ok {
			return loss
		}
	}
	draw := dice{seed + uint64(number)}
	return d.PowerCut(func(n int) int {
		draw.seed = mix(draw.seed, "image")
		return draw.n("image", n)
	})
}

// ExecuteProbed is Execute of a run that a Probe looks at. Nothing of it is kept for people. If
// strict is set, calls from goroutines that the simulator did not start are found.
func ExecuteProbed(plan Plan, subject Subject, strict bool, probe Probe) (*Result, error) {
	return execute(plan, subject, Fast, settings{profiles: honest(), strict: strict, probe: &probe})
}

// boundary is what the world tells of boundaries.
func (r *run) boundary() func(io int64, code uint64) {
	if r.set.probe == nil || r.set.probe.Boundary == nil {
		return nil
	}
	return func(io int64, code uint64) {
		r.set.probe.Boundary(Boundary{Life: r.world.Number(), IO: io, Code: code + r.observed, Disk: r.disk, seed: r.plan.Seed})
	}
}

// choice is what the world tells of choices.
func (r *run) choice() func(life int, at int64, others int) {
	if r.set.probe == nil {
		return nil
	}
	return r.set.probe.Choice
}

// left tells the probe what a life has left behind.
func (r *run) left(kind EndKind) {
	if r.set.probe != nil && r.set.probe.Ended != nil {
		r.set.probe.Ended(r.world.Number(), kind, r.disk.Image())
	}
}

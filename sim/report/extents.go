package report

import (
	"slices"

	"github.com/aegis-storage/aegis/sim/trace"
)

// extent is a range of bytes that one write wrote, from the write to what became of it.
type extent struct {
	file     string
	off, len int64
	born     int // index of the write
	ended    int // index of the event that decided its fate; the number of events if none did
	fate     Fate
}

// synced is what one sync made durable.
type synced struct {
	writes int
	bytes  int64
}

// disk is what the events did to the bytes of files.
type disk struct {
	extents []extent
	open    map[string][]int // file → extents that nothing decided yet
	syncs   map[int]synced   // by the index of the sync
	names   map[int][]Loss   // by the index of the crash: names that it decided about
}

// replayDisk follows the writes of a run. Calls that failed change nothing; whether they did on
// the disk, a later loss says.
func replayDisk(r *Run) *disk {
	d := &disk{open: map[string][]int{}, syncs: map[int]synced{}, names: map[int][]Loss{}}
	losses := map[int][]Loss{}
	for _, l := range r.Losses {
		if l.Len > 0 {
			losses[l.Crash] = append(losses[l.Crash], l)
		} else {
			d.names[l.Crash] = append(d.names[l.Crash], l)
		}
	}
	for i, e := range r.Events {
		switch {
		case e.Kind == trace.IO:
			d.call(i, e)
		case e.Kind == trace.Crash && !cacheLives(e.Text):
			d.crash(i, losses[i])
		}
	}
	for i := range d.extents {
		if d.extents[i].fate == Open {
			d.extents[i].ended = len(r.Events)
		}
	}
	return d
}

func (d *disk) call(i int, e trace.Event) {
	name, _, failed := call(e.Text)
	if failed {
		return
	}
	switch name {
	case "write":
		if e.Len > 0 {
			d.open[e.To] = append(d.open[e.To], len(d.extents))
			d.extents = append(d.extents, extent{file: e.To, off: e.Off, len: e.Len, born: i, fate: Open})
		}
	case "sync":
		s := synced{writes: len(d.open[e.To])}
		for _, x := range d.open[e.To] {
			s.bytes += d.extents[x].len
			d.extents[x].ended, d.extents[x].fate = i, Synced
		}
		d.syncs[i] = s
		delete(d.open, e.To)
	case "truncate":
		d.cut(i, e.To, e.Off+e.Len)
	case "remove":
		d.cut(i, e.To, 0)
	}
}

// cut ends what lies beyond the new end of a file.
func (d *disk) cut(i int, file string, end int64) {
	var open []int
	for _, x := range d.open[file] {
		e := &d.extents[x]
		if e.off >= end {
			e.ended, e.fate = i, Cut
			continue
		}
		if over := e.off + e.len - end; over > 0 {
			e.len -= over
			d.extents = append(d.extents, extent{file: file, off: end, len: over, born: e.born, ended: i, fate: Cut})
		}
		open = append(open, x)
	}
	d.open[file] = open
}

// crash decides about everything that is open, piece by piece as the losses say.
func (d *disk) crash(i int, losses []Loss) {
	for _, open := range d.open {
		for _, x := range open {
			d.decide(x, i, losses)
		}
	}
	clear(d.open)
	slices.SortStableFunc(d.extents, func(a, b extent) int { return a.born - b.born })
}

// decide splits an extent along the losses that touch it. What no loss names stays in doubt.
func (d *disk) decide(x, i int, losses []Loss) {
	whole := d.extents[x]
	whole.ended, whole.fate = i, InDoubt
	at, end := whole.off, whole.off+whole.len
	var pieces []extent
	add := func(until int64, fate Fate) {
		if until > at {
			p := whole
			p.off, p.len, p.fate = at, until-at, fate
			pieces = append(pieces, p)
			at = until
		}
	}
	mine := slices.DeleteFunc(slices.Clone(losses), func(l Loss) bool {
		return l.File != whole.file || l.Off >= end || l.Off+l.Len <= whole.off
	})
	slices.SortStableFunc(mine, func(a, b Loss) int { return int(min(1, max(-1, a.Off-b.Off))) })
	for _, l := range mine {
		add(min(max(l.Off, at), end), InDoubt)
		add(min(l.Off+l.Len, end), l.Fate)
	}
	add(end, InDoubt)
	d.extents[x] = pieces[0]
	d.extents = append(d.extents, pieces[1:]...)
}

// taken is what one crash did to one file.
type taken struct {
	file   string
	ranges []extent // in order of offset; neighbours of the same fate are one
	names  []Loss
}

// takenBy lists what crash i decided, by file.
func (d *disk) takenBy(i int) []taken {
	byFile := map[string]*taken{}
	get := func(file string) *taken {
		if byFile[file] == nil {
			byFile[file] = &taken{file: file}
		}
		return byFile[file]
	}
	for _, e := range d.extents {
		if e.ended == i {
			t := get(e.file)
			t.ranges = append(t.ranges, e)
		}
	}
	for _, l := range d.names[i] {
		t := get(l.File)
		t.names = append(t.names, l)
	}
	var all []taken
	for _, t := range byFile {
		t.ranges = joined(t.ranges)
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b taken) int { return compareNames(a.file, b.file) })
	return all
}

// joined sorts ranges and makes touching ones of the same fate into one.
func joined(ranges []extent) []extent {
	slices.SortStableFunc(ranges, func(a, b extent) int { return int(min(1, max(-1, a.off-b.off))) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out) - 1; n >= 0 && out[n].fate == r.fate && r.off <= out[n].off+out[n].len {
			out[n].len = max(out[n].len, r.off+r.len-out[n].off)
			continue
		}
		out = append(out, r)
	}
	return out
}

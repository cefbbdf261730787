package disk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Loss is what a power cut did to the work that was not synced.
type Loss struct {
	Files []FileLoss // that had unsynced work, by name
	Names []NameLoss // of unsynced Create and Remove calls, in order
}

// FileLoss is what became of a file's unsynced writes. All numbers but Name are bytes.
type FileLoss struct {
	Name       string
	Kept       int64
	Dropped    int64
	Torn       int64 // in pieces that were cut short
	SizeBefore int64 // as the process saw it
	SizeAfter  int64
	// Ranges are the unsynced bytes by what became of them, in order of offset, if the disk was told
	// to TellRanges. Where several writes wrote a byte, it counts for the last of them.
	Ranges []Range

	tell bool
}

// Range are bytes of a file that one thing became of.
type Range struct {
	Off, Len int64 // bytes
	Fate     Fate
}

// Fate is what became of unsynced bytes.
type Fate uint8

// The fates.
const (
	Dropped = Fate(dropped)
	Kept    = Fate(kept)
	Torn    = Fate(torn) // in a piece that was cut short, with garbage behind
)

// TellRanges has power cuts tell of each file which bytes were lost, which costs time and memory.
func (d *Disk) TellRanges() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ranges = true
}

// tellNameless adds the unsynced bytes of files that are gone because their creation was lost.
func (d *Disk) tellNameless(loss *Loss) {
	for _, e := range d.names {
		n := e.node
		if len(n.pending) == 0 || slices.ContainsFunc(d.durable, func(o entry) bool { return o.node == n }) {
			continue
		}
		f := FileLoss{Name: n.name, SizeBefore: n.cache.size, tell: true}
		for i := range n.pending {
			f.add(n.pending[i].off, int64(len(n.pending[i].data)), dropped)
		}
		loss.Files = append(loss.Files, f)
	}
	slices.SortStableFunc(loss.Files, func(a, b FileLoss) int { return cmp.Compare(a.Name, b.Name) })
}

// add counts what became of bytes.
func (f *FileLoss) add(off, length int64, how fate) {
	switch how {
	case kept:
		f.Kept += length
	case torn:
		f.Torn += length
	default:
		f.Dropped += length
	}
	if f.tell && length > 0 {
		f.Ranges = paint(f.Ranges, Range{Off: off, Len: length, Fate: Fate(how)})
	}
}

// paint puts r over a list of ranges, which stay in order and apart.
func paint(all []Range, r Range) []Range {
	end := r.Off + r.Len
	if n := len(all) - 1; n < 0 || all[n].Off+all[n].Len <= r.Off { // nearly always: pieces of a write in order
		if n >= 0 && all[n].Fate == r.Fate && all[n].Off+all[n].Len == r.Off {
			all[n].Len += r.Len
			return all
		}
		return append(all, r)
	}
	var out []Range
	for _, x := range all {
		if left := min(x.Len, r.Off-x.Off); left > 0 {
			out = append(out, Range{x.Off, left, x.Fate})
		}
		if right := min(x.Len, x.Off+x.Len-end); right > 0 {
			out = append(out, Range{x.Off + x.Len - right, right, x.Fate})
		}
	}
	out = append(out, r)
	slices.SortFunc(out, func(a, b Range) int { return cmp.Compare(a.Off, b.Off) })
	joined := out[:1]
	for _, x := range out[1:] {
		if last := &joined[len(joined)-1]; last.Fate == x.Fate && last.Off+last.Len == x.Off {
			last.Len += x.Len
		} else {
			joined = append(joined, x)
		}
	}
	return joined
}

// NameLoss is what became of an unsynced Create or Remove.
type NameLoss struct {
	Name    string
	Removed bool // else created
	Kept    bool
}

// String returns the loss in words, one file or name after the other.
func (l Loss) String() string {
	if len(l.Files) == 0 && len(l.Names) == 0 {
		return "nothing was unsynced"
	}
	var parts []string
	for _, f := range l.Files {
		s := fmt.Sprintf("%s: %d bytes kept, %d dropped", f.Name, f.Kept, f.Dropped)
		if f.Torn > 0 {
			s += fmt.Sprintf(", %d torn", f.Torn)
		}
		if f.SizeBefore != f.SizeAfter {
			s += fmt.Sprintf(", size %d of %d", f.SizeAfter, f.SizeBefore)
		}
		parts = append(parts, s)
	}
	for _, n := range l.Names {
		what, how := "creation", "lost"
		if n.Removed {
			what = "removal"
		}
		if n.Kept {
			how = "kept"
		}
		parts = append(parts, fmt.Sprintf("%s of %s %s", what, n.Name, how))
	}
	return strings.Join(parts, "; ")
}

package disk

import (
	"fmt"
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

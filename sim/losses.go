package sim

import (
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/report"
)

// fates are the disk's words for what became of bytes, in those of a report.
var fates = map[disk.Fate]report.Fate{disk.Dropped: report.Dropped, disk.Kept: report.Kept, disk.Torn: report.Torn}

// lossesAt tells a power cut, the event at crash, for a report.
func lossesAt(crash int, loss disk.Loss) []report.Loss {
	var all []report.Loss
	for _, f := range loss.Files {
		for _, r := range f.Ranges {
			all = append(all, report.Loss{Crash: crash, File: f.Name, Off: r.Off, Len: r.Len, Fate: fates[r.Fate]})
		}
	}
	for _, n := range loss.Names {
		fate := report.Dropped
		if n.Kept {
			fate = report.Kept
		}
		all = append(all, report.Loss{Crash: crash, File: n.Name, Fate: fate, Removal: n.Removed})
	}
	return all
}

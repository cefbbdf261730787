package plant

import (
	"slices"
	"strings"
)

// Bug is one deliberate fault of the engine.
type Bug struct {
	Name string // of the switch: lower case words with hyphens
	What string // what goes wrong, in one sentence
	// Class is what has to happen for the bug to do harm: a class of the faulty disk ("crash",
	// "eio-read", "eio-sync", "enospc", "media", …), "restart" (a crash that loses nothing comes
	// before the one that does), "concurrency" (other tasks come in between), "none" (ordinary
	// work suffices) or "local" (the local backend, under a shim).
	Class string
	// Mode is what the workload has to contain ("nosync", "bulk", "keyspaces", "merge",
	// "small-cache", "age"); empty: any.
	Mode  string
	Edits []Edit
}

// Edit replaces Old by New in File. New may ask planted("name"), which answers true while the bug
// with that name is switched on.
type Edit struct {
	File string // below the module's root, with slashes
	Old  string // occurs exactly once in the file
	New  string
}

// Catalogue returns all bugs, sorted by name. The caller may change the slice, not the edits.
func Catalogue() []Bug {
	all := slices.Concat(logBugs, recoveryBugs, coordBugs, tableBugs, readerBugs, engineBugs, backupBugs)
	slices.SortFunc(all, func(a, b Bug) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Find returns the bug with the name.
func Find(name string) (Bug, bool) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(b Bug) bool { return b.Name == name })
	if i < 0 {
		return Bug{}, false
	}
	return all[i], true
}

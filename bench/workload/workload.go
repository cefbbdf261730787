package workload

import (
	"errors"

	"github.com/aegis-storage/aegis/bench/engine"
)

// Start is the store that a workload starts from.
type Start int

// The stores to start from.
const (
	Fresh  Start = iota // an empty directory
	Copied              // a copy of a prepared store
	Shared              // a prepared store, which is only read
	Taken               // a prepared store, which is of no use afterwards
)

// Prepared is a store that several measurements start from. It names the workload that makes it.
type Prepared string

// The prepared stores.
const (
	None        Prepared = ""
	Loaded      Prepared = "load-settled" // the pairs of all keys, compressed; settled and closed
	LoadedPlain Prepared = "load-plain"   // the same without compression
	Killed      Prepared = "killed"       // single puts and a sync, killed
	Grown       Prepared = "growth-load"  // as LoadedPlain
)

// Workload is one kind of work.
type Workload struct {
	Name      string   // which does not change, lower case with dashes
	About     string   // a line
	Clients   []int    // how many goroutines there are, in one measurement after the other
	Quick     []int    // the same in quick mode, where it may be empty
	Growth    bool     // it belongs to the growth mode alone
	ByClients bool     // there is a curve of it over the number of clients
	Hidden    bool     // it only makes a prepared store
	Bare      bool     // it is for the engine Raw alone, which has no other
	Start     Start    // with which store
	From      Prepared // which prepared store
	Repeats   int      // measurements that make up one result, if more than one
	Memory    bool     // see [engine.Config]
	Kill      bool     // the process is to be killed when it has ended, its store open

	durable    bool
	plain      bool
	packs      bool // it is about compression
	maxKeys    int  // no more keys than that, if not 0
	cacheParts int  // the cache is such a part of all keys and values, if not 0
	fixed      bool // it runs until it has nothing more to do, without warming up
	settle     bool // before it is closed
	every      int  // one in so many operations is timed
	valueBytes int  // if not those of the run
	read       bool // the store's files are read first, for the OS to have them in memory

	open   func(*Run) (engine.Store, error) // instead of the driver's
	setup  func(*Run) error                 // before it is measured
	begin  func(*client)                    // for each client
	step   func(*client) (int, error)       // does an operation; returns how many it counts for
	finish func(*Run) error                 // after all steps, in measured time
	check  func(*Run) error                 // after it was measured
	after  func(*client) error              // the same for each client
	run    func(*Run) error                 // instead of all that
}

// errDone is returned by a step that had nothing more to do.
var errDone = errors.New("done")

// All returns the workloads, in the order in which they run.
func All() []Workload {
	var all []Workload
	for _, part := range [][]Workload{
		loads(), puts(), bare(), gets(), scans(), mixes(), transfers(), inMemory(), reopening(), growth(),
	} {
		all = append(all, part...)
	}
	for i := range all {
		all[i].every = max(1, all[i].every)
		all[i].Repeats = max(1, all[i].Repeats)
	}
	return all
}

// Find returns the workload with a name.
func Find(name string) (Workload, bool) {
	for _, w := range All() {
		if w.Name == name {
			return w, true
		}
	}
	return Workload{}, false
}

// Limit returns why an engine cannot do w, or nothing. That an engine has no transactions shows
// only when it runs.
func (w *Workload) Limit(d engine.Driver) string {
	switch {
	case w.packs && !d.Compresses:
		return "does not compress"
	case w.Memory && !d.InMemory:
		return "cannot keep everything in memory"
	}
	return ""
}

// Suits tells whether an engine is meant at all: the bare loops have an engine of their own.
func (w *Workload) Suits(d engine.Driver) bool { return w.Bare == (d.Name == Raw.Name) }

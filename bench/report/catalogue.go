package report

import "slices"

// Names that results are told apart by.
const (
	aegis = "aegis"
	raw   = "raw"
)

// engineOrder is the order of rows, columns and legends. Engines that are not listed follow.
var engineOrder = []string{aegis, "lmdb", "rocksdb", "pebble", "badger", "bbolt", "sqlite", raw}

// section is workloads that are shown together.
type section struct {
	title     string
	file      string // of its chart, without the extension
	workloads []workload
}

// workload is how one is shown.
type workload struct {
	name  string
	title string
	unit  string // what is counted, in the plural
	timed bool   // the time of one operation is shown, not the rate: less is better
}

var catalogue = []section{
	{"Loading and single puts", "write", []workload{
		{name: "load", title: "load in random order", unit: "puts"},
		{name: "put-nosync", title: "put, no fsync", unit: "puts"},
		{name: "put-durable", title: "put, durable", unit: "puts"},
		{name: "raw-overwrite", title: "bare overwrite and fdatasync", unit: "writes"},
		{name: "raw-append", title: "bare append and fdatasync", unit: "writes"},
	}},
	{"Cached reads and scans", "read", []workload{
		{name: "get-cached", title: "get, cached", unit: "gets"},
		{name: "get-snapshot", title: "get, cached, in snapshots", unit: "gets"},
		{name: "seek-100", title: "seek and 100 entries", unit: "entries"},
		{name: "full-scan", title: "full scan", unit: "entries"},
	}},
	{"Reads and writes mixed (YCSB)", "ycsb", []workload{
		{name: "ycsb-b-nosync", title: "YCSB B 95/5, no fsync", unit: "operations"},
		{name: "ycsb-b-durable", title: "YCSB B 95/5, durable", unit: "operations"},
		{name: "ycsb-a-nosync", title: "YCSB A 50/50, no fsync", unit: "operations"},
		{name: "ycsb-a-durable", title: "YCSB A 50/50, durable", unit: "operations"},
	}},
	{"Serializable transactions", "transfers", []workload{
		{name: "transfers-nosync", title: "transfers, no fsync", unit: "transactions"},
		{name: "transfers-durable", title: "transfers, durable", unit: "transactions"},
		{name: "transfers-hot-nosync", title: "transfers, hot, no fsync", unit: "transactions"},
		{name: "transfers-hot-durable", title: "transfers, hot, durable", unit: "transactions"},
	}},
	{"Cold reads", "cold", []workload{
		{name: "get-cold", title: "get, cold, compressed", unit: "gets"},
		{name: "get-cold-plain", title: "get, cold, not compressed", unit: "gets"},
	}},
	{"In memory", "memory-backend", []workload{
		{name: "mem-put", title: "put, in memory", unit: "puts"},
		{name: "mem-get", title: "get, in memory", unit: "gets"},
	}},
	{"Reopening", "reopen", []workload{
		{name: "reopen", title: "reopen after a kill", unit: "opens", timed: true},
	}},
	{growthTitle, "growth", []workload{
		{name: "growth-load", title: "load", unit: "puts"},
		{name: "growth-get", title: "get", unit: "gets"},
		{name: "growth-scan", title: "scan", unit: "entries"},
		{name: "growth-update", title: "update", unit: "puts"},
		{name: "growth-put", title: "put, no fsync", unit: "puts"},
		{name: "growth-put-durable", title: "put, durable", unit: "puts"},
		{name: "growth-open", title: "open", unit: "opens", timed: true},
	}},
}

const (
	growthTitle = "Growth"
	otherTitle  = "Other workloads"
)

// lookup returns how a workload is shown, the title of its section, and its place in the order. A
// workload that is not listed is shown by its name, after all others.
func lookup(name string) (w workload, sectionTitle string, place int) {
	for _, s := range catalogue {
		for _, w := range s.workloads {
			if w.name == name {
				return w, s.title, place
			}
			place++
		}
	}
	return workload{name: name, title: name, unit: "operations"}, otherTitle, place
}

// engineRank orders engines; those that are not listed are equal, for their names to decide.
func engineRank(name string) int {
	if i := slices.Index(engineOrder, name); i >= 0 {
		return i
	}
	return len(engineOrder)
}

func isPeer(engine string) bool { return engine != aegis && engine != raw }

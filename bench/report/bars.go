package report

import "slices"

// A bar is one rule: aegis' figure in a group, over a yardstick, must be at least or at most what
// is required.
type bar struct {
	name     string
	workload string // or "" for every one that the table of bars is about
	clients  int    // or 0 for any number
	minKeys  int    // groups with fewer keys do not count
	plain    bool   // groups with compression do not count
	each     bool   // it holds in each of many groups, which are told together
	of       figure
	against  yardstick
	atMost   bool
	required float64
}

// The yardsticks. A bar without one requires the figure itself.
var (
	bestPeer     = yardstick{name: "the best peer", peers: isPeer}
	compressing  = yardstick{name: "the best that compresses", peers: anyOf("rocksdb", "pebble", "badger")}
	frugal       = yardstick{name: "the best of badger/rocksdb/lmdb/pebble", peers: anyOf("badger", "rocksdb", "lmdb", "pebble")}
	onlyLMDB     = yardstick{name: "lmdb", peers: anyOf("lmdb")}
	onlyPebble   = yardstick{name: "pebble", peers: anyOf("pebble")}
	rawOverwrite = yardstick{name: "raw-overwrite", peers: anyOf(raw), workload: "raw-overwrite"}
	itself       = yardstick{}
)

// yardstick is the best of some engines, in the same group or in that of another workload.
type yardstick struct {
	name     string
	peers    func(engine string) bool
	workload string
}

func anyOf(names ...string) func(string) bool {
	return func(engine string) bool { return slices.Contains(names, engine) }
}

// bars are those of the project, in the order of its table.
var bars = []bar{
	faster("load", 0, 2.0, bestPeer),
	faster("put-nosync", 1, 1.5, bestPeer),
	faster("put-nosync", 16, 1.6, bestPeer),
	faster("put-durable", 1, 1.2, bestPeer),
	faster("put-durable", 1, 0.9, rawOverwrite),
	faster("put-durable", 16, 1.5, bestPeer),
	faster("put-durable", 64, 1.5, bestPeer),
	faster("put-durable", 256, 1.5, bestPeer),
	faster("get-cached", 1, 1.5, bestPeer),
	faster("get-cached", 16, 1.5, bestPeer),
	faster("get-snapshot", 1, 1.5, bestPeer),
	faster("get-snapshot", 16, 1.5, bestPeer),
	faster("seek-100", 0, 1.3, bestPeer),
	faster("full-scan", 0, 1.3, bestPeer),
	faster("ycsb-b-nosync", 16, 1.5, bestPeer),
	faster("ycsb-b-durable", 16, 1.5, bestPeer),
	faster("ycsb-a-nosync", 16, 1.5, bestPeer),
	faster("ycsb-a-durable", 16, 1.5, bestPeer),
	faster("transfers-nosync", 16, 1.2, bestPeer),
	faster("transfers-durable", 16, 3.0, bestPeer),
	faster("transfers-hot-nosync", 16, 1.0, bestPeer),
	faster("transfers-hot-durable", 16, 1.0, bestPeer),
	faster("get-cold", 1, 1.3, compressing),
	faster("get-cold", 16, 1.3, compressing),
	faster("get-cold-plain", 1, 0.6, onlyLMDB),
	faster("get-cold-plain", 16, 0.6, onlyLMDB),
	faster("mem-put", 1, 1.3, bestPeer),
	faster("mem-put", 16, 1.3, bestPeer),
	faster("mem-get", 1, 1.3, bestPeer),
	faster("mem-get", 16, 1.3, bestPeer),
	faster("mem-put", 16, 1e6, itself),
	faster("mem-get", 16, 2e6, itself),
	{name: "reopen", workload: "reopen", of: opTimeFigure, against: onlyPebble, atMost: true, required: 0.4},
	{name: "on disk after load", workload: "load", of: diskFigure, against: frugal, atMost: true, required: 1.0},
	{name: "written by load", workload: "load", of: writtenFigure, against: frugal, atMost: true, required: 1.0},
	// Memory is a ratio already: to what the engine may keep in memory.
	{name: memoryBar, each: true, of: memoryFigure, atMost: true, required: 1.3},
	{name: tailBar, each: true, of: p999Figure, against: bestPeer, atMost: true, required: 1.0},
	{name: "growth: written per byte, 30 M keys", workload: "growth-update", minKeys: 30e6, each: true,
		of: writeFigure, atMost: true, required: 8},
	// The load settles before it is closed: its peak is that of loading, its end is settled.
	// Compression would hide what is left over from merges, so only plain groups count here.
	{name: "growth: on disk per byte, loading", workload: "growth-load", plain: true, each: true,
		of: peakFigure, atMost: true, required: 1.5},
	{name: "growth: on disk per byte, settled", workload: "growth-load", plain: true, each: true,
		of: spaceFigure, atMost: true, required: 1.2},
}

const (
	memoryBar = "memory over budget"
	tailBar   = "tail, p99.9"
)

func faster(workload string, clients int, required float64, against yardstick) bar {
	return bar{name: workload, workload: workload, clients: clients, of: rateFigure, required: required, against: against}
}

// admits tells whether a bar is about a group.
func (b *bar) admits(g *group) bool {
	if b.workload == "" {
		return b.everywhere(g)
	}
	return g.workload == b.workload && (b.clients == 0 || g.clients == b.clients) &&
		g.keys >= b.minKeys && !(b.plain && g.compressed)
}

// everywhere is for the bars without a workload: those of the table, neither the bare system calls
// nor growth. Reopening has no tail: an operation there is an open, and its time has its own bar.
func (b *bar) everywhere(g *group) bool {
	switch {
	case g.section == growthTitle || g.section == otherTitle:
		return false
	case g.workload == "raw-overwrite" || g.workload == "raw-append":
		return false
	}
	return g.workload != "reopen" || b.of.name != p999Figure.name
}

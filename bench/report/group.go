package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aegis-storage/aegis/bench/measure"
)

// keyBytes is the length of every key that the workloads use.
const keyBytes = 16

// groupKey is what must be equal for two figures to be compared.
type groupKey struct {
	workload   string
	clients    int
	keys       int
	valueBytes int
	compressed bool
	durable    bool
}

// group is the measurements of one groupKey.
type group struct {
	groupKey
	show       workload
	section    string
	cacheBytes int64
	entries    []entry // by engineOrder
}

// entry is one engine's figures in one group: over its rounds, the medians. Zero is not measured.
type entry struct {
	engine  string
	limited string // why it took no part
	rounds  int

	rate    spread  // operations a second
	opTime  spread  // seconds an operation
	bytes   float64 // keys and values a second
	p50     float64
	p99     float64
	p999    float64 // nanoseconds
	cpu     float64 // seconds an operation
	anon    float64 // bytes, the highest of all rounds
	overall float64 // anon over what the engine may keep in memory, the highest of all rounds
	written float64 // bytes
	disk    float64 // bytes
	writeBy float64 // written bytes a byte that the workload wrote
	spaceBy float64 // bytes on disk a byte of all keys and values, in the end
	peakBy  float64 // the same, the most that was seen of all rounds
}

// collect groups results, in the order in which they are shown.
func collect(results []measure.Result) []group {
	type cell struct {
		groupKey
		engine string
	}
	var cells []cell
	rounds := map[cell][]measure.Result{}
	for _, r := range results {
		c := cell{groupKey{r.Workload, r.Clients, r.Keys, r.ValueBytes, r.Compressed, r.Durable}, r.Engine}
		if rounds[c] == nil {
			cells = append(cells, c)
		}
		rounds[c] = append(rounds[c], r)
	}
	slices.SortFunc(cells, func(a, b cell) int {
		return cmp.Or(compareKeys(a.groupKey, b.groupKey),
			cmp.Compare(engineRank(a.engine), engineRank(b.engine)), cmp.Compare(a.engine, b.engine))
	})
	var groups []group
	for _, c := range cells {
		if n := len(groups); n == 0 || groups[n-1].groupKey != c.groupKey {
			show, title, _ := lookup(c.workload)
			groups = append(groups, group{groupKey: c.groupKey, show: show, section: title})
		}
		g := &groups[len(groups)-1]
		g.entries = append(g.entries, summarize(c.engine, rounds[c]))
		g.cacheBytes = max(g.cacheBytes, rounds[c][0].CacheBytes)
	}
	return groups
}

func compareKeys(a, b groupKey) int {
	_, _, placeA := lookup(a.workload)
	_, _, placeB := lookup(b.workload)
	flags := func(k groupKey) string { return fmt.Sprint(k.compressed, k.durable) }
	return cmp.Or(cmp.Compare(placeA, placeB), cmp.Compare(a.workload, b.workload),
		cmp.Compare(a.clients, b.clients), cmp.Compare(a.keys, b.keys),
		cmp.Compare(a.valueBytes, b.valueBytes), cmp.Compare(flags(a), flags(b)))
}

// summarize is over the rounds in which the engine took part; only if there is none is it limited.
func summarize(engine string, all []measure.Result) entry {
	e := entry{engine: engine}
	var took []measure.Result
	for _, r := range all {
		if r.Limited == "" {
			took = append(took, r)
		}
	}
	if len(took) == 0 {
		e.limited = all[0].Limited
		return e
	}
	of := func(figure func(r *measure.Result) float64) spread {
		values := make([]float64, len(took))
		for i := range took {
			values[i] = figure(&took[i])
		}
		return spreadOf(values)
	}
	e.rounds = len(took)
	e.rate = of((*measure.Result).PerSecond)
	e.bytes = e.rate.median * float64(keyBytes+took[0].ValueBytes)
	e.opTime = of(func(r *measure.Result) float64 { return per(r.Seconds, float64(r.Ops)) })
	e.p50 = of(func(r *measure.Result) float64 { return float64(r.P50) }).median
	e.p99 = of(func(r *measure.Result) float64 { return float64(r.P99) }).median
	e.p999 = of(func(r *measure.Result) float64 { return float64(r.P999) }).median
	e.cpu = of(func(r *measure.Result) float64 { return per(r.CPUSeconds, float64(r.Ops)) }).median
	e.anon = of(func(r *measure.Result) float64 { return float64(r.PeakAnonBytes) }).high
	e.overall = of(func(r *measure.Result) float64 { return per(float64(r.PeakAnonBytes), float64(r.CacheBytes)) }).high
	e.written = of(func(r *measure.Result) float64 { return float64(r.WrittenBytes) }).median
	e.disk = of(func(r *measure.Result) float64 { return float64(r.DiskBytes) }).median
	e.writeBy = of(func(r *measure.Result) float64 { return per(float64(r.WrittenBytes), float64(r.UserBytes)) }).median
	data := func(r *measure.Result) float64 { return float64(r.Keys) * float64(keyBytes+r.ValueBytes) }
	e.spaceBy = of(func(r *measure.Result) float64 { return per(float64(r.DiskBytes), data(r)) }).median
	e.peakBy = of(func(r *measure.Result) float64 { return per(float64(r.PeakDiskBytes), data(r)) }).high
	return e
}

// per divides; by zero it gives zero, which stands for not measured.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// spread is a figure over rounds.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, low: sorted[0], high: sorted[n-1]}
}

// entry returns an engine's figures, or nil if it has none.
func (g *group) entry(engine string) *entry {
	for i := range g.entries {
		if e := &g.entries[i]; e.engine == engine && e.limited == "" {
			return e
		}
	}
	return nil
}

// speed is the figure that a workload is about, and whether less of it is better.
func (g *group) speed() figure {
	if g.show.timed {
		return opTimeFigure
	}
	return rateFigure
}

// best returns the best of the engines that admit lets in, or nil.
func (g *group) best(f figure, admit func(engine string) bool) *entry {
	var best *entry
	for i := range g.entries {
		e := &g.entries[i]
		if f.of(e) == 0 || !admit(e.engine) {
			continue
		}
		if best == nil || (f.less && f.of(e) < f.of(best)) || (!f.less && f.of(e) > f.of(best)) {
			best = e
		}
	}
	return best
}

// toBestPeer returns the ratio of an engine's speed to the best peer's, or 0.
func (g *group) toBestPeer(e *entry) float64 {
	f := g.speed()
	peer := g.best(f, isPeer)
	if peer == nil || e == nil {
		return 0
	}
	return per(f.of(e), f.of(peer))
}

// label names a group by what sets it apart: its workload and clients, and whatever else differs
// between groups that share those.
func (g *group) label(all []group) string {
	parts := []string{g.workload, plural(g.clients, "client")}
	var keys, sizes, packed, durable bool
	for i := range all {
		if o := &all[i]; o.workload == g.workload && o.clients == g.clients {
			keys = keys || o.keys != g.keys
			sizes = sizes || o.valueBytes != g.valueBytes
			packed = packed || o.compressed != g.compressed
			durable = durable || o.durable != g.durable
		}
	}
	if keys {
		parts = append(parts, trimmed(perSecond(float64(g.keys)))+" keys")
	}
	if sizes {
		parts = append(parts, length(float64(g.valueBytes))+" values")
	}
	if packed {
		parts = append(parts, choose(g.compressed, "compressed", "plain"))
	}
	if durable {
		parts = append(parts, choose(g.durable, "durable", "no fsync"))
	}
	return strings.Join(parts, ", ")
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

package sim

import (
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/world"
)

// drawn is what a plan and its seed decide before anything runs.
type drawn struct {
	profile  disk.Profile
	strategy world.Strategy
	lives    int
	ops      int // most operations of a client in one life
	options  aegis.Options
	limits   messages.Limits
}

// dice draws from a seed. Each draw has a name, so that one more draw changes no other.
type dice struct{ seed uint64 }

func (d dice) n(name string, n int) int {
	if n <= 1 {
		return 0
	}
	return int(mix(d.seed, name) % uint64(n))
}

// pick returns one of the values.
func pick[T any](d dice, name string, values ...T) T { return values[d.n(name, len(values))] }

// mix hashes a seed and a name (FNV-1a, and the finalizer of splitmix64).
func mix(seed uint64, name string) uint64 {
	h := seed ^ 14695981039346656037
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// draw completes a plan. profiles are those that the seed may choose from.
func (p *Plan) draw(profiles []disk.Profile) (drawn, error) {
	d := dice{p.Seed}
	out := drawn{lives: p.Lives, ops: pick(d, "ops", 1, 2, 3, 3, 4, 6, 10, 20, 40)}
	if out.lives == 0 {
		out.lives = pick(d, "lives", 1, 1, 2, 2, 3, 4)
	}
	if p.Each > 0 {
		out.ops = p.Each
	}
	out.profile = profiles[d.n("profile", len(profiles))]
	if p.Profile != "" {
		var err error
		if out.profile, err = profileNamed(p.Profile); err != nil {
			return out, err
		}
	}
	out.strategy = d.strategy()
	out.limits = d.limits(&out.profile)
	out.options = aegis.Options{
		Compression:  pick(d, "compression", aegis.LZ4, aegis.LZ4, aegis.NoCompression, aegis.Zstd),
		MemoryBudget: max(64<<10, 4*out.limits.IndexBytes),
	}
	return out, nil
}

// strategy draws how tasks interleave: no single setting finds all that a swarm of them does.
func (d dice) strategy() world.Strategy {
	rate := func(name string) int { return pick(d, name, 0, 0, 1, 2, 4, 16, 64) }
	s := world.Strategy{
		Order: pick(d, "order", world.Uniform, world.Uniform, world.Priorities, world.Keep),
		Wait:  rate("wait"), Yield: rate("yield"), IO: rate("io"), Effect: rate("effect"),
		Timers: pick(d, "timers", 0, 8, 64, 256), Batch: pick(d, "batch", 0, 1, 2, 3, 8),
		Inline: d.n("inline", 4) == 0, Check: pick(d, "check", 1, 8, 32, 32),
	}
	if d.n("starve", 5) == 0 {
		s.Starve = pick(d, "starved", "txcoord", "walwriter", "flusher", "evictor")
	}
	return s
}

// limits draws small sizes: with those of production most rare paths stay out of reach.
func (d dice) limits(p *disk.Profile) messages.Limits {
	l := messages.Limits{
		IndexBytes: pick[int64](d, "index", 1<<10, 2<<10, 4<<10, 16<<10), MaxFrozen: 1 + d.n("frozen", 2),
		SegmentBytes: pick[int64](d, "segment", 16<<10, 16<<10, 24<<10, 40<<10), FirstSegment: 16 << 10,
		GatherBytes: pick(d, "gather", 1, 256, 2<<10), CompressAbove: pick(d, "compress", 64, 512, 4<<10),
		GroupAlign: 1, TableBytes: pick[int64](d, "table", 1<<10, 2<<10, 8<<10),
		LeafBytes: pick(d, "leaf", 64, 256, 1<<10), InnerBytes: pick(d, "inner", 64, 256, 1<<10),
		FilterBits: pick(d, "filter", 1, 4, 10), FanIn: 2 + d.n("fanin", 3), MergeStep: pick[int64](d, "step", 1, 1<<10, 4<<10),
		ChunkBytes: pick(d, "chunk", 256, 512, 1<<10), TurnLimit: pick(d, "turn", 1, 2, 4, 16), Inbox: pick(d, "inbox", 1, 2, 4, 16),
		RetainIndexes: 1 + d.n("retain", 2), SyncInterval: pick(d, "sync", time.Millisecond, 100*time.Millisecond),
		RetryInterval: pick(d, "retry", time.Millisecond, time.Second), SettleAfter: pick(d, "settle", time.Millisecond, 2*time.Second),
		SettleBudget: pick(d, "budget", 2, 6, 50),
	}
	l.MaxRuns = max(4, l.FanIn+1+d.n("runs", 4))
	l.LogBytes = l.SegmentBytes * int64(1+d.n("log", 3))
	// Padded groups fill segments sooner, and end where those of a segment's last use did.
	l.GroupAlign = pick(d, "align", 1, 1, 1, 1, 1, 1, int(max(p.Sector, 1)), 4<<10)
	return l
}

// end draws how a life ends. The crash point is a choice of each boundary, so that what comes
// before it can be left out without moving it.
func (d dice) end(life string) End {
	e := End{Kind: pick(d, "end"+life, Close, Close, Kill, Power, Power, Power)}
	switch d.n("when"+life, 4) {
	case 0: // when the clients are done; a close goes to its end
	case 1:
		e.At.Once = pick(d, "once"+life, 4, 16, 32)
	default:
		e.At.Once = pick(d, "once"+life, 64, 128, 256, 512)
	}
	if e.Kind == Close && e.At.Once > 0 {
		e.Kind = pick(d, "crash"+life, Kill, Power)
		if d.n("inclose"+life, 2) == 0 {
			e.inClose = true
		}
	}
	return e
}

package world

// Strategy is how tasks are interleaved. Each N means: once in N; 0: never, 1: always.
type Strategy struct {
	Order  Order
	Wait   int // a task gives way where the event that it waits for is there already
	Yield  int // … at pure yields: API entries, iterator steps, taking a View, pieces of jobs
	IO     int // … before and after the effect of an I/O call
	Effect int // … between two effects of a Turn
	Timers int // a timer rings although tasks can run
	Batch  int // a Turn drains up to this many messages; 0: the actor's own limit
	Inline bool
	Starve string // this actor runs only when nothing else can
	Check  int    // a machine's invariants are checked after a Turn
}

// Order is how the next task is chosen among those that can run.
type Order uint8

// The orders.
const (
	Uniform    Order = iota // each with the same chance
	Priorities              // the highest first, a task that was preempted falls to the end
	Keep                    // the present one as long as it can run
)

// hash mixes two numbers (the finalizer of splitmix64).
func hash(a, b uint64) uint64 {
	h := a ^ (b+0x9e3779b97f4a7c15)*0xff51afd7ed558ccd
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func hashString(s string) uint64 {
	h := uint64(len(s))
	for i := range len(s) {
		h = hash(h, uint64(s[i]))
	}
	return h
}

// Purposes of a key, so that two choices at one place differ.
const (
	forPreempt = iota + 1
	forNext
	forDraw
	forStrike
	forBatch
	forCheck
	forCrash
)

// key names the next choice of the present task.
func (w *World) key(purpose uint64) uint64 {
	t := w.current
	if t == nil {
		w.outside++
		return hash(hash(hash(w.cfg.Seed, uint64(w.life)), w.outside), purpose)
	}
	t.yields++
	seed := w.cfg.Seed
	if purpose == forPreempt {
		seed ^= w.cfg.Salt
	}
	return hash(hash(hash(seed, t.id), t.op), t.yields<<8|purpose)
}

// last is set in the priority of a task that has fallen to the end, behind all that never did.
const last = 1 << 62

// choose picks among the tasks that can run. By hashes of each rather than one draw over their
// number: when a task is missing, the choice among the others stays the same.
func (w *World) choose() *task {
	if w.cfg.Sequential {
		return w.first()
	}
	s := &w.cfg.Strategy
	at := hash(hash(w.cfg.Seed^w.cfg.Salt, w.lastOp), uint64(forNext))
	var best *task
	var least uint64
	for _, t := range w.ready {
		var rank uint64
		if s.Order == Priorities {
			rank = t.low
		} else {
			rank = hash(at, hash(t.id, t.yields)) >> 2
		}
		if s.Starve != "" && t.name == s.Starve {
			rank |= 1 << 63
		}
		if best == nil || rank < least {
			best, least = t, rank
		}
	}
	return best
}

// preempt decides whether the present task gives way although it can go on.
func (w *World) preempt(once int) bool {
	if w.cfg.Sequential {
		return w.switches()
	}
	if once == 0 || w.cfg.Strategy.Order == Keep {
		return false
	}
	k := w.key(forPreempt)
	if once > 1 && k%uint64(once) != 0 {
		return false
	}
	short, ok := w.cfg.Preempts.allowed(k)
	if !ok {
		return false
	}
	w.preempts = append(w.preempts, short)
	if w.cfg.Strategy.Order == Priorities {
		w.order++
		w.current.low = last | w.order
	}
	return true
}

// allowed reports whether a choice with this key is among those that the filter keeps, and the
// key as it is kept.
func (f Filter) allowed(key uint64) (uint32, bool) {
	short := uint32(key >> 40)
	return short, f == nil || f[short]
}

// Draw returns a number in [0, n): the same one whenever the task comes to this point.
func (w *World) Draw(n int) int {
	if n <= 1 {
		return 0
	}
	return int(w.key(forDraw) % uint64(n))
}

package history

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// A small store that keeps every state it ever had: it runs random clients, and records what a
// right store may answer. Tests check its histories as they are, and after breaking them.

type table map[string]map[string]string // space, key → value

func (t table) clone() table {
	c := table{}
	for s, m := range t {
		c[s] = maps.Clone(m)
	}
	return c
}

func (t table) equal(o table) bool {
	return maps.EqualFunc(t, o, maps.Equal[map[string]string, map[string]string])
}

func (t table) state() State {
	var s State
	for _, name := range slices.Sorted(maps.Keys(t)) {
		sp := Space{Name: name}
		for _, k := range slices.Sorted(maps.Keys(t[name])) {
			sp.Pairs = append(sp.Pairs, Pair{k, t[name][k]})
		}
		s = append(s, sp)
	}
	return s
}

// do runs an operation on a table, and fills in its answer.
func (t table) do(op *Op) {
	m := t[op.Space]
	switch op.Kind {
	case Get:
		op.Value, op.Found = m[op.Key]
	case Put:
		if m != nil {
			m[op.Key] = op.Value
		}
	case Delete:
		delete(m, op.Key)
	case Scan:
		op.Pairs = nil
		keys := slices.Sorted(maps.Keys(m))
		if op.Reverse {
			slices.Reverse(keys)
		}
		for _, k := range keys {
			if k >= op.Key && (op.Hi == "" || k < op.Hi) && (op.Limit == 0 || len(op.Pairs) < op.Limit) {
				op.Pairs = append(op.Pairs, Pair{k, m[k]})
			}
		}
	case OpenSpace:
		_, op.Found = t[op.Space]
	case CreateSpace:
		if _, op.Found = t[op.Space]; !op.Found {
			t[op.Space] = map[string]string{}
		}
	case DropSpace:
		_, op.Found = t[op.Space]
		delete(t, op.Space)
	}
}

type activeTx struct {
	Tx
	used  map[string]uint64 // spaces, and from which seq on they must stay
	left  int
	phase int // 0: operations, 1: commit was called, 2: applied and waits to be durable
}

type store struct {
	rnd     *rand.Rand
	hide    bool // seqs of unknown commits are not told
	rules   Rules
	h       History
	life    int
	base    uint64
	states  []table // by seq - base
	wrote   []map[string]bool
	durable uint64
	visible uint64
	step    int64
	id      int64
	value   int
	clients []*activeTx
	all     map[int][]table // by life
	bases   map[int]uint64
	cuts    map[int]uint64
}

func (s *store) applied() uint64     { return s.base + uint64(len(s.states)) - 1 }
func (s *store) at(seq uint64) table { return s.states[seq-s.base] }
func (s *store) chance(n int) bool   { return s.rnd.IntN(n) == 0 }
func (s *store) key() string         { return fmt.Sprintf("k%d", s.rnd.IntN(6)) }
func (s *store) end(a *activeTx)     { s.step++; a.End = s.step; s.h.Add(s.life, a.Tx) }
func (s *store) replay(a *activeTx, at uint64) table {
	t := s.at(at).clone()
	for _, op := range a.Ops {
		t.do(&op)
	}
	return t
}

// runStore records a history of some lives.
func runStore(seed uint64, lives, steps int, hide bool, rules Rules) *store {
	s := &store{rnd: rand.New(rand.NewPCG(seed, 11)), hide: hide, rules: rules,
		all: map[int][]table{}, bases: map[int]uint64{}, cuts: map[int]uint64{}}
	start := table{"": {}}
	if s.chance(2) {
		start[""]["k1"], start["a"] = "begin", map[string]string{"k2": "begin a"}
		s.h.Recovered(1, start.state())
	}
	for s.life = 1; s.life <= lives; s.life++ {
		s.states, s.wrote = []table{start}, []map[string]bool{nil}
		s.durable, s.visible = s.base, s.base
		s.clients = make([]*activeTx, 3)
		for range steps {
			s.turn(s.rnd.IntN(len(s.clients)))
		}
		start = s.crash()
	}
	return s
}

// crash ends the life, and returns what is left.
func (s *store) crash() table {
	end := []EndKind{PowerCut, Kill, Closed}[s.rnd.IntN(3)]
	for _, a := range s.clients {
		if a == nil {
			continue
		}
		a.End, a.Acked, a.Waited, a.Outcome = NeverEnded, false, false, Refused
		if s.hide && a.phase > 0 || a.phase > 1 {
			a.Outcome = Unknown
		}
		if s.hide {
			a.Seq = 0
		}
		s.h.Add(s.life, a.Tx)
	}
	cut := s.durable + uint64(s.rnd.IntN(int(s.applied()-s.durable)+1))
	switch {
	case end == Closed:
		cut = s.applied()
	case s.rules == NoLog:
		mark := s.base + uint64(s.rnd.IntN(int(s.applied()-s.base)+1))
		s.h.Synced(s.life, mark)
		cut = mark + uint64(s.rnd.IntN(int(s.applied()-mark)+1))
	}
	s.h.Ended(s.life, end, s.rules)
	s.all[s.life], s.bases[s.life], s.cuts[s.life] = s.states, s.base, cut
	left := s.at(cut)
	s.base = cut
	s.h.Recovered(s.life+1, left.state())
	return left
}

// turn lets a client do its next thing.
func (s *store) turn(client int) {
	s.step++
	a := s.clients[client]
	switch {
	case a == nil:
		s.clients[client] = s.begin(client)
	case a.phase == 2:
		s.settle(client, a)
	case a.phase == 1 || a.left == 0:
		if a.phase == 0 && s.chance(3) {
			a.phase = 1
			return
		}
		s.finish(client, a)
	default:
		a.left--
		s.operate(a)
	}
}

func (s *store) begin(client int) *activeTx {
	s.id++
	a := &activeTx{left: 1 + s.rnd.IntN(4), used: map[string]uint64{}}
	a.ID, a.Client, a.Begin = s.id, client, s.step
	a.Level = Level(s.rnd.IntN(4))
	a.NoSync = a.Level != ReadOnly && s.rules == Honest && s.chance(6)
	a.Snapshot = s.applied()
	if a.Level == ReadOnly {
		a.Snapshot = s.visible
	}
	return a
}

func (s *store) operate(a *activeTx) {
	op := Op{Key: s.key(), Kind: OpKind(s.rnd.IntN(7))}
	if op.Kind > Scan {
		op.Key = ""
		op.Space = "a"
		if s.chance(2) {
			op.Kind = OpenSpace
		}
	}
	op.At = a.Snapshot
	if a.Level == ReadCommitted {
		op.At = s.applied()
	}
	if a.Level == ReadOnly {
		op.Kind = []OpKind{Get, Scan, OpenSpace}[s.rnd.IntN(3)]
	}
	view := s.replay(a, op.At)
	if _, ok := view["a"]; ok && op.Kind <= Scan && s.chance(3) {
		op.Space = "a"
	}
	switch op.Kind {
	case Put:
		s.value++
		op.Value = fmt.Sprint(s.value)
	case Scan:
		op.Reverse = s.chance(2)
		op.Limit = s.rnd.IntN(4)
		if op.Hi = s.key(); s.chance(2) {
			op.Hi = ""
		}
	}
	if op.Space != "" {
		if from, ok := a.used[op.Space]; ok && a.Level == ReadCommitted && s.changed(op.Space, from, s.applied()) {
			return // its handle is stale
		} else if !ok {
			a.used[op.Space] = op.At
		}
	}
	view.do(&op)
	if op.Kind == Scan && s.chance(3) {
		n := s.rnd.IntN(len(op.Pairs) + 1)
		op.Pairs, op.Stopped, op.Limit = op.Pairs[:n:n], true, 0
	}
	a.Ops = append(a.Ops, op)
}

// changed reports whether something was written between two seqs.
func (s *store) changed(what string, from, to uint64) bool {
	for seq := from + 1; seq <= to; seq++ {
		if s.wrote[seq-s.base][what] {
			return true
		}
	}
	return false
}

// writes names all that a transaction writes: keys as space/key.
func writes(a *activeTx) map[string]bool {
	w := map[string]bool{}
	for _, op := range a.Ops {
		switch op.Kind {
		case Put, Delete:
			w[op.Space+"/"+op.Key] = true
		case CreateSpace, DropSpace:
			if op.Found == (op.Kind == DropSpace) {
				w[op.Space] = true
			}
		}
	}
	return w
}

// finish ends a transaction, or hands its commit in.
func (s *store) finish(client int, a *activeTx) {
	now := s.applied()
	done := func(o Outcome) { a.Outcome = o; s.end(a); s.clients[client] = nil }
	w := writes(a)
	switch {
	case s.chance(8):
		a.Waited = s.chance(2)
		if a.Acked = a.Waited; a.Waited {
			s.sync()
		}
		done(Refused)
		return
	case len(w) == 0:
		if a.Acked = true; a.Level != ReadOnly && s.chance(2) && s.rules == Honest {
			a.Waited = true
			s.sync()
		}
		done(Committed)
		return
	}
	conflict := false
	for what := range w {
		conflict = conflict || a.Level == Snapshot && s.changed(what, a.Snapshot, now)
	}
	for sp, from := range a.used {
		conflict = conflict || s.changed(sp, from, now)
	}
	if a.Level == Serializable {
		t := s.at(now).clone()
		for _, op := range a.Ops {
			again := op
			if t.do(&again); op.Stopped {
				again.Pairs = again.Pairs[:min(len(again.Pairs), len(op.Pairs))]
			}
			conflict = conflict || op.Value != again.Value || op.Found != again.Found || !slices.Equal(op.Pairs, again.Pairs)
		}
	}
	if conflict {
		done(Refused)
		return
	}
	s.states, s.wrote = append(s.states, s.replay(a, now)), append(s.wrote, w)
	a.Seq = now + 1
	if a.phase = 2; a.NoSync {
		s.visible = s.applied()
		a.Acked = true
		done(Committed)
	}
}

func (s *store) sync() { s.durable, s.visible = s.applied(), s.applied() }

// settle makes a commit durable and answers it, or gives it up.
func (s *store) settle(client int, a *activeTx) {
	a.Outcome = Committed
	if s.chance(10) {
		a.Outcome = Unknown
		if s.hide {
			a.Seq = 0
		}
	} else {
		a.Acked = true
		s.sync()
	}
	s.end(a)
	s.clients[client] = nil
}

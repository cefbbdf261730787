package propertytests

import (
	"bytes"
	"maps"
	"slices"
	"strconv"

	"github.com/aegis-storage/aegis"
)

// state is all that a store holds. A committed one does not change any more.
type state struct {
	spaces map[string]*space
	blocks map[aegis.BlockID]string
}

// space is a keyspace. Its id is the model's own: a keyspace that is dropped and made again is
// another one.
type space struct {
	id   int
	data map[string]string
}

// The ids of what is validated like a keyspace.
const (
	defaultSpace = iota
	namesSpace   // the catalog: names
	counterSpace // the catalog: the counter of ids, under one key
	blocksSpace
	firstSpace
)

func newState() *state {
	return &state{
		spaces: map[string]*space{aegis.DefaultKeyspaceName: {id: defaultSpace, data: map[string]string{}}},
		blocks: map[aegis.BlockID]string{},
	}
}

func (s *state) clone() *state {
	c := &state{spaces: map[string]*space{}, blocks: maps.Clone(s.blocks)}
	for name, k := range s.spaces {
		c.spaces[name] = &space{k.id, maps.Clone(k.data)}
	}
	return c
}

// names are those of the named keyspaces, sorted.
func (s *state) names() []string {
	all := slices.Sorted(maps.Keys(s.spaces))
	return slices.DeleteFunc(all, func(n string) bool { return n == aegis.DefaultKeyspaceName })
}

func (s *state) byID(id int) *space {
	for _, k := range s.spaces {
		if k.id == id {
			return k
		}
	}
	return nil
}

func equal(a, b *state) bool {
	return maps.Equal(a.blocks, b.blocks) && maps.EqualFunc(a.spaces, b.spaces, func(x, y *space) bool {
		return maps.Equal(x.data, y.data)
	})
}

// op is one write of a transaction.
type op struct {
	kind  opKind
	id    int // of a keyspace
	name  string
	key   string
	value string
	block aegis.BlockID
}

type opKind uint8

const (
	opPut opKind = iota
	opDelete
	opCreate
	opDrop
	opPutBlock
	opDeleteBlock
)

func (s *state) apply(o op) {
	switch o.kind {
	case opPut:
		if k := s.byID(o.id); k != nil {
			k.data[o.key] = o.value
		}
	case opDelete:
		if k := s.byID(o.id); k != nil {
			delete(k.data, o.key)
		}
	case opCreate:
		s.spaces[o.name] = &space{o.id, map[string]string{}}
	case opDrop:
		delete(s.spaces, o.name)
	case opPutBlock:
		s.blocks[o.block] = o.value
	case opDeleteBlock:
		delete(s.blocks, o.block)
	}
}

// point is a key that conflicts are judged by.
type point struct {
	id  int
	key string
}

// span is lo ≤ key < hi; a nil hi is the end.
type span struct {
	id     int
	lo, hi []byte
}

func (s span) has(p point) bool {
	return p.id == s.id && p.key >= string(s.lo) && (s.hi == nil || p.key < string(s.hi))
}

func blockPoint(id aegis.BlockID) point {
	return point{blocksSpace, strconv.FormatUint(uint64(id), 10)}
}

// points are what a write is judged by.
func (o op) points() []point {
	switch o.kind {
	case opCreate:
		return []point{{namesSpace, o.name}, {counterSpace, ""}}
	case opDrop:
		return []point{{namesSpace, o.name}}
	case opPutBlock, opDeleteBlock:
		return []point{blockPoint(o.block)}
	}
	return []point{{o.id, o.key}}
}

// model predicts a store.
type model struct {
	states  []*state // after each commit; the first one is empty
	writes  [][]point
	durable int // states from here on may be lost in a crash
	nextID  int
}

func newModel() *model {
	return &model{states: []*state{newState()}, writes: [][]point{nil}, nextID: firstSpace}
}

func (m *model) now() *state { return m.states[len(m.states)-1] }

// commit applies the writes of one transaction.
func (m *model) commit(ops ...op) {
	next := m.now().clone()
	var points []point
	for _, o := range ops {
		next.apply(o)
		points = append(points, o.points()...)
	}
	m.states, m.writes = append(m.states, next), append(m.writes, points)
}

// crashed forgets the states after the given one.
func (m *model) crashed(to int) {
	m.states, m.writes, m.durable = m.states[:to+1], m.writes[:to+1], to
}

// txModel predicts one transaction.
type txModel struct {
	m     *model
	level aegis.Isolation
	read  bool // read-only
	begun int  // the state that it began at
	ops   []op

	points []point
	spans  []span
}

// sees is what the transaction's next read sees.
func (x *txModel) sees() *state {
	base := x.m.states[x.begun]
	if x.level == aegis.ReadCommitted && !x.read {
		base = x.m.now()
	}
	if len(x.ops) == 0 {
		return base
	}
	s := base.clone()
	for _, o := range x.ops {
		s.apply(o)
	}
	return s
}

// own reports whether the transaction wrote a point itself.
func (x *txModel) own(p point) bool {
	return slices.ContainsFunc(x.ops, func(o op) bool { return slices.Contains(o.points(), p) })
}

// notes a read of a point; own writes are not validated.
func (x *txModel) note(p point) {
	if x.level == aegis.Serializable && !x.own(p) {
		x.points = append(x.points, p)
	}
}

func (x *txModel) noteSpan(s span) {
	if x.level == aegis.Serializable {
		x.spans = append(x.spans, s)
	}
}

// write records an op, and what is relied on at every level.
func (x *txModel) write(o op, name string) {
	if o.kind == opDrop { // what was written there is forgotten, and not validated
		x.ops = slices.DeleteFunc(x.ops, func(w op) bool { return w.kind <= opDelete && w.id == o.id })
	}
	x.ops = append(x.ops, o)
	switch {
	case o.kind == opCreate:
		x.points = append(x.points, o.points()...)
	case o.kind == opDrop, (o.kind == opPut || o.kind == opDelete) && name != aegis.DefaultKeyspaceName:
		x.points = append(x.points, point{namesSpace, name})
	}
}

// mixedUp reports whether the transaction, at a level where it sees what others commit, created a
// keyspace and so did one of those. Both have the same id then, which Commit will find out.
func (x *txModel) mixedUp() bool {
	if x.level != aegis.ReadCommitted || !slices.ContainsFunc(x.ops, func(o op) bool { return o.kind == opCreate }) {
		return false
	}
	for _, points := range x.m.writes[x.begun+1:] {
		if slices.Contains(points, point{counterSpace, ""}) {
			return true
		}
	}
	return false
}

// conflicts reports whether Commit has to refuse.
func (x *txModel) conflicts() bool {
	if len(x.ops) == 0 {
		return false
	}
	mine := slices.Clone(x.points)
	if x.level != aegis.ReadCommitted {
		for _, o := range x.ops {
			mine = append(mine, o.points()...)
		}
	}
	for _, points := range x.m.writes[x.begun+1:] {
		for _, p := range points {
			if slices.Contains(mine, p) || slices.ContainsFunc(x.spans, func(s span) bool { return s.has(p) }) {
				return true
			}
		}
	}
	return false
}

// pair is one entry of a loop.
type pair struct{ key, value string }

// rows is what a loop yields.
func (k *space) rows(lo, hi []byte, backward bool) (rows []pair) {
	for _, key := range slices.Sorted(maps.Keys(k.data)) {
		if key >= string(lo) && (hi == nil || key < string(hi)) {
			rows = append(rows, pair{key, k.data[key]})
		}
	}
	if backward {
		slices.Reverse(rows)
	}
	return rows
}

// prefixEnd is the first key after all that begin with prefix, nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return append(bytes.Clone(prefix[:i]), prefix[i]+1)
		}
	}
	return nil
}

package history

import (
	"cmp"
	"slices"
	"sort"
)

// index holds all versions of all keys of one life. Keys and spaces are numbered; the numbers
// stay the same for all lives of a history.
//
// Invariants:
//  1. key.versions and space.events ascend by seq; a key has one version for each commit.
//  2. A version is seen at a seq if its space exists there and was not created after the version.
type index struct {
	spaces []space
	keys   []key
	stamp  int32 // of the transaction that is being looked at: marks its own writes
}

// space is one keyspace, by name, over all of its incarnations.
type space struct {
	name    string
	ids     map[string]int32 // numbers of its keys
	members []int32          // its keys, sorted up to sorted
	sorted  int
	events  []spaceEvent

	// own is what the transaction of this stamp did to the space, in its operation ownOp.
	own, ownOp int32
	ownExists  bool
	// first is the stamp of a ReadCommitted transaction that used the incarnation of firstSeq.
	first    int32
	firstSeq uint64

	exists, wanted bool // during the search for a cut
}

// spaceEvent begins or ends an incarnation. The first event of a life has seq 0.
type spaceEvent struct {
	seq    uint64
	tx     int32
	exists bool
}

// key is one key of one space.
type key struct {
	name     string
	space    int32
	own      int32 // the stamp of the transaction whose write this is, made by its operation ownOp
	ownOp    int32
	ownDead  bool
	suspect  bool // an unplaced transaction writes it
	wanted   bool // the recovered state has it, as want
	touched  bool // it is in the present life's base
	current  int32
	ownValue string
	want     string
	versions []version
}

// version is what a commit wrote. tx is -1 for what the life began with.
type version struct {
	seq   uint64
	tx    int32
	dead  bool
	value string
}

// reset forgets everything but keeps the memory.
func (x *index) reset() {
	for i := range x.spaces {
		clear(x.spaces[i].ids)
	}
	x.spaces, x.keys, x.stamp = x.spaces[:0], x.keys[:0], 0
	x.space("")
}

// space returns the number of the space with this name.
func (x *index) space(name string) int32 {
	for i := range x.spaces {
		if x.spaces[i].name == name {
			return int32(i)
		}
	}
	n := len(x.spaces)
	if n < cap(x.spaces) {
		x.spaces = x.spaces[:n+1]
	} else {
		x.spaces = append(x.spaces, space{})
	}
	s := &x.spaces[n]
	*s = space{name: name, ids: s.ids, members: s.members[:0], events: s.events[:0]}
	if s.ids == nil {
		s.ids = map[string]int32{}
	}
	return int32(n)
}

// key returns the number of a key.
func (x *index) key(sp int32, name string) int32 {
	s := &x.spaces[sp]
	if id, ok := s.ids[name]; ok {
		return id
	}
	n := len(x.keys)
	if n < cap(x.keys) {
		x.keys = x.keys[:n+1]
	} else {
		x.keys = append(x.keys, key{})
	}
	k := &x.keys[n]
	*k = key{name: name, space: sp, versions: k.versions[:0]}
	s.ids[name] = int32(n)
	s.members = append(s.members, int32(n))
	return int32(n)
}

// find returns the number of a key, or -1 if nobody has used it.
func (x *index) find(sp int32, name string) int32 {
	if id, ok := x.spaces[sp].ids[name]; ok {
		return id
	}
	return -1
}

// begin empties all versions and puts a life's base at seq 0.
func (x *index) begin(base State) {
	for i := range x.keys {
		k := &x.keys[i]
		k.versions, k.touched = k.versions[:0], false
	}
	for i := range x.spaces {
		s := &x.spaces[i]
		s.events = append(s.events[:0], spaceEvent{0, -1, i == 0})
	}
	for _, b := range base {
		sp := x.space(b.Name)
		s := &x.spaces[sp]
		s.events = append(s.events[:0], spaceEvent{0, -1, true})
		for _, p := range b.Pairs {
			k := &x.keys[x.key(sp, p.Key)]
			k.versions = append(k.versions[:0], version{0, -1, false, p.Value})
			k.touched = true
		}
	}
}

// fill gives spaces that were met after begin their first event.
func (x *index) fill() {
	for i := range x.spaces {
		if s := &x.spaces[i]; len(s.events) == 0 {
			s.events = append(s.events, spaceEvent{0, -1, i == 0})
		}
	}
}

// rewind drops all versions but the base.
func (x *index) rewind() {
	for i := range x.keys {
		k := &x.keys[i]
		if k.touched {
			k.versions = k.versions[:1]
		} else {
			k.versions = k.versions[:0]
		}
	}
	for i := range x.spaces {
		x.spaces[i].events = x.spaces[i].events[:1]
	}
}

// sort orders the members of a space by name.
func (x *index) sort(sp int32) []int32 {
	s := &x.spaces[sp]
	if s.sorted < len(s.members) {
		slices.SortFunc(s.members, func(a, b int32) int { return cmp.Compare(x.keys[a].name, x.keys[b].name) })
		s.sorted = len(s.members)
	}
	return s.members
}

// event returns what holds for a space at a seq: its last event.
func (s *space) event(at uint64) *spaceEvent {
	n := len(s.events)
	for n > 1 && s.events[n-1].seq > at {
		n--
	}
	return &s.events[n-1]
}

// find returns the newest version up to at, or nil. It may be of a dropped incarnation.
func (k *key) find(at uint64) *version {
	v := k.versions
	n := len(v)
	if n > 0 && v[n-1].seq > at {
		if n > 8 {
			n = sort.Search(n, func(i int) bool { return v[i].seq > at })
		} else {
			for n > 0 && v[n-1].seq > at {
				n--
			}
		}
	}
	if n == 0 {
		return nil
	}
	return &v[n-1]
}

// read returns the version of a key that is seen at a seq, nil if there is none or it is deleted,
// and the seq of what made it so.
func (x *index) read(id int32, at uint64) (v *version, by uint64) {
	k := &x.keys[id]
	s := &x.spaces[k.space]
	if v = k.find(at); v != nil {
		by = v.seq
		if v.dead {
			v = nil
		}
	}
	if len(s.events) > 1 || !s.events[0].exists {
		e := s.event(at)
		if !e.exists || by < e.seq {
			return nil, max(by, e.seq)
		}
	}
	return v, by
}

// present reports whether the transaction at work sees the key at a seq, with which value, and the
// seq of what made it so: 0 for its own writes.
func (x *index) present(id int32, at uint64) (value string, ok bool, by uint64) {
	k := &x.keys[id]
	s := &x.spaces[k.space]
	cleared := s.own == x.stamp
	if k.own == x.stamp && (!cleared || s.ownExists && k.ownOp > s.ownOp) {
		return k.ownValue, !k.ownDead, 0
	}
	if cleared {
		return "", false, 0
	}
	v, by := x.read(id, at)
	if v == nil {
		return "", false, by
	}
	return v.value, true, by
}

// existing reports whether the transaction at work sees the space at a seq.
func (x *index) existing(sp int32, at uint64) (ok bool, by uint64) {
	s := &x.spaces[sp]
	if s.own == x.stamp {
		return s.ownExists, 0
	}
	e := s.event(at)
	return e.exists, e.seq
}

// note marks an operation's effect as the own one of the transaction at work.
func (x *index) note(op *Op, i int32, id int32) {
	switch op.Kind {
	case Put, Delete:
		k := &x.keys[id]
		k.own, k.ownOp, k.ownDead, k.ownValue = x.stamp, i, op.Kind == Delete, op.Value
	case CreateSpace, DropSpace:
		if op.Found == (op.Kind == DropSpace) {
			s := &x.spaces[id]
			s.own, s.ownOp, s.ownExists = x.stamp, i, op.Kind == CreateSpace
		}
	}
}

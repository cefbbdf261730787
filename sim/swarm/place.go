package swarm

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/history"
)

// place is another directory of the machine, in which a store is made of what was saved: at once, or
// after crashes and failures in a later attempt.
type place struct {
	name string
	of   []*saved // a chain of backups, or a copy
	made int      // the life of the last attempt
	own  bool     // it was opened for writing, perhaps: that may drop a bulk load which was never named, by a commit
	done bool     // the store is there for good: what made it has said so, or it was opened for writing
}

// maxPlaces bounds how many directories a run has.
const maxPlaces = 4

func (p *place) last() *saved { return p.of[len(p.of)-1] }

func (p *place) isCopy() bool { return p.last().stream == nil }

// newPlace returns a new directory for what was saved, or nil.
func (v *vault) newPlace(of []*saved) *place {
	if len(v.places) == maxPlaces || len(of) == 0 {
		return nil
	}
	p := &place{name: fmt.Sprint("place-", len(v.places)+1), of: of}
	v.places = append(v.places, p)
	return p
}

// restore goes on with a directory in which no store is yet, or begins one.
func (s *swarm) restore(c *sim.Client) {
	v := &s.vault
	var p *place
	if i := slices.IndexFunc(v.places, func(p *place) bool { return !p.done }); i >= 0 {
		p = v.places[i]
	} else if n := len(v.chain); n > 0 {
		p = v.newPlace(slices.Clone(v.chain[:1+c.Intn(n)]))
	}
	if p == nil {
		return
	}
	if !p.isCopy() && c.Intn(5) == 0 {
		s.restoreDamaged(c, p)
		return
	}
	s.make(c.Life(), p)
	if p.done && c.Intn(3) == 0 {
		s.openForWriting(c.Life(), p)
	}
}

// copyStore copies the store as it is to a new directory.
func (s *swarm) copyStore(c *sim.Client) {
	if p := s.vault.newPlace([]*saved{{}}); p != nil {
		s.make(c.Life(), p)
	}
}

// make makes the store of a place, unless it is there already, and looks at it.
func (s *swarm) make(l *sim.Life, p *place) {
	whole, err := s.look(l, p)
	if whole {
		s.openForWriting(l, p)
	}
	if whole || err != nil {
		return
	}
	p.made = l.Number()
	o := l.Options()
	if p.isCopy() {
		x := &saved{}
		p.of = []*saved{x}
		known := s.begins(l, x)
		if err = s.db.CheckpointToBackend(l.Context(), l.Disk(p.name)); err == nil {
			s.ends(l, x, known)
			l.Cover("copies", 1)
		}
	} else {
		_, err = aegis.Restore(l.Context(), "", &aegis.RestoreOptions{Backend: l.Disk(p.name), Runtime: o.Runtime}, streamsOf(p.of)...)
		if err == nil {
			l.Cover("restores", 1)
		}
	}
	l.Logf("%s is made of %d: %v", p.name, len(p.of), err)
	if err != nil {
		l.Excuse(err)
		return
	}
	p.done = true
	_, _ = s.look(l, p)
}

// restoreDamaged restores a chain of which a byte is wrong, or missing: it is refused, and leaves no
// store.
func (s *swarm) restoreDamaged(c *sim.Client, p *place) {
	l := c.Life()
	if whole, err := s.look(l, p); whole || err != nil {
		return
	}
	p.made = l.Number()
	n := c.Intn(len(p.of))
	c.Does("Restore with damage in stream %d", n)
	_, err := aegis.Restore(l.Context(), "", &aegis.RestoreOptions{Backend: l.Disk(p.name), Runtime: l.Options().Runtime}, damage(c, p.of, n)...)
	c.Did("%v", err)
	if bad := new(aegis.BackupError); errors.As(err, &bad) && bad.Stream == n && bad.Offset <= int64(len(p.of[n].stream)) {
		if whole, err := s.look(l, p); whole && err == nil {
			l.Fail("backup", "a backup that is damaged was refused, and restored all the same")
		}
		return
	}
	if err == nil {
		l.Fail("backup", "a backup that is damaged was restored")
	}
	l.Excuse(err)
}

// lookAround looks at all places when a life begins. In the last one all that is not done is done.
func (s *swarm) lookAround(l *sim.Life) {
	for _, p := range s.vault.places {
		if l.Last() && !p.done {
			if s.make(l, p); !p.done && !lax(l) {
				l.Fail("backup", "%s cannot be made", p.name)
			}
			continue
		}
		_, _ = s.look(l, p)
	}
}

// look opens the store of a place for reading. It is not there, or it is whole and holds what was
// saved. err is one that a fault explains.
func (s *swarm) look(l *sim.Life, p *place) (whole bool, err error) {
	o := l.Options()
	o.Backend, o.ReadOnly = l.Disk(p.name), true
	db, err := aegis.Open("", o)
	unfinished := errors.Is(err, aegis.ErrUnfinishedRestore)
	if unfinished || errors.Is(err, aegis.ErrNoStore) {
		if p.done && !lax(l) {
			l.Fail("backup", "%s held a whole store, and does not after a %s: %v", p.name, l.Before(), err)
		}
		if unfinished && p.isCopy() {
			l.Cover("copies cut short", 1)
		} else if unfinished {
			l.Cover("restores cut short", 1)
		}
		return false, nil
	}
	spoiled := lax(l) && p.made != l.Number() // a crash may have left anything, or something older
	if err == nil {
		if !spoiled {
			err = errors.Join(s.compare(l, p, db), db.Verify(l.Context(), nil))
		}
		err = errors.Join(err, db.Close())
	}
	if !spoiled {
		l.Excuse(err)
	}
	return err == nil, err
}

// compare checks what a store holds that was made of what was saved.
func (s *swarm) compare(l *sim.Life, p *place, db *aegis.DB) error {
	x := p.last()
	state, err := stateOf(l, db)
	if err != nil {
		return err
	}
	if x.info != nil && db.Seq() != x.info.Seq && !p.own {
		l.Fail("backup", "%s is at seq %d, the backup was at %d", p.name, db.Seq(), x.info.Seq)
	}
	if !x.seen {
		s.remember(l, x, db.Seq(), state)
	} else if !reflect.DeepEqual(state, x.state) {
		l.Fail("backup", "%s does not hold what it did when it, or another one like it, was read before", p.name)
	}
	for _, b := range x.blocks {
		got, err := db.ReadBlock(l.Context(), b.id)
		switch {
		case errors.Is(err, aegis.ErrNotFound):
			l.Fail("blocks", "block %d is not in %s, which was saved after it", b.id, p.name)
		case err != nil:
			return err
		case string(got.Data()) != b.data:
			l.Fail("blocks", "block %d reads in %s as %d bytes that are not the %d that were written", b.id, p.name, got.Size(), len(b.data))
		}
	}
	return nil
}

// remember puts a saved state into the history.
func (s *swarm) remember(l *sim.Life, x *saved, seq uint64, state history.State) {
	x.state, x.seen = state, true
	s.nextTx++
	tx := history.Tx{
		ID: s.nextTx, Client: int(-s.nextTx), Level: history.ReadOnly, Snapshot: seq,
		Begin: x.begin, End: x.end, Acked: x.end != history.NeverEnded,
	}
	found := map[string][]history.Pair{}
	for _, space := range state {
		found[space.Name] = space.Pairs
	}
	for _, name := range []string{"", "space-0", "space-1"} {
		pairs, there := found[name]
		delete(found, name)
		if name != "" {
			tx.Ops = append(tx.Ops, history.Op{Kind: history.OpenSpace, Space: name, Found: there, At: history.NoSeq})
		}
		if there {
			tx.Ops = append(tx.Ops, history.Op{Kind: history.Scan, Space: name, Pairs: pairs, At: history.NoSeq})
		}
	}
	if len(found) > 0 {
		l.Fail("backup", "keyspaces were saved that nobody made: %q", slices.Sorted(maps.Keys(found)))
	}
	s.history.Add(x.life, tx)
	if !x.offline {
		s.history.Synced(x.life, seq)
	}
	l.Logf("T%d is what was saved at seq %d", tx.ID, seq)
}

// openForWriting opens the store of a place as its owner would, and closes it again. What it holds
// stays as it is.
func (s *swarm) openForWriting(l *sim.Life, p *place) {
	o := l.Options()
	o.Backend, p.own = l.Disk(p.name), true
	db, err := aegis.Open("", o)
	if err == nil {
		p.done = true
		err = errors.Join(db.Verify(l.Context(), nil), db.Close())
	}
	l.Logf("%s is opened for writing: %v", p.name, err)
	l.Excuse(err)
}

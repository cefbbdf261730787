package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/history"
)

// The modes: what a run is about.
const (
	Plain     = iota // transactions of all kinds in the default keyspace
	Lists            // appends to lists, for the check by cycles
	Keyspaces        // … over keyspaces that come and go
	Bulk             // … and bulk loads
	Large            // … with values that need a segment of their own, and blocks
	NoLog            // … without a log
	Modes            // how many there are
)

var modeNames = [Modes]string{"plain", "lists", "keyspaces", "bulk", "large", "no log"}

// ModeName is what people call a mode.
func ModeName(mode uint8) string {
	if int(mode) < Modes {
		return modeNames[mode]
	}
	return fmt.Sprint("mode ", mode)
}

// Subject is the workload, for sim.Run and its kin.
func Subject() func(*sim.Life) {
	s := &swarm{}
	return s.live
}

// swarm is what outlives the crashes of one run.
type swarm struct {
	history  history.History
	nextTx   int64
	open     []*recorded // under way, in the order in which they began
	noSync   bool        // some commit did not wait for its sync
	life     *sim.Life
	db       *aegis.DB
	noLog    bool
	acked    uint64 // highest seq that was acknowledged in this life
	poisoned int64  // step at which a client first heard that the store is
	blocks   blocks
	vault    vault
	sent     map[uint64]*onWay                                // this life's commits, by a hash of their batch
	asked    map[messages.Reply[messages.CommitResult]]*onWay // … and by where they are answered
	called   []*onWay                                         // … and in the order of their calls
	newest   uint64                                           // highest seq that was seen on its way in this life
}

// live is one life.
func (s *swarm) live(l *sim.Life) {
	s.endLife(l)
	s.life, s.acked, s.poisoned = l, 0, 0
	o := s.options(l)
	s.backUpOffline(l, o)
	db, err := aegis.Open("", o)
	l.Must(err)
	s.db = db
	s.audit(l)
	s.sent, s.asked = map[uint64]*onWay{}, map[messages.Reply[messages.CommitResult]]*onWay{}
	l.Observe(s.observe)
	l.AtClose(func() error { return s.close(l) })
	for i := range 1 + l.Intn("clients", 3) {
		l.Go(fmt.Sprintf("client-%d", i+1), func(c *sim.Client) { s.client(c, i) })
	}
	if l.Intn("maintenance", 2) == 0 {
		l.Go("maintenance", s.maintain)
	}
	if keepsBackups(l) {
		l.Go(keeper, s.keepBackups)
	}
}

// options draws what the store is opened with. Most stays the same from life to life, as with a
// real program; some changes.
func (s *swarm) options(l *sim.Life) *aegis.Options {
	o := l.Options()
	if l.Intn("nosync", 3) == 0 {
		o.Durability = aegis.NoSync
		// Parts of a bulk load, what becomes of one after a crash, and blocks go by this.
		s.noSync = s.noSync || l.Mode() == Bulk || l.Mode() == Large
	}
	if l.Intn("age", 8) == 0 {
		o.MaxSnapshotAge = time.Duration(1+l.Intn("how old", 3000)) * time.Microsecond
	}
	if l.Mode() == NoLog {
		// A life with a log comes in between, now and then.
		o.DisableWAL = l.Intn(fmt.Sprint("with log ", l.Number()), 4) > 0
	}
	s.noLog = o.DisableWAL
	if l.Number() > 1 && l.Intn("changes", 3) == 0 {
		o.Compression = []aegis.Compression{aegis.LZ4, aegis.Zstd, aegis.NoCompression}[l.Intn(fmt.Sprint("compression ", l.Number()), 3)]
	}
	return o
}

// endLife records how the life before ended: what was under way is of unknown outcome if its
// commit was called, and certainly not applied if not.
func (s *swarm) endLife(l *sim.Life) {
	if s.life == nil {
		return
	}
	for _, r := range s.open {
		r.tx.Outcome = history.Refused
		if r.committing {
			r.tx.Outcome = history.Unknown
		}
		if r.names != "" && !r.sent { // a bulk load whose commit was not reached has seen nothing
			r.tx.Outcome, r.tx.Ops = history.Refused, nil
		}
		r.tx.End = history.NeverEnded
		s.promiseNothing(&r.tx)
		s.history.Add(s.life.Number(), r.tx)
	}
	s.open = s.open[:0]
	s.settleRest()
	end := history.Kill
	switch l.Before() {
	case sim.Power:
		end = history.PowerCut
	case sim.Close:
		end = history.Closed
	}
	rules := history.Honest
	p := l.Profile()
	switch {
	case p.Has(disk.Lying):
		rules = history.Lying
	case p.Has(disk.Media): // the last group of the log may be gone, though nothing was cut
		end, rules = history.PowerCut, history.Lying
	case s.noLog:
		rules = history.NoLog
	}
	s.history.Ended(s.life.Number(), end, rules)
	if rules == history.Lying && end == history.PowerCut {
		s.lieFurther()
	}
}

// lieFurther: a power cut on a disk that lies takes what earlier lives wrote as well, as far back as
// nobody has seen the store in between.
func (s *swarm) lieFurther() {
	for i := len(s.history.Lives) - 1; i >= 0; i-- {
		l := s.history.Lives[i]
		if l.End = history.PowerCut; l.Known {
			return
		}
	}
}

// audit reads all that is there after recovery, and in the last life checks the whole history.
func (s *swarm) audit(l *sim.Life) {
	state, err := stateOf(l, s.db)
	l.Must(err)
	s.history.Recovered(l.Number(), state)
	s.blocks.check(s, l)
	s.lookAround(l)
	if l.Last() || l.Intn("verify", 4) == 0 {
		if err := s.db.Verify(l.Context(), nil); !errors.Is(err, aegis.ErrSnapshotTooOld) {
			l.Must(err)
		}
	}
	if !l.Last() {
		return
	}
	s.cover(l)
	bad := history.Check(&s.history).Violations
	if l.Mode() == Lists { // a second opinion, which uses no seq
		bad = append(bad, history.Cycles(&s.history)...)
	}
	found := slices.DeleteFunc(bad, func(v history.Violation) bool { return v.Check == "undecided" })
	l.Cover("undecided histories", uint64(len(bad)-len(found)))
	if len(found) > 0 {
		l.Fail(found[0].Check, "%s", texts(found))
	}
}

// texts joins the first violations.
func texts(bad []history.Violation) (text string) {
	for i, v := range bad {
		if i == 4 {
			return text + fmt.Sprintf("\nand %d more", len(bad)-i)
		}
		if i > 0 {
			text += "\n"
		}
		text += fmt.Sprintf("life %d: %s: %s", v.Life, v.Check, v.Text)
	}
	return text
}

// close ends a life in an orderly way.
func (s *swarm) close(l *sim.Life) error {
	s.cover(l)
	return s.db.Close()
}

// stateOf reads all keyspaces in one transaction, as often as one is too old when it ends.
func stateOf(l *sim.Life, db *aegis.DB) (state history.State, err error) {
	for err = aegis.ErrSnapshotTooOld; errors.Is(err, aegis.ErrSnapshotTooOld); {
		state, err = readState(l, db)
	}
	return state, err
}

func readState(l *sim.Life, db *aegis.DB) (history.State, error) {
	var state history.State
	err := db.View(l.Context(), func(tx *aegis.Tx) error {
		infos, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		for _, info := range append([]aegis.KeyspaceInfo{{Name: aegis.DefaultKeyspaceName}}, infos...) {
			k, err := tx.Keyspace(info.Name)
			if err != nil {
				return err
			}
			space := history.Space{Name: spaceName(info.Name)}
			for key, value := range k.Range(nil, nil) {
				space.Pairs = append(space.Pairs, history.Pair{Key: string(key), Value: string(value)})
			}
			state = append(state, space)
		}
		return tx.Err()
	})
	return state, err
}

// spaceName is a keyspace's name in the history, which calls the default one "".
func spaceName(name string) string {
	if name == aegis.DefaultKeyspaceName {
		return ""
	}
	return name
}

// cover counts which rare paths were taken in this life.
func (s *swarm) cover(l *sim.Life) {
	st, err := s.db.Stats(l.Context())
	if err != nil {
		return
	}
	l.Cover("commits", st.Commits.Commits)
	l.Cover("conflicts", st.Commits.Conflicts)
	l.Cover("refused for space", st.Commits.Rejected)
	l.Cover("oversize commits", st.Commits.Oversize)
	l.Cover("stalled turns", st.Commits.Stalls.Turns)
	l.Cover("waits for log", st.Commits.Stalls.ForLog)
	l.Cover("waits for flush", st.Commits.Stalls.ForFlush)
	l.Cover("log rotations", st.Log.Rotations)
	l.Cover("segments recycled", st.Log.Recycled)
	l.Cover("failed preparations", st.Log.PrepareFailures)
	l.Cover("flushes", st.Tables.Flushes)
	l.Cover("merges", st.Tables.Merges)
	l.Cover("merge steps", st.Tables.MergeSteps)
	l.Cover("failed flushes", st.Tables.Failures)
	l.Cover("page loads", uint64(st.Cache.Misses))
	l.Cover("pages evicted", uint64(st.Cache.Evicted))
	l.Cover("filter answers", uint64(st.Cache.FilterSkips))
	l.Cover("commits replayed", uint64(st.Recovery.Records))
	l.Cover("torn tails", uint64(min(st.Recovery.TornBytes, 1)))
	l.Cover("orphans removed", uint64(st.Recovery.Orphans))
	if st.Recovery.Clean {
		l.Cover("clean opens", 1)
	}
	if errors.Is(st.Err, aegis.ErrPoisoned) {
		l.Cover("poisoned", 1)
	}
}

// outcome says what an error of a commit that was begun at some step means. An error that nothing explains is a failure.
func (s *swarm) outcome(l *sim.Life, begun int64, err error) history.Outcome {
	switch {
	case err == nil:
		return history.Committed
	case errors.Is(err, aegis.ErrOutcomeUnknown):
		return history.Unknown
	case errors.Is(err, aegis.ErrPoisoned):
		if !l.Explained(err) {
			l.Must(err)
		}
		if s.poisoned > 0 && begun > s.poisoned {
			return history.Refused // a poisoned store takes nothing in
		}
		if s.poisoned == 0 {
			s.poisoned = l.Step()
		}
		return history.Unknown
	case refusal(err), l.Explained(err):
		return history.Refused
	}
	l.Must(err)
	return history.Refused
}

// refusal reports whether err means that nothing was applied, and needs no fault as its cause.
func refusal(err error) bool {
	for _, known := range []error{
		aegis.ErrConflict, context.DeadlineExceeded, context.Canceled, aegis.ErrClosed, aegis.ErrTxDone,
		aegis.ErrNotFound, aegis.ErrKeyspaceExists, aegis.ErrSnapshotTooOld, errOwn,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// errOwn is what the swarm's closures return to have a transaction given up.
var errOwn = errors.New("swarm: changed its mind")

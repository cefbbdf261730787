package actors

import (
	"errors"
	"time"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/txcoord"
)

// Observer is told of what the shells see. Its methods are called in the midst of Turns and jobs, by
// several goroutines at a time: they must not wait, panic, or call the Graph.
type Observer interface {
	// Begin is called before a job, with the name that the Runtime is given, and before a LogSync. It
	// returns what is to be called at its end, or nil.
	Begin(work string) (end func(error))
	// Done is called after a job or a LogSync.
	Done(w Work)
	// Stall is called when commits are held back for long, and once more when that is over.
	Stall(s Stall)
	// Space is called with an error when the log can prepare no segment, and with nil when it can.
	Space(err error)
	// Poisoned is called when nothing more can become durable.
	Poisoned(err error)
	// SnapshotEnded is called for each snapshot that was taken from its owner.
	SnapshotEnded(e txcoord.Ended)
}

// LogSync is the name of a Turn in which the log writer was asked for a sync: its write and its sync.
const LogSync = "log sync"

// Work is a job or a LogSync that has ended.
type Work struct {
	Name    string
	Took    time.Duration // by the Runtime's clock
	Err     error         // of a job; what a failed sync does is Poisoned's
	Commits int64         // in the group of a LogSync
	Report  messages.JobReport
}

// Stall is a time in which commits were held back.
type Stall struct {
	Over    bool
	For     string        // what the first of them waits for: "log space", "flush" or "merges"
	Held    int           // commits
	Lasted  time.Duration // so far
	Shorter int           // stalls that were not told of since the one before, as they were short
}

// Observe has o told from Start on, which comes after it.
func (g *Graph) Observe(o Observer) { g.observer = o }

// nobody is the Observer of a graph that has none.
type nobody struct{}

func (nobody) Begin(string) func(error)    { return nil }
func (nobody) Done(Work)                   {}
func (nobody) Stall(Stall)                 {}
func (nobody) Space(error)                 {}
func (nobody) Poisoned(error)              {}
func (nobody) SnapshotEnded(txcoord.Ended) {}

// job is long work of a machine.
type job interface {
	Run(yield messages.Yield) error
}

// observed runs a job, and tells of it before its machine hears of it: until then what it reports is
// nobody else's.
func (g *Graph) observed(name string, j job) error {
	start := g.rt.Now()
	end := g.observer.Begin(name)
	err := g.runJob(j.Run)
	if end != nil {
		end(err)
	}
	w := Work{Name: name, Took: g.rt.Now().Sub(start), Err: err}
	if r, ok := j.(messages.Reporter); ok && err == nil {
		w.Report = r.Report()
	}
	g.observer.Done(w)
	return err
}

// errBroken ends the observation of a Turn that panicked.
var errBroken = errors.New("actors: the log writer broke an invariant")

// stepLog steps the log writer, and times the Turns in which it syncs. Each Begin has its end, also when
// Step panics.
func (g *Graph) stepLog(batch []messages.ToWalwriter, commits int64, synced bool) error {
	if !synced {
		return g.machines.Walwriter.Step(batch, &g.walOut)
	}
	start := g.rt.Now()
	err := errBroken
	if end := g.observer.Begin(LogSync); end != nil {
		defer func() { end(errors.Join(err, g.poisonedNow())) }()
	}
	if err = g.machines.Walwriter.Step(batch, &g.walOut); err == nil {
		g.observer.Done(Work{Name: LogSync, Took: g.rt.Now().Sub(start), Commits: commits})
	}
	return err
}

// poisonedNow returns why this Turn of the log writer was its last, if it was.
func (g *Graph) poisonedNow() error {
	for _, m := range g.walOut.Txcoord {
		if p, ok := m.(messages.Poisoned); ok {
			return p.Err
		}
	}
	return nil
}

// tellObserver tells of the rare messages to the coordinator.
func (g *Graph) tellObserver(m messages.ToTxcoord) {
	switch m := m.(type) {
	case messages.NoSpace:
		g.observer.Space(m.Err)
	case messages.Written:
		if m.Credit > 0 {
			g.observer.Space(nil)
		}
	case messages.Poisoned:
		g.observer.Poisoned(m.Err)
	}
}

// stall is the coordinator's present stall. It belongs to its Turn.
type stall struct {
	since   time.Time // zero: nothing is held back
	told    bool
	last    time.Time // when one was told of last
	cause   string
	shorter int
}

// A stall is told of when it has lasted for stallLeast, and stallPause after the one before: under
// heavy load commits are held back for some milliseconds over and over.
const (
	stallLeast = 100 * time.Millisecond
	stallPause = time.Second
)

// watchStall is called after each Turn of the coordinator.
func (g *Graph) watchStall(held int, cause string) {
	s := &g.stall
	if held == 0 && s.since.IsZero() {
		return
	}
	now := g.rt.Now()
	switch {
	case held == 0:
		if s.told {
			g.observer.Stall(Stall{Over: true, For: s.cause, Lasted: now.Sub(s.since), Shorter: s.shorter})
			s.shorter = 0
		} else {
			s.shorter++
		}
		s.since, s.told = time.Time{}, false
		return
	case s.since.IsZero():
		s.since, s.cause = now, cause
	}
	if s.told {
		return
	}
	wait := max(s.since.Add(stallLeast).Sub(now), s.last.Add(stallPause).Sub(now))
	if wait > 0 {
		// Only when a Turn comes depends on this alarm. The simulator needs none of it.
		if g.rt.Inline() {
			g.tx.setAlarm(wait)
		}
		return
	}
	s.told, s.last, s.cause = true, now, cause
	g.observer.Stall(Stall{For: cause, Held: held, Lasted: now.Sub(s.since)})
}

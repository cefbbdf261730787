package sim

import (
	"fmt"
	"strconv"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/report"
	"github.com/aegis-storage/aegis/sim/trace"
	"github.com/aegis-storage/aegis/sim/world"
)

// Subject makes what is tested: called for each run, with a new and empty disk. The function that
// it returns is called for each life of the run; what it keeps in ordinary memory outlives crashes.
type Subject func() func(*Life)

// Mode says how much of a run is recorded.
type Mode uint8

// The modes.
const (
	Fast  Mode = iota // the hash covers choices and I/O
	Proof             // … and messages and replies as well
	Keep              // … and the events are kept for people to read
)

// Failure is what broke.
type Failure struct {
	Check string // which check found it
	Text  string
	Life  int
	Step  int64
}

// Error makes a Failure an error.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %s", f.Check, f.Text) }

// Result is what became of a run.
type Result struct {
	Plan    Plan
	Profile string   // that was used
	Failure *Failure // nil: all held
	Hash    uint64   // of all that happened
	Lives   int
	Steps   int64
	IO      []int64 // boundaries of each life
	// Ops, Preempts and Faults are the keys of what happened, for Plan's filters.
	Ops, Preempts, Faults []uint32
	Clients               int
	Cover                 map[string]uint64 // counts that the subject gave to Life.Cover, and faults by class
	Events                []trace.Event     // with Keep
	Losses                []report.Loss     // what power cuts did to bytes and names, with Keep
}

// settings are those of Config that a single run needs.
type settings struct {
	profiles []disk.Profile
	strict   bool
	probe    *Probe
}

// run is one run under way.
type run struct {
	plan    Plan
	set     settings
	drawn   drawn
	world   *world.World
	disk    *disk.Disk
	others  []beside // in the order in which they were asked for
	log     trace.Log
	failure *Failure
	end     End     // of the present life
	before  EndKind // of the life before it
	ops     []uint32
	clients int
	struck  int   // faults, crashes left out
	clock   int64 // see Life.Step
	cover   map[string]uint64
	result  *Result

	observers []func(from, to string, what messages.Message)
	observed  uint64 // calls of observers
}

// execute runs a plan from its first life to its last.
func execute(plan Plan, subject Subject, mode Mode, set settings) (*Result, error) {
	r := &run{plan: plan, set: set, cover: map[string]uint64{}}
	var err error
	if r.drawn, err = r.plan.draw(set.profiles); err != nil {
		return nil, err
	}
	r.plan.Profile = r.drawn.profile.Name // a token has to name what was drawn from a list
	r.log.Keep = mode == Keep
	r.disk = disk.New(r.drawn.profile)
	if mode != Fast {
		r.disk.TellRanges()
	}
	r.world = world.New(world.Config{
		Seed: plan.Seed, Salt: uint64(plan.Salt), Strategy: r.drawn.strategy, Log: &r.log, Words: mode != Fast, Strict: set.strict,
		Preempts: plan.Preempts, Faults: plan.Faults, Observe: r.observe, Struck: r.countFault,
		Sequential: plan.Switches != nil, Switches: plan.Switches, Choice: r.choice(), Boundary: r.boundary(),
	})
	r.result = &Result{Plan: r.plan, Profile: r.drawn.profile.Name, Cover: r.cover}
	return r.watched(func() {
		defer r.world.Close()
		main := subject()
		for n := 1; n <= r.drawn.lives && r.failure == nil; n++ {
			r.live(main, n, false)
		}
		if r.failure == nil {
			r.live(main, r.drawn.lives+1, true)
		}
	}), nil
}

// finished completes the result.
func (r *run) finished() *Result {
	res := r.result
	res.Failure, res.Hash, res.Steps, res.Clients = r.failure, r.log.Hash(), r.world.Steps(), r.clients
	res.Ops, res.Preempts, res.Faults, res.Events = r.ops, r.world.Preempts(), r.world.Faults(), r.log.Events
	return res
}

// observe passes an effect on to the subject.
func (r *run) observe(from, to string, what messages.Message) {
	for _, f := range r.observers {
		r.observed++
		f(from, to, what)
	}
}

// countFault is told of each fault that strikes.
func (r *run) countFault(class disk.Class) {
	r.struck++
	r.cover[faultCount+class.String()]++
}

// live runs one life and ends it.
func (r *run) live(main func(*Life), n int, last bool) {
	r.result.Lives = n
	r.end = r.endOf(n, last)
	r.observers = nil
	l := &Life{run: r, number: n, last: last, mounted: r.disk.Mount(r.world), before: r.struck, busy: 1}
	l.options = r.drawn.options
	l.options.Backend, l.options.Runtime, l.options.Limits = l.mounted, r.world, &r.drawn.limits
	crash := r.end.At
	if r.end.inClose {
		crash = world.CrashAt{}
	}
	out := r.world.Live(crash, last, func() {
		r.announce(n, last)
		l.begin(main)
	}, l.done, l.idle)
	r.result.IO = append(r.result.IO, out.IO)
	if out.Err != nil && r.failure == nil {
		r.fail(checkOf(out.Err), out.Err.Error())
	}
	r.world.Reap()
	if r.failure != nil || last {
		return
	}
	r.cut(l, out.Crashed)
}

// endOf returns how life n ends.
func (r *run) endOf(n int, last bool) End {
	if last {
		return End{Kind: Close}
	}
	e := dice{r.plan.Seed}.end(strconv.Itoa(n))
	for _, o := range r.plan.Ends {
		if o.Life == n && o.Kind != Drawn {
			return o
		}
	}
	return e
}

// cut takes the process, and perhaps the power, away from the disk.
func (r *run) cut(l *Life, crashed bool) {
	kind := r.end.Kind
	if kind == Close && !l.closed { // it has no closer, or gave up
		kind = Kill
	}
	what := kind.String()
	if crashed {
		what += " at an I/O call"
	}
	var loss disk.Loss
	switch {
	case kind != Power:
		r.disk.Kill()
	case r.end.Image > 0:
		loss = cutImage(r.disk, r.plan.Seed, r.end.Image)
	default:
		loss = r.disk.PowerCut(r.world.Draw)
	}
	r.cutOthers(kind, &loss)
	r.left(kind)
	r.before = kind
	r.cover["end "+kind.String()]++
	if r.world.Words() && kind == Power {
		what += ". " + loss.String()
	}
	if r.log.Keep {
		r.result.Losses = append(r.result.Losses, lossesAt(len(r.log.Events), loss)...)
	}
	r.note(trace.Crash, what)
}

// announce is called in the life that begins, so that its first event belongs to it.
func (r *run) announce(n int, last bool) {
	if !r.world.Words() {
		return
	}
	text := fmt.Sprintf("life %d", n)
	if last {
		text += ", the last: no faults, no operations"
	}
	r.world.Record(trace.Event{Kind: trace.Life, From: "world", Text: text})
}

// note adds an event to the trace. Without words there are none.
func (r *run) note(kind trace.Kind, text string) {
	if r.world.Words() {
		r.world.Record(trace.Event{Kind: kind, Text: text})
	}
}

// fail keeps the first failure.
func (r *run) fail(check, text string) {
	if r.failure != nil {
		return
	}
	r.failure = &Failure{Check: check, Text: text, Life: r.world.Number(), Step: r.world.Steps()}
	r.note(trace.Failure, check+": "+text)
}

// stand keeps the present task from going on; the life ends.
func (r *run) stand() { r.world.Stand() }

// checkOf names the check that an error of the world stands for.
func checkOf(err error) string {
	switch err.(type) {
	case *world.StallError:
		return "liveness"
	case *world.ForeignError:
		return "goroutine"
	case *world.PanicError:
		return "panic"
	case *world.GoexitError:
		return "goexit"
	}
	return "invariant"
}

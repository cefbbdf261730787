package explore

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/sim"
)

// Config says what is explored. The zero value is a seed whose crashes can nearly always be listed
// completely.
type Config struct {
	// Plan is the run that is explored; Lives and Ends of it are not used, and Switches not by
	// Interleavings. Seed 0 means 1, Profile "" means "sector", and Each decides how long the workload
	// is.
	Plan sim.Plan
	// Drawn is how many power cuts are drawn where the images are more than can be listed; 0: 4,
	// negative: none.
	Drawn int
	// Depth is how many lives in a row Nested crashes; 0: 2.
	Depth int
	// Switches is how many departures from the sequential schedule Interleavings makes at most; 0: 2.
	Switches int
	// End is how the life ends that Interleavings looks at. Zero: by a power cut when the clients are
	// done, which keeps nothing that was not synced.
	End sim.End
	// Failures is how many failing runs end the exploration; 0: one.
	Failures int
	Jobs     int  // runs at the same time; 0: one per processor
	Strict   bool // see sim.Config
	// Progress is told about twice a second; nil: nobody. Calls do not overlap.
	Progress func(Progress)
}

// Progress is how far an exploration is.
type Progress struct {
	Runs     int64
	Done, Of int // parts of the exploration; they differ in size
	Failures int
	Elapsed  time.Duration
}

// Result is what an exploration has found.
type Result struct {
	Runs       int           // of the subject, from an empty disk to the audit
	Boundaries int           // of I/O calls that crashes were made at
	Crashes    int           // kills and images of power cuts at those boundaries, equal ones included
	Distinct   int           // of them, those that something can tell apart: each was recovered from
	Sampled    int           // boundaries with images too many to list: some, and drawn ones, were taken
	Choices    int           // points of all schedules but the deepest at which another task could have run
	Schedules  int           // different ones
	Failures   []*sim.Result // with their events, each replayed by its Plan.Token; those of a single crash or switch come first
	Whole      bool          // nothing was left out because of a failure or the context
	Elapsed    time.Duration
}

// String gives the figures in a line.
func (r *Result) String() string {
	s := fmt.Sprintf("%d runs in %v", r.Runs, r.Elapsed.Round(time.Millisecond))
	if r.Boundaries > 0 {
		s += fmt.Sprintf(": %d boundaries (%d sampled), %d crashes, %d of them distinct", r.Boundaries, r.Sampled, r.Crashes, r.Distinct)
	}
	if r.Schedules > 0 {
		s += fmt.Sprintf(": %d schedules, %d choices", r.Schedules, r.Choices)
	}
	s += fmt.Sprintf(", %d failures", len(r.Failures))
	if !r.Whole {
		s += ", not complete"
	}
	return s
}

// add merges the counts and failures of a part.
func (r *Result) add(part *Result) {
	r.Runs += part.Runs
	r.Boundaries += part.Boundaries
	r.Crashes += part.Crashes
	r.Distinct += part.Distinct
	r.Sampled += part.Sampled
	r.Choices += part.Choices
	r.Schedules += part.Schedules
	r.Failures = append(r.Failures, part.Failures...)
}

// explorer is an exploration under way.
type explorer struct {
	config  Config
	subject sim.Subject
	ctx     context.Context
	start   time.Time
	runs    atomic.Int64
	done    atomic.Int64
	failed  atomic.Int64
	of      atomic.Int64
}

func newExplorer(ctx context.Context, c Config, subject sim.Subject) *explorer {
	if c.Plan.Seed == 0 {
		c.Plan.Seed = 1
	}
	if c.Plan.Profile == "" {
		c.Plan.Profile = "sector"
	}
	if c.Drawn == 0 {
		c.Drawn = 4
	}
	c.Drawn = max(c.Drawn, 0)
	c.Failures = max(c.Failures, 1)
	if c.Jobs <= 0 {
		c.Jobs = runtime.GOMAXPROCS(0)
	}
	c.Plan.Lives, c.Plan.Ends = 1, nil
	return &explorer{config: c, subject: subject, ctx: ctx, start: time.Now()}
}

// part is one piece of an exploration, for one job at a time.
type part struct {
	*explorer
	result Result
}

// enough reports whether the part is to end early.
func (p *part) enough() bool {
	return len(p.result.Failures) >= p.config.Failures || p.ctx.Err() != nil
}

// execute runs a plan. A failure is kept with its events.
func (p *part) execute(plan sim.Plan, probe sim.Probe) (*sim.Result, error) {
	res, err := sim.ExecuteProbed(plan, p.subject, p.config.Strict, probe)
	if err != nil {
		return nil, err
	}
	p.result.Runs++
	p.runs.Add(1)
	if res.Failure != nil {
		p.fail(plan, res)
	}
	return res, nil
}

// fail keeps a failing run, as it runs with its events kept.
func (p *part) fail(plan sim.Plan, res *sim.Result) {
	if kept, err := sim.Execute(plan, p.subject, sim.Keep); err == nil && kept.Failure != nil {
		res = kept
	}
	p.failed.Add(1)
	p.result.Failures = append(p.result.Failures, res)
}

// each runs f for the parts 0 to n-1 and merges what they found in this order, up to the one with
// the last failure that is wanted: later ones do not count, whether they have run or not.
func (e *explorer) each(n int, total *Result, f func(p *part, i int) error) error {
	e.of.Add(int64(n))
	parts := make([]*part, n)
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, e.config.Jobs)
	for job := range e.config.Jobs {
		group.Go(func() {
			for e.ctx.Err() == nil && e.failed.Load() < int64(e.config.Failures) && errs[job] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				p := &part{explorer: e}
				errs[job] = f(p, i)
				parts[i] = p
				e.done.Add(1)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for _, p := range parts {
		if p == nil || len(total.Failures) >= e.config.Failures {
			break
		}
		total.add(&p.result)
	}
	return nil
}

// explore runs f, with progress told aside, and completes the result.
func (e *explorer) explore(f func(total *Result) error) (*Result, error) {
	total := &Result{}
	stop, told := make(chan struct{}), make(chan struct{})
	go e.tell(stop, told)
	err := f(total)
	close(stop)
	<-told
	if err != nil {
		return nil, err
	}
	if len(total.Failures) > e.config.Failures {
		total.Failures = total.Failures[:e.config.Failures]
	}
	total.Whole = e.ctx.Err() == nil && len(total.Failures) < e.config.Failures
	total.Elapsed = time.Since(e.start)
	return total, nil
}

// tell reports progress twice a second, and once more at the end.
func (e *explorer) tell(stop <-chan struct{}, told chan<- struct{}) {
	defer close(told)
	if e.config.Progress == nil {
		return
	}
	ticks := time.NewTicker(500 * time.Millisecond)
	defer ticks.Stop()
	for open := true; open; {
		select {
		case <-stop:
			open = false
		case <-ticks.C:
		}
		e.config.Progress(Progress{
			Runs: e.runs.Load(), Done: int(e.done.Load()), Of: int(e.of.Load()),
			Failures: int(e.failed.Load()), Elapsed: time.Since(e.start),
		})
	}
}

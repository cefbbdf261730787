package sim

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aegis-storage/aegis/sim/disk"
)

// Config is what Run does with a subject. The zero value runs 1,000 seeds from 1 on under every
// honest profile of the disk.
type Config struct {
	Seeds    int           // how many; 0: 1,000, or no limit if Duration is set
	First    uint64        // the first one; 0: 1
	Duration time.Duration // no new seed begins after this; 0: no limit
	Jobs     int           // runs at the same time; 0: one per processor
	// Profiles are names of disk.Profiles that seeds draw from. Empty: the honest ones, in which
	// only crashes strike, so that every error of the store is a failure. "all" stands for all.
	Profiles []string
	Modes    int // Life.Mode is drawn below it; 0: always 0
	// Mode is Life.Mode of every run, if Modes is 0.
	Mode uint8
	// Strict finds calls from goroutines that the simulator did not start. It makes runs slower.
	Strict bool
	// Failures is how many failing seeds end the run; 0: one.
	Failures int
	// NoShrink leaves failing plans as they were drawn.
	NoShrink bool
	// Progress is told about twice a second; nil: nobody. It is called from one goroutine.
	Progress func(Progress)
	// Record is how much of each run is recorded.
	Record Mode
	// Ended is told of each run as it ends, in no particular order; nil: nobody. It is called from
	// several goroutines, by one at a time.
	Ended func(*Result)
}

// Progress is how far a Run is.
type Progress struct {
	Seeds    int // that have ended
	Of       int // 0: no limit
	Failures int
	Steps    int64
	Elapsed  time.Duration
}

// Report is what became of all seeds.
type Report struct {
	Seeds    int
	Steps    int64
	Elapsed  time.Duration
	Failures []*Result // shrunk, with their events; in the order in which they were found
	// Cover are the counts of all runs together; a count that stays away was never reached.
	Cover map[string]uint64
	// Under are the counts of those runs in which faults of a class struck, by the class's name.
	Under map[string]map[string]uint64
	Ends  map[string]int // failures by check
}

// Execute runs one plan. The error is about the plan: a profile that does not exist.
func Execute(plan Plan, subject Subject, mode Mode) (*Result, error) {
	return execute(plan, subject, mode, settings{profiles: honest()})
}

// honest are the profiles in which nothing but crashes happens. Nobody changes them.
var honest = sync.OnceValue(func() []disk.Profile {
	var out []disk.Profile
	for _, p := range disk.Profiles() {
		if !slices.ContainsFunc(disk.Classes(), func(c disk.Class) bool { return c != disk.Crash && p.Has(c) }) {
			out = append(out, p)
		}
	}
	return out
})

// settings resolves the names of profiles.
func (c *Config) settings() (settings, error) {
	s := settings{strict: c.Strict}
	for _, name := range c.Profiles {
		if name == "all" {
			s.profiles = append(s.profiles, disk.Profiles()...)
			continue
		}
		p, err := profileNamed(name)
		if err != nil {
			return s, err
		}
		s.profiles = append(s.profiles, p)
	}
	if len(s.profiles) == 0 {
		s.profiles = honest()
	}
	return s, nil
}

func profileNamed(name string) (disk.Profile, error) {
	p, ok := disk.ProfileNamed(name)
	if !ok {
		var names []string
		for _, p := range disk.Profiles() {
			names = append(names, p.Name)
		}
		return p, fmt.Errorf("sim: there is no profile %q, there are %v", name, names)
	}
	return p, nil
}

// plan is that of the n-th seed.
func (c *Config) plan(n int) Plan {
	p := Plan{Seed: max(c.First, 1) + uint64(n), Mode: c.Mode}
	if c.Modes > 0 {
		p.Mode = uint8(dice{p.Seed}.n("mode", c.Modes))
	}
	return p
}

// Run runs seeds until there are enough of them, or enough failures, or ctx ends. Failing plans are
// shrunk. The error is about the Config.
func Run(ctx context.Context, c Config, subject Subject) (*Report, error) {
	set, err := c.settings()
	if err != nil {
		return nil, err
	}
	if c.Seeds == 0 && c.Duration == 0 {
		c.Seeds = 1000
	}
	s := &sweep{config: c, set: set, subject: subject, start: time.Now(), report: newReport()}
	asked := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.stop = cancel
	var group sync.WaitGroup
	jobs := c.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	for range jobs {
		group.Go(func() { s.work(ctx) })
	}
	told := make(chan struct{})
	go s.tell(ctx, told)
	group.Wait()
	cancel()
	<-told
	s.report.Elapsed = time.Since(s.start)
	if !c.NoShrink {
		for i, res := range s.report.Failures {
			s.report.Failures[i] = shrink(asked, res, subject, set)
		}
	}
	return s.report, nil
}

func newReport() *Report {
	return &Report{Cover: map[string]uint64{}, Under: map[string]map[string]uint64{}, Ends: map[string]int{}}
}

// sweep is a Run under way.
type sweep struct {
	config  Config
	set     settings
	subject Subject
	start   time.Time
	stop    func()
	next    atomic.Int64
	done    atomic.Int64
	steps   atomic.Int64
	failed  atomic.Int64

	mu     sync.Mutex
	report *Report
}

// work takes seed after seed.
func (s *sweep) work(ctx context.Context) {
	mine := newReport()
	defer s.merge(mine)
	for ctx.Err() == nil {
		n := int(s.next.Add(1)) - 1
		if s.config.Seeds > 0 && n >= s.config.Seeds || s.config.Duration > 0 && time.Since(s.start) > s.config.Duration {
			return
		}
		res, err := execute(s.config.plan(n), s.subject, s.config.Record, s.set)
		if err != nil {
			return // the settings were checked: the profile is there
		}
		s.done.Add(1)
		s.steps.Add(res.Steps)
		mine.count(res.Cover)
		if s.config.Ended != nil {
			s.ended(res)
		}
		if res.Failure != nil {
			s.keep(res)
		}
	}
}

func (s *sweep) ended(res *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Ended(res)
}

// faultCount begins the names of the counts of faults in Cover; the class's name follows.
const faultCount = "fault "

// count adds the counts of one run.
func (r *Report) count(cover map[string]uint64) {
	add(r.Cover, cover)
	for name := range cover {
		if class, ok := strings.CutPrefix(name, faultCount); ok {
			r.under(class, cover)
		}
	}
}

func (r *Report) under(class string, cover map[string]uint64) {
	if r.Under[class] == nil {
		r.Under[class] = map[string]uint64{}
	}
	add(r.Under[class], cover)
}

// add adds the counts of one map to those of another.
func add(to, from map[string]uint64) {
	for k, v := range from {
		to[k] += v
	}
}

// keep notes a failure, and ends the sweep when there are enough.
func (s *sweep) keep(res *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Failures = append(s.report.Failures, res)
	s.report.Ends[res.Failure.Check]++
	if s.failed.Add(1) >= int64(max(s.config.Failures, 1)) {
		s.stop()
	}
}

func (s *sweep) merge(mine *Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(s.report.Cover, mine.Cover)
	for class, cover := range mine.Under {
		s.report.under(class, cover)
	}
	s.report.Seeds, s.report.Steps = int(s.done.Load()), s.steps.Load()
}

// tell reports progress twice a second.
func (s *sweep) tell(ctx context.Context, told chan<- struct{}) {
	defer close(told)
	if s.config.Progress == nil {
		return
	}
	ticks := time.NewTicker(500 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			s.config.Progress(s.progress())
			return
		case <-ticks.C:
			s.config.Progress(s.progress())
		}
	}
}

func (s *sweep) progress() Progress {
	return Progress{
		Seeds: int(s.done.Load()), Of: s.config.Seeds, Failures: int(s.failed.Load()),
		Steps: s.steps.Load(), Elapsed: time.Since(s.start),
	}
}

// CoverNames are the names in a report's Cover, sorted.
func (r *Report) CoverNames() []string { return slices.Sorted(maps.Keys(r.Cover)) }

package sim

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aegis-storage/aegis/sim/world"
)

// shrinkFor bounds the time that one plan is shrunk for.
const shrinkFor = 20 * time.Second

// Shrink makes a failing plan smaller: fewer lives, operations, faults and switches between tasks,
// as long as the same check still fails. It returns the smallest run that it found, with its
// events; the plan of its Result is the one to keep. It ends early when ctx does. Shrinking is delta debugging (Zeller and
// Hildebrandt, 2002) over the lists of what happened.
func Shrink(ctx context.Context, plan Plan, subject Subject, c Config) (*Result, error) {
	set, err := c.settings()
	if err != nil {
		return nil, err
	}
	res, err := execute(plan, subject, Fast, set)
	if err != nil || res.Failure == nil || ctx.Err() != nil {
		return res, err
	}
	return shrink(ctx, res, subject, set), nil
}

// shrinker holds the smallest failing run so far.
type shrinker struct {
	ctx     context.Context
	best    *Result
	subject Subject
	set     settings
	until   time.Time
}

func shrink(ctx context.Context, res *Result, subject Subject, set settings) *Result {
	if res.Failure.Check == blockedCheck { // each try would take half a minute and leave goroutines behind
		return res
	}
	s := &shrinker{ctx: ctx, best: res, subject: subject, set: set, until: time.Now().Add(shrinkFor)}
	plan := res.Plan
	plan.Profile = res.Profile
	if drawn, err := plan.draw(set.profiles); err == nil {
		plan.Lives = min(drawn.lives, res.Lives) // the last one, which is not counted, may be the one that failed
	}
	plan.Ops, plan.Preempts, plan.Faults = setOf(res.Ops), setOf(res.Preempts), setOf(res.Faults)
	if s.try(plan) {
		s.all()
	}
	// A token may have to leave out the longest lists. The run that is told is the token's.
	for _, plan := range []Plan{s.best.Plan, res.Plan} {
		plan, err := ParseToken(plan.Token())
		if err != nil {
			continue
		}
		kept, err := execute(plan, subject, Keep, set)
		if err == nil && kept.Failure != nil && kept.Failure.Check == res.Failure.Check {
			return kept
		}
	}
	return s.best
}

// going reports whether there is time left.
func (s *shrinker) going() bool { return s.ctx.Err() == nil && time.Now().Before(s.until) }

// try runs a plan and keeps it if it fails like the best one. What of the plan did not happen is
// dropped from it.
func (s *shrinker) try(plan Plan) bool {
	res, err := execute(plan, s.subject, Fast, s.set)
	if err != nil || res.Failure == nil || res.Failure.Check != s.best.Failure.Check {
		return false
	}
	plan.Ops, plan.Preempts, plan.Faults = setOf(res.Ops), setOf(res.Preempts), setOf(res.Faults)
	plan.Lives = min(plan.Lives, max(res.Lives, 1))
	res.Plan = plan
	s.best = res
	return true
}

// all shrinks part by part until nothing gets smaller.
func (s *shrinker) all() {
	for lives := 1; lives < s.best.Plan.Lives && s.going(); lives++ {
		plan := s.best.Plan
		if plan.Lives = lives; s.try(plan) {
			break
		}
	}
	for before := s.best; s.going(); before = s.best {
		s.part(func(p *Plan) *world.Filter { return &p.Ops })
		s.free()
		s.part(func(p *Plan) *world.Filter { return &p.Preempts })
		s.part(func(p *Plan) *world.Filter { return &p.Faults })
		if s.best == before {
			return
		}
	}
}

// salts is how many other schedules are tried for each operation that may be left out.
const salts = 6

// free leaves out single operations, with the switches, then also the faults left to the seed again,
// then under other schedules: what was kept may have been in what is left out, or fit no more. What
// comes instead counts as smaller.
func (s *shrinker) free() {
	for _, k := range slices.Sorted(maps.Keys(s.best.Plan.Ops)) {
		plan := s.best.Plan
		if !plan.Ops[k] {
			continue
		}
		plan.Ops = maps.Clone(plan.Ops)
		delete(plan.Ops, k)
		plan.Preempts = nil
		found := s.try(plan)
		plan.Faults = nil
		for n := 0; n <= salts && !found && s.going(); n++ {
			found = s.try(plan)
			plan.Salt++
		}
	}
}

// part leaves out ever smaller pieces of one list.
func (s *shrinker) part(of func(*Plan) *world.Filter) {
	for piece := len(*of(&s.best.Plan)); piece > 0; piece /= 2 {
		keys := slices.Sorted(maps.Keys(*of(&s.best.Plan)))
		for at := 0; at < len(keys) && s.going(); at += piece {
			less := maps.Clone(*of(&s.best.Plan))
			before := len(less)
			for _, k := range keys[at:min(at+piece, len(keys))] {
				delete(less, k)
			}
			if len(less) == before {
				continue // gone with an earlier piece
			}
			plan := s.best.Plan
			*of(&plan) = less
			s.try(plan)
		}
	}
}

func setOf(keys []uint32) world.Filter {
	f := make(world.Filter, len(keys))
	for _, k := range keys {
		f[k] = true
	}
	return f
}

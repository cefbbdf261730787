package explore

import (
	"context"
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/world"
)

// Boundaries runs the plan's one life to an orderly end, and then again with a crash at each
// boundary of its I/O calls, before and behind the effect of each: with a kill, and with every image
// that a power cut may leave. After each crash comes the last life, in which the subject audits. The
// error is about the plan. Subjects without Life.AtClose are crashed up to where their clients are
// done.
func Boundaries(ctx context.Context, c Config, subject sim.Subject) (*Result, error) {
	return crashes(ctx, c, 1, subject)
}

// Nested is Boundaries, and after each crash that passes the audit it has the subject recover from
// it in a life without operations, with a crash at each boundary of that. Depth goes on so. The
// error is about the plan.
func Nested(ctx context.Context, c Config, subject sim.Subject) (*Result, error) {
	if c.Depth <= 0 {
		c.Depth = 2
	}
	return crashes(ctx, c, c.Depth, subject)
}

func crashes(ctx context.Context, c Config, depth int, subject sim.Subject) (*Result, error) {
	e := newExplorer(ctx, c, subject)
	return e.explore(func(total *Result) error {
		first := &part{explorer: e}
		found, err := first.look(nil, depth == 1)
		total.add(&first.result)
		if err != nil || first.enough() {
			return err
		}
		passed := make([]bool, len(found))
		err = e.each(len(found), total, func(p *part, i int) (err error) {
			passed[i], err = p.audit(next(nil, found[i].end), found[i].image)
			return err
		})
		if err != nil || depth == 1 || len(total.Failures) >= e.config.Failures {
			return err
		}
		return e.each(len(found), total, func(p *part, i int) error {
			if !passed[i] {
				return nil
			}
			return p.deeper(next(nil, found[i].end), depth-1)
		})
	})
}

// deeper crashes the life after those that ended as given. What passes the audit then is crashed
// again, up to a depth.
func (p *part) deeper(ends []sim.End, depth int) error {
	found, err := p.look(ends, depth == 1)
	if err != nil {
		return err
	}
	var passed [][]sim.End
	for _, c := range found {
		if p.enough() {
			return nil
		}
		chain := next(ends, c.end)
		ok, err := p.audit(chain, c.image)
		if err != nil {
			return err
		}
		if ok && depth > 1 {
			passed = append(passed, chain)
		}
	}
	for _, chain := range passed {
		if p.enough() {
			break
		}
		if err := p.deeper(chain, depth-1); err != nil {
			return err
		}
	}
	return nil
}

// crash is one way in which a life may end.
type crash struct {
	end   sim.End
	image uint64 // that it leaves
}

// outcome is what can be told of a crash afterwards.
type outcome struct {
	kind  sim.EndKind
	code  uint64 // what the subject remembers
	image uint64
	dirty uint64 // what a power cut in the next life may leave of it, if there is one to come
}

// plan is the run in which lives end as given, and then comes the last one.
func (e *explorer) plan(ends []sim.End) sim.Plan {
	plan := e.config.Plan
	plan.Lives, plan.Ends = len(ends), ends
	return plan
}

// next adds the end of one more life. All but the first have no operations.
func next(ends []sim.End, end sim.End) []sim.End {
	end.Life = len(ends) + 1
	end.Idle = end.Life > 1
	return append(slices.Clip(ends), end)
}

// audit has lives end as given, and then the last one. It reports whether all held. image is what
// the last crash has to leave.
func (p *part) audit(ends []sim.End, image uint64) (bool, error) {
	plan := p.plan(ends)
	left := uint64(0)
	res, err := p.execute(plan, sim.Probe{Ended: func(life int, _ sim.EndKind, image uint64) {
		if life == len(ends) {
			left = image
		}
	}})
	if err != nil || res.Failure != nil {
		return false, err
	}
	if left != image {
		res.Failure = &sim.Failure{Check: "determinism", Life: len(ends), Text: fmt.Sprintf(
			"the same plan has left two different disks by boundary %d of life %d: the subject depends on a clock, on chance, or on the order of a map",
			ends[len(ends)-1].At.IO, len(ends))}
		p.fail(plan, res)
		return false, nil
	}
	return true, nil
}

// look runs one more life to an orderly end and lists the crashes that may end it before. If it is
// the deepest that is crashed, what a kill leaves unsynced does not matter.
func (p *part) look(ends []sim.End, deepest bool) ([]crash, error) {
	ends = next(ends, sim.End{Kind: sim.Close})
	var found []crash
	seen := map[outcome]bool{}
	add := func(o outcome, end sim.End) {
		p.result.Crashes++
		if !seen[o] {
			seen[o] = true
			found = append(found, crash{end, o.image})
		}
	}
	res, err := p.execute(p.plan(ends), sim.Probe{Boundary: func(b sim.Boundary) {
		if b.Life != len(ends) {
			return
		}
		p.result.Boundaries++
		images, exact := b.Images(p.config.Drawn)
		if !exact {
			p.result.Sampled++
		}
		at := world.CrashAt{IO: b.IO}
		for _, image := range images {
			add(outcome{kind: sim.Power, code: b.Code, image: image.Hash}, sim.End{Kind: sim.Power, At: at, Image: image.Number})
		}
		kill := outcome{kind: sim.Kill, code: b.Code, image: b.Disk.Image()}
		if !deepest {
			kill.dirty = dirty(images)
		}
		add(kill, sim.End{Kind: sim.Kill, At: at})
	}})
	if err != nil || res.Failure != nil {
		return nil, err
	}
	p.result.Distinct += len(found)
	return found, nil
}

// dirty is a hash of what power cuts may leave.
func dirty(images []sim.Image) uint64 {
	h := uint64(14695981039346656037)
	for _, image := range images {
		h = (h ^ image.Hash) * 1099511628211
		h ^= h >> 29
	}
	return h
}

package explore

import (
	"context"
	"slices"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/world"
)

// Interleavings runs the plan's one life in the sequential schedule and in all that depart from it
// by at most Config.Switches switches, see the package's comment. After each comes the last life,
// in which the subject audits. The error is about the plan.
func Interleavings(ctx context.Context, c Config, subject sim.Subject) (*Result, error) {
	if c.Switches <= 0 {
		c.Switches = 2
	}
	if c.End.Kind == sim.Drawn {
		c.End = sim.End{Kind: sim.Power, Image: 1}
	}
	c.End.Life = 1
	e := newExplorer(ctx, c, subject)
	e.config.Plan.Ends = []sim.End{c.End}
	return e.explore(func(total *Result) error {
		first := &part{explorer: e}
		points, err := first.schedule([]world.Switch{}, c.Switches)
		total.add(&first.result)
		if err != nil || first.enough() {
			return err
		}
		switches := all(points)
		behind := make([][]point, len(switches))
		err = e.each(len(switches), total, func(p *part, i int) (err error) {
			behind[i], err = p.schedule(switches[i:i+1:i+1], c.Switches-1)
			return err
		})
		if err != nil || c.Switches == 1 || len(total.Failures) >= e.config.Failures {
			return err
		}
		return e.each(len(switches), total, func(p *part, i int) error {
			return p.deviate(switches[i:i+1:i+1], behind[i], c.Switches-1)
		})
	})
}

// point is a choice of a run at which others could have run.
type point struct {
	at     int64
	others int
}

// all are the switches that are possible at the points.
func all(points []point) (switches []world.Switch) {
	for _, point := range points {
		for to := range point.others {
			switches = append(switches, world.Switch{At: point.at, To: to})
		}
	}
	return switches
}

// deviate runs all schedules that begin with these switches and have up to so many more, behind
// which these points lie.
func (p *part) deviate(switches []world.Switch, points []point, more int) error {
	for _, one := range all(points) {
		if p.enough() {
			break
		}
		longer := append(slices.Clip(switches), one)
		behind, err := p.schedule(longer, more-1)
		if err == nil {
			err = p.deviate(longer, behind, more-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// schedule runs one schedule. It returns the points behind its last switch, if more are wanted; of
// one that fails none.
func (p *part) schedule(switches []world.Switch, more int) ([]point, error) {
	plan := p.config.Plan
	plan.Switches = switches
	var probe sim.Probe
	var points []point
	if more > 0 {
		probe.Choice = func(life int, at int64, others int) {
			p.result.Choices++
			points = append(points, point{at, others})
		}
	}
	res, err := p.execute(plan, probe)
	p.result.Schedules++
	if err != nil || res.Failure != nil {
		return nil, err
	}
	return points, nil
}

package run

import (
	"slices"

	"github.com/aegis-storage/aegis/bench/engine"
	"github.com/aegis-storage/aegis/bench/workload"
)

// Point is what is measured on each engine.
type Point struct {
	Workload   workload.Workload
	Clients    int
	Keys       int
	ValueBytes int
}

// Job is one measurement: a point on an engine in a round.
type Job struct {
	Point
	Engine engine.Driver
	Round  int
}

// Schedule returns the jobs of all rounds. In each round the engines take turns at a point, and
// another one of them begins with each point and each round: none always comes after the same, or
// always first.
func Schedule(points []Point, drivers []engine.Driver, rounds int) []Job {
	var jobs []Job
	for round := range rounds {
		for i, p := range points {
			for _, d := range rotated(suited(p.Workload, drivers), round+i) {
				jobs = append(jobs, Job{p, d, round + 1})
			}
		}
	}
	return jobs
}

// ScheduleBySize is Schedule for stores of many sizes, of which the disk may not hold all at once:
// each engine goes through all points of one size before the next begins.
func ScheduleBySize(points []Point, drivers []engine.Driver, rounds int) []Job {
	type size struct{ keys, valueBytes int }
	var sizes []size
	grouped := map[size][]Point{}
	for _, p := range points {
		s := size{p.Keys, p.ValueBytes}
		if grouped[s] == nil {
			sizes = append(sizes, s)
		}
		grouped[s] = append(grouped[s], p)
	}
	var jobs []Job
	for round := range rounds {
		for i, s := range sizes {
			for _, d := range rotated(drivers, round+i) {
				for _, p := range grouped[s] {
					if p.Workload.Suits(d) {
						jobs = append(jobs, Job{p, d, round + 1})
					}
				}
			}
		}
	}
	return jobs
}

func suited(w workload.Workload, drivers []engine.Driver) []engine.Driver {
	return slices.DeleteFunc(slices.Clone(drivers), func(d engine.Driver) bool { return !w.Suits(d) })
}

func rotated[T any](all []T, by int) []T {
	if len(all) == 0 {
		return nil
	}
	by %= len(all)
	return slices.Concat(all[by:], all[:by])
}

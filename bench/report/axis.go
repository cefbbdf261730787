package report

import "math"

// axis maps values to a stretch of the picture.
type axis struct {
	from, to float64 // of the values
	a, b     float64 // of the picture
	log      bool
}

// linear is an axis from zero to a round number at or above high.
func linear(high, a, b float64) axis {
	if high <= 0 {
		high = 1
	}
	step := niceStep(high / 4)
	return axis{from: 0, to: math.Ceil(high/step-1e-9) * step, a: a, b: b}
}

// logarithmic is an axis whose ends are 1, 2 or 5 times a power of ten, around low and high.
func logarithmic(low, high, a, b float64) axis {
	from, to := roundDown(low), roundDown(high)
	for to < high*(1-1e-9) {
		to = nextRound(to)
	}
	if from >= to {
		to = nextRound(from)
	}
	return axis{from: from, to: to, a: a, b: b, log: true}
}

func (x axis) at(v float64) float64 {
	part := (v - x.from) / (x.to - x.from)
	if x.log {
		part = math.Log(v/x.from) / math.Log(x.to/x.from)
	}
	return x.a + min(max(part, 0), 1)*(x.b-x.a)
}

// ticks are values for lines of the grid, about most of them at the most.
func (x axis) ticks(most int) []float64 {
	var list []float64
	if !x.log {
		step := niceStep((x.to - x.from) / float64(most))
		for v := x.from; v <= x.to*(1+1e-9); v += step {
			list = append(list, v)
		}
		return list
	}
	for v := x.from; v <= x.to*(1+1e-9); v = nextRound(v) {
		list = append(list, v)
	}
	if len(list) <= most {
		return list
	}
	list = list[:0]
	every := math.Pow(10, math.Ceil(math.Log10(x.to/x.from)/float64(most)-1e-9))
	for v := math.Pow(10, math.Ceil(math.Log10(x.from)-1e-9)); v <= x.to*(1+1e-9); v *= every {
		list = append(list, v)
	}
	return list
}

// niceStep is the least of 1, 2, 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	step := roundDown(v)
	for step < v*(1-1e-9) {
		step = nextRound(step)
	}
	return step
}

// roundDown is the greatest of 1, 2, 5 times a power of ten that is not above v.
func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, m := range []float64{5, 2} {
		if v >= m*power*(1-1e-9) {
			return m * power
		}
	}
	return power
}

func nextRound(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	switch m := math.Round(v / power); m {
	case 1:
		return 2 * power
	case 2:
		return 5 * power
	}
	return 10 * power
}

package workload

import "math"

// zipfTheta is the skew that YCSB uses.
const zipfTheta = 0.99

// zipf draws ranks below n, of which rank i has a probability proportional to 1/(i+1)^0.99. It is
// the method of Gray et al., "Quickly generating billion-record synthetic databases" (1994), as in
// YCSB. It is immutable once made.
type zipf struct {
	n                         int
	alpha, eta, zetaN, second float64
}

// newZipf takes time in proportion to n.
func newZipf(n int) *zipf {
	zetaN := 0.0
	for i := 1; i <= n; i++ {
		zetaN += math.Pow(float64(i), -zipfTheta)
	}
	second := 1 + math.Pow(0.5, zipfTheta)
	return &zipf{
		n: n, zetaN: zetaN, second: second,
		alpha: 1 / (1 - zipfTheta),
		eta:   (1 - math.Pow(2/float64(n), 1-zipfTheta)) / (1 - second/zetaN),
	}
}

// rank returns a rank; 0 is the likeliest.
func (z *zipf) rank(r *Random) int {
	u := r.Float()
	switch uz := u * z.zetaN; {
	case uz < 1 || z.n == 1:
		return 0
	case uz < z.second || z.n == 2:
		return 1
	}
	rank := int(float64(z.n) * math.Pow(z.eta*u-z.eta+1, z.alpha))
	return min(rank, z.n-1)
}

// index returns a rank's index, scrambled as in YCSB: the likely keys lie anywhere, and a few ranks
// share an index.
func (z *zipf) index(r *Random) int {
	return int(mix(uint64(z.rank(r))+golden) % uint64(z.n))
}

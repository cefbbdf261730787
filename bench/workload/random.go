package workload

import "math/bits"

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014). It is a bijection.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const golden = 0x9e3779b97f4a7c15

// Random is the generator splitmix64: a few instructions, no shared state. It is for one goroutine.
type Random struct{ state uint64 }

// NewRandom returns a generator of its own for each part, such as the round and the client.
func NewRandom(parts ...int) Random {
	var state uint64
	for _, p := range parts {
		state = mix(state + golden + uint64(p))
	}
	return Random{state}
}

// Next returns 64 random bits.
func (r *Random) Next() uint64 {
	r.state += golden
	return mix(r.state)
}

// Below returns a number in [0, n). Its bias is below n/2^64.
func (r *Random) Below(n int) int {
	high, _ := bits.Mul64(r.Next(), uint64(n))
	return int(high)
}

// Float returns a number in [0, 1).
func (r *Random) Float() float64 { return float64(r.Next()>>11) / (1 << 53) }

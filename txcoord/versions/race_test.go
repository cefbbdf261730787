//go:build race

package versions

// raceFactor divides the rounds of stress tests: the race detector makes them that much slower.
const raceFactor = 20

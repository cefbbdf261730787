//go:build !race

package versions

const raceFactor = 1

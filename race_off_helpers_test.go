//go:build !race

package aegis_test

const raceDetector = false

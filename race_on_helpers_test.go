//go:build race

package aegis_test

// raceDetector: everything takes about ten times as long.
const raceDetector = true

// Package plant is the catalogue of planted bugs: deliberate faults of the engine, one of which at
// a time is switched on to see whether the simulator's general checks find it.
//
// A bug is a few replacements in the engine's source text (Edit). All bugs are compiled into one
// binary by `go build -overlay`, each behind a switch that is off, so that the checkout is never
// touched and an ordinary build has nothing of them. The switch is the package active: in an
// ordinary build it says that there are no bugs to switch on.
//
// # Types
//
//   - Bug, Edit: the catalogue (Catalogue, Find), in one file for each part of the engine.
//   - Overlay: the patched files (NewOverlay) and how they get into a build (Write, Build).
//   - Row: how one bug fared. Score runs a planted binary for every bug, Scorecard prints the rows.
//
// It finds no bugs by itself: that is the work of the binary it runs.
package plant

// Package swarm is aegis's own workload for the simulator: clients that do everything the public
// API offers, at random, and a record of what they did and saw, which package history checks.
//
// What a run does is drawn from its seed: how many clients, which levels, which durabilities, how
// many keys, how large values are. No single mixture finds every defect, so each run has its own.
// The mode (Plan.Mode) chooses what the run is about: see Modes.
package swarm

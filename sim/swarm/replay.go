package swarm

import "github.com/aegis-storage/aegis/sim"

// Replay runs the plan of a token of the swarm, and fails the test if it fails: see sim.Replay.
func Replay(t sim.T, token string) {
	t.Helper()
	sim.Replay(t, Subject, token)
}

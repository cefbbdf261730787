package swarm

import (
	"testing"

	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/world"
)

// What a process reads when it starts may be in the system's cache only, if the one before it was
// killed. A recovery that builds on it has to make it durable first: else a power cut in the middle
// of that recovery leaves a log segment without the checkpoint that it continues.
func TestKillThenPowerCut(t *testing.T) {
	for n := range int64(120) {
		for m := n % 3; m < 60; m += 3 {
			crash(t, Plain, sim.End{Life: 1, Kind: sim.Kill, At: world.CrashAt{IO: n + 1}},
				sim.End{Life: 2, Kind: sim.Power, At: world.CrashAt{IO: m + 1}})
		}
	}
}

// A bulk load takes its keyspace's id by a commit that may be lost, although the checkpoint that
// names its tables is not. Recovery drops that keyspace; nobody may get its id again.
func TestBulkLoadCutShort(t *testing.T) {
	for n := range int64(1000) {
		crash(t, Bulk, sim.End{Life: 1, Kind: sim.Power, At: world.CrashAt{IO: 30 + n%250}}, sim.End{Life: 2, Kind: sim.Close})
	}
}

// The commit that names a loaded keyspace may outlive its tables on a disk that lies: recovery says
// so, instead of showing an empty keyspace.
func TestBulkLoadOnALyingDisk(t *testing.T) {
	for range 1000 {
		crash(t, Bulk)
	}
}

// On a disk that lies, too, a kill takes what a store without a log had not flushed: a commit whose
// client did not wait for it is lost, though another client has read it.
func TestAbandonedCommitWithoutLog(t *testing.T) {
	execute(t, sim.Plan{Seed: 363384, Mode: NoLog, Profile: "lying"})
}

var seeds uint64

// crash runs a plan of two lives that end so, with a seed that no other run had.
func crash(t *testing.T, mode uint8, ends ...sim.End) {
	t.Helper()
	seeds++
	plan := sim.Plan{Seed: seeds, Mode: mode, Lives: 2, Ends: ends}
	if ends == nil {
		plan.Profile = "lying"
	}
	execute(t, plan)
}

func execute(t *testing.T, plan sim.Plan) {
	t.Helper()
	res, err := sim.Execute(plan, Subject, sim.Fast)
	if err != nil {
		t.Fatal(err)
	}
	if res.Failure != nil {
		t.Fatalf("token %s: %v", plan.Token(), res.Failure)
	}
}

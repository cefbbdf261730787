package swarm

// Coverage names the counts that a run of some thousand seeds over all modes and profiles has to
// move (see sim.Report.Cover): rare paths of the engine, ends of lives, and classes of faults. One
// that stays at zero means that the workload has lost its reach. The caller must not change it.
var Coverage = []string{
	"commits", "conflicts", "refused for space", "oversize commits", "stalled turns", "waits for log",
	"waits for flush", "log rotations", "segments recycled", "failed preparations", "flushes", "merges",
	"merge steps", "failed flushes", "page loads", "pages evicted", "filter answers", "commits replayed",
	"torn tails", "orphans removed", "clean opens", "poisoned",
	"backups", "incremental backups", "offline backups", "restores", "restores cut short", "copies", "copies cut short",
	"end close", "end kill", "end power cut",
	"fault eio-read", "fault eio-write", "fault eio-sync", "fault eio-name", "fault enospc", "fault media",
	"fault lying", "fault time",
}

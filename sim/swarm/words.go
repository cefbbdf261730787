package swarm

import (
	"fmt"

	"github.com/aegis-storage/aegis/sim/history"
)

// describe says what an operation did, for the trace.
func describe(op *history.Op) string {
	at := quote(op.Key)
	if op.Space != "" {
		at = op.Space + " " + at
	}
	switch op.Kind {
	case history.Get:
		if !op.Found {
			return fmt.Sprintf("gets %s: not there", at)
		}
		return fmt.Sprintf("gets %s: %s", at, quote(op.Value))
	case history.Put:
		return fmt.Sprintf("puts %s = %s", at, quote(op.Value))
	case history.Delete:
		return "deletes " + at
	case history.Scan:
		how := ""
		if op.Reverse {
			how = " backwards"
		}
		if op.Stopped {
			how += ", stopping early"
		}
		return fmt.Sprintf("scans from %s to %s%s: %d pairs", at, quote(op.Hi), how, len(op.Pairs))
	}
	return fmt.Sprintf("%s keyspace %s: was there %t", [...]string{"opens", "creates", "drops"}[op.Kind-history.OpenSpace], op.Space, op.Found)
}

// quote shortens long text.
func quote(s string) string {
	const most = 24
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
}

// Package settle waits for an engine's background work, for engines that can only be asked how much
// of it there was.
package settle

import (
	"fmt"
	"time"
)

const (
	interval = 20 * time.Millisecond
	quiet    = 250 * time.Millisecond // idle and unchanged for so long is settled
	stuck    = 5 * time.Second        // and so is unchanged for so long, whatever the engine says is left to do
	limit    = 30 * time.Minute
)

// Wait samples an engine until its state stays the same. busy says that the engine has work under way
// or due: then Wait gives it longer to show progress. It fails when sample does, and when the engine
// is still at work after half an hour.
func Wait[State comparable](sample func() (state State, busy bool, err error)) error {
	start := time.Now()
	var last State
	for since := start; time.Since(start) < limit; time.Sleep(interval) {
		state, busy, err := sample()
		if err != nil {
			return err
		}
		if state != last {
			last, since = state, time.Now()
		}
		unchanged := time.Since(since)
		if unchanged >= stuck || (!busy && unchanged >= quiet) {
			return nil
		}
	}
	return fmt.Errorf("background work goes on after %v: %+v", limit, last)
}

package flusher

import (
	"fmt"

	"github.com/aegis-storage/aegis/messages"
)

// Waits tells what the machine waits for: its jobs, txcoord's word that it has seen enough to hear
// more, the Tick at which it tries again what failed; with nothing in hand, for the next Flush.
func (m *Machine) Waits() []messages.Wait {
	var all []messages.Wait
	add := func(is bool, on, what string) {
		if is {
			all = append(all, messages.Wait{On: on, For: what})
		}
	}
	add(m.flushing != nil, "job flush", "a run")
	add(m.stepping != nil, "job step", "a piece of a merge")
	add(m.publishing != nil, "job publish", "a checkpoint")
	add(m.removing != nil, "job remove", "files to be removed")
	add(m.told-m.seen >= maxUnseen, "txcoord", fmt.Sprintf("Seen, for %d messages", m.told-m.seen))
	add(m.waits != waits{}, "", "its Tick, to try again what failed")
	add(len(all) == 0 && len(m.flushes) == 0 && len(m.compactions) == 0, "txcoord", "a Flush")
	return all
}

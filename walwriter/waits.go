package walwriter

import "github.com/aegis-storage/aegis/messages"

// Waits tells what the machine waits for: its jobs, and the Tick at which it tries again what
// failed. Everything else it does within a Turn.
func (m *Machine) Waits() []messages.Wait {
	var all []messages.Wait
	if m.preparing != nil {
		all = append(all, messages.Wait{On: "job prepare", For: "a spare segment"})
	}
	if m.removing != nil {
		all = append(all, messages.Wait{On: "job remove", For: "segments to be removed"})
	}
	if m.prepareErr != nil {
		all = append(all, messages.Wait{For: "its Tick, to prepare a segment again after: " + m.prepareErr.Error()})
	}
	return all
}

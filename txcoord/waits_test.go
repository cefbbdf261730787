package txcoord

import (
	"errors"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// TestWaits: what is out, and what the first of the held commits lacks, has the name of the actor whose
// doing it is.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(m *Machine)
		on    []string
	}{
		{"nothing is out", func(*Machine) {}, nil},
		{"appends", func(m *Machine) { m.appendsOut = 2 }, []string{"walwriter"}},
		{"a sync", func(m *Machine) { m.durable, m.syncSent = 3, 5 }, []string{"walwriter"}},
		{"a flush", func(m *Machine) { m.frozen = []frozen{{upTo: 9}, {upTo: 4, sent: true}} }, []string{"flusher"}},
		{"a flush that was not sent", func(m *Machine) { m.frozen = []frozen{{upTo: 9}} }, nil},
		{"credit", func(m *Machine) { m.hold(); m.credit = 0 }, []string{"walwriter"}},
		{"no log", func(m *Machine) { m.hold(); m.credit, m.log = 0, false }, nil},
		{"frozen indexes", func(m *Machine) { m.hold(); m.frozen, m.limits.IndexBytes = make([]frozen, 2), 1 }, []string{"flusher"}},
		{"merges", func(m *Machine) { m.hold(); m.debt = 8 }, []string{"flusher"}},
		{"a Tick", func(m *Machine) { m.hold(); m.debt = 6 }, []string{""}},
		{"room is there", func(m *Machine) { m.hold() }, nil},
		{"two things", func(m *Machine) { m.hold(); m.credit, m.appendsOut = 0, 1 }, []string{"walwriter", "walwriter"}},
		{"poisoned", func(m *Machine) { m.appendsOut, m.poisoned = 2, errors.New("dead") }, nil},
	} {
		m := &Machine{log: true, credit: 1 << 20, limits: messages.Limits{MaxFrozen: 2, MaxRuns: 8, IndexBytes: 1 << 40}}
		m.active = versions.NewIndex(0, versions.IndexOptions{ChunkBytes: 1 << 12, ExpectKeys: 1})
		m.active.Put(1, []byte("key"), []byte("value"), pages.KindValue, 1, &versions.Keep{})
		c.state(m)
		var on []string
		for _, w := range m.Waits() {
			on = append(on, w.On)
			if w.For == "" {
				t.Errorf("%s: it is not said what for", c.name)
			}
		}
		if !slices.Equal(on, c.on) {
			t.Errorf("%s: it waits for %q, want %q", c.name, on, c.on)
		}
	}
}

// hold holds one commit back.
func (m *Machine) hold() { m.held = []*messages.Commit{{Batch: make([]byte, 100)}} }

package flusher

import (
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
)

// TestWaits: each job that is out is waited for, then txcoord, then the clock; a machine with nothing in
// hand waits for a Flush.
func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Machine
		on   []string
	}{
		{"nothing in hand", Machine{}, []string{"txcoord"}},
		{"jobs", Machine{flushing: &flushJob{}, stepping: &stepJob{}, publishing: &publishJob{}, removing: &removeJob{}},
			[]string{"job flush", "job step", "job publish", "job remove"}},
		{"txcoord", Machine{told: maxUnseen, flushes: make([]messages.Flush, 1)}, []string{"txcoord"}},
		{"a Tick", Machine{waits: waits{flush: true}, flushes: make([]messages.Flush, 1)}, []string{""}},
		{"a flush that nobody began", Machine{flushes: make([]messages.Flush, 1)}, nil},
		{"a Compact that nobody began", Machine{compactions: make([]*compaction, 1)}, nil},
	} {
		var on []string
		for _, w := range c.m.Waits() {
			on = append(on, w.On)
		}
		if !slices.Equal(on, c.on) {
			t.Errorf("%s: it waits for %q, want %q", c.name, on, c.on)
		}
	}
}

package walwriter

import (
	"errors"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
)

// TestWaits: jobs are waited for, and the Tick after one that failed.
func TestWaits(t *testing.T) {
	idle, busy := &Machine{}, &Machine{preparing: &prepareJob{}, removing: &removeJob{}, prepareErr: errors.New("full")}
	want := []messages.Wait{
		{On: "job prepare", For: "a spare segment"}, {On: "job remove", For: "segments to be removed"},
		{For: "its Tick, to prepare a segment again after: full"},
	}
	if got := busy.Waits(); !slices.Equal(got, want) || idle.Waits() != nil {
		t.Errorf("busy %v, idle %v", got, idle.Waits())
	}
}

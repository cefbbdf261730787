package versions

import (
	"fmt"

	"github.com/aegis-storage/aegis/pages"
)

// View is an immutable set of indexes and runs that together hold every commit up to the newest
// applied. A change makes a new View.
type View struct {
	Epoch  uint64       // rises with every View of a store
	Active *Index       // takes the Puts
	Frozen []*Index     // newest first
	Runs   []*pages.Run // newest first
	RunSeq pages.Seq    // every commit at or below it is in Runs, none above is
}

// Check verifies that the indexes and runs follow each other without overlap.
func (v *View) Check() error {
	if v.Active == nil {
		return fmt.Errorf("versions: view %d has no active index", v.Epoch)
	}
	above := v.Active.floor
	for i, x := range v.Frozen {
		seq, ok := x.Frozen()
		if !ok || seq > above {
			return fmt.Errorf("versions: view %d: frozen index %d at seq %d (frozen: %t) below floor %d", v.Epoch, i, seq, ok, above)
		}
		above = x.floor
	}
	if above < v.RunSeq {
		return fmt.Errorf("versions: view %d: index floor %d below run seq %d", v.Epoch, above, v.RunSeq)
	}
	return nil
}

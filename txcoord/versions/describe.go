package versions

import "fmt"

// String says what the View is made of, for traces.
func (v *View) String() string {
	return fmt.Sprintf("View %d: %d frozen indexes, %d runs up to seq %d", v.Epoch, len(v.Frozen), len(v.Runs), v.RunSeq)
}

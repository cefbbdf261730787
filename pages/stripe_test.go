package pages

import (
	"sync"
	"testing"
)

// TestStriped: no count is lost where goroutines make the cells at the same time.
func TestStriped(t *testing.T) {
	for range 200 {
		var s Striped
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 20 {
					s.Add()
				}
			})
		}
		group.Wait()
		if s.Sum() != 160 {
			t.Fatalf("the sum is %d, want 160", s.Sum())
		}
	}
	var s Striped
	if first := made(&s.cells[3]); made(&s.cells[3]) != first { // two goroutines found it missing
		t.Error("a cell was made twice")
	}
	if new(Striped).Sum() != 0 {
		t.Error("nothing was counted")
	}
}

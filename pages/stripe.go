package pages

import (
	"sync/atomic"
	"unsafe"
)

const stripes = 64

// striped is a counter that goroutines add to without taking one cache line from each other.
type striped struct {
	cells [stripes]struct {
		n atomic.Int64
		_ [120]byte // a line, and the line that the prefetcher takes with it
	}
}

// add counts one. The goroutine is told by the address of its stack, which only picks a cell:
// the address is never used as a pointer, and a stack that moves changes nothing but the cell.
func (s *striped) add() {
	var here byte
	s.cells[uintptr(unsafe.Pointer(&here))>>13%stripes].n.Add(1)
}

func (s *striped) sum() int64 {
	total := int64(0)
	for i := range s.cells {
		total += s.cells[i].n.Load()
	}
	return total
}

package pages

import (
	"sync/atomic"
	"unsafe"
)

const stripes = 64

// Striped is a counter that goroutines add to without taking one cache line from each other.
// The zero value is ready. Safe for concurrent use.
type Striped struct {
	cells [stripes]struct {
		n atomic.Int64
		_ [120]byte // a line, and the line that the prefetcher takes with it
	}
}

// Add counts one, and returns the count of the cell that took it: that of a goroutine, as long
// as its stack stays where it is. The goroutine is told by the address of its stack, which only
// picks a cell: the address is never used as a pointer, and a stack that moves changes nothing
// but the cell.
func (s *Striped) Add() int64 {
	var here byte
	return s.cells[uintptr(unsafe.Pointer(&here))>>13%stripes].n.Add(1)
}

// Sum is the count. It is exact when nobody adds meanwhile.
func (s *Striped) Sum() int64 {
	total := int64(0)
	for i := range s.cells {
		total += s.cells[i].n.Load()
	}
	return total
}

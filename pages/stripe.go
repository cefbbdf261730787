package pages

import (
	"sync/atomic"
	"unsafe"
)

const stripes = 64

// Striped is a counter that goroutines add to without taking one cache line from each other.
// The zero value is ready, and takes memory for those cells only that something was added to. Safe
// for concurrent use.
type Striped struct {
	cells [stripes]atomic.Pointer[stripe]
}

// stripe is a cell: a line, and the line that the prefetcher takes with it.
type stripe struct {
	n atomic.Int64
	_ [120]byte
}

// Add counts one, and returns the count of the cell that took it: that of a goroutine, as long
// as its stack stays where it is. The goroutine is told by the address of its stack, which only
// picks a cell: the address is never used as a pointer, and a stack that moves changes nothing
// but the cell.
func (s *Striped) Add() int64 {
	var here byte
	cell := &s.cells[uintptr(unsafe.Pointer(&here))>>13%stripes]
	c := cell.Load()
	if c == nil {
		c = made(cell)
	}
	return c.n.Add(1)
}

// made returns a cell's stripe, which this or another goroutine makes.
//
//go:noinline
func made(cell *atomic.Pointer[stripe]) *stripe {
	cell.CompareAndSwap(nil, new(stripe))
	return cell.Load()
}

// Sum is the count. It is exact when nobody adds meanwhile.
func (s *Striped) Sum() int64 {
	total := int64(0)
	for i := range s.cells {
		if c := s.cells[i].Load(); c != nil {
			total += c.n.Load()
		}
	}
	return total
}

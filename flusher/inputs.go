package flusher

import (
	"bytes"

	"github.com/aegis-storage/aegis/pages"
)

// input is a cursor on one source, or on the target's open table.
type input struct {
	cursor *pages.Cursor
	key    []byte // at the cursor
	age    int    // 0 is the newest
}

func (a *input) before(b *input) bool {
	c := bytes.Compare(a.key, b.key)
	return c < 0 || c == 0 && a.age < b.age
}

// inputs is a binary heap: on top is the lowest key, of the newest input that has it.
type inputs []*input

func (h *inputs) push(in *input) {
	*h = append(*h, in)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s[i].before(s[parent]) {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *inputs) pop() *input {
	s := *h
	top, last := s[0], len(s)-1
	s[0], s[last] = s[last], nil
	*h = s[:last]
	if last > 0 {
		h.sink()
	}
	return top
}

// sink restores the order after the top's key rose.
func (h *inputs) sink() {
	s, i := *h, 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			return
		}
		if child+1 < len(s) && s[child+1].before(s[child]) {
			child++
		}
		if !s[child].before(s[i]) {
			return
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}

package backends

import (
	"errors"
	"testing"
)

// Two calls that race for the same thing come one after the other into a lock, and the second
// finds it done. Here they do so in order.

func TestMemoryRacesForBlocks(t *testing.T) {
	f := &memoryFile{}
	first := f.makeBlock(3)
	if f.makeBlock(3) != first {
		t.Error("a second write to the same new block has replaced the first one's")
	}
	f.makeBlock(100)
	if f.block(3) != first {
		t.Error("growing the directory has lost a block")
	}
}

func TestMemoryRacesForSize(t *testing.T) {
	f := &memoryFile{}
	f.extend(10)
	f.extend(5)
	if got := f.size.Load(); got != 10 {
		t.Errorf("the size fell from 10 to %d", got)
	}
}

func TestLimitRacesForSpace(t *testing.T) {
	l := Limit(NewMemory(), 100)
	file := &limitedFile{}
	for _, size := range []int64{100, 60, 100} {
		if err := l.reserve("write", "f", file, size); err != nil {
			t.Error(err)
		}
		if l.used != 100 || file.size.Load() != 100 {
			t.Errorf("reserving %d after 100: %d in use, size %d; want 100, 100", size, l.used, file.size.Load())
		}
	}
	if err := l.reserve("write", "f", file, 101); !errors.Is(err, ErrNoSpace) {
		t.Errorf("reserving beyond the limit: %v", err)
	}
}

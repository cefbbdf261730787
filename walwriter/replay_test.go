package walwriter

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/pages"
)

// replayOutcome is all that a replay tells.
type replayOutcome struct {
	commits [][]byte
	err     string
	stats   string
}

// replayInBlocks replays a log through two blocks that take turns, as a pipeline does: while one
// is filled the other must stay as it is.
func replayInBlocks(t *testing.T, b backends.Backend, from Source, limit int) (o replayOutcome) {
	t.Helper()
	p, err := NewReplay(b, from, nil)
	if err != nil {
		o.err = err.Error()
		return o
	}
	defer p.Close()
	p.limit = limit
	var blocks [2]Block
	var seen [2][][]byte
	next := from.Seq + 1
	for i, more := 0, true; more; i = 1 - i {
		more, err = p.Next(&blocks[i])
		if len(blocks[i].Batches) > 0 && blocks[i].First != next {
			t.Fatalf("block begins at commit %d, not %d", blocks[i].First, next)
		}
		seen[i] = seen[i][:0]
		size := 0
		for j, batch := range blocks[i].Batches {
			if size >= limit {
				t.Fatalf("block goes on for %d commits after its limit of %d bytes", len(blocks[i].Batches)-j, limit)
			}
			size += len(batch)
			seen[i] = append(seen[i], bytes.Clone(batch))
		}
		o.commits = append(o.commits, seen[i]...)
		next += pages.Seq(len(seen[i]))
		if !slices.EqualFunc(blocks[1-i].Batches, seen[1-i], bytes.Equal) {
			t.Fatalf("the block before changed while commit %d was read", next)
		}
	}
	if err != nil {
		o.err = err.Error()
		return o
	}
	r := p.Recovered()
	o.stats = fmt.Sprint(r.Last(), r.Epoch(), r.Records(), r.Bytes(), r.TornBytes(), r.tail, len(r.live), len(r.stale), len(r.blank))
	return o
}

// TestReplayBlocks: where blocks end changes nothing of what a replay tells, of a whole log and of
// damaged ones.
func TestReplayBlocks(t *testing.T) {
	s := newSample(t)
	replays, failed := 0, 0
	same := func(what string) {
		back := backends.NewMemory()
		for name, b := range s.files {
			f, err := back.Create(name)
			must(t, err)
			_, err = f.WriteAt(b, 0)
			must(t, err)
		}
		whole := replayInBlocks(t, back, s.source, math.MaxInt)
		for _, limit := range []int{1, 3000} {
			if got := replayInBlocks(t, back, s.source, limit); fmt.Sprint(got) != fmt.Sprint(whole) {
				t.Fatalf("%s, in blocks of %d bytes: %d commits, %q, %.200s; as a whole: %d commits, %q, %.200s", what, limit,
					len(got.commits), got.err, got.stats, len(whole.commits), whole.err, whole.stats)
			}
		}
		replays++
		if whole.err != "" {
			failed++
		} else if n := len(s.commits); what == "whole" && !slices.EqualFunc(whole.commits, s.commits[s.source.Seq:n], bytes.Equal) {
			t.Fatalf("%d commits were replayed, of %d", len(whole.commits), n)
		}
	}
	same("whole")
	for name, b := range s.files {
		for at := 0; at < len(b); at += 131 {
			b[at] ^= 0x10
			same(fmt.Sprintf("%s damaged at %d", name, at))
			b[at] ^= 0x10
		}
	}
	if failed == 0 || failed == replays {
		t.Errorf("%d of %d replays failed: the damage is not what it should be", failed, replays)
	}
}

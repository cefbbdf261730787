package txcoord

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// model is what the coordinator must be equal to: the commits in their order.
type model struct {
	versions map[string][]modelVersion // ascending seqs
	batches  [][]byte                  // by seq - 1
}

type modelVersion struct {
	seq   pages.Seq
	value []byte
	kind  pages.Kind
}

func newModel() *model { return &model{versions: make(map[string][]modelVersion)} }

func (d *model) applied() pages.Seq { return pages.Seq(len(d.batches)) }

// apply adds the next commit.
func (d *model) apply(batch []byte) error {
	d.batches = append(d.batches, batch)
	ops, err := messages.DecodeBatch(batch, nil)
	for i := range ops {
		op := &ops[i]
		key := string(op.Key(batch))
		d.versions[key] = append(d.versions[key], modelVersion{d.applied(), op.Value(batch), op.Kind})
	}
	return err
}

// at returns the newest version of key at or below seq.
func (d *model) at(key string, seq pages.Seq) (modelVersion, bool) {
	list := d.versions[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].seq <= seq {
			return list[i], true
		}
	}
	return modelVersion{}, false
}

func (d *model) newest(key []byte) pages.Seq {
	v, _ := d.at(string(key), pages.MaxSeq)
	return v.seq
}

// writtenIn reports whether a key in r was written after the seq.
func (d *model) writtenIn(r messages.Range, after pages.Seq) bool {
	for key := range d.versions {
		k := []byte(key)
		if bytes.Compare(r.Lo, k) <= 0 && (r.Hi == nil || bytes.Compare(k, r.Hi) < 0) && d.newest(k) > after {
			return true
		}
	}
	return false
}

// conflict is the rule, without floors: first committer wins.
func (d *model) conflict(c *messages.Commit, batch []byte) bool {
	if c.Snapshot == pages.MaxSeq {
		return false
	}
	for _, p := range c.Points {
		if d.newest(p.Key) > c.Snapshot {
			return true
		}
	}
	for _, r := range c.Ranges {
		if d.writtenIn(r, max(c.Snapshot, c.RangesUpTo)) {
			return true
		}
	}
	for i := range c.Ops {
		if c.CheckWrites && d.newest(c.Ops[i].Key(batch)) > c.Snapshot {
			return true
		}
	}
	return false
}

// checkIndex compares a frozen index with the commits it should hold: those above its floor.
func (d *model) checkIndex(w *world, f messages.Flush) error {
	seq, ok := f.Index.Frozen()
	if !ok || seq != f.UpTo {
		return fmt.Errorf("flush up to %d of an index frozen (%t) at %d", f.UpTo, ok, seq)
	}
	want := 0
	for key := range d.versions {
		v, ok := d.at(key, f.UpTo)
		if !ok || v.seq <= f.Index.Floor() {
			continue
		}
		want++
		got, ok, _ := f.Index.Get(pages.Hash([]byte(key)), []byte(key), f.UpTo)
		if !ok || got.Seq != v.seq || got.Kind != v.kind || !bytes.Equal(got.Value, v.value) {
			return fmt.Errorf("flush up to %d: key %q is %v (there: %t), want seq %d", f.UpTo, key, got, ok, v.seq)
		}
	}
	if f.Index.Len() != want {
		return fmt.Errorf("flush up to %d has %d keys, want %d", f.UpTo, f.Index.Len(), want)
	}
	return nil
}

// request is a commit that was handed over.
type request struct {
	c       *messages.Commit
	batch   []byte // a copy: the commit's own is scribbled over once it is answered
	entered pages.Seq
	seq     pages.Seq // once applied
	answers int
	result  messages.CommitResult
}

// settle works out which commits of this Step were applied, in what order, and compares with
// the rule. before is what was queued when the Step began, with the batch's own commits.
func (w *world) settle(queue []*messages.Commit, appliedBefore pages.Seq) {
	held := make(map[*messages.Commit]int)
	for i, c := range w.m.held {
		held[c] = i
	}
	answered := make(map[messages.Reply[messages.CommitResult]]messages.CommitResult)
	for _, r := range w.out.Commits {
		answered[r.To] = r.Result
	}
	left, position := w.m.applied-appliedBefore, 0
	for _, c := range queue {
		if at, ok := held[c]; ok {
			if at != position {
				w.fatalf("a held commit moved from place %d to %d", position, at)
			}
			position++
			continue
		}
		r := w.requests[c.Reply]
		result, ok := answered[c.Reply]
		switch {
		case ok && errors.Is(result.Err, messages.ErrConflict):
			if !w.model.conflict(c, r.batch) && c.Snapshot >= w.m.floor {
				w.fatalf("commit at snapshot %d is refused without a conflict (floor %d)", c.Snapshot, w.m.floor)
			}
			w.count("conflict")
			continue
		case ok && errors.Is(result.Err, messages.ErrPoisoned):
			if left == 0 {
				continue
			}
		case ok && errors.Is(result.Err, messages.ErrStalled):
			if !w.flush.failing && len(w.m.frozen) < w.limits.MaxFrozen {
				w.fatalf("a commit is refused with %v, %d frozen", result.Err, len(w.m.frozen))
			}
			w.count("stalled")
			continue
		case ok && result.Err != nil:
			w.count("refused")
			continue
		}
		if position > 0 {
			w.fatalf("commit %d overtook one that waits", w.model.applied()+1)
		}
		if left == 0 {
			w.fatalf("a commit is neither held, nor answered, nor applied")
		}
		left--
		if w.model.conflict(c, r.batch) {
			w.fatalf("commit %d at snapshot %d is applied over a conflict", w.model.applied()+1, c.Snapshot)
		}
		w.must(w.model.apply(r.batch))
		r.seq = w.model.applied()
	}
	if left != 0 || position != len(w.m.held) || w.m.applied != w.model.applied() {
		w.fatalf("applied is %d, %d commits account for it; %d held of which %d are known",
			w.m.applied, w.model.applied(), len(w.m.held), position)
	}
}

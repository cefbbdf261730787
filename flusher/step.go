package flusher

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// stepJob does one step of a merge: it writes what the sources and the target hold in the next
// span of keys, newest version of each key first, until there is enough for a step.
//
// The target's tables are consumed whole. One that no source key falls into stays as it is,
// unless it is dirty (it can hold keys of a dropped keyspace) or is small and next to what is
// written. A source's table that is alone in its span moves into the target unread.
type stepJob struct {
	sources []*pages.Run   // newest first
	target  []*pages.Table // the bottom run's tables; none for a merge within tiers
	from    []byte         // where the step before ended: target tables that end there are done
	purge   bool           // into the oldest run: tombstones are dropped
	limit   int64          // bytes of output
	dead    []keyRange     // dropped keyspaces
	codecs  codecs
	report  func(read uint64) // progress; nil: nobody asks
	out     output

	bound []byte         // result: keys at or below are in the target now
	done  bool           // result: that is all keys
	gone  []*pages.Table // result: the target's tables that were consumed
	moved []*pages.Table // result: the sources' tables that become the target's
	read  uint64         // result: raw bytes that the step got behind it

	inputs  inputs
	movable []*pages.Table // ascending
	at      int            // target[at:] is ahead of, or under, the current key
	opened  *input         // of target[at], nil if it is not touched yet
	joining bool           // opened was passed already, and is small
	work    int64          // raw bytes merged
	joined  int64          // size of the output when that table was passed, not compressed perhaps
	space   keyspaceRun
}

// Run implements messages.FlusherJob.
func (j *stepJob) Run(yield messages.Yield) (err error) {
	defer func() {
		if err != nil {
			j.out.abort()
		}
	}()
	j.out.pace = &pacer{yield: yield}
	j.space.codecs = j.codecs
	j.at = sort.Search(len(j.target), func(i int) bool {
		return j.from == nil || bytes.Compare(j.target[i].Meta().Max, j.from) > 0
	})
	if err := j.open(); err != nil {
		return err
	}
	for {
		if j.opened == nil && j.full() {
			break
		}
		more, err := j.advance()
		if err != nil {
			return err
		}
		if !more {
			j.done = true
			break
		}
	}
	if j.report != nil {
		j.report(j.read)
	}
	return j.out.finish()
}

// Report implements messages.Reporter.
func (j *stepJob) Report() messages.JobReport {
	return messages.JobReport{
		Tables: len(j.out.tables), Bytes: j.out.stored, Runs: len(j.sources), Moved: len(j.moved), Last: j.done,
	}
}

// full reports whether the step did enough. Merging that writes little (most of it was deleted)
// ends by what it read. A small table that is joined does not count, however much it compresses:
// it may be from the step before, and each step must get further than that.
func (j *stepJob) full() bool {
	return j.out.size()-j.joined >= j.limit || j.work >= 4*j.limit
}

// open positions the sources.
func (j *stepJob) open() error {
	for age, r := range j.sources {
		rest := *r
		rest.Tables = slices.DeleteFunc(slices.Clone(r.Tables), func(t *pages.Table) bool {
			if !j.canMove(age, t) {
				return false
			}
			j.movable = append(j.movable, t)
			return true
		})
		in := &input{cursor: rest.NewCursor(pages.CursorOptions{NoCache: true}), age: age}
		if err := j.push(in, in.cursor.First(context.Background())); err != nil {
			return err
		}
	}
	slices.SortFunc(j.movable, func(a, b *pages.Table) int { return bytes.Compare(a.Meta().Min, b.Meta().Min) })
	return nil
}

// canMove reports whether table t of source age is alone in its span, and fit for the target.
func (j *stepJob) canMove(age int, t *pages.Table) bool {
	m, consumed := t.Meta(), j.sources[age].Consumed
	if m.Size < smallTable(j.out.limit) || j.purge && m.Tombstones > 0 ||
		bytes.Compare(consumed, m.Min) >= 0 || touches(j.dead, consumed, t) || overlaps(j.target, m) {
		return false
	}
	for i, other := range j.sources {
		if i != age && overlaps(other.Tables, m) {
			return false
		}
	}
	return true
}

// smallTable is the size below which a table is not worth a file of its own, where tables may
// have limit bytes.
func smallTable(limit int64) int64 { return limit / 4 }

func (j *stepJob) push(in *input, ok bool) error {
	if ok {
		in.key = in.cursor.Key()
		j.inputs.push(in)
		return nil
	}
	if in == j.opened {
		j.gone = append(j.gone, j.target[j.at])
		j.opened = nil
		j.at++
		if j.joining {
			j.joining, j.work, j.joined = false, 0, j.out.size()
		}
	}
	if err := in.cursor.Err(); err != nil {
		return fmt.Errorf("flusher: merge: %w", err)
	}
	return nil
}

// advance deals with the next key, or with a table that comes before it.
func (j *stepJob) advance() (more bool, err error) {
	var key []byte
	if len(j.inputs) > 0 {
		key = j.inputs[0].key
	}
	if len(j.movable) > 0 && (key == nil || bytes.Compare(j.movable[0].Meta().Min, key) < 0) {
		return true, j.move()
	}
	if opened, err := j.reach(key); opened || err != nil {
		return true, err
	}
	if key == nil {
		return false, nil
	}
	if skipped, err := j.skipDead(key); skipped || err != nil {
		return true, err
	}
	return true, j.merge(key)
}

// move hands a source's table over as it is.
func (j *stepJob) move() error {
	t := j.movable[0]
	if opened, err := j.reach(t.Meta().Min); opened || err != nil {
		return err
	}
	if err := j.out.cut(); err != nil {
		return err
	}
	j.movable = j.movable[1:]
	j.moved = append(j.moved, t)
	j.bound = t.Meta().Max
	j.read += t.Meta().RawBytes
	return nil
}

// reach brings the target up to key (nil: to its end). It passes the tables that stay, and opens
// one that has to be merged before, or with, key; then the caller looks again.
func (j *stepJob) reach(key []byte) (opened bool, err error) {
	if j.opened != nil {
		return false, nil
	}
	for ; j.at < len(j.target); j.at++ {
		t := j.target[j.at]
		if key != nil && bytes.Compare(t.Meta().Min, key) > 0 {
			break
		}
		within := key != nil && bytes.Compare(t.Meta().Max, key) >= 0
		if within || touches(j.dead, nil, t) || j.small(t) && j.out.builder != nil {
			return true, j.openTarget()
		}
		if err := j.out.cut(); err != nil {
			return false, err
		}
		j.read += t.Meta().RawBytes
	}
	if key != nil && j.joinsBefore() {
		j.at--
		j.joining = true
		return true, j.openTarget()
	}
	return false, nil
}

// joinsBefore reports whether a new table begins, right after a small one of the target. (That
// may be one that the step before wrote.)
func (j *stepJob) joinsBefore() bool {
	if j.out.builder != nil || j.at == 0 {
		return false
	}
	before := j.target[j.at-1]
	return j.small(before) && !slices.Contains(j.gone, before) &&
		(j.bound == nil || bytes.Compare(before.Meta().Max, j.bound) > 0)
}

func (j *stepJob) small(t *pages.Table) bool { return t.Meta().Size < smallTable(j.out.limit) }

func (j *stepJob) openTarget() error {
	r := &pages.Run{Tables: j.target[j.at : j.at+1]}
	j.opened = &input{cursor: r.NewCursor(pages.CursorOptions{NoCache: true}), age: len(j.sources)}
	return j.push(j.opened, j.opened.cursor.First(context.Background()))
}

// skipDead passes a dropped keyspace. No table that is written reaches over one, so that a table
// which touches a dropped keyspace is one that was not merged since.
func (j *stepJob) skipDead(key []byte) (skipped bool, err error) {
	for len(j.dead) > 0 && j.dead[0].hi != nil && bytes.Compare(key, j.dead[0].hi) >= 0 {
		j.dead = j.dead[1:]
		if err := j.out.cut(); err != nil {
			return false, err
		}
	}
	if len(j.dead) == 0 || !j.dead[0].has(key) {
		return false, nil
	}
	hi := j.dead[0].hi
	for len(j.inputs) > 0 && j.dead[0].has(j.inputs[0].key) {
		in := j.inputs.pop()
		ok := hi != nil && in.cursor.SeekGE(context.Background(), hi)
		if err := j.push(in, ok); err != nil {
			return true, err
		}
	}
	return true, nil
}

// merge writes the newest version of key and passes the others.
func (j *stepJob) merge(key []byte) error {
	top := j.inputs[0].cursor
	value, kind := top.Value(), top.Kind()
	codec, changed, err := j.space.enter(key)
	if err != nil {
		return fmt.Errorf("flusher: merge: %w", err)
	}
	if changed {
		if j.out.openSize() >= smallTable(j.out.limit) {
			if err := j.out.cut(); err != nil {
				return err
			}
		}
		j.out.setCodec(codec)
	}
	if !j.purge || kind != pages.KindTombstone {
		if err := j.out.add(key, value, kind); err != nil {
			return err
		}
	}
	j.bound = key
	for len(j.inputs) > 0 && bytes.Equal(j.inputs[0].key, key) {
		if err := j.next(); err != nil {
			return err
		}
	}
	return nil
}

// next moves the input that is on top past its key.
func (j *stepJob) next() error {
	in := j.inputs[0]
	n := len(in.key) + len(in.cursor.Value())
	j.work += int64(n)
	j.read += uint64(n)
	if in.cursor.Next(context.Background()) {
		in.key = in.cursor.Key()
		j.inputs.sink()
	} else if err := j.push(j.inputs.pop(), false); err != nil {
		return err
	}
	pace := j.out.pace
	if j.report != nil && pace.spent+n >= yieldBytes {
		j.report(j.read)
	}
	return pace.spend(n)
}

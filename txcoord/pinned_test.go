package txcoord

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
	"github.com/aegis-storage/aegis/txcoord/versions"
)

// alive lists the open snapshots that have not ended.
func (w *world) alive() []*openSnapshot {
	return slices.DeleteFunc(slices.Clone(w.open), func(s *openSnapshot) bool { return s.Expired() })
}

// readIn checks a read in a snapshot, which may have been ended.
func (w *world) readIn(s *openSnapshot, key string) {
	got, ok, err := s.Get(context.Background(), []byte(key), pages.Hash([]byte(key)))
	if s.Expired() {
		if !errors.Is(err, versions.ErrTooOld) || ok {
			w.fatalf("an ended snapshot reads %v (there: %t), error %v", got, ok, err)
		}
		return
	}
	w.must(err)
	w.compare(fmt.Sprintf("snapshot (read-write %t)", s.readWrite), key, s.Seq, s.view.RunSeq, got, ok)
}

// pins lists the indexes of a snapshot's View that neither the present View has nor the conflict
// checks need.
func (w *world) pins(s *openSnapshot) (list []*versions.Index) {
	present := w.pub.View.Load()
	for _, x := range append([]*versions.Index{s.view.Active}, s.view.Frozen...) {
		retained := slices.ContainsFunc(w.m.retained, func(f frozen) bool { return f.index == x })
		if x != present.Active && !slices.Contains(present.Frozen, x) && !retained {
			list = append(list, x)
		}
	}
	return list
}

// beside returns the View of the oldest snapshot that pins anything, and the bytes of what the
// others pin and it does not.
func (w *world) beside(all []*openSnapshot) (oldest *versions.View, bytes int64) {
	var own []*versions.Index
	for _, s := range all {
		if p := w.pins(s); len(p) > 0 && (oldest == nil || s.view.Epoch < oldest.Epoch) {
			oldest, own = s.view, p
		}
	}
	seen := make(map[*versions.Index]bool)
	for _, s := range all {
		for _, x := range w.pins(s) {
			if !seen[x] && !slices.Contains(own, x) {
				bytes += x.Bytes()
			}
			seen[x] = true
		}
	}
	return oldest, bytes
}

// checkPins recounts what is pinned from the Views that snapshots hold, and verifies that those
// which the Step ended had to go, and only those. before are the snapshots open before it.
func (w *world) checkPins(before []*openSnapshot) {
	alive, present := w.alive(), w.pub.View.Load()
	counted := make(map[*versions.Index]bool)
	for _, p := range w.m.pinned {
		if counted[p.index] {
			w.fatalf("an index is counted twice")
		}
		counted[p.index] = p.gone <= present.Epoch // the others have gone in this Step
	}
	held := make(map[*versions.Index]bool)
	for _, s := range alive {
		for _, x := range w.pins(s) {
			held[x] = true
			if !counted[x] {
				w.fatalf("an index of View %d is not counted", s.view.Epoch)
			}
		}
	}
	for x, settled := range counted {
		if settled && !held[x] {
			w.fatalf("an index is counted that nobody pins")
		}
	}
	if len(held) > 0 {
		w.count("pinned")
	}
	limit := int64(w.limits.MaxFrozen+1) * max(w.limits.IndexBytes, leastIndex)
	if _, bytes := w.beside(alive); bytes > limit {
		w.fatalf("%d bytes are pinned beside the oldest snapshot, the limit is %d", bytes, limit)
	}
	var last *openSnapshot // of those that ended
	for _, s := range before {
		if s.Expired() && (last == nil || s.view.Epoch > last.view.Epoch) {
			last = s
		}
	}
	if last == nil {
		return
	}
	w.count("ended")
	for _, s := range alive {
		if s.view.Epoch <= last.view.Epoch {
			w.fatalf("the snapshot of View %d is open, that of View %d was ended", s.view.Epoch, last.view.Epoch)
		}
	}
	if oldest, bytes := w.beside(append(alive, last)); !w.sized && (oldest != last.view || bytes <= limit) {
		w.fatalf("the snapshot of View %d was ended for %d bytes, the limit is %d", last.view.Epoch, bytes, limit)
	}
}

// cycle commits values of the size under some keys, and flushes them.
func (w *world) cycle(keys, size int) {
	w.flush.debt = 0
	for i := range keys {
		w.put(fmt.Sprintf("key-%02d", i), size, messages.Sync)
	}
	for q := w.checkpoint(false); q.answers == 0; {
		w.all()
		if len(w.flush.queue) > 0 {
			w.flush.publish()
		} else if len(w.wal.mailbox) > 0 {
			w.wal.take(9, false)
		} else if w.wal.busy() {
			w.wal.prepared()
		}
	}
	w.tick() // flushed indexes are looked at once the View without them is there
}

// told returns the bytes that the evictor would be told of, if they are not what it knows.
func (w *world) told() int64 {
	w.m.indexTold = -1 << 40
	w.m.tellIndexBytes(&w.out)
	bytes := w.out.Evictor[len(w.out.Evictor)-1].(messages.IndexBytes).Bytes
	w.out.Reset()
	return bytes
}

// A reader that is alone is never ended, whatever the limits: it pins what its View had at the
// beginning, which does not grow. Another one in the same View changes nothing.
func TestLoneReaderSurvives(t *testing.T) {
	for _, size := range []int{10, 20 << 10} { // in an index of a kilobyte
		w := testWorld(t, true, func(l *messages.Limits) { l.IndexBytes, l.MaxFrozen, l.RetainIndexes = 1<<10, 1, 1 })
		w.credit()
		w.put("key-00", size, messages.Sync)
		w.put("key-01", size, messages.Sync)
		for w.pub.Visible.Load() < 2 {
			w.all()
			w.wal.take(9, false)
			for w.wal.busy() {
				w.wal.prepared()
			}
		}
		if len(w.m.frozen) != w.limits.MaxFrozen {
			t.Fatalf("%d indexes are frozen", len(w.m.frozen))
		}
		reader, twin := w.acquireNow(), w.acquireNow()
		for i := range 200 {
			w.cycle(3, size)
			for range 2 {
				key := fmt.Sprintf("key-%02d", i%3)
				w.readIn(reader, key)
				w.readIn(twin, key)
			}
			if len(w.alive()) != 2 {
				t.Fatalf("ended after %d checkpoints", i)
			}
			if n := len(w.pins(reader)); n > w.limits.MaxFrozen+1 || len(w.m.pinned) != n {
				t.Fatalf("one View pins %d indexes, %d are counted", n, len(w.m.pinned))
			}
		}
		if w.m.pinnedBytes < int64(size) {
			t.Fatalf("%d bytes are counted as pinned", w.m.pinnedBytes)
		}
		with := w.told()
		twin.Release()
		reader.Release()
		w.open = nil
		pinned := w.m.pinnedBytes
		w.tick()
		if w.m.pinnedBytes != 0 || w.told() > with-pinned {
			t.Errorf("%d bytes are pinned after the release; the evictor leaves %d, with the reader %d", w.m.pinnedBytes, w.told(), with)
		}
		w.tick()
		if w.armed {
			t.Error("an alarm for nothing")
		}
		w.end(t)
	}
}

// Readers that come one after the other and stay: what they pin is bounded, the oldest goes, the
// others read what they should. checkPins looks at all of that after every Step.
func TestManyReaders(t *testing.T) {
	w := testWorld(t, true, nil)
	w.credit()
	for range 100 {
		w.put("key-00", 100, messages.Sync)
		w.all()
		w.acquireNow()
		w.cycle(6, 10<<10)
		for i, s := range w.open {
			w.readIn(s, fmt.Sprintf("key-%02d", i%6))
		}
	}
	ended := len(w.open) - len(w.alive())
	s := w.m.figures()
	if ended < 50 || len(w.alive()) < 2 || s.SnapshotsEnded != uint64(ended) {
		t.Errorf("%d of %d readers were ended, %d by the figures", ended, len(w.open), s.SnapshotsEnded)
	}
	if s.PinnedBytes == 0 || s.Pinned != len(w.m.pinned) || s.RetainedBytes == 0 || s.FrozenBytes != 0 {
		t.Errorf("figures %+v", s)
	}
	for _, o := range w.open {
		if o.Expired() != (o.View() == nil) {
			t.Error("an ended snapshot holds its View, or one that is open does not")
		}
		o.Release()
	}
	w.open = nil
	w.end(t)
}

// sized is a table of so many bytes.
func sized(size int64) *pages.Table {
	return pages.NewTable(pages.TableMeta{Min: []byte("~"), Max: []byte("~"), Size: size}, nil, nil)
}

// replaceAll merges all tables into one of the size.
func (w *world) replaceAll(size int64) {
	gone := w.flush.live
	w.flush.live = []*pages.Table{sized(size)}
	w.flush.retired = append(w.flush.retired, gone...)
	w.send(messages.Flushed{Runs: w.flush.runs(), Retired: gone})
	w.all()
	w.tick()
}

// Files that only snapshots need are bounded as well: by the size of the store, or by that of a
// small one.
func TestFilesOfOldReaders(t *testing.T) {
	for _, c := range []struct {
		size int64 // in small stores
		want int   // readers that are left of those whose tables have gone
	}{{4, 2}, {1, 2}} {
		w := testWorld(t, true, nil)
		w.sized = true
		small := int64(smallStore * leastIndex)
		size := c.size * small
		w.replaceAll(size)
		first := w.acquireNow()
		for i := range 20 { // alone it stays, also when the store gets small
			w.replaceAll(size >> (i % 10))
		}
		if first.Expired() {
			t.Fatal("a reader that is alone was ended")
		}
		first.Release()
		w.open = nil
		var readers []*openSnapshot
		for i := range 10 {
			w.replaceAll(size)
			readers = append(readers, w.acquireNow())
			var bytes int64
			for _, table := range w.flush.retired {
				bytes += table.Meta().Size
			}
			if bytes > 2*size {
				t.Fatalf("%d bytes are kept for readers of a store of %d", bytes, size)
			}
			left := len(w.alive()) - 1 // the youngest has what the store has
			if left != min(i, c.want) {
				t.Fatalf("%d readers are left, want %d", left, min(i, c.want))
			}
		}
		for i, s := range readers {
			if s.Expired() != (i < len(readers)-1-c.want) {
				t.Errorf("reader %d of %d: ended %t", i, len(readers), s.Expired())
			}
		}
		w.replaceAll(size / 2) // less may be kept of a store that shrinks
		w.replaceAll(size / 2)
		if left := len(w.alive()); c.size > 1 && left > 2 {
			t.Errorf("%d readers are left of a store that has shrunk", left)
		}
		for _, s := range readers {
			s.Release()
		}
		w.open = nil
		w.tick()
		if len(w.flush.retired) != 0 {
			t.Errorf("%d tables wait for nobody", len(w.flush.retired))
		}
	}
}

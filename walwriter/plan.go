package walwriter

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aegis-storage/aegis/pages"
)

// planned is a segment that recovery replays, up to but not including the seq stop.
type planned struct {
	*logFile
	stop pages.Seq
}

// plan chooses the segments that hold what follows the checkpoint, in the order in which they
// are replayed. Nothing to replay is an error unless the checkpoint said so.
func plan(files []logFile, from Source) ([]planned, error) {
	kept := eligible(files, from)
	if len(kept) == 0 {
		if from.Clean {
			return nil, nil
		}
		return nil, damaged("wal-*", 0, "no log segment, where the log after commit %d should go on", from.Seq)
	}
	if newest := kept[len(kept)-1]; !from.Clean && uint64(newest.header.epoch) < from.Epoch {
		return nil, damaged(newest.name, 0, "newest log segment is of epoch %d, the checkpoint of epoch %d",
			newest.header.epoch, from.Epoch)
	}
	first := len(kept) - 1
	for first >= 0 && kept[first].header.base > from.Seq+1 {
		first--
	}
	if first < 0 {
		return nil, damaged(kept[0].name, 0, "log begins at commit %d, the checkpoint ends at %d",
			kept[0].header.base, from.Seq)
	}
	return sequence(kept[first:])
}

// eligible returns the segments that count, oldest first. What a clean close left behind does
// not, and neither does a segment that a newer epoch's base voids as a whole.
func eligible(files []logFile, from Source) []*logFile {
	var kept []*logFile
	for i := range files {
		if f := &files[i]; f.valid && !(from.Clean && uint64(f.header.epoch) <= from.Epoch) {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, func(a, b *logFile) int {
		return cmp.Or(cmp.Compare(a.header.epoch, b.header.epoch), cmp.Compare(a.header.number, b.header.number))
	})
	void, lowest := pages.MaxSeq, pages.MaxSeq // of newer epochs, of this one as well
	n := len(kept)
	for i := len(kept) - 1; i >= 0; i-- {
		f := kept[i]
		if i+1 < len(kept) && kept[i+1].header.epoch != f.header.epoch {
			void = lowest
		}
		lowest = min(lowest, f.header.base)
		if f.header.base < void {
			n--
			kept[n] = f
		}
	}
	return kept[n:]
}

// sequence verifies that each segment follows the one before, as far as headers say.
func sequence(kept []*logFile) ([]planned, error) {
	var order []planned
	for i, f := range kept {
		if f.size < f.header.size {
			return nil, damaged(f.name, f.size, "file has %d of %d bytes", f.size, f.header.size)
		}
		order = append(order, planned{logFile: f, stop: pages.MaxSeq})
		if i == 0 {
			continue
		}
		before := kept[i-1]
		if f.header.base < before.header.base ||
			f.header.epoch == before.header.epoch && f.header.number != before.header.number+1 {
			return nil, damaged(f.name, 0, "segment %d.%d from commit %d follows segment %d.%d from commit %d",
				f.header.epoch, f.header.number, f.header.base,
				before.header.epoch, before.header.number, before.header.base)
		}
		order[i-1].stop = f.header.base
	}
	return order, nil
}

// damaged makes a *pages.CorruptionError.
func damaged(file string, offset int64, format string, args ...any) error {
	return fmt.Errorf("walwriter: %w", &pages.CorruptionError{File: file, Offset: offset, What: fmt.Sprintf(format, args...)})
}

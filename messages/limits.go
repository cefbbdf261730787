package messages

import (
	"fmt"
	"time"
)

// Limits are the sizes of the engine's inner structures. Production sets them from the
// Options; the simulator draws them small, so that every rotation, stall and merge happens
// within a few commits. All sizes are in bytes.
type Limits struct {
	IndexBytes    int64         // an active version index is frozen at this size
	MaxFrozen     int           // writers are held when this many frozen indexes wait for their flush
	LogBytes      int64         // a checkpoint is taken when the live log passes this size
	SegmentBytes  int64         // a log segment; a commit above half of it is oversize
	FirstSegment  int64         // the first segment of an open, small so that Open is quick
	GatherBytes   int           // NoSync commits gather in txcoord up to this size before they are written
	CompressAbove int           // log payloads above this size are compressed
	GroupAlign    int           // log groups are padded to this many bytes; 1: not at all
	TableBytes    int64         // a table file
	LeafBytes     int           // a leaf page, as it lies in memory
	InnerBytes    int           // an inner page, before compression
	FilterBits    int           // filter bits per key; 0: no filters
	FanIn         int           // runs of one tier that are merged into one of the next
	MaxRuns       int           // writers are held at this many runs, slowed from half of it on
	MergeStep     int64         // output of one merge step before it is published
	ChunkBytes    int           // a chunk of the version index
	TurnLimit     int           // messages that one Turn drains at most
	Inbox         int           // mailbox capacity for client requests
	RetainIndexes int           // flushed indexes kept for conflict checks while old transactions are open
	SyncInterval  time.Duration // NoSync commits are synced after at most this long
	RetryInterval time.Duration // pause before a failed flush, merge or preparation is tried again
	SettleAfter   time.Duration // without writes for this long, merging goes on until one run is left
	SettleBudget  int           // settling stops when table bytes written exceed this many times the user's bytes
}

// DefaultLimits are the values that production starts from.
func DefaultLimits() Limits {
	return Limits{
		IndexBytes: 32 << 20, MaxFrozen: 2, LogBytes: 256 << 20,
		SegmentBytes: 8 << 20, FirstSegment: 1 << 20, GatherBytes: 64 << 10,
		CompressAbove: 4 << 10, GroupAlign: 1,
		TableBytes: 64 << 20, LeafBytes: 4 << 10, InnerBytes: 16 << 10, FilterBits: 10,
		FanIn: 4, MaxRuns: 32, MergeStep: 64 << 20,
		ChunkBytes: 256 << 10, TurnLimit: 256, Inbox: 1024, RetainIndexes: 2,
		SyncInterval: 100 * time.Millisecond, RetryInterval: time.Second,
		SettleAfter: 2 * time.Second, SettleBudget: 6,
	}
}

// Or returns l with every zero field taken from d.
func (l Limits) Or(d Limits) Limits {
	or(&l.IndexBytes, d.IndexBytes)
	or(&l.MaxFrozen, d.MaxFrozen)
	or(&l.LogBytes, d.LogBytes)
	or(&l.SegmentBytes, d.SegmentBytes)
	or(&l.FirstSegment, d.FirstSegment)
	or(&l.GatherBytes, d.GatherBytes)
	or(&l.CompressAbove, d.CompressAbove)
	or(&l.GroupAlign, d.GroupAlign)
	or(&l.TableBytes, d.TableBytes)
	or(&l.LeafBytes, d.LeafBytes)
	or(&l.InnerBytes, d.InnerBytes)
	or(&l.FilterBits, d.FilterBits)
	or(&l.FanIn, d.FanIn)
	or(&l.MaxRuns, d.MaxRuns)
	or(&l.MergeStep, d.MergeStep)
	or(&l.ChunkBytes, d.ChunkBytes)
	or(&l.TurnLimit, d.TurnLimit)
	or(&l.Inbox, d.Inbox)
	or(&l.RetainIndexes, d.RetainIndexes)
	or(&l.SyncInterval, d.SyncInterval)
	or(&l.RetryInterval, d.RetryInterval)
	or(&l.SettleAfter, d.SettleAfter)
	or(&l.SettleBudget, d.SettleBudget)
	return l
}

func or[T comparable](p *T, d T) {
	var zero T
	if *p == zero {
		*p = d
	}
}

// MinSegmentBytes is the smallest log segment: its two header copies and some records.
const MinSegmentBytes = 16 << 10

// Validate reports the first limit that the machines cannot work with.
func (l Limits) Validate() error {
	for _, c := range []struct {
		name       string
		value, min int64
	}{
		{"IndexBytes", l.IndexBytes, 1 << 10}, {"MaxFrozen", int64(l.MaxFrozen), 1},
		{"LogBytes", l.LogBytes, 1 << 10},
		{"SegmentBytes", l.SegmentBytes, MinSegmentBytes}, {"FirstSegment", l.FirstSegment, MinSegmentBytes},
		{"GatherBytes", int64(l.GatherBytes), 1}, {"CompressAbove", int64(l.CompressAbove), 64},
		{"GroupAlign", int64(l.GroupAlign), 1}, {"TableBytes", l.TableBytes, 1 << 10},
		{"LeafBytes", int64(l.LeafBytes), 64}, {"InnerBytes", int64(l.InnerBytes), 64},
		{"FilterBits", int64(l.FilterBits), 0}, {"FanIn", int64(l.FanIn), 2}, {"MaxRuns", int64(l.MaxRuns), 4},
		{"MergeStep", l.MergeStep, 1}, {"ChunkBytes", int64(l.ChunkBytes), 256},
		{"TurnLimit", int64(l.TurnLimit), 1}, {"Inbox", int64(l.Inbox), 1},
		{"RetainIndexes", int64(l.RetainIndexes), 1}, {"SyncInterval", int64(l.SyncInterval), 1},
		{"RetryInterval", int64(l.RetryInterval), 1}, {"SettleAfter", int64(l.SettleAfter), 1},
		{"SettleBudget", int64(l.SettleBudget), 1},
	} {
		if c.value < c.min {
			return fmt.Errorf("limit %s is %d, the least is %d", c.name, c.value, c.min)
		}
	}
	if l.MaxRuns <= l.FanIn {
		return fmt.Errorf("limit MaxRuns is %d, it must be above FanIn (%d)", l.MaxRuns, l.FanIn)
	}
	if l.LogBytes < l.SegmentBytes {
		return fmt.Errorf("limit LogBytes is %d, it must not be below SegmentBytes (%d)", l.LogBytes, l.SegmentBytes)
	}
	return nil
}

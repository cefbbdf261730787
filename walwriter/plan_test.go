package walwriter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

func TestPlan(t *testing.T) {
	type seg struct {
		epoch, number uint32
		base          pages.Seq
	}
	old := []seg{{1, 1, 1}, {1, 2, 100}, {1, 3, 200}}
	for _, c := range []struct {
		name string
		segs []seg
		from Source
		want string // "number<stop …", or empty: corruption
	}{
		{"all of an epoch", old, Source{Epoch: 1}, "1<100 2<200 3<end "},
		{"from the middle", old, Source{Seq: 150, Epoch: 1}, "2<200 3<end "},
		{"just before a base", old, Source{Seq: 98, Epoch: 1}, "1<100 2<200 3<end "},
		{"at a base", old, Source{Seq: 99, Epoch: 1}, "2<200 3<end "},
		{"in any order of files", []seg{old[2], old[0], old[1]}, Source{Epoch: 1}, "1<100 2<200 3<end "},
		{"a newer epoch voids", append(old, seg{2, 4, 150}), Source{Epoch: 2}, "1<100 2<150 4<end "},
		{"a newer epoch voids all", append(old, seg{2, 4, 1}), Source{Epoch: 1}, "4<end "},
		{"each epoch voids", append(old, seg{2, 4, 150}, seg{2, 5, 180}, seg{3, 6, 170}), Source{Epoch: 1}, "1<100 2<150 4<170 6<end "},
		{"an old epoch came back", append(old, seg{2, 4, 250}, seg{2, 5, 300}), Source{Seq: 299, Epoch: 2}, "5<end "},
		{"an empty segment", []seg{{1, 1, 1}, {1, 2, 1}}, Source{Epoch: 1}, "2<end "},
		{"a hole in the numbers", []seg{old[0], old[2]}, Source{Epoch: 1}, ""},
		{"a hole that does not matter", []seg{old[0], old[2]}, Source{Seq: 250, Epoch: 1}, "3<end "},
		{"a number twice", append(old, seg{1, 3, 200}), Source{Epoch: 1}, ""},
		{"bases fall", []seg{{1, 1, 10}, {1, 2, 5}}, Source{Seq: 9, Epoch: 1}, "2<end "},
		{"begins too late", old[1:], Source{Seq: 98, Epoch: 1}, ""},
		{"nothing", nil, Source{Epoch: 1}, ""},
		{"epoch of the checkpoint is missing", old, Source{Epoch: 2}, ""},
		{"clean", nil, Source{Seq: 7, Epoch: 1, Clean: true}, " "},
		{"clean, and the log is still there", old, Source{Seq: 7, Epoch: 1, Clean: true}, " "},
		{"clean, and a part of it is", old[1:], Source{Seq: 7, Epoch: 1, Clean: true}, " "},
		{"clean, and a new epoch began", append(old, seg{2, 4, 8}), Source{Seq: 7, Epoch: 1, Clean: true}, "4<end "},
		{"clean, and a new epoch begins later", append(old, seg{2, 4, 9}), Source{Seq: 7, Epoch: 1, Clean: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []logFile
			for i, s := range c.segs {
				files = append(files, logFile{
					name: fileName(uint32(i)), slot: uint32(i), size: 1 << 20, valid: true,
					header: segmentHeader{number: s.number, epoch: s.epoch, base: s.base, size: 1 << 20},
				})
			}
			order, err := plan(files, c.from)
			var lost *pages.CorruptionError
			if err != nil {
				if c.want != "" || !errors.As(err, &lost) {
					t.Error(err)
				}
				return
			}
			got := ""
			for _, o := range order {
				stop := "end"
				if o.stop != pages.MaxSeq {
					stop = fmt.Sprint(o.stop)
				}
				got += fmt.Sprintf("%d<%s ", o.header.number, stop)
			}
			if got != c.want && got+" " != c.want {
				t.Errorf("plan %q, want %q", got, c.want)
			}
		})
	}
}

// TestSegmentStaysUntilTheNextHeaderIsSynced:
//
//	rotate to segment 2, no sync       released: all of segment 1
//	segment 1 is recycled
//	                                   power cut: segment 2's header is lost
//	recovery finds no log behind the checkpoint
func TestSegmentStaysUntilTheNextHeaderIsSynced(t *testing.T) {
	d := newDisk()
	h := newTestLog(t, d, testLimits())
	rng := rand.New(rand.NewPCG(6, 6))
	for h.m.stats.Rotations == 0 {
		h.mustAppend(t, false, noise(rng, 2000))
	}
	h.source.Seq = h.durable
	must(t, h.step(messages.Release{UpTo: h.durable}))
	if len(h.m.live) != 2 {
		t.Fatalf("%d segments live", len(h.m.live))
	}
	must(t, h.runJobs())
	for _, n := range d.names {
		n.pending = nil // what the power cut takes
		n.cache = append([]byte(nil), n.medium...)
	}
	must(t, h.open())

	// Once the header is synced the segment goes.
	h = newTestLog(t, newDisk(), testLimits())
	for h.m.stats.Rotations == 0 {
		h.mustAppend(t, false, noise(rng, 2000))
	}
	must(t, h.step(messages.Release{UpTo: h.durable}))
	must(t, h.step(messages.Append{Sync: true}))
	if len(h.m.live) != 1 {
		t.Errorf("%d segments live", len(h.m.live))
	}
}

package walwriter

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// creditPayload draws a record's payload, which shrinks or does not.
var creditPayload = rapid.Custom(func(t *rapid.T) []byte {
	b := make([]byte, rapid.SampledFrom([]int{0, 1, 3, 100, 1000, 5000}).Draw(t, "size"))
	if len(b) > 0 && rapid.Bool().Draw(t, "noise") {
		x := uint32(len(b))
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
	}
	return b
})

// TestCreditCoversEveryUse: however the credit is spent, on groups of any shape and alignment,
// the records find their place. The machine panics where they do not, and Check is called
// after every Step.
func TestCreditCoversEveryUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := testLimits()
		l.SegmentBytes = rapid.Int64Range(messages.MinSegmentBytes, 40<<10).Draw(t, "segment")
		l.FirstSegment = rapid.Int64Range(messages.MinSegmentBytes, 40<<10).Draw(t, "first")
		l.GroupAlign = rapid.SampledFrom([]int{1, 8, 24, 64, 512, 4096}).Draw(t, "align")
		l.CompressAbove = rapid.SampledFrom([]int{64, 1 << 20}).Draw(t, "compress")
		h := newHarness(newDisk(), l)
		check(t, h.open())
		h.publish()
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				var turn []messages.ToWalwriter
				for range rapid.IntRange(1, 3).Draw(t, "appends") {
					a, ok := h.commit(rapid.Bool().Draw(t, "sync"), rapid.SliceOfN(creditPayload, 0, 4).Draw(t, "batches")...)
					if !ok {
						break
					}
					turn = append(turn, a)
				}
				check(t, h.step(turn...))
			},
			"spend": func(t *rapid.T) { // all that is left, in one commit or in the smallest
				for smallest := rapid.Bool().Draw(t, "smallest"); h.credit >= minCharge; {
					n := min(h.credit-minCharge, l.SegmentBytes/2-minCharge)
					if smallest {
						n = 0
					}
					before := h.credit
					a, _ := h.commit(false, make([]byte, n))
					check(t, h.step(a))
					if h.credit >= before {
						break
					}
				}
			},
			"job": func(t *rapid.T) {
				if len(h.jobs) > 0 {
					check(t, h.runJob(0, always))
				}
			},
			"tick": func(t *rapid.T) { check(t, h.tick()) },
			"release": func(t *rapid.T) {
				h.source.Seq = max(h.source.Seq, pages.Seq(rapid.Uint64Range(0, uint64(h.durable)).Draw(t, "upto")))
				check(t, h.step(messages.Release{UpTo: h.source.Seq}))
			},
			"reserve": func(t *rapid.T) {
				n := l.SegmentBytes/2 + 1 + rapid.Int64Range(0, 60<<10).Draw(t, "bytes")
				if h.credit <= h.m.credit.placeable(h.m.segmentSize) {
					check(t, h.step(messages.Reserve{Bytes: n}))
				}
			},
			"": func(t *rapid.T) {
				if h.poisoned != nil {
					t.Fatal(h.poisoned)
				}
				if h.credit != h.m.credit.granted {
					t.Fatalf("txcoord holds %d, the ledger says %d", h.credit, h.m.credit.granted)
				}
				if len(h.m.spares) > 0 && h.m.reserve == 0 && h.credit < l.SegmentBytes/2 {
					t.Fatalf("credit %d with a spare ready", h.credit)
				}
			},
		})
		check(t, h.open())
	})
}

func check(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func TestLedgerRounds(t *testing.T) {
	for _, align := range []int64{1, 8, 16, 512, 4096} {
		l := ledger{align: align}
		for credit := int64(0); credit < 20000; credit += 7 {
			if got := l.placeable(l.roomFor(credit)); got < credit {
				t.Fatalf("align %d: room for %d backs %d", align, credit, got)
			}
		}
	}
}

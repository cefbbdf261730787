package sim

import (
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/report"
	"github.com/aegis-storage/aegis/sim/trace"
)

// TestLossesAreTold: what a power cut did to each range of bytes, and to names, is in the result that
// is kept, and in the words about it.
func TestLossesAreTold(t *testing.T) {
	subject := every(func(l *Life) {
		if l.Number() > 1 {
			return
		}
		f, err := l.Backend().Create("file")
		l.Must(err)
		_, err = f.WriteAt(make([]byte, 700), 300)
		l.Must(err)
	})
	plan := Plan{Seed: 1, Lives: 1, Profile: "torn", Ends: []End{{Life: 1, Kind: Power, Image: 1}}}
	told := map[report.Fate]int{}
	for image := range 8 {
		plan.Ends[0].Image = image + 1
		res, err := Execute(plan, subject, Keep)
		if err != nil || res.Failure != nil {
			t.Fatalf("%v, %v", err, res.Failure)
		}
		var text strings.Builder
		if err := Tell(&text, "subject", res); err != nil {
			t.Fatal(err)
		}
		if len(res.Losses) < 2 {
			t.Fatalf("image %d: %+v\n%s", image, res.Losses, text.String())
		}
		for _, l := range res.Losses {
			if res.Events[l.Crash].Kind != trace.Crash || l.File != "file" || l.Removal || l.Len > 0 && (l.Off < 300 || l.Off+l.Len > 1000) {
				t.Errorf("image %d: %+v", image, l)
			}
			if l.Len > 0 {
				told[l.Fate]++
			}
		}
		if strings.Contains(text.String(), "in doubt") || !strings.Contains(text.String(), "crash took    file: its creation ") {
			t.Errorf("image %d:\n%s", image, text.String())
		}
		if fast, err := Execute(plan, subject, Fast); err != nil || fast.Losses != nil {
			t.Errorf("%v, losses %v of a run that is not kept", err, fast.Losses)
		}
	}
	if told[report.Dropped] == 0 || told[report.Kept] == 0 {
		t.Errorf("told were %v", told)
	}
}

// TestFates: each of the disk's fates has a word of the report.
func TestFates(t *testing.T) {
	for fate, want := range map[disk.Fate]string{disk.Dropped: "lost", disk.Kept: "kept", disk.Torn: "torn"} {
		loss := disk.Loss{Files: []disk.FileLoss{{Name: "f", Ranges: []disk.Range{{Off: 3, Len: 4, Fate: fate}}}}, Names: []disk.NameLoss{{Name: "g", Removed: true, Kept: true}}}
		got := lossesAt(9, loss)
		if len(got) != 2 || got[0] != (report.Loss{Crash: 9, File: "f", Off: 3, Len: 4, Fate: got[0].Fate}) || got[0].Fate.String() != want ||
			got[1] != (report.Loss{Crash: 9, File: "g", Fate: report.Kept, Removal: true}) {
			t.Errorf("%v: %+v", fate, got)
		}
	}
}

package sim

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/sim/trace"
)

// otherDisk writes two files to another directory, one of them durably, and looks at both after each
// crash.
func otherDisk(seen map[string]int) Subject {
	return func() func(*Life) {
		return func(l *Life) {
			b := l.Disk("other")
			for _, name := range []string{"synced", "unsynced"} {
				f, err := b.Open(name)
				if l.Number() == 1 && errors.Is(err, fs.ErrNotExist) {
					l.Must(writeFile(b, name, name == "synced"))
					continue
				}
				if err == nil {
					var got [6]byte
					_, err = f.ReadAt(got[:], 0)
					err = errors.Join(err, f.Close())
					if string(got[:]) != "stored" {
						err = errors.Join(err, errors.New("not what was written"))
					}
				}
				if name == "synced" {
					l.Must(err)
				}
				if err != nil {
					seen[name+" lost by a "+l.Before().String()]++
				} else {
					seen[name+" kept by a "+l.Before().String()]++
				}
			}
			if files, err := l.Disk("another").List(); err != nil || len(files) > 0 || len(l.Files()) > 0 {
				l.Failf("%v, %v are in other directories, %v", files, l.Files(), err)
			}
		}
	}
}

func writeFile(b backends.Backend, name string, sync bool) error {
	f, err := b.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("stored"), 0)
	if sync {
		err = errors.Join(err, f.Sync(), b.SyncDir())
	}
	return errors.Join(err, f.Close())
}

// TestDisk: a directory with a name is there in each life, crashes like the store's own, and the trace
// has its files under its name.
func TestDisk(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		for _, end := range []EndKind{Kill, Power} {
			plan := Plan{Seed: seed + 1, Lives: 1, Ends: []End{{Life: 1, Kind: end}}}
			res, err := Execute(plan, otherDisk(seen), Keep)
			if err != nil || res.Failure != nil {
				t.Fatalf("seed %d, %v: %v, %v", seed+1, end, err, res.Failure)
			}
			if !slices.ContainsFunc(res.Events, func(e trace.Event) bool { return e.To == "other/synced" && e.Text == "create" }) {
				t.Fatal("the trace does not tell of other/synced")
			}
		}
	}
	for _, what := range []string{"synced kept by a kill", "synced kept by a power cut", "unsynced kept by a kill", "unsynced lost by a power cut"} {
		if seen[what] == 0 {
			t.Errorf("no run with: %s; there are %v", what, seen)
		}
	}
	if seen["unsynced lost by a kill"] > 0 {
		t.Error("a kill takes what was not synced")
	}
}

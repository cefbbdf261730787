package disk

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis/backends"
)

// TestKill: the cache survives the process, its lock does not, and its handles are dead.
func TestKill(t *testing.T) {
	for _, end := range []string{"kill", "power cut"} {
		w := striking()
		begun := 0
		d := New(Profile{})
		m := d.Mount(w)
		release, err := m.Lock(true)
		check(t, err)
		f := create(t, m, "f")
		write(t, f, "data", 0)
		if end == "kill" {
			d.Kill()
		} else {
			d.PowerCut(keep)
		}
		w.begin = func(Op) { begun++ }
		_, readErr := f.ReadAt(make([]byte, 1), 0)
		_, writeErr := f.WriteAt([]byte("late"), 0)
		_, sizeErr := f.Size()
		_, createErr := m.Create("g")
		_, openErr := m.Open("f")
		_, listErr := m.List()
		_, lockErr := m.Lock(false)
		errs := []error{
			readErr, writeErr, sizeErr, f.Truncate(0), f.Sync(), f.Close(), createErr, openErr, listErr,
			m.Remove("f"), m.SyncDir(), lockErr, release(),
		}
		for i, err := range errs {
			if !errors.Is(err, errDead) {
				t.Errorf("%s: dead call %d returned %v", end, i, err)
			}
		}
		if begun != len(errs) {
			t.Errorf("%s: %d of %d dead calls went to the world", end, begun, len(errs))
		}
		if got := contents(d); got["f"] != "data" || len(got) != 1 {
			t.Errorf("%s: %v", end, got)
		}
		release, err = d.Mount(quiet{}).Lock(true)
		check(t, err)
		check(t, release())
	}
}

// TestDeathInCall: a life that ends before a call takes effect leaves none of it; one that ends
// after, all; neither hears of success.
func TestDeathInCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		w := striking()
		d := New(Profile{})
		durable(t, d, "f", "old")
		m := d.Mount(w)
		f := open(t, m, "f")
		end := func(o Op) {
			if o.Call == "write" {
				d.Kill()
			}
		}
		if after {
			w.end = end
		} else {
			w.begin = end
		}
		n, err := f.WriteAt([]byte("new"), 0)
		if got := contents(d)["f"]; n != 0 || !errors.Is(err, errDead) || (got == "new") != after {
			t.Errorf("killed after the effect %t: %d, %v, %q", after, n, err, got)
		}
	}
}

// TestDeathInFlight: a call that never returned because its life ended is the next life's like
// any other: a sync covers it, without a draw.
func TestDeathInFlight(t *testing.T) {
	w := striking()
	d := New(Profile{})
	durable(t, d, "f", "old")
	f := open(t, d.Mount(w), "f")
	w.end = func(Op) {
		d.Kill()
		runtime.Goexit()
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		f.WriteAt([]byte("new"), 0)
	}()
	<-gone
	w = striking()
	check(t, open(t, d.Mount(w), "f").Sync())
	d.PowerCut(lose)
	if got := contents(d)["f"]; got != "new" || len(w.drawn) > 0 {
		t.Errorf("%q after a sync in the next life; %d draws", got, len(w.drawn))
	}
}

// TestSyncCovers: a sync makes durable what had returned before it was called. What comes later,
// or has not returned, is covered or not as is drawn.
func TestSyncCovers(t *testing.T) {
	for _, c := range []struct {
		late bool // the write comes while the sync waits; else the sync comes before the write returns
		draw int
		want string
	}{{true, 0, "old123"}, {true, 1, "NEW123"}, {false, 0, "old123"}, {false, 1, "NEW123"}} {
		w := striking()
		d := New(Profile{})
		durable(t, d, "f", "old...")
		m := d.Mount(w)
		f, g := open(t, m, "f"), open(t, m, "f")
		write(t, f, "123", 3)
		w.draws = []int{c.draw}
		if c.late {
			w.begin = func(o Op) {
				if o.Call == "sync" {
					w.begin = nil
					write(t, g, "NEW", 0)
				}
			}
			check(t, f.Sync())
		} else {
			w.end = func(o Op) {
				if o.Call == "write" {
					w.end = nil
					check(t, g.Sync())
				}
			}
			write(t, f, "NEW", 0)
		}
		if len(w.drawn) != 1 || w.drawn[0] != 2 {
			t.Errorf("%+v: draws of %v, want one of 2", c, w.drawn)
		}
		left := d.Clone()
		d.PowerCut(lose)
		if got := contents(d)["f"]; got != c.want {
			t.Errorf("%+v: %q after a power cut", c, got)
		}
		check(t, open(t, left.Mount(w), "f").Sync())
		left.PowerCut(lose)
		if got := contents(left)["f"]; got != "NEW123" {
			t.Errorf("%+v: %q after another sync and a power cut", c, got)
		}
	}
}

// TestSyncDirCovers is the same for names.
func TestSyncDirCovers(t *testing.T) {
	for draw, want := range []string{"before", "before,late1", "before,late1,late2"} {
		w := striking()
		d := New(Profile{})
		m := d.Mount(w)
		create(t, m, "before")
		w.draws = []int{draw}
		w.begin = func(o Op) {
			if o.Call == "syncdir" {
				w.begin = nil
				create(t, m, "late1")
				create(t, m, "late2")
			}
		}
		check(t, m.SyncDir())
		left := d.Clone()
		d.PowerCut(lose)
		if got := names(d); got != want {
			t.Errorf("draw %d: %s, want %s", draw, got, want)
		}
		check(t, left.Mount(w).SyncDir())
		left.PowerCut(lose)
		if got := names(left); got != "before,late1,late2" {
			t.Errorf("draw %d: %s after another SyncDir", draw, got)
		}
	}
}

func names(d *Disk) string {
	var all []string
	for _, f := range d.Files() {
		all = append(all, f.Name)
	}
	return strings.Join(all, ",")
}

// TestLocks: among mounts of one disk; TestConformance has the rest.
func TestLocks(t *testing.T) {
	d := New(Profile{})
	a, b := d.Mount(quiet{}), d.Mount(quiet{})
	release, err := a.Lock(true)
	check(t, err)
	if _, err := b.Lock(false); !errors.Is(err, backends.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if _, err := d.Clone().Mount(quiet{}).Lock(true); err != nil {
		t.Errorf("a clone is locked: %v", err)
	}
	d.Kill()
	other, err := d.Mount(quiet{}).Lock(true)
	check(t, err)
	if release() == nil {
		t.Errorf("the dead could release a lock")
	}
	if _, err := d.Mount(quiet{}).Lock(true); !errors.Is(err, backends.ErrLocked) {
		t.Errorf("the dead have released the lock of the living: %v", err)
	}
	check(t, other())
}

// TestClone: neither side sees what the other does, at any depth of sharing.
func TestClone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	disks := []*Disk{New(Profile{NamesApart: true})}
	mounts := []*Mounted{disks[0].Mount(quiet{})}
	want := []map[string]string{{}}
	for step := range 1200 {
		i := rng.IntN(len(disks))
		change(t, mounts[i], rng, step)
		if rng.IntN(40) == 0 {
			disks[i].PowerCut(rng.IntN)
			mounts[i] = disks[i].Mount(quiet{})
		}
		want[i] = contents(disks[i])
		if rng.IntN(20) == 0 {
			c := disks[i].Clone()
			if c.Image() != disks[i].Image() {
				t.Fatalf("step %d: a clone looks different", step)
			}
			j := rng.IntN(8)
			if j >= len(disks) {
				disks, mounts, want = append(disks, nil), append(mounts, nil), append(want, nil)
				j = len(disks) - 1
			}
			disks[j], mounts[j], want[j] = c, c.Mount(quiet{}), want[i]
		}
		for j := range disks {
			if !maps.Equal(contents(disks[j]), want[j]) {
				t.Fatalf("step %d: a call on disk %d has changed disk %d", step, i, j)
			}
		}
	}
}

// change makes one random call or two.
func change(t *testing.T, m *Mounted, rng *rand.Rand, step int) {
	name := fmt.Sprint("f", rng.IntN(3))
	f, err := m.Open(name)
	if err != nil {
		f = create(t, m, name)
	}
	switch rng.IntN(8) {
	case 0:
		check(t, f.Sync())
	case 1:
		check(t, m.SyncDir())
	case 2:
		check(t, m.Remove(name))
	case 3:
		check(t, f.Truncate(int64(rng.IntN(40000))))
	default:
		write(t, f, strings.Repeat(string(rune('a'+step%26)), 1+rng.IntN(5000)), int64(rng.IntN(35000)))
	}
}

// TestClonePending: a clone keeps the unsynced operations that the original syncs and forgets.
func TestClonePending(t *testing.T) {
	d := New(Profile{})
	durable(t, d, "f", "------")
	f := open(t, d.Mount(quiet{}), "f")
	write(t, f, "clone", 0)
	c := d.Clone()
	check(t, f.Sync())
	write(t, f, "other", 0)
	check(t, open(t, c.Mount(quiet{}), "f").Sync())
	for _, disk := range []*Disk{c, d} {
		disk.PowerCut(lose)
		if got := contents(disk)["f"]; got != "clone-" {
			t.Errorf("%q after a sync and a power cut", got)
		}
	}
	c = New(Profile{})
	durable(t, c, "f", "------")
	f = open(t, c.Mount(quiet{}), "f")
	for range 3 { // the list has room for a fourth
		write(t, f, "AA", 0)
	}
	e := c.Clone()
	write(t, f, "BB", 2)
	write(t, open(t, e.Mount(quiet{}), "f"), "CC", 4)
	for disk, want := range map[*Disk]string{c: "AABB--", e: "AA--CC"} {
		disk.mu.Lock()
		find(disk.names, "f").diverged = true // the shortcut over the cache is closed
		disk.mu.Unlock()
		disk.PowerCut(keep)
		if got := contents(disk)["f"]; got != want {
			t.Errorf("%q, want %q: clones write into each other's lists", got, want)
		}
	}
}

// TestDeterminism: the same world gives the same run, bytes and reports included.
func TestDeterminism(t *testing.T) {
	for _, p := range Profiles() {
		runs := [2]string{}
		for i := range runs {
			d := New(p)
			w := newChance(9)
			var text strings.Builder
			rng := rand.New(rand.NewPCG(5, 6))
			for range 15 {
				m := d.Mount(w)
				for step := range 40 {
					name := fmt.Sprint("f", rng.IntN(5))
					f, err := m.Create(name)
					if err != nil {
						f, err = m.Open(name)
					}
					off, n := rng.IntN(9000), rng.IntN(4000)
					if err == nil {
						_, err = f.WriteAt([]byte(strings.Repeat(string(rune('a'+step%26)), n)), int64(off))
					}
					if err == nil && rng.IntN(3) == 0 {
						err = f.Sync()
					}
					fmt.Fprintln(&text, err)
				}
				n, exact := d.States(8)
				fmt.Fprintln(&text, d.Files(), n, exact)
				fmt.Fprintln(&text, d.PowerCut(w.Draw).String(), d.Image())
			}
			runs[i] = text.String()
		}
		if runs[0] != runs[1] {
			t.Errorf("%s: two runs differ", p.Name)
		}
	}
}

// TestLoss: the report says what was kept, dropped and torn.
func TestLoss(t *testing.T) {
	d := New(Profile{Sector: 512})
	durable(t, d, "old", strings.Repeat("-", 1000))
	m := d.Mount(quiet{})
	write(t, open(t, m, "old"), strings.Repeat("x", 600), 900)
	create(t, m, "new")
	check(t, m.Remove("old"))
	want := FileState{Name: "new"}
	if got := d.Files(); len(got) != 1 || got[0] != want {
		t.Errorf("Files() = %+v", got)
	}
	all := d.Clone()
	if got, want := d.PowerCut(lose).String(), "old: 0 bytes kept, 600 dropped, size 1000 of 1500; creation of new lost; removal of old lost"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := all.PowerCut(keep).String(), "creation of new kept; removal of old kept"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := d.PowerCut(lose).String(); got != "nothing was unsynced" {
		t.Error(got)
	}
	write(t, open(t, d.Mount(quiet{}), "old"), "xyz", 999)
	if got := d.Files()[0]; got != (FileState{Name: "old", Size: 1002, Synced: 1000, Unsynced: 3, Named: true}) {
		t.Errorf("Files() = %+v", got)
	}
}

// TestTorn: garbage stands only behind the beginning of a piece, and both happen.
func TestTorn(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		if tears := countTears(t, Profile{Sector: 512, Torn: true, Ordered: ordered}); tears < 50 {
			t.Errorf("ordered %t: %d of 3000 power cuts tore a write in the middle", ordered, tears)
		}
	}
	if tears := countTears(t, Profile{Sector: 512, Torn: true, AtomicSectors: true}); tears > 0 {
		t.Errorf("%d atomic sectors are torn", tears)
	}
}

func countTears(t *testing.T, p Profile) (tears int) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		d := New(p)
		durable(t, d, "f", strings.Repeat("-", 1536))
		write(t, open(t, d.Mount(quiet{}), "f"), strings.Repeat("x", 512), 600)
		loss := d.PowerCut(rng.IntN)
		got := contents(d)["f"]
		if got[:600] != strings.Repeat("-", 600) || got[1112:] != strings.Repeat("-", 424) {
			t.Fatalf("bytes around a torn write are damaged: %q", got)
		}
		if strings.Trim(got, "-x") != "" != (loss.Files[0].Torn > 0) && loss.Files[0].Torn < 2 {
			t.Fatalf("%v, but %q", loss, got)
		}
		// A tear that left nothing of the write is as good as none.
		if loss.Files[0].Torn > 0 && loss.Files[0].Kept == 0 && strings.Contains(got, "xxxx") {
			tears++
		}
	}
	return tears
}

// TestUnwritten: what stands in bytes that a size covers and no data, until the file is synced.
func TestUnwritten(t *testing.T) {
	old := strings.Repeat("OLD!", 1024)
	for how, want := range map[Unwritten][3]bool{
		UnwrittenZero: {true, false, false}, UnwrittenOld: {true, true, false},
		UnwrittenGarbage: {true, false, true}, UnwrittenAny: {true, true, true},
	} {
		var seen [3]bool
		for seed := range uint64(200) {
			d := New(Profile{Unwritten: how, Ordered: false})
			durable(t, d, "old", old)
			durable(t, d, "f", "f")
			m := d.Mount(quiet{})
			check(t, m.Remove("old"))
			f := open(t, m, "f")
			check(t, f.Truncate(4096))
			synced := d.Clone()
			check(t, open(t, synced.Mount(quiet{}), "f").Sync())
			rng := rand.New(rand.NewPCG(seed, 1))
			synced.PowerCut(rng.IntN)
			if got := contents(synced)["f"]; got != "f"+strings.Repeat("\x00", 4095) {
				t.Fatalf("%v: synced bytes are not zeros", how)
			}
			// Not all of the draws, which would take the shortcut over the cache.
			d.PowerCut(func(n int) int {
				if n == modes {
					return keepHalf
				}
				return rng.IntN(n)
			})
			for sector := 1; sector < len(contents(d)["f"])/512; sector++ {
				switch got := contents(d)["f"][sector*512:][:512]; {
				case got == strings.Repeat("\x00", 512):
					seen[0] = true
				case strings.Contains(old+old, got):
					seen[1] = true
				default:
					seen[2] = true
				}
			}
		}
		if seen != want {
			t.Errorf("%v: zeros, old, garbage: %v, want %v", how, seen, want)
		}
	}
}

func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		got, ok := ProfileNamed(p.Name)
		if !ok || got != p {
			t.Errorf("ProfileNamed(%q) = %+v, %t", p.Name, got, ok)
		}
		if p.Torn && p.AtomicSectors || p.Lasting > 0 && !p.Has(EIORead) {
			t.Errorf("%s: fields that exclude each other, or need each other", p.Name)
		}
		quiet := p.Quiet()
		for _, c := range Classes() {
			if quiet.Has(c) != (c == Crash) {
				t.Errorf("%s, quiet, has %v", p.Name, c)
			}
			if c.String() == "unknown" {
				t.Errorf("class %d has no name", c)
			}
		}
	}
	if _, ok := ProfileNamed("none"); ok {
		t.Errorf("a profile that is not there")
	}
}

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aegis-storage/aegis/backends"
)

// TestCallErrors: each rate makes its calls fail with the error that a local file would give, and
// no others; the next call works unless the fault lasts, and then all do after the life.
func TestCallErrors(t *testing.T) {
	calls := map[string]func(b backends.Backend, f backends.File) error{
		"read":     func(_ backends.Backend, f backends.File) error { _, err := f.ReadAt(make([]byte, 3), 0); return err },
		"write":    func(_ backends.Backend, f backends.File) error { _, err := f.WriteAt([]byte("xyz"), 9); return err },
		"truncate": func(_ backends.Backend, f backends.File) error { return f.Truncate(20) },
		"sync":     func(_ backends.Backend, f backends.File) error { return f.Sync() },
		"syncdir":  func(b backends.Backend, _ backends.File) error { return b.SyncDir() },
		"open":     func(b backends.Backend, _ backends.File) error { _, err := b.Open("f"); return err },
		"list":     func(b backends.Backend, _ backends.File) error { _, err := b.List(); return err },
		"create":   func(b backends.Backend, _ backends.File) error { _, err := b.Create("new"); return err },
		"remove":   func(b backends.Backend, _ backends.File) error { return b.Remove("f") },
	}
	cases := []struct {
		profile Profile
		strike  string
		fails   []string
		lasts   []string
		with    error
	}{
		{Profile{ReadError: 1, Lasting: 1}, "read fails", []string{"read"}, []string{"read"}, syscall.EIO},
		{Profile{WriteError: 1, Lasting: 1}, "write fails", []string{"write", "truncate"}, []string{"write", "truncate"}, syscall.EIO},
		{Profile{SyncError: 1, Lasting: 1}, "sync fails", []string{"sync"}, []string{"sync"}, syscall.EIO},
		{Profile{SyncError: 1}, "syncdir fails", []string{"syncdir"}, nil, syscall.EIO},
		{Profile{OpenError: 1, Lasting: 1}, "open fails", []string{"open"}, []string{"open"}, syscall.EIO},
		{Profile{OpenError: 1}, "list fails", []string{"list"}, nil, syscall.EIO},
		{Profile{CreateError: 1}, "create fails", []string{"create"}, nil, syscall.EIO},
		{Profile{RemoveError: 1, Lasting: 1}, "remove fails", []string{"remove"}, []string{"remove"}, syscall.EIO},
		{Profile{NoSpace: 1}, "the medium is full", []string{"write", "truncate", "create", "sync"}, nil, syscall.ENOSPC},
		{Profile{NoSpace: 1}, "the medium is full", []string{"write", "truncate", "create", "sync"}, nil, backends.ErrNoSpace},
	}
	for _, c := range cases {
		for call, do := range calls {
			for _, lasting := range []bool{false, true} {
				p := c.profile
				if !lasting {
					p.Lasting = 0
				}
				d := New(p)
				durable(t, d, "f", "0123456789")
				w := striking()
				m := d.Mount(w)
				f := open(t, m, "f")
				write(t, f, "dirty", 0)
				w.faults[c.strike] = true
				err := do(m, f)
				if want := slices.Contains(c.fails, call); want != errors.Is(err, c.with) || !want && err != nil {
					t.Errorf("%s, %s: %v", c.strike, call, err)
				}
				clear(w.faults)
				err = do(m, f)
				if want := lasting && slices.Contains(c.lasts, call); want != (err != nil) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
					t.Errorf("%s, %s again, lasting %t: %v", c.strike, call, lasting, err)
				}
				d.Kill()
				m = d.Mount(striking())
				if f, err := m.Open("f"); err == nil {
					if err := do(m, f); err != nil && !errors.Is(err, fs.ErrExist) {
						t.Errorf("%s, %s in the next life: %v", c.strike, call, err)
					}
				}
			}
		}
	}
}

// TestFailedSync: what becomes of the unsynced writes, by profile: what is read at once, and what
// a later sync that succeeds has brought to the medium.
func TestFailedSync(t *testing.T) {
	for _, c := range []struct {
		how         FailedSync
		read, after string
	}{
		{SyncKeeps, "newmid", "newmid"},
		{SyncReadsNew, "newmid", "oldmid"},
		{SyncReadsOld, "oldold", "oldmid"},
	} {
		for _, fault := range []string{"sync fails", "the medium is full"} {
			d := New(Profile{SyncError: 1, NoSpace: 1, FailedSync: c.how})
			durable(t, d, "f", "oldold")
			w := striking()
			m := d.Mount(w)
			f := open(t, m, "f")
			write(t, f, "new", 0)
			w.faults[fault] = true
			if err := f.Sync(); err == nil {
				t.Fatal("the sync did not fail")
			}
			clear(w.faults)
			if c.how == SyncReadsOld {
				if got := contents(d)["f"]; got != c.read {
					t.Errorf("%v, %s: reads %q, want %q", c.how, fault, got, c.read)
				}
			}
			write(t, f, "mid", 3)
			cut := d.Clone()
			cut.PowerCut(keep)
			if got := contents(cut)["f"]; got != c.after {
				t.Errorf("%v, %s: %q after a power cut that kept all, want %q", c.how, fault, got, c.after)
			}
			check(t, f.Sync())
			d.Kill()
			if got := contents(d)["f"]; c.how != SyncReadsOld && got != c.read {
				t.Errorf("%v, %s: reads %q after a kill, want %q", c.how, fault, got, c.read)
			}
			d.PowerCut(keep)
			if got := contents(d)["f"]; got != c.after {
				t.Errorf("%v, %s: %q after a later sync and a power cut, want %q", c.how, fault, got, c.after)
			}
		}
	}
}

// TestFailedSyncPart: a failed sync may have written all or a part.
func TestFailedSyncPart(t *testing.T) {
	d := New(Profile{SyncError: 1, FailedSync: SyncReadsOld})
	durable(t, d, "f", "oldold")
	w := striking("sync fails")
	w.draws = []int{keepAll}
	f := open(t, d.Mount(w), "f")
	write(t, f, "new", 0)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.PowerCut(lose)
	if got := contents(d)["f"]; got != "newold" {
		t.Errorf("%q: the failed sync was to write all", got)
	}
}

// TestWriteError: a failed write has had all, some or none of its effect.
func TestWriteError(t *testing.T) {
	for _, c := range []struct {
		draws []int
		want  string
	}{{[]int{0}, "0123456789"}, {[]int{1, 2}, "ab23456789"}, {[]int{2}, "abcdefgh89"}} {
		d := New(Profile{WriteError: 1})
		durable(t, d, "f", "0123456789")
		w := striking("write fails")
		w.draws = c.draws
		n, err := open(t, d.Mount(w), "f").WriteAt([]byte("abcdefgh"), 0)
		if got := contents(d)["f"]; n != 0 || !errors.Is(err, syscall.EIO) || got != c.want {
			t.Errorf("draws %v: %d, %v, %q; want %q", c.draws, n, err, got, c.want)
		}
	}
}

// TestNoSpace: relief comes after the drawn number of calls, and no byte that was there is
// touched.
func TestNoSpace(t *testing.T) {
	d := New(Profile{NoSpace: 1, NoSpaceCalls: 5})
	durable(t, d, "f", "0123456789")
	w := striking("the medium is full")
	w.draws = []int{3, 2}
	m := d.Mount(w)
	f := open(t, m, "f")
	if _, err := f.WriteAt([]byte("abc"), 8); !errors.Is(err, backends.ErrNoSpace) {
		t.Fatal(err)
	}
	clear(w.faults)
	failures := 0
	for f.Truncate(20) != nil {
		failures++
	}
	if failures != 3 || contents(d)["f"][:10] != "0123456789" {
		t.Errorf("%d calls failed before relief, 3 were drawn; %q", failures, contents(d)["f"])
	}
	w.faults["the medium is full"] = true
	w.draws = []int{0, 2}
	if _, err := f.WriteAt([]byte("tail"), 20); !errors.Is(err, syscall.ENOSPC) || contents(d)["f"][20:] != "tail" {
		t.Errorf("%v, %q: a write at the end may have grown the file", err, contents(d)["f"])
	}
}

// TestCapacity: all files together have room, those counted that are removed and still open.
func TestCapacity(t *testing.T) {
	d := New(Profile{Capacity: 1000})
	m := d.Mount(striking())
	a, b := create(t, m, "a"), create(t, m, "b")
	write(t, a, strings.Repeat("a", 600), 0)
	write(t, b, strings.Repeat("b", 400), 0)
	full := func(when string) {
		t.Helper()
		if _, err := b.WriteAt([]byte("x"), 400); !errors.Is(err, backends.ErrNoSpace) {
			t.Errorf("%s: a write beyond the capacity: %v", when, err)
		}
	}
	full("600 and 400 of 1000 bytes")
	write(t, b, "overwritten", 0)
	check(t, m.Remove("a"))
	full("removed, but open")
	check(t, a.Close())
	write(t, b, strings.Repeat("b", 600), 400)
	if err := b.Truncate(1001); !errors.Is(err, backends.ErrNoSpace) {
		t.Errorf("truncating beyond the capacity: %v", err)
	}
}

// TestLyingSync: a sync that lies makes nothing durable; an honest one later does.
func TestLyingSync(t *testing.T) {
	for _, honest := range []bool{false, true} {
		d := New(Profile{LyingSync: 1})
		w := striking("sync does nothing", "syncdir does nothing")
		m := d.Mount(w)
		f := create(t, m, "f")
		write(t, f, "data", 0)
		check(t, f.Sync())
		check(t, m.SyncDir())
		if honest {
			clear(w.faults)
			check(t, f.Sync())
			check(t, m.SyncDir())
		}
		d.PowerCut(lose)
		if got := contents(d); (got["f"] == "data") != honest || len(got) == 1 != honest {
			t.Errorf("honest later %t: %v", honest, got)
		}
	}
}

// TestTime: slow calls take as long as is drawn, and a stuck file keeps its calls and no others.
func TestTime(t *testing.T) {
	d := New(Profile{Slow: 1, SlowFor: time.Second, Stuck: 1, StuckFor: time.Hour})
	durable(t, d, "a", "a")
	durable(t, d, "b", "b")
	w := striking("a slow call")
	w.draws = []int{41}
	m := d.Mount(w)
	a := open(t, m, "a")
	if want := []time.Duration{42 * time.Microsecond}; !slices.Equal(w.delays, want) {
		t.Errorf("delays %v, want %v", w.delays, want)
	}
	clear(w.faults)
	b := open(t, m, "b")
	w.faults["a file is stuck"] = true
	w.delays = nil
	check(t, a.Sync())
	check(t, b.Sync()) // it can be only one
	clear(w.faults)
	check(t, a.Sync())
	if want := []time.Duration{time.Hour, time.Hour}; !slices.Equal(w.delays, want) {
		t.Errorf("delays %v, want %v", w.delays, want)
	}
	d.Kill()
	w.delays = nil
	check(t, open(t, d.Mount(w), "a").Sync())
	if len(w.delays) > 0 {
		t.Errorf("still stuck in the next life")
	}
}

// TestRates: all faults of the profiles happen, about as often as they say.
func TestRates(t *testing.T) {
	for _, p := range Profiles() {
		d := New(p)
		w := newChance(1)
		for life := range 40 {
			m := d.Mount(w)
			for i := range 100 {
				name := fmt.Sprint("f", i%7)
				f, err := m.Create(name)
				if err != nil {
					f, err = m.Open(name)
				}
				if err == nil {
					f.WriteAt(make([]byte, 1000), int64(i)*100)
					f.ReadAt(make([]byte, 100), 0)
					f.Sync()
					f.Close()
				}
				if i%20 == 19 {
					m.Remove(name)
				}
				m.List()
				m.SyncDir()
			}
			if life%2 == 0 {
				d.Kill()
			} else {
				d.PowerCut(w.rng.IntN)
			}
		}
		for _, c := range Classes()[1:] {
			happened := 0
			for what, n := range w.struck {
				if strings.HasPrefix(what, c.String()+":") {
					happened += n
				}
			}
			if p.Has(c) != (happened > 0) {
				t.Errorf("%s: %d faults of class %v", p.Name, happened, c)
			}
		}
	}
}

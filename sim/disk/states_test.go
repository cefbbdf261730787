package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The brute-force model: it cuts all unsynced work into atoms, tries every subset of them, and
// applies to plain byte slices those that the profile allows.

type atom struct {
	seq    int
	file   string // of a write or truncation
	sector int
	off    int
	data   string
	cut    bool
	move   bool
	name   string // of a move: the name; file is what it means then, "" for none
}

type model struct {
	p       Profile
	synced  map[string]string // by file, which is a name and a number
	durable map[string]string // name to file
	names   map[string]string
	atoms   []atom
	files   int
	ops     int
}

func newModel(p Profile) *model {
	return &model{p: p, synced: map[string]string{}, durable: map[string]string{}, names: map[string]string{}}
}

func (m *model) create(name string) {
	m.files++
	m.ops++
	file := fmt.Sprint(name, "#", m.files)
	m.synced[file], m.names[name] = "", file
	m.atoms = append(m.atoms, atom{seq: m.ops, move: true, name: name, file: file})
}

func (m *model) remove(name string) {
	m.ops++
	delete(m.names, name)
	m.atoms = append(m.atoms, atom{seq: m.ops, move: true, name: name})
}

func (m *model) write(name string, off int, data string) {
	m.ops++
	for at := 0; at < len(data); {
		sector := (off + at) / int(m.p.Sector)
		next := min(len(data), (sector+1)*int(m.p.Sector)-off)
		m.atoms = append(m.atoms, atom{seq: m.ops, file: m.names[name], sector: sector, off: off + at, data: data[at:next]})
		at = next
	}
}

func (m *model) truncate(name string, size int) {
	m.ops++
	m.atoms = append(m.atoms, atom{seq: m.ops, file: m.names[name], off: size, cut: true})
}

func (m *model) sync(name string) {
	file := m.names[name]
	mine := func(a atom) bool { return !a.move && a.file == file }
	for _, a := range m.atoms {
		if mine(a) {
			m.synced[file] = a.apply(m.synced[file])
		}
	}
	m.atoms = slices.DeleteFunc(m.atoms, mine)
}

func (m *model) syncDir() {
	m.durable = maps.Clone(m.names)
	m.atoms = slices.DeleteFunc(m.atoms, func(a atom) bool { return a.move })
}

func (a atom) apply(s string) string {
	end := a.off + len(a.data)
	if len(s) < end {
		s += strings.Repeat("\x00", end-len(s))
	}
	if a.cut {
		return s[:a.off]
	}
	return s[:a.off] + a.data + s[end:]
}

// allowed: whether a set of atoms may be what survives.
func (m *model) allowed(in []bool) bool {
	for i, a := range m.atoms {
		for j, b := range m.atoms[:i] {
			if !in[i] || in[j] {
				continue
			}
			switch {
			case m.p.Ordered:
				return false
			case a.move && b.move && !m.p.NamesApart:
				return false
			case m.p.AtomicSectors && !a.cut && !b.cut && !a.move && !b.move && a.file == b.file && a.sector == b.sector:
				return false
			}
		}
	}
	return true
}

// images returns every image of every allowed subset.
func (m *model) images() map[string]bool {
	all := map[string]bool{}
	for set := range 1 << len(m.atoms) {
		in := make([]bool, len(m.atoms))
		for i := range in {
			in[i] = set>>i&1 != 0
		}
		if !m.allowed(in) {
			continue
		}
		names, data := maps.Clone(m.durable), maps.Clone(m.synced)
		for i, a := range m.atoms {
			switch {
			case !in[i]:
			case a.move && a.file == "":
				delete(names, a.name)
			case a.move:
				names[a.name] = a.file
			default:
				data[a.file] = a.apply(data[a.file])
			}
		}
		m.withSizes(names, data, slices.Sorted(maps.Values(names)), all)
	}
	return all
}

// withSizes adds the images of names and data with every size that each of files may have.
func (m *model) withSizes(names, data map[string]string, files []string, all map[string]bool) {
	if len(files) == 0 {
		image := map[string]string{}
		for name, file := range names {
			image[name] = data[file]
		}
		all[fmt.Sprintf("%q", image)] = true
		return
	}
	file := files[0]
	derived := data[file]
	m.withSizes(names, data, files[1:], all)
	whole := m.synced[file]
	for i := -1; i < len(m.atoms); i++ {
		if i >= 0 {
			if m.atoms[i].move || m.atoms[i].file != file {
				continue
			}
			whole = m.atoms[i].apply(whole)
			if i+1 < len(m.atoms) && m.atoms[i+1].seq == m.atoms[i].seq {
				continue // half a write is no size of its own
			}
		}
		size := len(whole)
		if !m.p.Ordered && (size > len(derived) && m.p.SizeWithoutData || size < len(derived) && m.p.DataWithoutSize) {
			data[file] = atom{off: size, cut: true}.apply(derived)
			m.withSizes(names, data, files[1:], all)
		}
	}
	data[file] = derived
}

// play does the same random operations on a disk and on the model.
func play(t *rapid.T, d *Disk, m *model, steps, most int) {
	b := d.Mount(quiet{})
	for range steps {
		name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")
		if m.names[name] == "" {
			if len(m.atoms) < most {
				create(t, b, name)
				m.create(name)
			}
			continue
		}
		f := open(t, b, name)
		switch rapid.IntRange(0, 9).Draw(t, "call") {
		case 0:
			check(t, f.Sync())
			m.sync(name)
		case 1:
			check(t, b.SyncDir())
			m.syncDir()
		case 2:
			if len(m.atoms) < most {
				check(t, b.Remove(name))
				m.remove(name)
			}
		case 3:
			if size := rapid.IntRange(0, 1500).Draw(t, "size"); len(m.atoms) < most {
				check(t, f.Truncate(int64(size)))
				m.truncate(name, size)
			}
		default:
			off, n := rapid.IntRange(0, 1200).Draw(t, "off"), rapid.IntRange(1, 700).Draw(t, "len")
			if len(m.atoms)+2 < most {
				data := strings.Repeat(string(rune('a'+rapid.IntRange(0, 3).Draw(t, "byte"))), n)
				write(t, f, data, int64(off))
				m.write(name, off, data)
			}
		}
	}
}

// TestStatesBruteForce: States has all and only what the brute-force model allows, each once, and
// so have, only, the power cuts that draw.
func TestStatesBruteForce(t *testing.T) {
	const max = 1 << 12
	profiles := []Profile{
		{Name: "ordered", Sector: 512, AtomicSectors: true, Ordered: true},
		{Name: "sector", Sector: 512, AtomicSectors: true, NamesApart: true},
		{Name: "journal", Sector: 512, AtomicSectors: true},
		{Name: "pieces", Sector: 512, NamesApart: true},
		{Name: "long", Sector: 512, NamesApart: true, SizeWithoutData: true},
		{Name: "short", Sector: 512, AtomicSectors: true, DataWithoutSize: true},
		{Name: "sizes", Sector: 512, SizeWithoutData: true, DataWithoutSize: true},
	}
	for _, p := range profiles {
		t.Run(p.Name, rapid.MakeCheck(func(t *rapid.T) {
			d, m := New(p), newModel(p)
			most := 9
			if p.SizeWithoutData || p.DataWithoutSize {
				most = 6
			}
			play(t, d, m, rapid.IntRange(1, 14).Draw(t, "steps"), most)
			want := m.images()
			n, exact := d.States(max)
			if !exact || n != len(want) {
				t.Fatalf("States: %d images, exact %t; the model has %d", n, exact, len(want))
			}
			got := map[string]bool{}
			for i := range n {
				c := d.Clone()
				if _, ok := c.PowerCutNth(i); !ok {
					t.Fatalf("image %d of %d cannot be taken", i, n)
				}
				image := fmt.Sprintf("%q", contents(c))
				if got[image] {
					t.Fatalf("image %d comes twice: %.300s", i, image)
				}
				if !want[image] {
					t.Fatalf("image %d is not allowed: %.300s", i, image)
				}
				got[image] = true
			}
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			for range 20 {
				c := d.Clone()
				c.PowerCut(rng.IntN)
				if image := fmt.Sprintf("%q", contents(c)); !want[image] {
					t.Fatalf("a power cut drew an image that is not allowed: %.300s", image)
				}
			}
		}))
	}
}

// TestSamplerReaches: power cuts that draw find every image, in time.
func TestSamplerReaches(t *testing.T) {
	for _, p := range []Profile{
		{Sector: 512, AtomicSectors: true, Ordered: true},
		{Sector: 512, AtomicSectors: true, NamesApart: true},
		{Sector: 512, NamesApart: true, SizeWithoutData: true, DataWithoutSize: true},
	} {
		d := New(p)
		durable(t, d, "a", strings.Repeat("-", 1024))
		m := d.Mount(quiet{})
		a, b := open(t, m, "a"), create(t, m, "b")
		write(t, a, strings.Repeat("1", 1024), 0)
		write(t, a, strings.Repeat("2", 100), 500)
		write(t, b, "new", 0)
		n, exact := d.States(1000)
		if !exact {
			t.Fatalf("%d images are not all", n)
		}
		seen := map[uint64]bool{}
		rng := rand.New(rand.NewPCG(1, 1))
		for range 200 * n {
			c := d.Clone()
			c.PowerCut(rng.IntN)
			seen[c.Image()] = true
		}
		if len(seen) != n {
			t.Errorf("%+v: %d power cuts drew %d of %d images", p, 200*n, len(seen), n)
		}
	}
}

// TestStatesMany: where the images are too many, those that are counted can be taken, are told
// apart, and have the extremes among them.
func TestStatesMany(t *testing.T) {
	for _, p := range Profiles() {
		d := New(p.Quiet())
		durable(t, d, "a", strings.Repeat("-", 20<<10))
		f := open(t, d.Mount(quiet{}), "a")
		for i := range 30 {
			write(t, f, strings.Repeat(string(rune('A'+i)), 8192), int64(i%3)*4096)
		}
		n, exact := d.States(20)
		if n != 20 || exact {
			t.Errorf("%s: States(20) = %d, %t; there are many more", p.Name, n, exact)
		}
		before, after := "", contents(d)["a"]
		seen := map[string]bool{}
		for i := range n {
			c := d.Clone()
			c.PowerCutNth(i)
			seen[contents(c)["a"]] = true
			if i == 0 {
				before = contents(c)["a"]
			}
		}
		if len(seen) != n || before != strings.Repeat("-", 20<<10) {
			t.Errorf("%s: %d of %d images differ; the first is to be that of nothing kept", p.Name, len(seen), n)
		}
		if !p.Ordered && !seen[after] {
			t.Errorf("%s: the image of everything kept is not there", p.Name)
		}
		d.Kill()
		write(t, open(t, d.Mount(quiet{}), "a"), "x", 0)
		if _, ok := d.PowerCutNth(0); ok {
			t.Errorf("%s: PowerCutNth took an image from before a write", p.Name)
		}
	}
}

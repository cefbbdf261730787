package disk

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aegis-storage/aegis/backends"
)

// quiet is a World in which nothing happens.
type quiet struct{}

func (quiet) Begin(Op)                       {}
func (quiet) End(Op)                         {}
func (quiet) Draw(int) int                   { return 0 }
func (quiet) Strike(Class, int, string) bool { return false }
func (quiet) Delay(Op, time.Duration)        {}

// chance is a World that draws from a generator. Faults strike as often as the profile says, or
// always if they are due.
type chance struct {
	mu      sync.Mutex
	rng     *rand.Rand
	struck  map[string]int
	delayed time.Duration
}

func newChance(seed uint64) *chance {
	return &chance{rng: rand.New(rand.NewPCG(seed, 7)), struck: map[string]int{}}
}

func (w *chance) Begin(Op) {}
func (w *chance) End(Op)   {}

func (w *chance) Draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *chance) Strike(class Class, once int, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rng.IntN(once) != 0 {
		return false
	}
	w.struck[class.String()+": "+what]++
	return true
}

func (w *chance) Delay(_ Op, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delayed += d
}

// strikes is a World in which exactly the faults named in it happen. Draws are 0 but for those
// in draws, which come first.
type strikes struct {
	faults map[string]bool
	draws  []int
	begin  func(Op)
	end    func(Op)
	delays []time.Duration
	drawn  []int // the n of each Draw
}

func striking(faults ...string) *strikes {
	w := &strikes{faults: map[string]bool{}}
	for _, f := range faults {
		w.faults[f] = true
	}
	return w
}

func (w *strikes) Begin(o Op) {
	if w.begin != nil {
		w.begin(o)
	}
}

func (w *strikes) End(o Op) {
	if w.end != nil {
		w.end(o)
	}
}

func (w *strikes) Draw(n int) int {
	w.drawn = append(w.drawn, n)
	if len(w.draws) == 0 {
		return 0
	}
	v := w.draws[0]
	w.draws = w.draws[1:]
	return v
}

func (w *strikes) Strike(_ Class, _ int, what string) bool { return w.faults[what] }
func (w *strikes) Delay(_ Op, d time.Duration)             { w.delays = append(w.delays, d) }

// lose and keep are the extremes of what a power cut chooses.
func lose(int) int { return keepNothing }

func keep(n int) int {
	if n == modes {
		return keepAll
	}
	return 0
}

// tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
}

func must[T any](t tester) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t tester, b backends.Backend, name string) backends.File {
	t.Helper()
	return must[backends.File](t)(b.Create(name))
}

func open(t tester, b backends.Backend, name string) backends.File {
	t.Helper()
	return must[backends.File](t)(b.Open(name))
}

func write(t tester, f backends.File, p string, off int64) {
	t.Helper()
	must[int](t)(f.WriteAt([]byte(p), off))
}

// durable makes a file with contents that are synced, name included.
func durable(t tester, d *Disk, name, contents string) {
	t.Helper()
	m := d.Mount(quiet{})
	f := create(t, m, name)
	write(t, f, contents, 0)
	check(t, f.Sync())
	check(t, f.Close())
	check(t, m.SyncDir())
}

// contents returns the files as a new process sees them.
func contents(d *Disk) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]string{}
	for _, e := range d.names {
		p := make([]byte, e.node.cache.size)
		e.node.cache.read(p, 0)
		all[e.name] = string(p)
	}
	return all
}

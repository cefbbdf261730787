package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The reference model of what an honest disk promises: it knows of each byte whether a sync has
// covered it last, or something else that may or may not be on the medium.

type promise struct {
	val    []byte
	sure   []bool // val is what the medium has
	lo, hi int64  // between which its size is
	loose  []loose
}

// loose is a write or truncation that no sync has covered, or whose sync or call failed.
type loose struct {
	off  int64
	data []byte
	cut  bool
	part bool // the call failed: a part of it may have happened
	lost bool // a sync failed: no later one covers it
}

// apply makes l sure, or not sure.
func (p *promise) apply(l loose, sure bool) {
	end := l.off + int64(len(l.data))
	if grow := end - int64(len(p.val)); grow > 0 {
		p.val = append(p.val, make([]byte, grow)...)
		p.sure = append(p.sure, slices.Repeat([]bool{sure}, int(grow))...) // a gap is the write's
	}
	if l.cut {
		for i := l.off; i < int64(len(p.val)); i++ {
			p.val[i], p.sure[i] = 0, sure
		}
		p.lo, p.hi = min(p.lo, l.off), max(p.hi, l.off)
		if sure {
			p.lo, p.hi = l.off, l.off
			p.val, p.sure = p.val[:l.off], p.sure[:l.off]
		}
		return
	}
	for i := range l.data {
		p.val[l.off+int64(i)], p.sure[l.off+int64(i)] = l.data[i], sure
	}
	p.hi = max(p.hi, end)
	if sure {
		p.lo = max(p.lo, end)
	}
}

// synced: a sync has succeeded.
func (p *promise) synced() {
	for _, l := range p.loose {
		p.apply(l, !l.part && !l.lost)
	}
	p.loose = nil
}

// holds reports whether the bytes that a power cut left keep the promise.
func (p *promise) holds(got []byte) error {
	q := promise{val: slices.Clone(p.val), sure: slices.Clone(p.sure), lo: p.lo, hi: p.hi}
	for _, l := range p.loose {
		q.apply(l, false)
	}
	size := int64(len(got))
	if size < q.lo || size > q.hi {
		return fmt.Errorf("%d bytes, it has to have %d to %d", size, q.lo, q.hi)
	}
	for i, b := range got {
		if i >= len(q.val) && b != 0 || i < len(q.val) && q.sure[i] && q.val[i] != b {
			return fmt.Errorf("byte %d of %d is %#x", i, size, b)
		}
	}
	return nil
}

// reference is the directory of promises.
type reference struct {
	names   map[string]*promise
	choices map[string][]*promise // that a name may have after a power cut; nil is no file
}

// TestPromises: whatever happens, an honest disk keeps after a power cut what it has acknowledged.
func TestPromises(t *testing.T) {
	for _, p := range Profiles() {
		if !p.Honest() {
			continue
		}
		for _, how := range []FailedSync{SyncReadsNew, SyncReadsOld, SyncEither} {
			p.FailedSync = how
			t.Run(fmt.Sprint(p.Name, how), rapid.MakeCheck(func(t *rapid.T) {
				promises(t, p, rapid.IntRange(1, 120).Draw(t, "steps"), newChance(rapid.Uint64().Draw(t, "seed")))
			}))
		}
	}
}

func promises(t *rapid.T, p Profile, steps int, w *chance) {
	d := New(p)
	m := d.Mount(w)
	ref := &reference{names: map[string]*promise{}, choices: map[string][]*promise{}}
	for step := range steps {
		switch w.rng.IntN(25) {
		case 0:
			d.Kill()
			m = d.Mount(w)
		case 1:
			n, _ := d.States(10)
			if n > 0 && w.rng.IntN(2) == 0 {
				d.PowerCutNth(w.rng.IntN(n))
			} else {
				d.PowerCut(w.rng.IntN)
			}
			ref.compare(t, contents(d))
			m = d.Mount(w)
		case 2, 3:
			if m.SyncDir() == nil {
				clear(ref.choices)
				for name, file := range ref.names {
					ref.choices[name] = []*promise{file}
				}
			}
		default:
			ref.step(m, w.rng, step)
		}
	}
	d.PowerCut(w.rng.IntN)
	ref.compare(t, contents(d))
}

// may adds a file that a name may have from now on.
func (r *reference) may(name string, file *promise) {
	if len(r.choices[name]) == 0 {
		r.choices[name] = []*promise{nil}
	}
	r.choices[name] = append(r.choices[name], file)
}

// step makes a call on a file.
func (r *reference) step(m *Mounted, rng *rand.Rand, step int) {
	name := fmt.Sprint("f", rng.IntN(3))
	file := r.names[name]
	if file == nil {
		if _, err := m.Create(name); err == nil {
			r.names[name] = &promise{}
			r.may(name, r.names[name])
		}
		return
	}
	f, err := m.Open(name)
	if err != nil {
		return
	}
	switch call := rng.IntN(12); call {
	case 0:
		if m.Remove(name) == nil {
			delete(r.names, name)
			r.may(name, nil)
		}
	case 1, 2, 3:
		if f.Sync() == nil {
			file.synced()
			return
		}
		for i := range file.loose {
			file.loose[i].lost = true
		}
	case 4:
		size := rng.Int64N(5000)
		if f.Truncate(size) == nil {
			file.loose = append(file.loose, loose{off: size, cut: true})
		}
	default:
		off, data := rng.Int64N(4000), bytes.Repeat([]byte{byte(step + 1)}, 1+rng.IntN(1500))
		_, err := f.WriteAt(data, off)
		file.loose = append(file.loose, loose{off: off, data: data, part: err != nil})
	}
}

// compare checks what a power cut has left, and takes it for synced from now on.
func (r *reference) compare(t *rapid.T, got map[string]string) {
	for _, name := range []string{"f0", "f1", "f2"} {
		have, there := got[name]
		choices := r.choices[name]
		if len(choices) == 0 {
			choices = []*promise{nil}
		}
		var errs []error
		for _, c := range choices {
			switch {
			case c == nil && there, c != nil && !there:
				errs = append(errs, fmt.Errorf("there %t", there))
			case c != nil:
				if err := c.holds([]byte(have)); err != nil {
					errs = append(errs, err)
				}
			}
		}
		if len(errs) == len(choices) {
			t.Fatalf("%s is none of the %d files that it may be: %v", name, len(choices), errs)
		}
	}
	clear(r.names)
	clear(r.choices)
	for name, have := range got {
		file := &promise{val: []byte(have), sure: slices.Repeat([]bool{true}, len(have)), lo: int64(len(have)), hi: int64(len(have))}
		r.names[name], r.choices[name] = file, []*promise{file}
	}
}

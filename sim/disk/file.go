package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"syscall"
)

var errNegative = errors.New("negative offset or size")

// file is an open file of a process.
type file struct {
	m      *Mounted
	n      *inode
	name   string
	closed bool
}

// begin is Mounted.begin, and refuses closed handles and offsets that no file has.
func (f *file) begin(o Op) error {
	if err := f.m.begin(o, f.n); err != nil {
		return err
	}
	switch {
	case f.closed:
		return f.m.end(o, failed(o.Call, f.name, fs.ErrClosed))
	case o.Off < 0:
		return f.m.end(o, failed(o.Call, f.name, errNegative))
	case o.Off > math.MaxInt64-o.Len, o.Call != "read" && o.Off+o.Len > maxFileBytes:
		return f.m.end(o, failed(o.Call, f.name, syscall.EFBIG))
	}
	return nil
}

// ReadAt implements backends.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	o := Op{Call: "read", File: f.name, Off: off, Len: int64(len(p))}
	if err := f.begin(o); err != nil {
		return 0, err
	}
	d, n := f.m.d, f.n
	left := max(n.cache.size-off, 0)
	got := int(min(int64(len(p)), left))
	err := d.readFaults(f.m.w, n, off, int64(got))
	if err != nil {
		return 0, f.m.end(o, failed("read", f.name, err))
	}
	n.cache.read(p[:got], off)
	if err := f.m.end(o, nil); err != nil {
		return 0, err
	}
	if got < len(p) {
		return got, io.EOF
	}
	return got, nil
}

// WriteAt implements backends.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	o := Op{Call: "write", File: f.name, Off: off, Len: int64(len(p)), Data: p}
	if err := f.begin(o); err != nil {
		return 0, err
	}
	d, n, w := f.m.d, f.n, f.m.w
	if len(p) == 0 {
		return 0, f.m.end(o, nil)
	}
	write, err := d.writeFaults(w, n, off, int64(len(p)))
	if err != nil {
		err = failed("write", f.name, err)
		if errors.Is(err, syscall.ENOSPC) {
			err = noSpace("write", f.name)
		}
	}
	if write == 0 {
		return 0, f.m.end(o, err)
	}
	var seq uint64
	if write == int64(len(p)) && err == nil && d.astray(w, n, p, off) {
		seq = d.do(n, op{off: max(n.cache.size, off+write), cut: true})
	} else {
		data, zero := retained(p[:write])
		seq = d.do(n, op{off: off, data: data, zero: zero})
		n.mend(off, write, d.profile.Sector)
	}
	if err := f.m.endMove(o, seq, err); err != nil {
		return 0, err
	}
	return len(p), nil
}

// zeroes stands for all writes that only fill a file. Nobody changes it.
var zeroes [256 << 10]byte

// retained returns the bytes of a write so that they can be kept and must not be changed. Those that only
// fill a file, which are many, take no memory: zero reports that.
func retained(p []byte) (kept []byte, zero bool) {
	if len(p) >= pageBytes && len(p) <= len(zeroes) && bytes.Equal(p, zeroes[:len(p)]) {
		return zeroes[:len(p):len(p)], true
	}
	return slices.Clone(p), false
}

// Truncate implements backends.File.
func (f *file) Truncate(size int64) error {
	o := Op{Call: "truncate", File: f.name, Off: size}
	if err := f.begin(o); err != nil {
		return err
	}
	d, n, w := f.m.d, f.n, f.m.w
	if d.strikes(w, n, writeFault) {
		return f.m.end(o, failed("truncate", f.name, syscall.EIO))
	}
	if d.noSpace(w, size-n.cache.size) {
		return f.m.end(o, noSpace("truncate", f.name))
	}
	return f.m.endMove(o, d.do(n, op{off: size, cut: true}), nil)
}

// Size implements backends.File.
func (f *file) Size() (int64, error) {
	o := Op{Call: "size", File: f.name}
	if err := f.begin(o); err != nil {
		return 0, err
	}
	size := f.n.cache.size
	if err := f.m.end(o, nil); err != nil {
		return 0, err
	}
	return size, nil
}

// Sync implements backends.File.
func (f *file) Sync() error {
	o := Op{Call: "sync", File: f.name}
	must := f.m.d.mark()
	if err := f.begin(o); err != nil {
		return err
	}
	d, n, w := f.m.d, f.n, f.m.w
	if d.strikes(w, n, syncFault) {
		d.syncFails(w, n)
		return f.m.end(o, failed("sync", f.name, syscall.EIO))
	}
	if len(n.pending) > 0 && d.noSpace(w, 0) {
		d.syncFails(w, n)
		return f.m.end(o, noSpace("sync", f.name))
	}
	if d.profile.LyingSync > 0 && w.Strike(Lying, d.profile.LyingSync, "sync does nothing") {
		return f.m.end(o, nil)
	}
	d.sync(w, n, must)
	return f.m.end(o, nil)
}

// sync writes to the medium what had returned at the mark, and of what came later as much as is
// drawn.
func (d *Disk) sync(w World, n *inode, must mark) {
	if len(n.pending) == 0 {
		return
	}
	d.images = nil
	late := 0
	for i := len(n.pending) - 1; i >= 0 && (n.pending[i].seq > must.seq || len(must.inflight) > 0); i-- {
		if !must.covers(n.pending[i].seq) {
			late++
		}
	}
	if late > 0 {
		late -= w.Draw(late + 1)
	}
	if late == 0 && !n.diverged {
		n.medium = n.cache.snapshot()
		n.forget()
		return
	}
	keep := len(n.pending) // from here on, what must not be covered may be left
	for left := late; left > 0; {
		keep--
		if !must.covers(n.pending[keep].seq) {
			left--
		}
	}
	var rest []op
	for i := range n.pending {
		if i >= keep && !must.covers(n.pending[i].seq) {
			rest = append(rest, n.pending[i])
		} else {
			n.pending[i].apply(&n.medium)
		}
	}
	n.forget()
	n.pending = append(n.pending, rest...)
}

// Close implements backends.File.
func (f *file) Close() error {
	o := Op{Call: "close", File: f.name}
	if err := f.begin(o); err != nil {
		return err
	}
	f.closed = true
	f.n.handles--
	if d := f.m.d; f.n.handles == 0 && len(d.orphans) > 0 {
		d.orphans = slices.DeleteFunc(d.orphans, func(n *inode) bool { return n == f.n })
	}
	return f.m.end(o, nil)
}

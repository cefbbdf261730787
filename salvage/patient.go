package salvage

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/aegis-storage/aegis/backends"
)

// patient is a backend of which parts cannot be read: they read as zeros, so that what lies beside
// them is found as it is beside any other damage. It is for one goroutine.
type patient struct {
	backends.Backend
	bad map[string]*unread // by file
}

// unread is what could not be read of a file.
type unread struct {
	offset int64
	err    error // of the first failure
	times  int
}

// patientBlock is how much is given up at a time, in bytes: media fail by sectors, and systems read
// by pages.
const patientBlock = 4 << 10

// Open implements backends.Backend.
func (p *patient) Open(name string) (backends.File, error) {
	f, err := p.Backend.Open(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			p.fail(name, 0, err)
		}
		return nil, err
	}
	return &patientFile{File: f, patient: p, name: name}, nil
}

func (p *patient) fail(name string, offset int64, err error) {
	u := p.bad[name]
	if u == nil {
		u = &unread{offset: offset, err: err}
		p.bad[name] = u
	}
	u.times++
}

// tell notes what could not be read.
func (p *patient) tell(r *Report) {
	for _, name := range slices.Sorted(maps.Keys(p.bad)) {
		u := p.bad[name]
		r.note("%s could not be read %s, first at offset %d: %v", name, count(u.times, "time", "times"), u.offset, u.err)
	}
}

// first is the first file that could not be read of those that are asked for, or nil.
func (p *patient) first(is func(name string) bool) (string, *unread) {
	for _, name := range slices.Sorted(maps.Keys(p.bad)) {
		if is(name) {
			return name, p.bad[name]
		}
	}
	return "", nil
}

// patientFile is a file of a patient.
type patientFile struct {
	backends.File
	patient *patient
	name    string
}

// ReadAt implements backends.File.
func (f *patientFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if n == len(b) || err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	for n < len(b) {
		at := off + int64(n)
		part := b[n:min(len(b), n+patientBlock-int(at%patientBlock))]
		got, err := f.File.ReadAt(part, at)
		if got < len(part) && errors.Is(err, io.EOF) {
			return n + got, err
		}
		if got < len(part) {
			clear(part[got:])
			f.patient.fail(f.name, at, err)
		}
		n += len(part)
	}
	return n, nil
}

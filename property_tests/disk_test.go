package propertytests

import (
	"errors"
	"sync"

	"github.com/aegis-storage/aegis/backends"
)

// disk is a Backend in memory that can be copied at one moment, between two calls: what a
// process leaves behind that is killed there.
type disk struct {
	mu sync.RWMutex // held for writing while a copy is made
	*backends.Memory
}

func newDisk() *disk { return &disk{Memory: backends.NewMemory()} }

func (d *disk) Create(name string) (backends.File, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	f, err := d.Memory.Create(name)
	return diskFile{f, d}, err
}

func (d *disk) Open(name string) (backends.File, error) {
	f, err := d.Memory.Open(name)
	return diskFile{f, d}, err
}

func (d *disk) Remove(name string) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.Memory.Remove(name)
}

type diskFile struct {
	backends.File
	d *disk
}

func (f diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	return f.File.WriteAt(p, off)
}

func (f diskFile) Truncate(size int64) error {
	f.d.mu.RLock()
	defer f.d.mu.RUnlock()
	return f.File.Truncate(size)
}

// kill returns the disk as it is now; the store goes on with the old one.
func (d *disk) kill() (*disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	to := newDisk()
	files, err := d.List()
	if err != nil {
		return nil, err
	}
	for _, info := range files {
		from, err := d.Memory.Open(info.Name)
		if err != nil {
			return nil, err
		}
		p := make([]byte, info.Size)
		if _, err := from.ReadAt(p, 0); err != nil {
			return nil, err
		}
		copied, err := to.Memory.Create(info.Name)
		if err != nil {
			return nil, err
		}
		_, err = copied.WriteAt(p, 0)
		if err := errors.Join(err, from.Close(), copied.Close()); err != nil {
			return nil, err
		}
	}
	return to, nil
}

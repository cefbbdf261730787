package workload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aegis-storage/aegis/bench/engine"
)

const (
	bareBytes = 4096     // of a write
	bareFile  = 64 << 20 // of the file that is overwritten
)

// Raw stands for the disk itself. It has workloads of its own, and can do no other.
var Raw = engine.Driver{
	Name:     "raw",
	Version:  "fdatasync",
	Settings: "no engine: a loop of write and fdatasync, for comparison with durable puts",
	Open:     func(engine.Config) (engine.Store, error) { return nil, errors.ErrUnsupported },
}

func bare() []Workload {
	overwrite := Workload{
		Name: "raw-overwrite", Clients: []int{1}, Quick: []int{1},
		About: "4 KiB written over what is there, and fdatasync, in a file of 64 MiB",
		Bare:  true, durable: true, valueBytes: bareBytes,
		open: openFilled, step: putBlock,
	}
	add := overwrite
	add.Name, add.About = "raw-append", "4 KiB appended, and fdatasync"
	add.open = openEmpty
	return []Workload{overwrite, add}
}

// file is a store that can do no more than write block after block. With a size it begins anew
// there.
type file struct {
	engine.Store // none: nothing else is called
	file         *os.File
	offset, size int64
}

func openEmpty(r *Run) (engine.Store, error) {
	f, err := os.Create(filepath.Join(r.Dir, "raw"))
	if err != nil {
		return nil, err
	}
	return &file{file: f}, nil
}

func openFilled(r *Run) (engine.Store, error) {
	store, err := openEmpty(r)
	if err != nil {
		return nil, err
	}
	s := store.(*file)
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < bareFile; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros, at); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.file.Sync(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.size = bareFile
	return s, nil
}

func (s *file) Put(_, block []byte) error {
	if _, err := s.file.WriteAt(block, s.offset); err != nil {
		return err
	}
	s.offset += int64(len(block))
	if s.offset == s.size {
		s.offset = 0
	}
	return syscall.Fdatasync(int(s.file.Fd()))
}

func (s *file) Close() error { return s.file.Close() }

func putBlock(c *client) (int, error) {
	c.version++
	c.setPut(0, c.version)
	if err := c.run.store.Put(nil, c.value); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	c.pairs++
	return 1, nil
}

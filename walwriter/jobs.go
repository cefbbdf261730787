package walwriter

import (
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/messages"
)

// prepareJob makes a spare segment: a file of zeros that is on the medium, and so is its name.
// Overwriting it later need not change the file's size, which makes syncs cheap.
type prepareJob struct {
	backend backends.Backend
	slot    uint32 // first one to try; then the one that was taken
	size    int64

	result *segment // nil: failed
}

// Run writes the file. If it fails, or yield answers false, nothing is left of it.
func (j *prepareJob) Run(yield messages.Yield) error {
	f, slot, err := createFile(j.backend, j.slot)
	j.slot = slot
	if err != nil {
		return fmt.Errorf("prepare a segment: %w", err)
	}
	err = fill(f, j.size, func() error {
		if !yield() {
			return messages.ErrClosed
		}
		return nil
	})
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.backend.SyncDir()
	}
	seg := &segment{slot: slot, file: f, size: j.size}
	if err != nil {
		// What matters is the first error; a file that stays is removed by the next recovery.
		_ = seg.remove(j.backend)
		return fmt.Errorf("prepare %s: %w", fileName(slot), err)
	}
	j.result = seg
	return nil
}

// removeJob removes segment files. It owns them; those that it could not remove stay in
// segments.
type removeJob struct {
	backend  backends.Backend
	segments []*segment
}

// Run removes one file after the other.
func (j *removeJob) Run(yield messages.Yield) error {
	for len(j.segments) > 0 {
		if err := j.segments[0].remove(j.backend); err != nil {
			return err
		}
		j.segments = j.segments[1:]
		if !yield() {
			return messages.ErrClosed
		}
	}
	// A name that comes back in a crash is a segment from below the checkpoint: harmless.
	return j.backend.SyncDir()
}

// removeAll removes the files of segments at once, and makes that durable.
func removeAll(b backends.Backend, segments []*segment) error {
	var errs []error
	for _, seg := range segments {
		errs = append(errs, seg.remove(b))
	}
	errs = append(errs, b.SyncDir())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("walwriter: remove the log: %w", err)
	}
	return nil
}

// RemoveAll removes every log file, for a store that is used without a log from now on. The
// checkpoint that covers what they hold must be synced.
func RemoveAll(b backends.Backend) error {
	list, err := b.List()
	if err != nil {
		return fmt.Errorf("walwriter: list the log: %w", err)
	}
	var ours []*segment
	for _, f := range list {
		if slot, ok := parseFileName(f.Name); ok {
			ours = append(ours, &segment{slot: slot})
		}
	}
	if len(ours) == 0 {
		return nil
	}
	return removeAll(b, ours)
}

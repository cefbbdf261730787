package aegis

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// Errors of targets.
var (
	// ErrNotEmpty: Restore and CheckpointTo fill an empty directory only. It was left as it is.
	ErrNotEmpty = errors.New("aegis: the directory is not empty")
	// ErrUnfinishedRestore: a Restore or CheckpointTo into this directory was cut short, by a crash or
	// a failure. There is no store in it; the same call, repeated, begins anew.
	ErrUnfinishedRestore = errors.New("aegis: the directory holds an unfinished restore, run it again")
)

// unfinishedName is a file that says that a store is being put together here. It is there, durably,
// before the first table, and goes after the checkpoint is durable:
//
//	mark ─► tables ─► synced, verified ─► checkpoint, twice ─► no mark
//	└────────── ErrUnfinishedRestore ──────────┘└─ the whole store ─
//
// With the mark and no whole checkpoint there is no store, and whatever is there may be removed. With
// both, the store is whole and nobody has written to it yet: an Open for writing removes the mark
// before anything else.
const unfinishedName = "RESTORE-UNFINISHED"

const unfinishedText = "A restore into this directory has not ended. There is no store here yet: run it again.\n"

// unfinished reports whether the mark is there.
func unfinished(files []backends.FileInfo) bool {
	return slices.ContainsFunc(files, func(f backends.FileInfo) bool { return f.Name == unfinishedName })
}

// refuseUnfinished answers ErrUnfinishedRestore where no checkpoint is whole, err says why not, and
// the mark is there. A medium that cannot be read is another matter.
func refuseUnfinished(b backends.Backend, err error) error {
	var bad *CorruptionError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	files, listErr := b.List()
	if listErr != nil {
		return listErr
	}
	if unfinished(files) {
		return ErrUnfinishedRestore
	}
	return err
}

// removeMark ends what the mark says, for good. The store is whole.
func removeMark(b backends.Backend) error {
	files, err := b.List()
	if err != nil || !unfinished(files) {
		return err
	}
	if err := b.Remove(unfinishedName); err != nil {
		return err
	}
	return b.SyncDir()
}

// newStoreID makes an identity for a store. It is of one moment and one directory, and of the store
// that it is a copy of: no two stores have the same.
func newStoreID(now time.Time, dir string, of flusher.StoreID) (id flusher.StoreID) {
	b := binary.LittleEndian.AppendUint64(of[:], uint64(now.UnixNano()))
	sum := sha256.Sum256(append(b, dir...))
	copy(id[:], sum[:])
	return id
}

// target is a directory in which a store is put together.
type target struct {
	backend backends.Backend
	release func() error
}

// claim takes an empty directory, or one in which an attempt was cut short, and marks it. A directory
// that holds anything else is left as it is.
func claim(b backends.Backend) (*target, error) {
	if err := refuseUsed(b); err != nil { // before the lock, which makes a file
		return nil, err
	}
	release, err := b.Lock(true)
	if err != nil {
		return nil, err
	}
	t := &target{b, release}
	if err := refuseUsed(b); err != nil {
		return nil, errors.Join(err, release())
	}
	if err := t.mark(); err != nil {
		return nil, t.end(err)
	}
	return t, nil
}

// refuseUsed answers ErrNotEmpty for a directory in which something else is than an unfinished
// restore.
func refuseUsed(b backends.Backend) error {
	files, err := b.List()
	if err != nil {
		return err
	}
	marked := unfinished(files)
	for _, f := range files {
		_, table := pages.ParseTableName(f.Name)
		if !marked || !table && f.Name != unfinishedName && !flusher.IsCheckpointName(f.Name) {
			return fmt.Errorf("%w (found %q)", ErrNotEmpty, f.Name)
		}
	}
	return nil
}

// mark makes the mark durable and removes everything else.
func (t *target) mark() error {
	f, err := t.backend.Create(unfinishedName)
	switch {
	case err == nil:
		if _, err = f.WriteAt([]byte(unfinishedText), 0); err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := t.backend.SyncDir(); err != nil {
		return err
	}
	return t.clear()
}

// clear removes everything but the mark, which is durable: checkpoints first, so that none is ever
// there without its tables.
func (t *target) clear() error {
	for _, ours := range []func(name string) bool{flusher.IsCheckpointName, isTableName} {
		files, err := t.backend.List()
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f backends.FileInfo) bool { return !ours(f.Name) })
		if len(files) == 0 {
			continue
		}
		for _, f := range files {
			if err := t.backend.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := t.backend.SyncDir(); err != nil {
			return err
		}
	}
	return nil
}

func isTableName(name string) bool {
	_, ok := pages.ParseTableName(name)
	return ok
}

// publish makes the store of the tables, which are synced, as c describes it: the checkpoint goes
// last, and then the mark.
func (t *target) publish(c *flusher.Checkpoint) error {
	if err := t.backend.SyncDir(); err != nil {
		return err
	}
	if err := flusher.Publish(t.backend, c); err != nil {
		return err
	}
	if err := flusher.CheckCopies(t.backend, c.Number); err != nil {
		return err
	}
	return removeMark(t.backend)
}

// end gives the directory back, as a store, or after a failure without one.
func (t *target) end(err error) error {
	if err != nil {
		err = errors.Join(err, t.abandon())
	}
	return errors.Join(err, t.release())
}

// abandon leaves an empty directory if it can, and else one that is marked, or the whole store.
func (t *target) abandon() error {
	err := t.mark() // once more: it may be gone, while the checkpoint is there
	if err == nil {
		err = removeMark(t.backend)
	}
	return err
}

// copyOf returns the checkpoint of a store of its own that begins with what c says.
func copyOf(c *flusher.Checkpoint, id flusher.StoreID) *flusher.Checkpoint {
	own := *c
	own.Number, own.Store, own.Clean, own.Log = 1, id, true, true
	return &own
}

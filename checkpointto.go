package aegis

import (
	"context"
	"errors"
	"fmt"

	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// CheckpointTo makes a store of its own in dir, which must be empty or missing (else ErrNotEmpty),
// of all that was committed before the call, and whatever prefix of the commits after it was flushed
// along with that. Where the store's files are on the same file system as dir the tables get a
// second name there by hard links, which takes no time and no space; else they are copied, and
// the copies verified. Either store may be written, merged and removed without the other noticing:
// table files never change.
//
// Writers and merges go on meanwhile. A crash leaves no store in dir, and Open says
// ErrUnfinishedRestore, or the whole one; CheckpointTo may then be called again. When it fails it removes
// what it has made in dir. A hard link shares its bytes, and their damage: for a copy that a failing
// medium cannot take along use Backup.
func (db *DB) CheckpointTo(ctx context.Context, dir string) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	local, err := backends.NewLocal(dir, false)
	if err == nil {
		err = db.checkpointTo(ctx, local, dir)
	}
	if err != nil {
		return fmt.Errorf("aegis: checkpoint to %s: %w", dir, spaceError(err))
	}
	return nil
}

// CheckpointToBackend is CheckpointTo for a store whose files another Backend keeps. They are linked
// if both Backends are directories of one file system, and else copied and verified.
func (db *DB) CheckpointToBackend(ctx context.Context, to backends.Backend) error {
	if err := db.enter(); err != nil {
		return err
	}
	defer db.leave()
	if err := db.checkpointTo(ctx, to, ""); err != nil {
		return fmt.Errorf("aegis: checkpoint to a Backend: %w", spaceError(err))
	}
	return nil
}

// checkpointTo makes the copy, whose identity depends on dir.
func (db *DB) checkpointTo(ctx context.Context, to backends.Backend, dir string) error {
	src, err := db.backupSource(ctx)
	if err != nil {
		return err
	}
	defer src.release()
	t, err := claim(to)
	if err != nil {
		return err
	}
	if err = src.fill(ctx, db.rt, to); err == nil {
		err = t.publish(copyOf(src.checkpoint, newStoreID(db.rt.Now(), dir, src.checkpoint.Store)))
	}
	return t.end(err)
}

// fill puts the tables into another directory.
func (s *backupSource) fill(ctx context.Context, rt Runtime, to backends.Backend) error {
	var copied flusher.Checkpoint // what had to be copied, as runs to verify
	buf := make([]byte, frameBytes)
	for _, m := range checkpointTables(s.checkpoint) {
		if err := ctx.Err(); err != nil {
			return err
		}
		linked, err := s.link(m.ID, to)
		if err != nil {
			return err
		}
		if linked {
			continue
		}
		w := tableWriter{backend: to}
		err = s.read(ctx, m.ID, buf, func(off int64, n int) error { return w.write(m, off, buf[:n]) })
		if err = errors.Join(err, w.close()); err != nil {
			return err
		}
		copied.Runs = append(copied.Runs, flusher.RunMeta{SeqLo: m.SeqLo, SeqHi: m.SeqHi, Tables: []pages.TableMeta{*m}})
	}
	return verifyStore(ctx, rt, to, &copied, func(Progress) {})
}

// link gives a table's file a second name, where that can be.
func (s *backupSource) link(id pages.FileID, to backends.Backend) (linked bool, err error) {
	linker, can := s.backend(id).(backends.Linker)
	local, reachable := to.(*backends.Local)
	if !can || !reachable {
		return false, nil
	}
	err = linker.LinkTo(pages.TableName(id), local.Dir())
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

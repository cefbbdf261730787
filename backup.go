package aegis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aegis-storage/aegis/pages"
)

// ErrBackupChain: backups that do not belong together: an incremental one that does not follow the
// one that it is to follow, or that is of another store. Its text says which, and what would fit.
var ErrBackupChain = errors.New("aegis: the backups do not follow each other")

// BackupError reports a backup that is damaged or cut short: where, and what is wrong there. Get
// it with errors.As.
type BackupError struct {
	Stream int    // of those given to Restore, the first is 0
	Offset int64  // in that stream, of the first byte that cannot be believed
	What   string // what was expected and what was found
}

// Error names the offset.
func (e *BackupError) Error() string {
	return fmt.Sprintf("aegis: backup stream %d is damaged at offset %d: %s", e.Stream, e.Offset, e.What)
}

// BackupInfo describes a backup. An incremental backup is taken since one; it can be kept as JSON,
// or read again from the stream by ReadBackupInfo.
type BackupInfo struct {
	ID         string        `json:"id"`              // of this backup, 32 hexadecimal digits
	Since      string        `json:"since,omitempty"` // ID of the backup that this one builds on; "": it is full
	Store      string        `json:"store,omitempty"` // which store it is of; "": that of an old version, never opened for writing since
	Epoch      uint64        `json:"epoch"`           // which life of the store
	Checkpoint uint64        `json:"checkpoint"`      // which of the store's checkpoints
	Seq        uint64        `json:"seq"`             // every commit up to this one is in it, none above is
	Taken      time.Time     `json:"taken"`
	Tables     []BackupTable `json:"tables"` // all of the store's tables, in the order of their files in the stream
	Bytes      int64         `json:"bytes"`  // of the files that the stream has; the stream itself is a little longer
}

// BackupTable is a table file that a backup's state consists of.
type BackupTable struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"` // bytes
	Sum      string `json:"sum"`  // tells its contents from those of any other table
	Included bool   `json:"included,omitempty"`
}

// Backup writes a backup of the store to w: all that was committed before the call, and whatever
// prefix of the commits after it was flushed along with that. With since nil it is full; else it
// has only the table files that the backup since did not have, and needs that one to be restored.
// A since of another store, or of a later state than this one, is refused with ErrBackupChain.
//
// Writers and merges go on meanwhile. The tables of the backup stay on the medium until it ends,
// however long that takes, also if merges have replaced them; Close waits for it. No transaction is
// open for it: MaxSnapshotAge and MemoryBudget do not end it. Each table is verified before it is
// written out, so that damage gives a *CorruptionError instead of a backup.
//
// A store that is open for reading only can be backed up: what a crash has left in its log is read
// once more and built into tables in memory, which takes as much memory as that log has entries.
//
// When Backup fails, what it has written to w is worthless; Restore and VerifyBackup refuse it. ctx is
// looked at between writes: a Write of w that blocks is not interrupted.
func (db *DB) Backup(ctx context.Context, w io.Writer, since *BackupInfo) (*BackupInfo, error) {
	if err := db.enter(); err != nil {
		return nil, err
	}
	defer db.leave()
	src, err := db.backupSource(ctx)
	if err != nil {
		return nil, fmt.Errorf("aegis: backup: %w", err)
	}
	defer src.release()
	h := newBackupHead(src.checkpoint, db.rt.Now())
	if err := h.choose(since); err != nil {
		return nil, fmt.Errorf("aegis: backup: %w", err)
	}
	out := newBackupWriter(w)
	if err := out.write(h.encode()); err != nil {
		return nil, err
	}
	for _, id := range h.included {
		if err := src.copyTable(ctx, id, out); err != nil {
			return nil, err
		}
	}
	if err := out.trailer(); err != nil {
		return nil, err
	}
	return h.info(), nil
}

// choose says which tables the stream has: those that since does not have with the same contents.
func (h *backupHead) choose(since *BackupInfo) error {
	had := map[string]string{}
	if since != nil {
		if err := h.follows(since); err != nil {
			return err
		}
		for _, t := range since.Tables {
			had[t.Name] = t.Sum
		}
	}
	for _, m := range h.metas {
		if had[pages.TableName(m.ID)] != tableSum(m) {
			h.included = append(h.included, m.ID)
		}
	}
	return nil
}

// follows checks that a backup since may come before this one, and takes its id. A file is
// left out only if its contents are those that since had, so a wrong since could not make a wrong
// backup; it would make one that no chain leads to.
func (h *backupHead) follows(since *BackupInfo) error {
	c := h.checkpoint
	id, err := hex.DecodeString(since.ID)
	copy(h.since[:], id)
	if err != nil || len(id) != len(h.since) || h.since == (backupID{}) { // zeros stand for a full one
		return fmt.Errorf("%w: %q is no backup's ID", ErrBackupChain, since.ID)
	}
	switch own := storeName(c.Store); {
	case own == "":
		return fmt.Errorf("%w: this store has no identity yet: open it for writing once, and begin with a full backup", ErrBackupChain)
	case own != since.Store:
		return fmt.Errorf("%w: backup %s is of store %q, this is store %q: take a full backup", ErrBackupChain, since.ID, since.Store, own)
	case since.Epoch > c.Epoch, since.Epoch == c.Epoch && since.Checkpoint > c.Number:
		return fmt.Errorf("%w: backup %s is of epoch %d, checkpoint %d; this store is an older copy, at %d, %d: take a full backup",
			ErrBackupChain, since.ID, since.Epoch, since.Checkpoint, c.Epoch, c.Number)
	}
	return nil
}

// copyTable verifies a table and writes its file to the stream.
func (s *backupSource) copyTable(ctx context.Context, id pages.FileID, out *backupWriter) error {
	t := s.tables[id]
	if errs := t.Verify(ctx, nil); len(errs) > 0 {
		return fmt.Errorf("aegis: backup: %w", errors.Join(errs...))
	}
	return s.read(ctx, id, out.buf[frameHead:frameHead+frameBytes], func(off int64, n int) error {
		return out.frame(id, off, n)
	})
}

// ReadBackupInfo reads the head of a backup, and not a byte more.
func ReadBackupInfo(r io.Reader) (*BackupInfo, error) {
	h, err := newBackupReader(r, 0).head()
	if err != nil {
		return nil, err
	}
	return h.info(), nil
}

// VerifyBackup reads a backup to its end and checks every checksum. It returns a *BackupError if the
// backup is damaged or cut short, and the reader's own error, wrapped, if reading fails. It does not
// look into the tables; Restore does. progress (nil: nobody) is told bytes of the tables.
func VerifyBackup(ctx context.Context, r io.Reader, progress func(Progress)) (*BackupInfo, error) {
	in := newBackupReader(r, 0)
	h, err := in.head()
	if err != nil {
		return nil, err
	}
	info := h.info()
	p := Progress{Stage: "verify backup", Total: info.Bytes, Unit: "bytes"}
	err = in.files(ctx, h, func(_ *pages.TableMeta, _ int64, b []byte) error {
		p.Done += int64(len(b))
		if progress != nil {
			progress(p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

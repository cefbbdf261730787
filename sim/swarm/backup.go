package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/disk"
	"github.com/aegis-storage/aegis/sim/history"
)

// In some runs a client keeps backups and copies of the store. What they hold goes into the history
// as what a read-only transaction saw at their seq, for the general checks: a prefix of the commits,
// with all that were acknowledged before the call, and nothing from after it.

// keeper is that client's name.
const keeper = "backups"

// keepsBackups reports whether there is such a client.
func keepsBackups(l *sim.Life) bool { return l.Intn("backups", 10) == 0 }

// lax reports whether the disk may lose, or damage, what it promised to keep.
func lax(l *sim.Life) bool {
	p := l.Profile()
	return p.Has(disk.Lying) || p.Has(disk.Media)
}

// vault is what a run has of backups.
type vault struct {
	chain  []*saved
	places []*place
}

// saved is a moment of the store that was saved.
type saved struct {
	life       int               // in which it was
	begin, end int64             // of the call, see Life.Step
	info       *aegis.BackupInfo // nil: a copy by CheckpointToBackend
	stream     []byte
	offline    bool    // the store was open for reading only
	blocks     []block // that have to be in it
	state      history.State
	seen       bool // state is known, and in the history
}

// keepBackups is the client.
func (s *swarm) keepBackups(c *sim.Client) {
	for c.Next() {
		switch n := c.Intn(8); {
		case n < 4:
			s.backUp(c)
		case n < 7:
			s.restore(c)
		default:
			s.copyStore(c)
		}
	}
}

// backUp takes a backup, full or since the one before it, of which others take no notice.
func (s *swarm) backUp(c *sim.Client) {
	w := &slowWriter{c: c, left: -1}
	ctx := c.Context()
	full := c.Intn(3) == 0
	switch c.Intn(12) {
	case 0:
		w.left = c.Intn(6)
	case 1:
		var cancel context.CancelFunc
		ctx, cancel = c.WithTimeout(time.Duration(1+c.Intn(2000)) * time.Microsecond)
		defer cancel()
	}
	c.Does("Backup, full %t", full)
	info, err := s.save(c.Life(), s.db, ctx, w, &saved{}, full)
	if info != nil {
		c.Did("%s since %q of seq %d, %d tables", info.ID, info.Since, info.Seq, len(info.Tables))
		return
	}
	c.Did("%v", err)
}

// backUpOffline takes a backup of the store before it is opened for writing, with what its log holds.
func (s *swarm) backUpOffline(l *sim.Life, o *aegis.Options) {
	if !keepsBackups(l) || l.Intn(fmt.Sprint("offline ", l.Number()), 2) == 0 {
		return
	}
	reading := *o
	reading.ReadOnly = true
	db, err := aegis.Open("", &reading)
	if errors.Is(err, aegis.ErrNoStore) {
		return
	}
	l.Must(err)
	info, err := s.save(l, db, l.Context(), &slowWriter{left: -1}, &saved{offline: true}, false)
	l.Must(db.Close())
	if info != nil {
		l.Logf("offline backup %s since %q of seq %d", info.ID, info.Since, info.Seq)
		l.Cover("offline backups", 1)
	} else {
		l.Logf("offline backup: %v", err)
	}
}

// save takes a backup and adds it to the chain, which a full one begins anew. Without an info there is
// none, and err is one that may be.
func (s *swarm) save(l *sim.Life, db *aegis.DB, ctx context.Context, w *slowWriter, x *saved, full bool) (*aegis.BackupInfo, error) {
	chain := s.vault.chain
	if full {
		chain = nil
	}
	var since *aegis.BackupInfo
	var last saved
	if len(chain) > 0 {
		last = *chain[len(chain)-1]
		since = last.info
	}
	seq := db.Seq()
	known := s.begins(l, x)
	info, err := db.Backup(ctx, w, since)
	switch {
	case errors.Is(err, aegis.ErrBackupChain) && since != nil && (lax(l) || last.offline):
		s.vault.chain = nil // power cuts have taken what the last one saw
		return nil, err
	case errors.Is(err, aegis.ErrNoStore) && x.offline && lax(l): // it is read once more, and differently
		return nil, err
	case err != nil:
		if _, sound := aegis.VerifyBackup(l.Context(), bytes.NewReader(w.Bytes()), nil); sound == nil {
			l.Fail("backup", "a backup that failed, %v, is believed", err)
		}
		if errors.Is(err, aegis.ErrSnapshotTooOld) || !refusal(err) {
			l.Excuse(err)
		}
		return nil, err
	case info.Seq < seq:
		l.Fail("backup", "the store was at seq %d before it was backed up, the backup is at %d", seq, info.Seq)
	}
	s.ends(l, x, known)
	x.info, x.stream = info, w.Bytes()
	if !x.offline {
		s.history.Synced(l.Number(), info.Seq)
	}
	l.Cover("backups", 1)
	if since != nil {
		l.Cover("incremental backups", 1)
	}
	s.vault.chain = append(slices.Clip(chain), x)
	return info, nil
}

// begins notes when a moment begins to be saved, and returns how many blocks were written before.
func (s *swarm) begins(l *sim.Life, x *saved) (known int) {
	x.life, x.begin, x.end = l.Number(), l.Step(), history.NeverEnded
	if x.offline {
		return 0 // what became of blocks is not known yet
	}
	return len(s.blocks.list)
}

// ends notes when it was saved, with the blocks that were there all the time.
func (s *swarm) ends(l *sim.Life, x *saved, known int) {
	x.end = l.Step()
	for _, b := range s.blocks.list[:known] {
		if !b.gone {
			x.blocks = append(x.blocks, b)
		}
	}
}

// slowWriter lets others run between two writes, and fails after some.
type slowWriter struct {
	bytes.Buffer
	c    *sim.Client // nil: nobody else is there
	left int         // writes until it fails; below zero: it does not
}

// Write keeps p.
func (w *slowWriter) Write(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errOwn
	}
	w.left--
	if w.c != nil {
		for range w.c.Intn(6) {
			w.c.Yield()
		}
	}
	return w.Buffer.Write(p)
}

// damage returns the streams of a chain, the n-th of them cut short or with a byte changed.
func damage(c *sim.Client, chain []*saved, n int) []io.Reader {
	bad := slices.Clone(chain[n].stream)
	if c.Intn(2) == 0 {
		bad = bad[:c.Intn(len(bad))]
	} else {
		bad[c.Intn(len(bad))] ^= byte(1 + c.Intn(255))
	}
	streams := streamsOf(chain)
	streams[n] = bytes.NewReader(bad)
	return streams
}

func streamsOf(chain []*saved) (streams []io.Reader) {
	for _, x := range chain {
		streams = append(streams, bytes.NewReader(x.stream))
	}
	return streams
}

package propertytests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/sim"
	"github.com/aegis-storage/aegis/sim/explore"
)

// Backups are taken at any moment of a run, before, between and after crashes, and restored on
// another simulated disk. Three writers count: each transaction puts its number under "last" and
// under one of ten keys. So what a store holds tells after which transaction of each writer.
const (
	backupWriters = 3
	backupKeys    = 10
)

type backupRun struct {
	begun, acked [backupWriters]int
	backedUp     [backupWriters]int // what the newest backup holds
	chain        [][]byte
	since        *aegis.BackupInfo
}

func backups(keep func(uint64)) sim.Subject {
	return func() func(*sim.Life) {
		r := &backupRun{}
		return func(l *sim.Life) {
			o := l.Options()
			o.DisableWAL = l.Intn("no log", 4) == 0
			if l.Intn("age", 3) == 0 {
				o.MaxSnapshotAge = 1
			}
			db, err := aegis.Open("", o)
			l.Must(err)
			least := r.acked
			if o.DisableWAL {
				least = r.backedUp // that was in a checkpoint
			}
			r.acked = r.check(l, "after a "+l.Before().String(), db, least, r.begun)
			r.begun = r.acked
			l.AtClose(db.Close)
			for w := range backupWriters {
				l.Go(fmt.Sprint("writer-", w), func(c *sim.Client) { r.write(c, db, w) })
			}
			if l.Intn("loads", 2) == 0 {
				l.Go("loader", func(c *sim.Client) {
					for c.Next() {
						r.load(c, db)
					}
				})
			}
			l.Go("backup", func(c *sim.Client) {
				for c.Next() {
					r.take(c, db, keep)
				}
			})
		}
	}
}

func (r *backupRun) write(c *sim.Client, db *aegis.DB, w int) {
	for c.Next() {
		if c.Intn(12) == 0 {
			c.Life().Excuse(db.Compact(c.Context(), nil))
			continue
		}
		n := r.acked[w] + 1
		r.begun[w] = n
		value := fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", c.Intn(400)))
		err := db.Update(c.Context(), func(tx *aegis.Tx) error {
			return errors.Join(tx.Put(fmt.Appendf(nil, "w%d last", w), value), tx.Put(fmt.Appendf(nil, "w%d key%d", w, n%backupKeys), value))
		})
		if errors.Is(err, aegis.ErrSnapshotTooOld) {
			continue // nothing of it was committed
		}
		c.Must(err)
		r.acked[w] = n
	}
}

// load makes the keyspace "load" at once, of as many entries as its first one says, or drops it.
func (r *backupRun) load(c *sim.Client, db *aegis.DB) {
	n := 1 + c.Intn(60)
	_, err := db.BulkLoad(c.Context(), "load", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range n {
			if !yield(fmt.Appendf(nil, "%03d", i), fmt.Append(nil, n)) {
				return
			}
		}
	})
	if errors.Is(err, aegis.ErrKeyspaceExists) {
		err = db.Update(c.Context(), func(tx *aegis.Tx) error { return tx.DropKeyspace("load") })
	}
	if !errors.Is(err, aegis.ErrSnapshotTooOld) {
		c.Must(err)
	}
}

// take takes a backup, restores the chain that it ends, and looks.
func (r *backupRun) take(c *sim.Client, db *aegis.DB, keep func(uint64)) {
	if c.Intn(4) == 0 {
		r.chain, r.since = nil, nil
	}
	acked, before := r.acked, db.Seq()
	var stream bytes.Buffer
	info, err := db.Backup(c.Context(), yieldingWriter{c, &stream}, r.since)
	if err != nil {
		c.Must(err)
		return
	}
	begun := r.begun
	if info.Seq < before || r.since != nil && info.Seq < r.since.Seq {
		c.Failf("a backup of seq %d, the store was at %d when it was asked for, the one before %+v", info.Seq, before, r.since)
	}
	r.chain, r.since = append(r.chain, stream.Bytes()), info
	keep(uint64(len(r.chain)))
	c.Life().Cover("backups", 1)
	storage := sim.NewStorage()
	_, err = aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: storage.Backend()}, readersOf(r.chain)...)
	if err != nil {
		c.Failf("a chain of %d: %v", len(r.chain), err)
	}
	back, err := aegis.Open("", &aegis.Options{Backend: storage.PowerCut(), ReadOnly: c.Intn(2) == 0})
	if err != nil {
		c.Failf("a restored chain of %d: %v", len(r.chain), err)
	}
	r.backedUp = r.check(c.Life(), fmt.Sprint("restored from a chain of ", len(r.chain)), back, acked, begun)
	if err := back.Close(); err != nil {
		c.Failf("%v", err)
	}
}

// check reads where each writer is, and whether its keys are those of that moment.
func (r *backupRun) check(l *sim.Life, when string, db *aegis.DB, least, most [backupWriters]int) (at [backupWriters]int) {
	state := map[string]int{}
	err := aegis.ErrSnapshotTooOld
	for errors.Is(err, aegis.ErrSnapshotTooOld) {
		err = db.View(context.Background(), func(tx *aegis.Tx) error {
			for k, v := range tx.Range(nil, nil) {
				var n int
				_, _ = fmt.Sscan(string(v), &n)
				state[string(k)] = n
			}
			return errors.Join(tx.Err(), checkLoad(l, when, tx))
		})
	}
	l.Must(err)
	for w := range backupWriters {
		last := state[fmt.Sprintf("w%d last", w)]
		at[w] = last
		if last < least[w] || last > most[w] {
			l.Failf("%s: writer %d is at %d, %d were acknowledged, %d begun", when, w, last, least[w], most[w])
		}
		for k := range backupKeys {
			want := max(0, last-(last-k+backupKeys)%backupKeys)
			if got := state[fmt.Sprintf("w%d key%d", w, k)]; got != want {
				l.Failf("%s: writer %d is at %d, its key %d at %d, not %d", when, w, last, k, got, want)
			}
		}
	}
	return at
}

// checkLoad: what was loaded is there whole, or not at all.
func checkLoad(l *sim.Life, when string, tx *aegis.Tx) error {
	k, err := tx.Keyspace("load")
	if errors.Is(err, aegis.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var n, entries int
	for _, v := range k.Range(nil, nil) {
		_, _ = fmt.Sscan(string(v), &n)
		entries++
	}
	if tx.Err() == nil && (entries != n || n == 0) {
		l.Failf("%s: a load of %d has %d entries", when, n, entries)
	}
	return tx.Err()
}

// yieldingWriter lets others run between two writes.
type yieldingWriter struct {
	c *sim.Client
	w io.Writer
}

func (w yieldingWriter) Write(p []byte) (int, error) {
	for range w.c.Intn(4) {
		w.c.Yield()
	}
	return w.w.Write(p)
}

func readersOf(streams [][]byte) (rs []io.Reader) {
	for _, s := range streams {
		rs = append(rs, bytes.NewReader(s))
	}
	return rs
}

// TestBackupIsOneMoment: a backup is restored to a state between the beginning and the end of its
// call, also an incremental one, whatever crashes lie between the backups of a chain; and taking
// backups costs the source nothing.
func TestBackupIsOneMoment(t *testing.T) {
	longest := uint64(0)
	seeds := 120
	if testing.Short() {
		seeds = 30
	}
	sim.TestWith(t, sim.Config{Seeds: seeds, Strict: true, Jobs: 1}, backups(func(n uint64) { longest = max(longest, n) }))
	if longest < 4 {
		t.Errorf("the longest chain was of %d backups", longest)
	}
}

// restores is a program that wants a store of a backup: it restores it if there is no store yet,
// again and again until that has succeeded, and then goes on with it. If twice is set it restores over
// what it has restored, as after a crash that came just before the end.
func restores(stream []byte, want map[string]string, twice bool) sim.Subject {
	return func() func(*sim.Life) {
		done, wrote := false, false
		return func(l *sim.Life) {
			o := l.Options()
			o.ReadOnly = true
			db, err := aegis.Open("", o)
			switch {
			case err == nil:
				if got := everything(l, db); !wrote && !maps.Equal(got, want) {
					l.Failf("after a %s the store has %d entries of %d", l.Before(), len(got), len(want))
				}
				l.Must(db.Close())
			case done:
				l.Failf("the restored store is gone after a %s: %v", l.Before(), err)
			case errors.Is(err, aegis.ErrNoStore), errors.Is(err, aegis.ErrUnfinishedRestore):
				restore := func() error {
					_, err := aegis.Restore(l.Context(), "", &aegis.RestoreOptions{Backend: o.Backend, Runtime: o.Runtime}, bytes.NewReader(stream))
					return err
				}
				l.Must(restore())
				if twice {
					l.Must(putMarkBack(o.Backend))
					l.Must(restore())
				}
				done = true
			default:
				l.Must(err)
			}
			o = l.Options()
			db, err = aegis.Open("", o)
			l.Must(err)
			done = true
			l.Must(db.Verify(l.Context(), nil))
			l.AtClose(db.Close)
			l.Go("writer", func(c *sim.Client) {
				for c.Next() {
					wrote = true
					c.Must(db.Put(c.Context(), []byte("own"), []byte("value")))
				}
			})
		}
	}
}

// putMarkBack makes of a restored store one whose restore has not ended.
func putMarkBack(b backends.Backend) error {
	f, err := b.Create("RESTORE-UNFINISHED")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), b.SyncDir())
}

func everything(l *sim.Life, db *aegis.DB) map[string]string {
	all := map[string]string{}
	l.Must(db.View(l.Context(), func(tx *aegis.Tx) error {
		for k, v := range tx.Range(nil, nil) {
			all[string(k)] = string(v)
		}
		return tx.Err()
	}))
	return all
}

// goldenBackup is a full backup, the same bytes in every run, and what it holds.
func goldenBackup(t *testing.T) (stream []byte, want map[string]string) {
	t.Helper()
	stream, err := os.ReadFile("../testdata/backup-v1.full")
	must(t, err)
	b := backends.NewMemory()
	_, err = aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
	must(t, err)
	db, err := aegis.Open("", &aegis.Options{Backend: b})
	must(t, err)
	want = map[string]string{}
	must(t, db.View(context.Background(), func(tx *aegis.Tx) error {
		for k, v := range tx.Range(nil, nil) {
			want[string(k)] = string(v)
		}
		return tx.Err()
	}))
	must(t, db.Close())
	return stream, want
}

// TestRestoreIsAllOrNothing: random crashes, on every honest disk.
func TestRestoreIsAllOrNothing(t *testing.T) {
	stream, want := goldenBackup(t)
	seeds := 150
	if testing.Short() {
		seeds = 40
	}
	sim.TestWith(t, sim.Config{Seeds: seeds, Strict: true, Jobs: 1}, restores(stream, want, false))
}

// TestEveryCrashOfARestore: a kill, and every image of a power cut, at each boundary of its I/O; also
// of a restore over one that was cut short at its very end.
func TestEveryCrashOfARestore(t *testing.T) {
	stream, want := goldenBackup(t)
	for _, twice := range []bool{false, true} {
		res, err := explore.Boundaries(context.Background(), explore.Config{Plan: sim.Plan{Each: 1}, Jobs: 1, Strict: true}, restores(stream, want, twice))
		must(t, err)
		if len(res.Failures) > 0 {
			t.Fatalf("twice %t: %v\ntoken %s", twice, res.Failures[0].Failure, res.Failures[0].Plan.Token())
		}
		if res.Boundaries < 50 || !res.Whole {
			t.Fatalf("twice %t: %s", twice, res)
		}
		t.Log(res)
	}
}

// TestRestoreEndsForGood: a power cut after a Restore brings nothing back that it has removed: not its
// mark, nor what it wrote before it failed.
func TestRestoreEndsForGood(t *testing.T) {
	stream, _ := goldenBackup(t)
	for _, part := range [][]byte{stream, stream[:len(stream)-1]} {
		storage := sim.NewStorage()
		_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: storage.Backend()}, bytes.NewReader(part))
		if failed := len(part) < len(stream); failed != (err != nil) {
			t.Fatal(err)
		}
		files, listErr := storage.PowerCut().List()
		must(t, listErr)
		for _, f := range files {
			if err != nil || f.Name == "RESTORE-UNFINISHED" {
				t.Errorf("after %v there is %s", err, f.Name)
			}
		}
	}
}

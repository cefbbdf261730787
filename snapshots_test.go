package aegis_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// Tests of what open transactions may hold: a lone one whatever it needs, many together no more
// than the limits.

const (
	snapshotKeys  = 20
	snapshotBytes = 10 << 10
)

// snapshotRound gives every key the value of the round, and flushes.
func snapshotRound(t *testing.T, db *aegis.DB, round int) {
	t.Helper()
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		for i := range snapshotKeys {
			if err := tx.Put(tailKey(i), snapshotValue(round)); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, db.Checkpoint(ctx))
}

func snapshotValue(round int) []byte {
	return []byte(fmt.Sprintf("round-%04d", round) + strings.Repeat("x", snapshotBytes))
}

// snapshotReader is an open transaction that began in a round, and a loop of it under way.
type snapshotReader struct {
	tx    *aegis.Tx
	round int
	next  func() ([]byte, []byte, bool)
	stop  func()
}

func newSnapshotReader(t *testing.T, db *aegis.DB, round int) *snapshotReader {
	t.Helper()
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: round%2 == 0})
	must(t, err)
	r := &snapshotReader{tx: tx, round: round}
	r.next, r.stop = iter.Pull2(tx.Range(nil, nil))
	if _, v, ok := r.next(); !ok || string(v) != string(snapshotValue(round)) {
		t.Fatalf("the reader of round %d sees %.20q", round, v)
	}
	return r
}

// ended reads, and reports whether the transaction was ended; what it reads must be of its round.
func (r *snapshotReader) ended(t *testing.T, i int) bool {
	t.Helper()
	v, err := r.tx.Get(tailKey(i % snapshotKeys))
	if errors.Is(err, aegis.ErrSnapshotTooOld) {
		return true
	}
	if err != nil || string(v) != string(snapshotValue(r.round)) {
		t.Fatalf("the reader of round %d reads %.20q, error %v", r.round, v, err)
	}
	return false
}

func snapshotStore(t *testing.T) *aegis.DB {
	return open(t, "", aegis.Options{Backend: backends.NewMemory(), MemoryBudget: 256 << 10})
}

func TestManySnapshotsAreBounded(t *testing.T) {
	db := snapshotStore(t)
	var readers []*snapshotReader
	for round := range 30 {
		snapshotRound(t, db, round)
		// The reader's View has this index as its active one.
		must(t, db.Put(ctx, []byte("~"), snapshotValue(round)))
		readers = append(readers, newSnapshotReader(t, db, round))
	}
	snapshotRound(t, db, 30)
	s, err := db.Stats(ctx)
	must(t, err)
	old := 0
	for _, o := range s.Snapshots {
		if o.TooOld {
			old++
		}
	}
	// Commits of 200 KiB make indexes larger than the limits count; one round is in 2 of them.
	const round = snapshotKeys*snapshotBytes*3/2 + 64<<10
	if s.Memory.EndedSnapshots < 10 || s.Memory.EndedSnapshots != uint64(old) || len(s.Snapshots) != len(readers) || s.Memory.PinnedIndexBytes > 6*round {
		t.Errorf("of %d snapshots %d are too old, %d were ended, %d bytes are pinned", len(s.Snapshots), old, s.Memory.EndedSnapshots, s.Memory.PinnedIndexBytes)
	}
	for i, r := range readers {
		if r.ended(t, i) != (i < old) {
			t.Fatalf("the reader of round %d is in the wrong half: %d were ended", i, old)
		}
		n := 1
		for _, v, ok := r.next(); ok; _, v, ok = r.next() {
			if n++; n < snapshotKeys && string(v) != string(snapshotValue(r.round)) {
				t.Fatalf("a loop of round %d shows %.20q", r.round, v)
			}
		}
		r.stop()
		err := r.tx.Err()
		if i < old && (!errors.Is(err, aegis.ErrSnapshotTooOld) || n == snapshotKeys+1) || i >= old && (err != nil || n != snapshotKeys+1) {
			t.Errorf("the loop of round %d of %d ended after %d entries with %v", i, old, n, err)
		}
		must(t, r.tx.Rollback())
	}
	lessonUntil(t, db, "nothing is pinned", func(s aegis.Stats) bool {
		return s.Memory.PinnedIndexBytes == 0 && s.Tables.Reclaimable == 0
	})
}

// A loop that is under way hears of it by itself, and so does Commit.
func TestEndedTransactions(t *testing.T) {
	db := snapshotStore(t)
	snapshotRound(t, db, 0)
	must(t, db.Put(ctx, []byte("~"), snapshotValue(0)))
	loop, writer := newSnapshotReader(t, db, 0), newSnapshotReader(t, db, 0)
	last := newSnapshotReader(t, db, 0) // its loop stands on the last entry
	for range snapshotKeys {
		last.next()
	}
	update, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, update.Put([]byte("never"), nil))
	var others []*snapshotReader
	for round := 1; !writer.ended(t, round); round++ {
		if round > 100 {
			t.Fatal("nothing ends")
		}
		snapshotRound(t, db, round)
		must(t, db.Put(ctx, []byte("~"), snapshotValue(round)))
		others = append(others, newSnapshotReader(t, db, round))
	}
	if _, err := writer.tx.Get(tailKey(0)); !errors.Is(err, aegis.ErrSnapshotTooOld) {
		t.Errorf("the call after the one that said so: %v", err)
	}
	if k, _, ok := loop.next(); ok || !errors.Is(loop.tx.Err(), aegis.ErrSnapshotTooOld) {
		t.Errorf("a loop goes on to %q, error %v", k, loop.tx.Err())
	}
	if _, _, ok := last.next(); ok || !errors.Is(last.tx.Err(), aegis.ErrSnapshotTooOld) {
		t.Errorf("a loop that may have missed an entry ends with %v", last.tx.Err())
	}
	if err := update.Commit(); !errors.Is(err, aegis.ErrSnapshotTooOld) {
		t.Errorf("a commit: %v", err)
	}
	if _, err := db.Get(ctx, []byte("never")); !errors.Is(err, aegis.ErrNotFound) {
		t.Errorf("what was not committed: %v", err)
	}
	for _, r := range append(others, loop, last, writer) {
		r.stop()
		must(t, r.tx.Rollback())
	}
}

func TestLoneSnapshotSurvives(t *testing.T) {
	db := snapshotStore(t)
	snapshotRound(t, db, 0)
	must(t, db.Put(ctx, tailKey(0), snapshotValue(0)))
	r := newSnapshotReader(t, db, 0)
	for round := 1; round < 60; round++ {
		snapshotRound(t, db, round)
		if round%10 == 0 {
			must(t, db.Compact(ctx, nil))
		}
		if r.ended(t, round) {
			t.Fatalf("a reader that is alone was ended after %d rounds", round)
		}
	}
	n := 1
	for _, v, ok := r.next(); ok; _, v, ok = r.next() {
		if n++; string(v) != string(snapshotValue(0)) {
			t.Fatalf("entry %d is %.20q", n, v)
		}
	}
	r.stop()
	must(t, r.tx.Err())
	if n != snapshotKeys {
		t.Errorf("%d entries", n)
	}
	must(t, r.tx.Rollback())
}

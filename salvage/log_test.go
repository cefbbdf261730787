package salvage_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
	"github.com/aegis-storage/aegis/salvage"
)

// contents returns the default keyspace.
func contents(t *testing.T, db *aegis.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		for k, v := range tx.Range(nil, nil) {
			all[string(k)] = string(v)
		}
		return tx.Err()
	}))
	return all
}

// unsynced is a store that was killed with commits in its log that no header says were synced.
func unsynced(t *testing.T) files {
	t.Helper()
	mem := backends.NewMemory()
	limits := smallLimits()
	limits.GatherBytes, limits.SyncInterval = 256, time.Hour
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: limits})
	must(t, err)
	must(t, db.Put(ctx, []byte("first"), []byte("synced")))
	for i := range 20 {
		o := aegis.TxOptions{Durability: aegis.WithDurability(aegis.NoSync)}
		must(t, db.UpdateWith(ctx, o, func(tx *aegis.Tx) error {
			return tx.Put(fmt.Appendf(nil, "lost-%02d", i), []byte(strings.Repeat(fmt.Sprint(i), 150)))
		}))
	}
	_, err = db.Stats(ctx) // the actors' turns are over
	must(t, err)
	left := read(t, mem)
	must(t, db.Close())
	return left
}

// TestVoidedTail: what a recovery has cut off the log does not come back, though its records are
// sound and their numbers were given to other commits.
func TestVoidedTail(t *testing.T) {
	left, tried := unsynced(t), 0
	for _, name := range left.names() {
		if !strings.HasPrefix(name, "wal-") {
			continue
		}
		for at := 8192; at < len(left[name]); at += 301 {
			damaged := slices.Clone(left[name])
			damaged[at] ^= 1
			mem := left.with(name, damaged).backend(t)
			db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
			if err != nil {
				continue
			}
			stats, err := db.Stats(ctx)
			must(t, err)
			if stats.Recovery.TornBytes == 0 || stats.Recovery.Records > 15 {
				must(t, db.Close())
				continue
			}
			tried++
			for i := range 4 {
				must(t, db.Put(ctx, fmt.Appendf(nil, "new-%d", i), []byte("new")))
			}
			want := contents(t, db)
			f := read(t, mem)
			must(t, db.Close())
			r := run(t, f, nil)
			if got := r.state[aegis.DefaultKeyspaceName]; !maps.Equal(got, want) || !r.report.Sound() {
				t.Fatalf("byte %d of %s: %v, want %v: %v", at, name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)), r.report)
			}
		}
	}
	if tried == 0 {
		t.Error("no damage made a torn tail")
	}
}

// TestWholeCommits: a commit of many writes, of whose record any byte is damaged, is there whole or
// not at all.
func TestWholeCommits(t *testing.T) {
	mem := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
	must(t, err)
	const commits, writes = 12, 9
	for i := range commits {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for j := range writes {
				if err := tx.Put(fmt.Appendf(nil, "%02d-%d", i, j), fmt.Appendf(nil, "%x", i*7919*(j+3))); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	f := read(t, mem)
	must(t, db.Close())
	for _, name := range f.names() {
		if !strings.HasPrefix(name, "wal-") {
			continue
		}
		for at := 8192; at < min(len(f[name]), 8192+4000); at += 7 {
			damaged := slices.Clone(f[name])
			damaged[at] ^= 4
			r := run(t, f.with(name, damaged), nil)
			counts := map[string]int{}
			for key := range r.state[aegis.DefaultKeyspaceName] {
				counts[key[:2]]++
			}
			for commit, n := range counts {
				if n != writes {
					t.Fatalf("byte %d of %s: commit %s has %d of its %d writes", at, name, commit, n, writes)
				}
			}
			if len(counts) < commits-1 || len(counts) < commits && r.report.Sound() {
				t.Fatalf("byte %d of %s: %d of %d commits are there: %v", at, name, len(counts), commits, r.report)
			}
		}
	}
}

// TestEmptiedSegment: a segment that a recovery has made says what was in it, if nothing of that is
// left.
func TestEmptiedSegment(t *testing.T) {
	mem := unsynced(t).backend(t)
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
	must(t, err)
	want := contents(t, db)
	f := read(t, mem)
	must(t, db.Close())
	if r := run(t, f, nil); !maps.Equal(r.state[aegis.DefaultKeyspaceName], want) || !r.report.Sound() {
		t.Fatalf("undamaged: %v", r.report)
	}
	if r := run(t, f.only(func(name string) bool { return !isLog(name) }), nil); !loses(r.report, salvage.Commits) {
		t.Errorf("without the log of the checkpoint's epoch: %v", r.report)
	}
	emptied := f
	for name, contents := range f {
		if strings.HasPrefix(name, "wal-") {
			contents = slices.Clone(contents)
			clear(contents[min(8192, len(contents)):])
			emptied = emptied.with(name, contents)
		}
	}
	r := run(t, emptied, nil)
	if !loses(r.report, salvage.Commits) || len(r.state[aegis.DefaultKeyspaceName]) > 0 {
		t.Errorf("%v", r.report)
	}
}

// TestChecksumVouched: a record whose own checksum is damaged is told by what goes on from it, the next
// record or the next group.
func TestChecksumVouched(t *testing.T) {
	many := manyInAGroup(t)
	single := newStore(t, smallLimits())
	for i := range 5 {
		must(t, single.Put(ctx, fmt.Appendf(nil, "key-%d", i), []byte("value")))
	}
	for _, s := range []*store{many, single} {
		f := s.killed()
		name := lastSegment(f)
		for _, at := range groups(f[name], 20) {
			damaged := slices.Clone(f[name])
			damaged[at+32] ^= 1
			r := run(t, f.with(name, damaged), nil)
			if s.contains(r); !r.report.Sound() {
				t.Errorf("group at %d: %v", at, r.report)
			}
		}
	}
}

// TestLogOfClosedStore: a log file that comes back behind a clean close counts for nothing.
func TestLogOfClosedStore(t *testing.T) {
	left := unsynced(t)
	name := lastSegment(left)
	torn := slices.Clone(left[name])
	clear(torn[groups(torn, 20)[1]:])
	mem := left.with(name, torn).backend(t)
	db, err := aegis.Open("", &aegis.Options{Backend: mem, Limits: smallLimits()})
	must(t, err)
	want := contents(t, db)
	must(t, db.Close())
	r := run(t, read(t, mem).with(name, left[name]), nil)
	if got := r.state[aegis.DefaultKeyspaceName]; !maps.Equal(got, want) || !r.report.Sound() {
		t.Errorf("%d entries, want %d: %v", len(got), len(want), r.report)
	}
}

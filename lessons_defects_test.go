package aegis_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// The rest of the lessons: two pains of users, and a test for each defect of earlier work in this
// design's line. No test here: a global encryption key from the environment, no key id, no
// authenticated context. There is no encryption yet, and nothing reads a key from anywhere.

func TestLesson_NoTransactions_pebble60(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("alice"), []byte("on call")))
	must(t, db.Put(ctx, []byte("bob"), []byte("on call")))
	leave := func(tx *aegis.Tx, who, other string) error { // write skew: each relies on the other
		if v, err := tx.Get([]byte(other)); err != nil || string(v) != "on call" {
			return errors.Join(err, errors.New("nobody would be left"))
		}
		return tx.Put([]byte(who), []byte("away"))
	}
	a, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	b, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, leave(a, "alice", "bob"))
	must(t, leave(b, "bob", "alice"))
	must(t, a.Commit())
	if err := b.Commit(); !errors.Is(err, aegis.ErrConflict) {
		t.Errorf("both left: %v", err)
	}
}

func TestLesson_UpgradeWipedTheStore_pebble5969(t *testing.T) {
	for name, content := range map[string]string{"MANIFEST-000001": "of another engine", "notes.txt": "", "checkpoint-best.pt": "x", "table-1": ""} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		db, err := aegis.Open(dir, nil)
		if err == nil {
			must(t, db.Close())
			t.Errorf("a store was made beside %s", name)
		}
		lessonSameFiles(t, dir, map[string][]byte{name: []byte(content)})
	}
	// A store of a format that this version does not know.
	files := tailStore(t, 1, 12, false)
	dir := t.TempDir()
	for _, name := range crashNames(files, "checkpoint-") {
		b := slices.Clone(files[name])
		binary.LittleEndian.PutUint32(b[8:], 99)
		end := len(b) - 4
		binary.LittleEndian.PutUint32(b[end:], crc32.Checksum(b[:end], crc32.MakeTable(crc32.Castagnoli)))
		files[name] = b
	}
	for name, b := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	if db, err := aegis.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a store of version 99: %v, %v", db, err)
	}
	lessonSameFiles(t, dir, files)
}

func lessonSameFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	got := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.Name() != backends.LockName {
			got[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
		}
	}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("the directory was changed: %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestLesson_CommitOnAMapWithoutLogOrBackend(t *testing.T) {
	for _, tables := range []bool{false, true} {
		life := newCrashDisk().life(1, 0)
		db := lessonOpen(t, life)
		must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("a"), []byte("1")) }))
		if tables {
			must(t, db.Checkpoint(ctx))
		}
		files := life.disk.copyFiles()
		must(t, db.Close())
		db = lessonOpen(t, crashDiskOf(files).life(2, 0))
		wantGet(t, db, "a", "1")
		s, err := db.Stats(ctx)
		must(t, err)
		if (s.Tables.Entries == 1) != tables || (s.Recovery.Records == 1) == tables {
			t.Errorf("tables %v: %d entries in tables, %d replayed", tables, s.Tables.Entries, s.Recovery.Records)
		}
	}
}

func TestLesson_SnapshotIsolationLosesUpdates(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("n"), []byte{0}))
	o := aegis.TxOptions{Isolation: aegis.Snapshot}
	for range 2 {
		var txs [2]*aegis.Tx
		for i := range txs {
			var err error
			txs[i], err = db.Begin(ctx, o)
			must(t, err)
			v, err := txs[i].Get([]byte("n"))
			must(t, err)
			must(t, txs[i].Put([]byte("n"), []byte{v[0] + 1}))
		}
		must(t, txs[0].Commit())
		if err := txs[1].Commit(); !errors.Is(err, aegis.ErrConflict) {
			t.Errorf("the second update: %v", err)
		}
		must(t, db.Checkpoint(ctx)) // the versions are in tables now, and still count
	}
	wantGet(t, db, "n", "\x02")
}

func TestLesson_OwnWritesAreInvisible(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("b"), []byte("old")))
	for level := range aegis.Isolation(3) {
		tx, err := db.Begin(ctx, aegis.TxOptions{Isolation: level})
		must(t, err)
		must(t, tx.Put([]byte("a"), []byte("1")))
		must(t, tx.Put([]byte("b"), []byte("2")))
		must(t, tx.Put([]byte("c"), nil))
		must(t, tx.Delete([]byte("c")))
		if v, err := tx.Get([]byte("b")); err != nil || string(v) != "2" {
			t.Errorf("level %d: Get: %q, %v", level, v, err)
		}
		must(t, loadCompare(map[string]string{"a": "1", "b": "2"}, tx.Range(nil, nil), tx))
		must(t, tx.Rollback())
	}
	wantGet(t, db, "b", "old")
}

func TestLesson_SerializableCommitDeadlocks(t *testing.T) {
	defer crashWatch(t, t.Name(), 20*time.Second)()
	db := lessonOpen(t, backends.NewMemory())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 { // in opposite orders
				first, second := []byte{byte(w % 2)}, []byte{byte(1 - w%2)}
				err := db.Update(ctx, func(tx *aegis.Tx) error {
					_, _ = tx.Get(second)
					return errors.Join(tx.Put(first, []byte{byte(i)}), tx.Put(second, []byte{byte(i)}))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLesson_ReadSetsAreNeverRecorded(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("a1"), nil))
	for name, read := range map[string]func(tx *aegis.Tx){
		"key":        func(tx *aegis.Tx) { _, _ = tx.Get([]byte("a1")) },
		"absent key": func(tx *aegis.Tx) { _, _ = tx.Get([]byte("a2")) },
		"range": func(tx *aegis.Tx) {
			for range tx.Prefix([]byte("a")) {
			}
		},
	} {
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		must(t, err)
		read(tx)
		must(t, tx.Put([]byte("other"), nil))
		must(t, db.Put(ctx, []byte("a1"), []byte("x")))
		must(t, db.Put(ctx, []byte("a2"), []byte("x")))
		if err := tx.Commit(); !errors.Is(err, aegis.ErrConflict) {
			t.Errorf("%s was read and changed: %v", name, err)
		}
		must(t, db.Delete(ctx, []byte("a2")))
	}
}

func TestLesson_EvictionDropsDirtyData(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory(), MemoryBudget: 64 << 10, Limits: &aegis.Limits{IndexBytes: 16 << 10, ChunkBytes: 1 << 10}})
	const n = 4000
	for i := range n {
		must(t, db.Put(ctx, tailKey(i), tailValue(i)))
		if i%7 == 0 { // makes pages come and go
			_, err := db.Get(ctx, tailKey(i*31%(i+1)))
			must(t, err)
		}
	}
	if got, err := tailCount(db); got != n || err != nil {
		t.Errorf("%d of %d entries, %v", got, n, err)
	}
}

func TestLesson_DeletedKeyReadsAsEmptyValue(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	must(t, db.Put(ctx, []byte("empty"), nil))
	must(t, db.Put(ctx, []byte("gone"), []byte("x")))
	must(t, db.Checkpoint(ctx))
	must(t, db.Delete(ctx, []byte("gone")))
	for range 3 {
		wantGet(t, db, "empty", "")
		if v, err := db.Get(ctx, []byte("gone")); !errors.Is(err, aegis.ErrNotFound) || v != nil {
			t.Errorf("a deleted key is %q, %v", v, err)
		}
		must(t, db.View(ctx, func(tx *aegis.Tx) error { return loadCompare(map[string]string{"empty": ""}, tx.Range(nil, nil), tx) }))
		must(t, db.Checkpoint(ctx))
		must(t, db.Compact(ctx, nil))
	}
}

func TestLesson_RotationRenamesOverSegment(t *testing.T) {
	disk := newCrashDisk()
	want := 0
	for life := range 5 { // killed each time; each life rotates several times, and nothing is flushed
		l := disk.life(uint64(life), 0)
		db := open(t, "", aegis.Options{Backend: l, Limits: &aegis.Limits{SegmentBytes: 16 << 10, FirstSegment: 16 << 10}})
		for range 400 {
			must(t, db.Put(ctx, tailKey(want), tailValue(want)))
			want++
		}
		s, err := db.Stats(ctx)
		must(t, err)
		if s.Log.Rotations < 2 || s.Tables.Flushes > 0 {
			t.Fatalf("life %d: %d rotations, %d flushes", life, s.Log.Rotations, s.Tables.Flushes)
		}
		if n, err := tailCount(db); n != want || err != nil {
			t.Fatalf("life %d: %d of %d commits, %v", life, n, want, err)
		}
		disk = l.end(life%2 == 0)
		_ = db.Close()
	}
	if n, err := tailCount(lessonOpen(t, disk.life(9, 0))); n != want || err != nil {
		t.Errorf("%d of %d commits, %v", n, want, err)
	}
}

func TestLesson_AppendAfterATornTail(t *testing.T) {
	for seed := range uint64(30) {
		disk, want := newCrashDisk(), 0
		for range 4 { // each life leaves a torn group; what the next one commits must be readable
			l := disk.life(seed, 0)
			db := open(t, "", aegis.Options{Backend: l, Durability: aegis.NoSync, Limits: &aegis.Limits{
				SegmentBytes: 32 << 10, FirstSegment: 32 << 10, SyncInterval: time.Hour, GatherBytes: 1,
			}})
			n, err := tailCount(db)
			if err != nil || n < want {
				t.Fatalf("seed %d: %d commits, %d were synced, %v", seed, n, want, err)
			}
			must(t, db.Put(ctx, tailKey(n), tailValue(n)))
			must(t, db.Sync(ctx))
			want = n + 1
			for i := range 10 {
				must(t, db.Put(ctx, tailKey(want+i), tailValue(want+i)))
			}
			_, err = db.Stats(ctx) // a turn of the log writer: the group is written
			must(t, err)
			disk = l.end(true)
			_ = db.Close()
		}
	}
}

func TestLesson_CommitIsALoopOfWrites(t *testing.T) {
	for cut := 1; ; cut++ { // the power goes at each call of a commit
		life := newCrashDisk().life(uint64(cut), 0)
		db := lessonOpen(t, life)
		must(t, db.Put(ctx, []byte("k0"), []byte("old")))
		life.cutAfter(cut)
		err := db.Update(life.ctx, func(tx *aegis.Tx) error {
			for i := range 50 {
				must2(tx.Put(fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte(i)}, 100)))
			}
			return nil
		})
		survived := !life.isDead()
		disk := life.end(true)
		_ = db.Close()
		db = lessonOpen(t, disk.life(1, 0))
		n := 0
		must(t, db.View(ctx, func(tx *aegis.Tx) error {
			for range tx.Range(nil, nil) {
				n++
			}
			return tx.Err()
		}))
		must(t, db.Close())
		if n != 1 && n != 50 || err == nil && n != 50 {
			t.Fatalf("cut at call %d: %d of 50 keys, Update said %v", cut, n, err)
		}
		if survived {
			return
		}
	}
}

func TestLesson_RollbackDeletesOthersWrites_ReadsSeePendingOnes(t *testing.T) {
	db := lessonOpen(t, backends.NewMemory())
	a, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	b, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	must(t, a.Put([]byte("a"), []byte("1")))
	must(t, a.Put([]byte("shared"), []byte("a")))
	must(t, b.Put([]byte("shared"), []byte("b")))
	if _, err := b.Get([]byte("a")); !errors.Is(err, aegis.ErrNotFound) {
		t.Errorf("a pending write is seen by another transaction: %v", err)
	}
	if _, err := db.Get(ctx, []byte("shared")); !errors.Is(err, aegis.ErrNotFound) {
		t.Errorf("a pending write is seen: %v", err)
	}
	must(t, b.Rollback())
	must(t, a.Commit())
	wantGet(t, db, "a", "1")
	wantGet(t, db, "shared", "a")
}

func TestLesson_LogIsTruncatedBeforeTheCheckpoint(t *testing.T) {
	life := newCrashDisk().life(1, 0)
	limits := &aegis.Limits{SegmentBytes: 16 << 10, FirstSegment: 16 << 10, RetryInterval: time.Millisecond}
	db := open(t, "", aegis.Options{Backend: life, Limits: limits})
	n := 0
	life.setFail(crashFailing("sync", "checkpoint-", errInjected))
	for range 5 { // several segments, which must stay and must not be used again
		for range 300 {
			must(t, db.Put(ctx, tailKey(n), tailValue(n)))
			n++
		}
		if err := db.Checkpoint(ctx); !errors.Is(err, errInjected) {
			t.Errorf("Checkpoint: %v", err)
		}
	}
	disk := life.end(true)
	_ = db.Close()
	db = open(t, "", aegis.Options{Backend: disk.life(2, 0)})
	if got, err := tailCount(db); got != n || err != nil {
		t.Errorf("%d of %d commits, %v", got, n, err)
	}
}

func TestLesson_ChecksumsAreNeverVerified(t *testing.T) {
	const all = 162
	files := tailStore(t, 1, 12, true)
	for _, name := range crashNames(files, "table-") {
		for at := 0; at < len(files[name]); at += 23 {
			b := slices.Clone(files[name])
			b[at] ^= 1
			n, verify, err := tailJudge(tailWith(files, name, b), false)
			if n != -1 && n != all || verify == nil || err != nil {
				t.Fatalf("flip at %d of %s: %d of %d commits, verify %v, %v", at, name, n, all, verify, err)
			}
		}
	}
}

func TestLesson_UnknownRecordIsDecoded(t *testing.T) {
	files := tailStore(t, 1, 12, true)
	name, groups, _ := tailLog(t, files)
	b := slices.Clone(files[name])
	// A flag that no version knows, on a record of which all checksums are right.
	at := groups[len(groups)-3]
	rec := b[at+32:]
	n := 20 + int(binary.LittleEndian.Uint32(rec[4:]))
	before := binary.LittleEndian.Uint32(b[at+12:]) // the chain before the record
	rec[16] = 0x80
	binary.LittleEndian.PutUint32(rec, crc32.Update(before, crc32.MakeTable(crc32.Castagnoli), rec[4:n]))
	if n, verify, err := tailJudge(tailWith(files, name, b), false); n != -1 || err != nil || !strings.Contains(verify.Error(), "flags") {
		t.Errorf("%d commits, %v, %v", n, verify, err)
	}
}

func TestLesson_DocumentedConfigKeysDoNotMatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aegis.toml")
	text := "[storage]\nbackend = \"local\"\ndata_directory = \"" + filepath.ToSlash(t.TempDir()) + "\"\ncompression = \"zstd\"\n" +
		"buffer_pool_size = \"1MiB\"\nwal_enabled = true\nsync_on_commit = false\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	c, err := aegis.LoadConfig(path)
	must(t, err)
	if o := c.Options; o.Compression != aegis.Zstd || o.MemoryBudget != 1<<20 || o.DisableWAL || o.Durability != aegis.NoSync {
		t.Errorf("%+v", o)
	}
	must(t, os.WriteFile(path, []byte(text+"bufer_pool_size = 1\n"), 0o600))
	if _, err := aegis.LoadConfig(path); err == nil || !strings.Contains(err.Error(), "bufer_pool_size") {
		t.Errorf("an unknown key: %v", err)
	}
}

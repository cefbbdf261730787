package aegis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// backupLimits make tables of a few KiB, so that a small store has many.
func backupLimits() *aegis.Limits {
	return &aegis.Limits{TableBytes: 4 << 10, LeafBytes: 512, InnerBytes: 256, FanIn: 2, SettleAfter: time.Hour}
}

func openBackupStore(t testing.TB, b backends.Backend) *aegis.DB {
	t.Helper()
	db, err := aegis.Open("", &aegis.Options{Backend: b, Limits: backupLimits()})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// storeContents reads the whole store: keyspace and key to value.
func storeContents(t testing.TB, db *aegis.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, db.View(context.Background(), func(tx *aegis.Tx) error {
		infos, err := tx.Keyspaces()
		if err != nil {
			return err
		}
		for _, info := range append(infos, aegis.KeyspaceInfo{Name: aegis.DefaultKeyspaceName}) {
			k, err := tx.Keyspace(info.Name)
			if err != nil {
				return err
			}
			all[info.Name] = "keyspace " + info.Compression.String()
			for key, value := range k.Range(nil, nil) {
				all[info.Name+"/"+string(key)] = string(value)
			}
		}
		return tx.Err()
	}))
	delete(all, aegis.DefaultKeyspaceName)
	return all
}

func sameContents(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Fatalf("%s: %q is %.40q (there: %t), want %.40q", what, k, g, ok, v)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
}

// takeBackup takes a backup into memory.
func takeBackup(t testing.TB, db *aegis.DB, since *aegis.BackupInfo) ([]byte, *aegis.BackupInfo) {
	t.Helper()
	var b bytes.Buffer
	info, err := db.Backup(context.Background(), &b, since)
	must(t, err)
	return b.Bytes(), info
}

// restored restores into memory and opens the store.
func restored(t testing.TB, streams ...[]byte) *aegis.DB {
	t.Helper()
	b := backends.NewMemory()
	_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, readers(streams)...)
	must(t, err)
	return openBackupStore(t, b)
}

func readers(streams [][]byte) (rs []io.Reader) {
	for _, s := range streams {
		rs = append(rs, bytes.NewReader(s))
	}
	return rs
}

func fillBackupStore(t testing.TB, db *aegis.DB, round, n int) {
	t.Helper()
	must(t, db.Update(context.Background(), func(tx *aegis.Tx) error {
		for i := range n {
			key := fmt.Sprintf("key%05d", (i*7+round*13)%2000)
			if i%9 == 8 {
				if err := tx.Delete([]byte(key)); err != nil {
					return err
				}
				continue
			}
			if err := tx.Put([]byte(key), fmt.Appendf(nil, "round %d %s", round, strings.Repeat("v", i%60))); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestBackupOfEverything(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	ctx := context.Background()
	fillBackupStore(t, db, 0, 500)
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		for i, c := range []aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd} {
			k, err := tx.CreateKeyspace(fmt.Sprint("space", i), aegis.KeyspaceOptions{Compression: c})
			if err != nil {
				return err
			}
			for j := range 100 {
				if err := k.Put(fmt.Appendf(nil, "k%d", j), bytes.Repeat([]byte("abc"), j)); err != nil {
					return err
				}
			}
		}
		_, err := tx.CreateKeyspace("dropped", aegis.KeyspaceOptions{})
		return err
	}))
	must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("dropped") }))
	_, err := db.BulkLoad(ctx, "loaded", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for i := range 300 {
			if !yield(fmt.Appendf(nil, "%06d", i), []byte("bulk")) {
				return
			}
		}
	})
	must(t, err)
	id, err := db.WriteBlock(ctx, aegis.NewBlock(bytes.Repeat([]byte("block"), 5000)))
	must(t, err)
	want := storeContents(t, db)
	stream, info := takeBackup(t, db, nil)
	if info.Seq != db.Seq() || info.Since != "" || len(info.Tables) < 10 || info.Bytes >= int64(len(stream)) {
		t.Fatalf("info %+v of a stream of %d bytes at seq %d", info, len(stream), db.Seq())
	}
	back := restored(t, stream)
	sameContents(t, "restored", storeContents(t, back), want)
	block, err := back.ReadBlock(ctx, id)
	must(t, err)
	if !bytes.Equal(block.Data(), bytes.Repeat([]byte("block"), 5000)) {
		t.Fatal("the block is another one")
	}
	must(t, back.Verify(ctx, nil))
	// It is a store that goes on.
	fillBackupStore(t, back, 5, 400)
	must(t, back.Compact(ctx, nil))
	again, _ := takeBackup(t, back, nil)
	sameContents(t, "restored again", storeContents(t, restored(t, again)), storeContents(t, back))
}

func TestBackupOfAnEmptyStore(t *testing.T) {
	stream, info := takeBackup(t, openBackupStore(t, backends.NewMemory()), nil)
	if len(info.Tables) != 0 || info.Bytes != 0 {
		t.Fatalf("info %+v", info)
	}
	sameContents(t, "restored", storeContents(t, restored(t, stream)), map[string]string{})
}

func TestIncrementalBackups(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 3000)
	var chain [][]byte
	var since *aegis.BackupInfo
	for round := 1; round < 7; round++ {
		stream, info := takeBackup(t, db, since)
		chain = append(chain, stream)
		sameContents(t, fmt.Sprint("round ", round), storeContents(t, restored(t, chain...)), storeContents(t, db))
		fresh := 0
		for _, table := range info.Tables {
			if table.Included {
				fresh++
			}
		}
		if since != nil && (info.Since != since.ID || fresh == 0 || fresh == len(info.Tables)) {
			t.Fatalf("round %d: since %q, %d of %d tables are in the stream", round, info.Since, fresh, len(info.Tables))
		}
		head, err := aegis.ReadBackupInfo(bytes.NewReader(stream))
		must(t, err)
		var kept aegis.BackupInfo
		text, err := json.Marshal(info)
		must(t, err)
		must(t, json.Unmarshal(text, &kept))
		again, err := json.Marshal(head)
		must(t, err)
		if !bytes.Equal(text, again) {
			t.Fatalf("Backup says\n%s\nits head\n%s", text, again)
		}
		since = &kept
		must(t, db.Update(context.Background(), func(tx *aegis.Tx) error { // few keys side by side: most tables stay
			for i := range 20 {
				if err := tx.Put(fmt.Appendf(nil, "key%05d", round*100+i), fmt.Appendf(nil, "new in %d", round)); err != nil {
					return err
				}
			}
			return nil
		}))
		if round%2 == 0 {
			must(t, db.Compact(context.Background(), nil))
		}
	}
	// Wrong orders, each refused before anything is touched.
	for _, wrong := range [][][]byte{{}, {chain[1]}, {chain[0], chain[2]}, {chain[1], chain[0]}, {chain[0], chain[0]}, {chain[0], chain[1], chain[1]}} {
		b := backends.NewMemory()
		_, err := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, readers(wrong)...)
		if files, _ := b.List(); !errors.Is(err, aegis.ErrBackupChain) || len(files) > 0 {
			t.Errorf("%d streams: %v, and left %v", len(wrong), err, files)
		}
	}
}

func TestBackupChainsOfTwoStores(t *testing.T) {
	ctx := context.Background()
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 300)
	full, info := takeBackup(t, db, nil)
	copied := restored(t, full)
	_, own := takeBackup(t, copied, nil)
	for name, since := range map[string]*aegis.BackupInfo{"the original's": info, "nobody's": {ID: "who?"}, "empty": {}, "a full one's since": {ID: strings.Repeat("0", 32), Store: own.Store}} {
		if _, err := copied.Backup(ctx, io.Discard, since); !errors.Is(err, aegis.ErrBackupChain) {
			t.Errorf("an incremental backup that follows %s: %v", name, err)
		}
	}
	if own.Store == info.Store || own.Store == "" || own.ID == info.ID {
		t.Errorf("the original is store %q, the restored one %q", info.Store, own.Store)
	}
	for name, later := range map[string]aegis.BackupInfo{
		"a later life": {Epoch: info.Epoch + 1}, "a later checkpoint": {Epoch: info.Epoch, Checkpoint: info.Checkpoint + 1000},
	} {
		later.ID, later.Store, later.Tables = info.ID, info.Store, info.Tables
		if _, err := db.Backup(ctx, io.Discard, &later); !errors.Is(err, aegis.ErrBackupChain) {
			t.Errorf("since a backup of %s: %v", name, err)
		}
	}
}

func TestBackupWhileOthersWork(t *testing.T) {
	ctx := context.Background()
	b := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: b, Limits: backupLimits(), MemoryBudget: 256 << 10, MaxSnapshotAge: time.Millisecond})
	must(t, err)
	defer db.Close()
	stop, done := make(chan struct{}), make(chan error, 3)
	for w := range 3 {
		go func() { done <- backupWriter(ctx, db, w, stop) }()
	}
	var chain [][]byte
	var since *aegis.BackupInfo
	for round := range 8 {
		if round == 4 {
			chain, since = nil, nil
		}
		before := lastOf(t, db)
		slow := &slowWriter{db: db}
		info, err := db.Backup(ctx, slow, since)
		must(t, err)
		after := lastOf(t, db)
		chain, since = append(chain, slow.b.Bytes()), info
		checkPrefix(t, restored(t, chain...), before, after)
	}
	close(stop)
	for range 3 {
		must(t, <-done)
	}
	if err := db.Verify(ctx, nil); !errors.Is(err, aegis.ErrSnapshotTooOld) {
		must(t, err)
	}
}

// backupWriter writes transaction after transaction: each puts its number under "last", under one of
// fifty keys and, now and then, makes and drops a keyspace.
func backupWriter(ctx context.Context, db *aegis.DB, w int, stop <-chan struct{}) error {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		err := db.Update(ctx, func(tx *aegis.Tx) error {
			name := fmt.Sprint("space ", w)
			if n%40 == 0 {
				if _, err := tx.CreateKeyspace(name, aegis.KeyspaceOptions{}); err != nil {
					return err
				}
			} else if n%40 == 20 && n > 40 {
				if err := tx.DropKeyspace(name); err != nil {
					return err
				}
			}
			value := fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%300))
			return errors.Join(tx.Put(fmt.Appendf(nil, "w%d last", w), value), tx.Put(fmt.Appendf(nil, "w%d key%02d", w, n%50), value))
		})
		if err != nil && !errors.Is(err, aegis.ErrSnapshotTooOld) {
			return err
		}
		if err != nil {
			n--
		}
	}
}

func numberOf(value []byte) (n int) {
	_, _ = fmt.Sscan(string(value), &n)
	return n
}

func lastOf(t testing.TB, db *aegis.DB) (last [3]int) {
	t.Helper()
	for w := range last {
		v, err := db.Get(context.Background(), fmt.Appendf(nil, "w%d last", w))
		if err != nil && !errors.Is(err, aegis.ErrNotFound) {
			t.Fatal(err)
		}
		last[w] = numberOf(v)
	}
	return last
}

// checkPrefix: each writer's keys are those after some transaction between two.
func checkPrefix(t testing.TB, db *aegis.DB, before, after [3]int) {
	t.Helper()
	last := lastOf(t, db)
	all := storeContents(t, db)
	for w, n := range last {
		if n < before[w] || n > after[w]+1 { // one may be in the store before its writer hears of it
			t.Fatalf("writer %d is at %d, before the backup it was at %d, after it at %d", w, n, before[w], after[w])
		}
		for k := range 50 {
			want := n - (n-k+50)%50
			if got := numberOf([]byte(all[fmt.Sprintf("default/w%d key%02d", w, k)])); got != max(want, 0) {
				t.Fatalf("writer %d is at %d, its key %d at %d", w, n, k, got)
			}
		}
		_, there := all[fmt.Sprint("space ", w)]
		if want := n >= 40 && n%40 < 20; there != want {
			t.Fatalf("writer %d is at %d, its keyspace is there: %t", w, n, there)
		}
	}
}

// slowWriter has the store merge between two writes.
type slowWriter struct {
	db *aegis.DB
	b  bytes.Buffer
}

func (w *slowWriter) Write(p []byte) (int, error) {
	if w.b.Len()%3 == 0 {
		if err := w.db.Compact(context.Background(), nil); err != nil {
			return 0, err
		}
	}
	return w.b.Write(p)
}

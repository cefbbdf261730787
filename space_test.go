package aegis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// That space comes back by itself, in real files: whatever makes most of a store's bytes dead, the
// files of tables shrink to within 1.3 of what a new store with the live entries takes. Log
// segments and spares are bounded separately: they do not depend on what is live.

const (
	reclaimSlack = 1.3
	reclaimWait  = 60 * time.Second // ample for a busy machine
)

// reclaimEntries is how many entries are written, of about a kilobyte each.
var reclaimEntries = func() int {
	if raceDetector {
		return 12 << 10
	}
	return 48 << 10
}()

// reclaimStore is a store in local files, and what should be in it.
type reclaimStore struct {
	t       *testing.T
	db      *aegis.DB
	backend backends.Backend
	rng     *rand.Rand
	live    map[string]string // of the default keyspace
	codec   aegis.Compression
}

func reclaimLimits() *aegis.Limits {
	return &aegis.Limits{
		SegmentBytes: 1 << 20, LogBytes: 8 << 20, TableBytes: 4 << 20, MergeStep: 4 << 20, SettleAfter: 20 * time.Millisecond,
	}
}

func reclaimOpen(t *testing.T, codec aegis.Compression) *reclaimStore {
	t.Helper()
	backend, err := backends.NewLocal(t.TempDir(), false)
	must(t, err)
	db, err := aegis.Open("", &aegis.Options{
		Backend: backend, Limits: reclaimLimits(), MemoryBudget: 32 << 20, CheckpointBytes: 4 << 20,
		Durability: aegis.NoSync, Compression: codec,
	})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return &reclaimStore{t: t, db: db, backend: backend, rng: rand.New(rand.NewPCG(1, 2)), live: map[string]string{}, codec: codec}
}

// value is about a kilobyte, of which LZ4 saves half.
func (s *reclaimStore) value() string {
	var b strings.Builder
	for range 32 {
		fmt.Fprintf(&b, "%016x", s.rng.Uint64())
		b.WriteString("................")
	}
	return b.String()
}

// write puts entries from..to, or removes those that del answers true for.
func (s *reclaimStore) write(keyspace string, from, to int, del func(i int) bool) {
	s.t.Helper()
	const batch = 512
	for at := from; at < to; at += batch {
		must(s.t, s.db.Update(ctx, func(tx *aegis.Tx) error {
			k, err := tx.Keyspace(keyspace)
			if err != nil {
				return err
			}
			for i := at; i < min(to, at+batch); i++ {
				key := fmt.Sprintf("%08d", uint64(i)*2654435761%100000000)
				if del != nil {
					if !del(i) {
						continue
					}
					if err := k.Delete([]byte(key)); err != nil {
						return err
					}
					delete(s.live, key)
					continue
				}
				value := s.value()
				if err := k.Put([]byte(key), []byte(value)); err != nil {
					return err
				}
				if keyspace == aegis.DefaultKeyspaceName {
					s.live[key] = value
				}
			}
			return nil
		}))
	}
}

// liveBytes is what the live entries take in tables of their own.
func (s *reclaimStore) liveBytes() int64 {
	s.t.Helper()
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	must(s.t, err)
	defer db.Close()
	keys := make([]string, 0, len(s.live))
	for k := range s.live {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	r, err := db.BulkLoad(ctx, "live", aegis.KeyspaceOptions{Compression: s.codec}, func(yield func(k, v []byte) bool) {
		for _, k := range keys {
			if !yield([]byte(k), []byte(s.live[k])) {
				return
			}
		}
	})
	must(s.t, err)
	return r.StoredBytes
}

// files returns the bytes of table files and of log files.
func (s *reclaimStore) files() (tables, log int64) {
	s.t.Helper()
	list, err := s.backend.List()
	must(s.t, err)
	for _, f := range list {
		switch {
		case strings.HasPrefix(f.Name, "table-"):
			tables += f.Size
		case strings.HasPrefix(f.Name, "wal-"):
			log += f.Size
		}
	}
	return tables, log
}

// awaitFiles polls Stats until the tables' files are small enough.
func (s *reclaimStore) awaitFiles(most int64) {
	s.t.Helper()
	for began := time.Now(); ; {
		stats, err := s.db.Stats(ctx)
		must(s.t, err)
		tables, log := s.files()
		segment := reclaimLimits().SegmentBytes
		if tables <= most && stats.Tables.Reclaimable == 0 {
			if most := reclaimLimits().LogBytes + 8*segment; log > most {
				s.t.Errorf("the log has %d bytes of files, at most %d are right", log, most)
			}
			s.t.Logf("tables %d of at most %d bytes, log %d", tables, most, log)
			return
		}
		if time.Since(began) > reclaimWait {
			s.t.Fatalf("tables have %d bytes of files after %v, want at most %d (log: %d). %+v; index %d bytes",
				tables, reclaimWait, most, log, stats.Tables, stats.Memory.IndexBytes)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// most is what the tables' files may take in the end.
func (s *reclaimStore) most() int64 { return int64(reclaimSlack * float64(s.liveBytes())) }

func forCodecs(t *testing.T, f func(t *testing.T, codec aegis.Compression)) {
	for _, codec := range []aegis.Compression{aegis.LZ4, aegis.NoCompression} {
		t.Run(codec.String(), func(t *testing.T) { f(t, codec) })
	}
}

func TestReclaimDeleted(t *testing.T) {
	forCodecs(t, func(t *testing.T, codec aegis.Compression) {
		s := reclaimOpen(t, codec)
		s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries, nil)
		s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries, func(i int) bool { return i%10 != 0 })
		s.awaitFiles(s.most())
	})
}

func TestReclaimOverwritten(t *testing.T) {
	forCodecs(t, func(t *testing.T, codec aegis.Compression) {
		s := reclaimOpen(t, codec)
		for range 4 {
			s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries/4, nil)
		}
		s.awaitFiles(s.most())
	})
}

func TestReclaimDropped(t *testing.T) {
	forCodecs(t, func(t *testing.T, codec aegis.Compression) {
		s := reclaimOpen(t, codec)
		must(t, s.db.Update(ctx, func(tx *aegis.Tx) error {
			_, err := tx.CreateKeyspace("gone", aegis.KeyspaceOptions{})
			return err
		}))
		s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries/10, nil)
		s.write("gone", 0, reclaimEntries, nil)
		must(t, s.db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("gone") }))
		s.awaitFiles(s.most())
	})
}

// TestReclaimUnderSnapshot: an old snapshot keeps the files, and Stats says how much; when it ends
// they go.
func TestReclaimUnderSnapshot(t *testing.T) {
	s := reclaimOpen(t, aegis.LZ4)
	s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries, nil)
	must(t, s.db.Compact(ctx, nil))
	tx, err := s.db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	before := len(s.live)
	stats, err := s.db.Stats(ctx)
	must(t, err)
	full := stats.Tables.Bytes
	s.write(aegis.DefaultKeyspaceName, 0, reclaimEntries, func(i int) bool { return i%10 != 0 })
	must(t, s.db.Compact(ctx, nil))
	stats, err = s.db.Stats(ctx)
	must(t, err)
	if tables, _ := s.files(); tables < full || stats.Tables.Reclaimable < full*8/10 {
		t.Errorf("under a snapshot: files of %d bytes, before it %d; %d are reclaimable", tables, full, stats.Tables.Reclaimable)
	}
	n := 0
	for range tx.Range(nil, nil) {
		n++
	}
	must(t, tx.Err())
	if n != before {
		t.Errorf("the snapshot has %d entries, want %d", n, before)
	}
	must(t, tx.Rollback())
	s.awaitFiles(s.most())
}

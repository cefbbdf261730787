package aegis_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
)

// What bytes that are damaged, cut off or missing may do: give the right data, or for the end of
// the log a prefix of it, or a *CorruptionError. Never other data, never a panic.

func tailLimits() *aegis.Limits {
	return &aegis.Limits{
		SegmentBytes: 16 << 10, FirstSegment: 16 << 10, LogBytes: 1 << 20, TableBytes: 8 << 10, LeafBytes: 512, InnerBytes: 256,
		FilterBits: 10, SyncInterval: time.Hour, SettleAfter: time.Hour, RetryInterval: time.Millisecond,
	}
}

func tailKey(i int) []byte { return fmt.Appendf(nil, "key%04d", i) }

func tailValue(i int) []byte { return fmt.Appendf(nil, "value %d %s", i, strings.Repeat("x", i%40)) }

// tailOpen opens files for reading, or for writing.
func tailOpen(files map[string][]byte, write bool) (*aegis.DB, *crashLife, error) {
	life := crashDiskOf(files).life(1, 0)
	db, err := aegis.Open("", &aegis.Options{Backend: life, ReadOnly: !write, Limits: tailLimits(), MemoryBudget: 1 << 20})
	return db, life, err
}

// tailStore returns the files of a store as a kill leaves them: some tables, and a log of which the
// last commits are each a group of its own. settled: a header asserts the last group too.
func tailStore(t *testing.T, tables, logged int, settled bool) map[string][]byte {
	t.Helper()
	life := newCrashDisk().life(1, 0)
	limits := tailLimits()
	if settled {
		limits.SyncInterval = time.Millisecond
	}
	db, err := aegis.Open("", &aegis.Options{Backend: life, Limits: limits})
	must(t, err)
	defer db.Close()
	i := 0
	for range tables {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			for range 150 {
				must(t, tx.Put(tailKey(i), tailValue(i)))
				i++
			}
			return nil
		}))
		must(t, db.Checkpoint(ctx))
	}
	must(t, db.Update(ctx, func(tx *aegis.Tx) error { return tx.Put([]byte("count"), fmt.Append(nil, i)) }))
	for range logged {
		must(t, db.Put(ctx, tailKey(i), tailValue(i)))
		i++
	}
	if settled {
		tailAwaitWrite(t, db)
	}
	return life.disk.copyFiles()
}

// tailAwaitWrite waits until the log writer has closed the last group.
func tailAwaitWrite(t *testing.T, db *aegis.DB) {
	t.Helper()
	stop := crashWatch(t, "the header that closes the last group", 20*time.Second)
	defer stop()
	before, err := db.Stats(ctx)
	must(t, err)
	for now := before; now.Log.Writes == before.Log.Writes; {
		now, err = db.Stats(ctx)
		must(t, err)
	}
}

// tailCount reads everything and returns how many of the keys in order are there.
func tailCount(db *aegis.DB) (n int, err error) {
	err = db.View(ctx, func(tx *aegis.Tx) error {
		n = 0
		for k, v := range tx.Prefix([]byte("key")) {
			if !bytes.Equal(k, tailKey(n)) || !bytes.Equal(v, tailValue(n)) {
				return fmt.Errorf("%w: entry %d is %q = %q", errLoad, n, k, v)
			}
			n++
		}
		return nil
	})
	return n, err
}

// tailJudge opens files and returns how many commits are there, or -1 for a *CorruptionError.
func tailJudge(files map[string][]byte, write bool) (n int, verify error, err error) {
	db, _, err := tailOpen(files, write)
	var bad *aegis.CorruptionError
	if errors.As(err, &bad) {
		return -1, err, nil
	}
	if err != nil {
		return 0, nil, err
	}
	n, err = tailCount(db)
	if errors.As(err, &bad) {
		n, err = -1, nil
	}
	verify = db.Verify(ctx, nil)
	if write && err == nil && n >= 0 {
		err = db.Put(ctx, tailKey(n), tailValue(n))
	}
	return n, verify, errors.Join(err, db.Close())
}

// tailGroups returns the offsets of the groups in the newest log file, and where the last one
// ends.
func tailGroups(b []byte) (at []int, end int) {
	magic := binary.LittleEndian.AppendUint32(nil, 0x5047_4541)
	for off := 8192; off < len(b) && bytes.Equal(b[off:off+4], magic); off = (end + 7) &^ 7 {
		at = append(at, off)
		end = off + 32 + int(binary.LittleEndian.Uint32(b[off+8:]))
	}
	return at, end
}

func tailWith(files map[string][]byte, name string, b []byte) map[string][]byte {
	changed := maps.Clone(files)
	changed[name] = b
	return changed
}

func tailLog(t *testing.T, files map[string][]byte) (name string, groups []int, end int) {
	t.Helper()
	names := crashNames(files, "wal-")
	for _, n := range names {
		if g, e := tailGroups(files[n]); len(g) > len(groups) {
			name, groups, end = n, g, e
		}
	}
	if len(groups) < 10 {
		t.Fatalf("log files %v, the longest has %d groups", names, len(groups))
	}
	return name, groups, end
}

// A log whose tail was never written, from each byte on: the prefix that is left, which holds
// whatever a header that is left asserts.
func TestTailMissing(t *testing.T) {
	const before, logged = 150, 14
	files := tailStore(t, 1, logged, false)
	name, groups, end := tailLog(t, files)
	groups = groups[len(groups)-logged-1:] // those of the checkpoint cannot be missing
	for at := groups[0]; at <= end; at++ {
		b := slices.Clone(files[name])
		clear(b[at:])
		whole := 0 // groups of which all bytes are there; the first is the count's
		for whole < len(groups) && at >= tailGroupEnd(files[name], groups[whole]) {
			whole++
		}
		want := before + max(0, whole-1)
		n, _, err := tailJudge(tailWith(files, name, b), at%5 == 0)
		if err != nil || n != want {
			t.Fatalf("zeros from %d on: %d commits, %v; want %d", at, n, err, want)
		}
	}
}

// tailGroupEnd is the offset behind the group's last byte that is not zero: zeros need not arrive.
func tailGroupEnd(b []byte, at int) int {
	end := at + 32 + int(binary.LittleEndian.Uint32(b[at+8:]))
	for b[end-1] == 0 {
		end--
	}
	return end
}

// A log file that is cut off is shorter than its synced header says.
func TestTailTruncated(t *testing.T) {
	files := tailStore(t, 1, 12, false)
	name, groups, _ := tailLog(t, files)
	for at := 0; at < len(files[name]); at += 1 + at/64 {
		for _, cut := range []int{at, groups[len(groups)-1] + at%100} {
			n, verify, err := tailJudge(tailWith(files, name, files[name][:cut]), at%7 == 0)
			if err != nil || n != -1 {
				t.Fatalf("cut at %d: %d commits, %v, %v", cut, n, verify, err)
			}
		}
	}
}

// A bit flipped in any byte of the log: only the last group may be taken for a torn one, and only
// until a header asserts it.
func TestTailFlipped(t *testing.T) {
	for _, settled := range []bool{false, true} {
		t.Run(fmt.Sprintf("settled=%v", settled), func(t *testing.T) {
			const logged = 12
			files := tailStore(t, 1, logged, settled)
			name, groups, end := tailLog(t, files)
			all, lost := 150+logged, 0
			for at := groups[0]; at < end; at++ {
				b := slices.Clone(files[name])
				b[at] ^= 1 << (at % 8)
				n, verify, err := tailJudge(tailWith(files, name, b), at%5 == 0)
				last := at >= groups[len(groups)-1]
				switch {
				case err == nil && n == all: // padding
				case err == nil && n == -1 && !(last && !settled):
					tailNames(t, verify, name)
				case err == nil && n == all-1 && last && !settled:
					lost++
				default:
					t.Fatalf("flip at %d (group at %v): %d of %d commits, verify %v, %v", at, groups, n, all, verify, err)
				}
			}
			if !settled && lost == 0 {
				t.Error("no flip took the last group away")
			}
		})
	}
}

// tailNames checks that an error names the damaged file.
func tailNames(t *testing.T, err error, name string) {
	t.Helper()
	var bad *aegis.CorruptionError
	if !errors.As(err, &bad) || bad.File != name || bad.Offset < 0 || !strings.Contains(err.Error(), name) {
		t.Fatalf("damage in %s is reported as %v", name, err)
	}
}

// Damage anywhere: the right data or a *CorruptionError; and Verify names the file.
func TestDamageAnywhere(t *testing.T) {
	const tables, logged = 3, 11
	files := tailStore(t, tables, logged, true)
	all := tables*150 + logged
	wal, groups, walEnd := tailLog(t, files)
	for name, b := range files {
		step := 1
		if strings.HasPrefix(name, "table-") {
			step = 11
		}
		if raceDetector {
			step = 37
		}
		detected := 0
		for at := 0; at < len(b); at += step {
			if strings.HasPrefix(name, "wal-") && (name != wal || at >= walEnd || at > 100 && at < groups[0] && at%100 > 0 && (at < 4090 || at > 4170)) {
				continue
			}
			damaged := slices.Clone(b)
			damaged[at] ^= 1 << (at % 8)
			n, verify, err := tailJudge(tailWith(files, name, damaged), false)
			if err != nil || n != all && n != -1 {
				t.Fatalf("flip at %d of %s: %d of %d commits, %v", at, name, n, all, err)
			}
			if verify != nil {
				tailNames(t, verify, name)
				detected++
			} else if !strings.HasPrefix(name, "wal-") {
				t.Fatalf("flip at %d of %s: Verify finds nothing", at, name)
			}
		}
		t.Logf("%s: %d bytes, %d flips found", name, len(b), detected)
	}
}

// Files that are missing, emptied, cut, swapped with another one, or filled with zeros.
func TestDamageOfWholeFiles(t *testing.T) {
	const tables, logged = 3, 11
	files := tailStore(t, tables, logged, true)
	all := tables*150 + logged
	wal, _, _ := tailLog(t, files)
	names := slices.Sorted(maps.Keys(files))
	judge := func(what string, damaged map[string][]byte, harmless bool) {
		t.Helper()
		n, verify, err := tailJudge(damaged, false)
		if err != nil || n != -1 && !(harmless && n == all) {
			t.Errorf("%s: %d of %d commits, verify %v, %v", what, n, all, verify, err)
		}
	}
	isLog := func(name string) bool { return strings.HasPrefix(name, "wal-") }
	isCopy := func(name string) bool { return strings.HasPrefix(name, "checkpoint-") }
	for i, name := range names {
		b := files[name]
		harmless := isCopy(name) || isLog(name) && name != wal // the other copy is whole; a spare
		missing := maps.Clone(files)
		delete(missing, name)
		judge("missing "+name, missing, harmless)
		judge("empty "+name, tailWith(files, name, nil), harmless)
		judge("half of "+name, tailWith(files, name, b[:len(b)/2]), harmless)
		judge("zeros in "+name, tailWith(files, name, make([]byte, len(b))), harmless)
		other := names[(i+1)%len(names)]
		swapped := tailWith(files, name, files[other])
		swapped[other] = b
		// Names of log files mean nothing.
		fine := isLog(name) && isLog(other) || harmless && (isCopy(other) || isLog(other) && other != wal)
		judge(name+" swapped with "+other, swapped, fine)
	}
	both := maps.Clone(files)
	for _, name := range crashNames(files, "checkpoint-") {
		both[name] = slices.Clone(files[name])
		both[name][30] ^= 1
	}
	judge("both copies of the checkpoint damaged", both, false)
	heads := slices.Clone(files[wal])
	heads[20], heads[4096+20] = heads[20]^1, heads[4096+20]^1
	judge("both headers of the log damaged", tailWith(files, wal, heads), false)
}

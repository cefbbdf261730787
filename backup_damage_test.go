package aegis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// smallBackup is the stream of a store with one small table.
func smallBackup(t testing.TB) []byte {
	db := openBackupStore(t, backends.NewMemory())
	must(t, db.Put(context.Background(), []byte("key"), []byte("value")))
	stream, _ := takeBackup(t, db, nil)
	return stream
}

// refuses checks that a stream is refused with an offset within it, by all who read it to its end, and
// that nothing is left of the attempt to restore it.
func refuses(t *testing.T, what string, stream []byte) (at int64) {
	t.Helper()
	_, verifyErr := aegis.VerifyBackup(context.Background(), bytes.NewReader(stream), nil)
	b := backends.NewMemory()
	_, restoreErr := aegis.Restore(context.Background(), "", &aegis.RestoreOptions{Backend: b}, bytes.NewReader(stream))
	for by, err := range map[string]error{"VerifyBackup": verifyErr, "Restore": restoreErr} {
		var bad *aegis.BackupError
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > int64(len(stream)) {
			t.Fatalf("%s: %s of %d bytes: %v", what, by, len(stream), err)
		}
		at = max(at, bad.Offset)
	}
	if files, err := b.List(); err != nil || len(files) > 0 {
		t.Fatalf("%s: files are left: %v, %v", what, files, err)
	}
	return at
}

func TestDamagedBackupsAreRefused(t *testing.T) {
	stream := smallBackup(t)
	if _, err := aegis.VerifyBackup(context.Background(), bytes.NewReader(stream), nil); err != nil {
		t.Fatal(err)
	}
	for i := range stream {
		refuses(t, fmt.Sprint("cut at ", i), stream[:i])
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(stream)
			bad[i] ^= flip
			at := refuses(t, fmt.Sprintf("byte %d ^ %#x", i, flip), bad)
			if headLength := i >= 16 && i < 24; at > int64(i) && !headLength { // a head that is too long ends with the stream
				t.Fatalf("byte %d is damaged, refused at %d", i, at)
			}
		}
	}
	refuses(t, "a byte more", append(bytes.Clone(stream), 0))
	refuses(t, "twice", append(bytes.Clone(stream), stream...))
}

func TestTruncatedBackupTellsWhere(t *testing.T) {
	stream := smallBackup(t)
	for _, n := range []int{0, 5, 30, len(stream) / 2, len(stream) - 1} {
		_, err := aegis.VerifyBackup(context.Background(), bytes.NewReader(stream[:n]), nil)
		var bad *aegis.BackupError
		if !errors.As(err, &bad) || bad.Offset != int64(n) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// A head may claim a gigabyte: what is allocated is what arrives.
func TestBackupHeadOfHostileLength(t *testing.T) {
	stream := smallBackup(t)
	for _, n := range []uint64{1 << 30, 1<<30 + 1, 1 << 62, 1<<64 - 1} {
		bad := bytes.Clone(stream)
		binary.LittleEndian.PutUint64(bad[16:], n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refuses(t, "hostile", bad)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 16<<20 {
			t.Errorf("%d bytes were allocated for a stream of %d", allocated, len(bad))
		}
	}
}

// Frames of one stream that were moved, left out or doubled have sound checksums of their own.
func TestBackupFramesInWrongOrder(t *testing.T) {
	db := openBackupStore(t, backends.NewMemory())
	fillBackupStore(t, db, 0, 600)
	stream, info := takeBackup(t, db, nil)
	at := len(stream) - 28
	var frames [][]byte
	for i := len(info.Tables) - 1; i >= 0; i-- {
		n := int(info.Tables[i].Size) + 24
		frames = append([][]byte{stream[at-n : at]}, frames...)
		at -= n
	}
	head, trailer := stream[:at], stream[len(stream)-28:]
	if len(frames) < 3 {
		t.Fatalf("%d frames", len(frames))
	}
	swapped := append([][]byte{frames[1], frames[0]}, frames[2:]...)
	for what, list := range map[string][][]byte{"swapped": swapped, "one missing": frames[1:], "doubled": append([][]byte{frames[0]}, frames...)} {
		refuses(t, what, bytes.Join([][]byte{head, bytes.Join(list, nil), trailer}, nil))
	}
}

// A table that was damaged before it was backed up is not backed up.
func TestBackupOfADamagedTable(t *testing.T) {
	b := backends.NewMemory()
	db := openBackupStore(t, b)
	fillBackupStore(t, db, 0, 600)
	must(t, db.Checkpoint(context.Background()))
	files, err := b.List()
	must(t, err)
	for _, f := range files {
		if len(f.Name) > 5 && f.Name[:5] == "table" {
			file, err := b.Open(f.Name)
			must(t, err)
			_, err = file.WriteAt([]byte{0xFF, 0xFF}, f.Size/3)
			must(t, errors.Join(err, file.Close()))
			break
		}
	}
	var bad *aegis.CorruptionError
	if _, err := db.Backup(context.Background(), io.Discard, nil); !errors.As(err, &bad) {
		t.Fatalf("a damaged table was backed up: %v", err)
	}
	if err := db.CheckpointTo(context.Background(), filepath.Join(t.TempDir(), "copy")); !errors.As(err, &bad) {
		t.Fatalf("a damaged table was copied: %v", err)
	}
}

// errWriter fails after some bytes.
type errWriter struct{ left int }

var errFull = errors.New("the tape is full")

func (w *errWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestBackupToAWriterThatFails(t *testing.T) {
	b := backends.NewMemory()
	db := openBackupStore(t, b)
	fillBackupStore(t, db, 0, 600)
	stream, _ := takeBackup(t, db, nil)
	for _, n := range []int{0, 10, len(stream) / 2, len(stream) - 1} {
		if _, err := db.Backup(context.Background(), &errWriter{n}, nil); !errors.Is(err, errFull) {
			t.Errorf("full after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := db.Backup(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := db.Backup(ctx, io.Discard, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	// None of them holds a table any more.
	fillBackupStore(t, db, 1, 2000)
	must(t, db.Compact(context.Background(), nil))
	for end := time.Now().Add(10 * time.Second); ; { // files go in the background
		st, err := db.Stats(context.Background()) // a Turn of everybody
		must(t, err)
		if st.Tables.Reclaimable == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes of replaced tables are still there", st.Tables.Reclaimable)
		}
	}
	must(t, db.Close())
	if _, err := db.Backup(context.Background(), io.Discard, nil); !errors.Is(err, aegis.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// testdata/backup-v1.* are what version 1 wrote: a full backup and an incremental one. Every later
// version restores them. They are written again, for a new version only, by
//
//	go test -run TestGoldenBackup -update-golden-backup .
var updateGoldenBackup = flag.Bool("update-golden-backup", false, "write testdata/backup-v1.* again")

func TestGoldenBackup(t *testing.T) {
	names := []string{"testdata/backup-v1.full", "testdata/backup-v1.incremental"}
	db := openBackupStore(t, backends.NewMemory())
	var streams [][]byte
	var since *aegis.BackupInfo
	for i, name := range names {
		fillBackupStore(t, db, i, 200-150*i)
		stream, info := takeBackup(t, db, since)
		since = info
		if *updateGoldenBackup {
			must(t, os.WriteFile(name, stream, 0o600))
		}
		golden, err := os.ReadFile(name)
		must(t, err)
		streams = append(streams, golden)
	}
	sameContents(t, "golden", storeContents(t, restored(t, streams...)), storeContents(t, db))
	info, err := aegis.ReadBackupInfo(bytes.NewReader(streams[1]))
	must(t, err)
	first, err := aegis.ReadBackupInfo(bytes.NewReader(streams[0]))
	must(t, err)
	if info.Since != first.ID || info.Seq != 2 || first.Seq != 1 {
		t.Errorf("the heads say %+v and %+v", first, info)
	}
}

// believed reads a stream to its end and checks that what is wrong with it is said as it should be.
func believed(t *testing.T, b []byte) {
	t.Helper()
	info, err := aegis.VerifyBackup(context.Background(), bytes.NewReader(b), nil)
	var bad *aegis.BackupError
	if err != nil && (!errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > int64(len(b))) {
		t.Fatalf("%d bytes: %v", len(b), err)
	}
	if err == nil && info.Bytes > int64(len(b)) {
		t.Fatalf("%d bytes of tables in a stream of %d", info.Bytes, len(b))
	}
}

func goldenStreams(f *testing.F) (streams [][]byte) {
	for _, name := range []string{"testdata/backup-v1.full", "testdata/backup-v1.incremental"} {
		b, err := os.ReadFile(name)
		must(f, err)
		streams = append(streams, b)
	}
	return streams
}

func FuzzBackupStream(f *testing.F) {
	for _, s := range goldenStreams(f) {
		f.Add(s)
		f.Add(s[:len(s)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) { believed(t, b) })
}

// Heads whose checksum fits, so that what is in them is looked at.
func FuzzBackupHead(f *testing.F) {
	for _, s := range goldenStreams(f) {
		n := binary.LittleEndian.Uint64(s[16:])
		f.Add(s[24:24+n], s[24+n+4:])
	}
	f.Fuzz(func(t *testing.T, head, rest []byte) {
		b := binary.LittleEndian.AppendUint64(nil, 0x5055_4b42_5349_4745)
		b = binary.LittleEndian.AppendUint64(b, 1)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(head)))
		b = append(b, head...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		believed(t, append(b, rest...))
	})
}

package aegis

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/aegis-storage/aegis/flusher"
	"github.com/aegis-storage/aegis/pages"
)

// A backup is one stream: a head, then the table files that it has as frames, then a trailer. All
// numbers are little endian; v is an unsigned varint, "n ×" a varint count.
//
//	 0         8             12         16           24       24+length
//	┌─────────┬─────────────┬──────────┬────────────┬────────┬────────────┐
//	│ magic   │ version u32 │ zero u32 │ length u64 │ head   │ CRC-32C of │
//	│ u64     │             │          │ of head    │        │ all before │
//	└─────────┴─────────────┴──────────┴────────────┴────────┴────────────┘
//	┌────────┬────────────┬────────────┬───────┬─────────┐
//	│ table  │ offset u64 │ length u32 │ bytes │ CRC-32C │   frame, again and again
//	│ id u64 │ in it      │ of bytes   │       │         │
//	└────────┴────────────┴────────────┴───────┴─────────┘
//	┌─────────────────┬────────────────┬────────────────────┬─────────┐
//	│ 2^64-1 u64      │ bytes of the   │ XXH64 of all bytes │ CRC-32C │   trailer
//	│                 │ stream so far  │ so far u64         │         │
//	└─────────────────┴────────────────┴────────────────────┴─────────┘
//
//	head: store 16 bytes │ id of the backup before 16 bytes, zero: full │ taken i64, ns since 1970
//	      n × id v of a table that the stream has, ascending
//	      a checkpoint, as its file holds it: see package flusher
//
// The files come in the order of the head, each from its first byte to its last. A CRC-32C of a frame
// and that of the trailer cover their own bytes and go on from the one before, so that a frame that
// is missing, doubled or in another's place is found where it is. A backup's id is the beginning
// of the SHA-256 of its head.
const (
	backupMagic   = 0x50_55_4b_42_53_49_47_45 // "EGISBKUP"
	backupVersion = 1

	backupPrefix  = 24
	frameHead     = 20
	trailerBytes  = 8 + 8 + 8 + 4
	trailerID     = 1<<64 - 1
	frameBytes    = 256 << 10 // of a table in one frame
	maxFrameBytes = 4 << 20   // that a reader accepts
	maxHeadBytes  = 1 << 30
	backupFixed   = 16 + 16 + 8
)

// backupID names a backup.
type backupID [16]byte

func (id backupID) String() string {
	if id == (backupID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// backupHead is what a stream says before its files.
type backupHead struct {
	id, since  backupID
	taken      time.Time
	included   []pages.FileID // ascending
	checkpoint *flusher.Checkpoint

	metas []*pages.TableMeta // of the checkpoint, ascending ids
}

// newBackupHead completes a head whose included tables are still to be chosen.
func newBackupHead(c *flusher.Checkpoint, taken time.Time) *backupHead {
	return &backupHead{taken: taken, checkpoint: c, metas: checkpointTables(c)}
}

// checkpointTables returns the tables that c names, ascending ids.
func checkpointTables(c *flusher.Checkpoint) (metas []*pages.TableMeta) {
	for i := range c.Runs {
		for j := range c.Runs[i].Tables {
			metas = append(metas, &c.Runs[i].Tables[j])
		}
	}
	slices.SortFunc(metas, func(a, b *pages.TableMeta) int { return compareIDs(a.ID, b.ID) })
	return metas
}

func compareIDs(a, b pages.FileID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// table returns what the checkpoint says about a table, or nil.
func (h *backupHead) table(id pages.FileID) *pages.TableMeta {
	i, ok := slices.BinarySearchFunc(h.metas, id, func(m *pages.TableMeta, id pages.FileID) int { return compareIDs(m.ID, id) })
	if !ok {
		return nil
	}
	return h.metas[i]
}

// has reports whether the stream has the file of a table.
func (h *backupHead) has(id pages.FileID) bool {
	_, ok := slices.BinarySearch(h.included, id)
	return ok
}

// tableSum tells the contents of a table from those of any other: the meta holds the checksums
// of root and filter, and each page those of its children.
func tableSum(m *pages.TableMeta) string {
	sum := sha256.Sum256(m.AppendTo(nil))
	return hex.EncodeToString(sum[:16])
}

// encode returns the prefix, the head and their checksum, and sets the id.
func (h *backupHead) encode() []byte {
	body := append(slices.Clone(h.checkpoint.Store[:]), h.since[:]...)
	body = binary.LittleEndian.AppendUint64(body, uint64(h.taken.UnixNano()))
	body = binary.AppendUvarint(body, uint64(len(h.included)))
	for _, id := range h.included {
		body = binary.AppendUvarint(body, uint64(id))
	}
	body = h.checkpoint.AppendTo(body)
	h.setID(body)

	b := binary.LittleEndian.AppendUint64(nil, backupMagic)
	b = binary.LittleEndian.AppendUint32(b, backupVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	b = append(b, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (h *backupHead) setID(body []byte) {
	sum := sha256.Sum256(body)
	copy(h.id[:], sum[:])
}

// decodeBackupHead is the inverse of encode, for the head without prefix and checksum.
func decodeBackupHead(body []byte) (*backupHead, error) {
	if len(body) < backupFixed {
		return nil, fmt.Errorf("head of %d bytes", len(body))
	}
	var store flusher.StoreID
	var since backupID
	copy(store[:], body)
	copy(since[:], body[16:])
	taken := time.Unix(0, int64(binary.LittleEndian.Uint64(body[32:]))).UTC()
	rest := body[backupFixed:]
	n, size := binary.Uvarint(rest)
	if size <= 0 || n > uint64(len(rest)-size) {
		return nil, fmt.Errorf("%d tables in a head of %d bytes", n, len(body))
	}
	rest = rest[size:]
	included := make([]pages.FileID, 0, n)
	for range n {
		id, size := binary.Uvarint(rest)
		if size <= 0 || len(included) > 0 && pages.FileID(id) <= included[len(included)-1] {
			return nil, errors.New("the tables of the head are out of order")
		}
		included = append(included, pages.FileID(id))
		rest = rest[size:]
	}
	c, err := flusher.DecodeCheckpoint(rest, "the checkpoint of the head")
	if err != nil {
		return nil, err
	}
	h := newBackupHead(c, taken)
	h.since, h.included = since, included
	h.setID(body)
	if c.Store != store {
		return nil, errors.New("the checkpoint is of another store than the head")
	}
	for _, id := range included {
		if h.table(id) == nil {
			return nil, fmt.Errorf("table %d is not one of the checkpoint", id)
		}
	}
	return h, nil
}

// info is what callers see of a head.
func (h *backupHead) info() *BackupInfo {
	c := h.checkpoint
	i := &BackupInfo{
		ID: h.id.String(), Since: h.since.String(), Store: storeName(c.Store), Epoch: c.Epoch, Checkpoint: c.Number,
		Seq: uint64(c.Freeze), Taken: h.taken.UTC(),
	}
	for _, m := range h.metas {
		t := BackupTable{Name: pages.TableName(m.ID), Size: m.Size, Sum: tableSum(m), Included: h.has(m.ID)}
		if t.Included {
			i.Bytes += m.Size
		}
		i.Tables = append(i.Tables, t)
	}
	return i
}

// storeName is a store's identity as people see it; "" if it has none.
func storeName(id flusher.StoreID) string { return backupID(id).String() }

// backupWriter writes a stream front to back.
type backupWriter struct {
	w   io.Writer
	off int64
	crc uint32
	all *xxhash.Digest
	buf []byte
}

func newBackupWriter(w io.Writer) *backupWriter {
	return &backupWriter{w: w, all: xxhash.New(), buf: make([]byte, frameHead+frameBytes+4)}
}

// write writes b, which ends in a checksum of its own.
func (w *backupWriter) write(b []byte) error {
	w.crc = binary.LittleEndian.Uint32(b[len(b)-4:])
	_, _ = w.all.Write(b)
	n, err := w.w.Write(b)
	w.off += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("aegis: backup: write at %d: %w", w.off, err)
	}
	return nil
}

// frame writes the n bytes of table id at off, which lie in the buffer behind the frame's head.
func (w *backupWriter) frame(id pages.FileID, off int64, n int) error {
	binary.LittleEndian.PutUint64(w.buf, uint64(id))
	binary.LittleEndian.PutUint64(w.buf[8:], uint64(off))
	binary.LittleEndian.PutUint32(w.buf[16:], uint32(n))
	end := frameHead + n
	binary.LittleEndian.PutUint32(w.buf[end:], crc32.Update(w.crc, castagnoli, w.buf[:end]))
	return w.write(w.buf[:end+4])
}

// trailer ends the stream.
func (w *backupWriter) trailer() error {
	b := binary.LittleEndian.AppendUint64(nil, trailerID)
	b = binary.LittleEndian.AppendUint64(b, uint64(w.off))
	b = binary.LittleEndian.AppendUint64(b, w.all.Sum64())
	return w.write(binary.LittleEndian.AppendUint32(b, crc32.Update(w.crc, castagnoli, b)))
}

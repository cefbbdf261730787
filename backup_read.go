package aegis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/aegis-storage/aegis/pages"
)

// backupReader reads a stream front to back, and hands out nothing that is not checked.
type backupReader struct {
	r      io.Reader
	stream int
	off    int64
	crc    uint32
	all    *xxhash.Digest
	buf    []byte
}

func newBackupReader(r io.Reader, stream int) *backupReader {
	return &backupReader{r: r, stream: stream, all: xxhash.New()}
}

// damaged is the error of a stream that is not as it was written, at an offset in it.
func (r *backupReader) damaged(off int64, format string, args ...any) error {
	return &BackupError{Stream: r.stream, Offset: off, What: fmt.Sprintf(format, args...)}
}

// failed is the error of a read that brought n bytes of those that were due.
func (r *backupReader) failed(n int64, err error) error {
	r.off += n
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.damaged(r.off, "the stream ends too early")
	}
	return fmt.Errorf("aegis: read backup at %d: %w", r.off, err)
}

// fill reads all of b.
func (r *backupReader) fill(b []byte) error {
	n, err := io.ReadFull(r.r, b)
	if err != nil {
		return r.failed(int64(n), err)
	}
	r.off += int64(n)
	return nil
}

// head reads the head, and not a byte more. What it allocates grows with what arrives.
func (r *backupReader) head() (*backupHead, error) {
	var prefix [backupPrefix]byte
	if err := r.fill(prefix[:]); err != nil {
		return nil, err
	}
	if m := binary.LittleEndian.Uint64(prefix[:]); m != backupMagic {
		return nil, r.damaged(0, "magic %#x, want %#x: this is no backup", m, uint64(backupMagic))
	}
	if v := binary.LittleEndian.Uint32(prefix[8:]); v != backupVersion {
		return nil, r.damaged(8, "version %d, this code reads %d", v, backupVersion)
	}
	if z := binary.LittleEndian.Uint32(prefix[12:]); z != 0 {
		return nil, r.damaged(12, "%#x where zeros should be", z)
	}
	length := binary.LittleEndian.Uint64(prefix[16:])
	if length > maxHeadBytes {
		return nil, r.damaged(16, "head of %d bytes", length)
	}
	var all bytes.Buffer
	all.Write(prefix[:])
	want := int64(length) + 4
	if n, err := io.CopyN(&all, r.r, want); err != nil {
		return nil, r.failed(n, err)
	}
	r.off += want
	b := all.Bytes()
	end := len(b) - 4
	got, crc := crc32.Checksum(b[:end], castagnoli), binary.LittleEndian.Uint32(b[end:])
	if got != crc {
		return nil, r.damaged(0, "head checksum %#x, want %#x", got, crc)
	}
	h, err := decodeBackupHead(b[backupPrefix:end])
	if err != nil {
		return nil, r.damaged(backupPrefix, "%v", err)
	}
	r.crc = crc
	_, _ = r.all.Write(b)
	return h, nil
}

// files reads what follows the head, to the end of the stream. take gets every table in pieces, in
// order; what it is given is its own until it returns.
func (r *backupReader) files(ctx context.Context, h *backupHead, take func(m *pages.TableMeta, off int64, b []byte) error) error {
	for _, id := range h.included {
		m := h.table(id)
		for off := int64(0); off < m.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := r.frame(m, off)
			if err != nil {
				return err
			}
			if err := take(m, off, b); err != nil {
				return err
			}
			off += int64(len(b))
		}
	}
	return r.trailer()
}

// frame reads the bytes of a table that begin at off.
func (r *backupReader) frame(m *pages.TableMeta, off int64) ([]byte, error) {
	var head [frameHead]byte
	at := r.off
	if err := r.fill(head[:]); err != nil {
		return nil, err
	}
	id, o := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	if id != uint64(m.ID) || o != uint64(off) {
		return nil, r.damaged(at, "frame of table %d at %d, want that of table %d at %d", id, o, m.ID, off)
	}
	n := int64(binary.LittleEndian.Uint32(head[16:]))
	if n == 0 || n > maxFrameBytes || n > m.Size-off {
		return nil, r.damaged(at+16, "frame of %d bytes at %d of a table of %d", n, off, m.Size)
	}
	if int64(cap(r.buf)) < n+4 {
		r.buf = make([]byte, n+4)
	}
	b := r.buf[:n+4]
	if err := r.fill(b); err != nil {
		return nil, err
	}
	got := crc32.Update(crc32.Update(r.crc, castagnoli, head[:]), castagnoli, b[:n])
	if want := binary.LittleEndian.Uint32(b[n:]); got != want {
		return nil, r.damaged(at, "frame checksum %#x, want %#x", got, want)
	}
	r.crc = got
	_, _ = r.all.Write(head[:])
	_, _ = r.all.Write(b)
	return b[:n:n], nil
}

func (r *backupReader) trailer() error {
	var b [trailerBytes]byte
	at, all := r.off, r.all.Sum64()
	if err := r.fill(b[:]); err != nil {
		return err
	}
	got, want := crc32.Update(r.crc, castagnoli, b[:24]), binary.LittleEndian.Uint32(b[24:])
	id, length, sum := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	switch {
	case got != want:
		return r.damaged(at, "trailer checksum %#x, want %#x", got, want)
	case id != trailerID || length != uint64(at) || sum != all:
		return r.damaged(at, "trailer of a stream of %d bytes with checksum %#x, want %d and %#x", length, sum, at, all)
	}
	switch n, err := io.ReadFull(r.r, b[:1]); {
	case n > 0:
		return r.damaged(r.off, "the stream goes on after its trailer")
	case !errors.Is(err, io.EOF):
		return r.failed(0, err)
	}
	return nil
}

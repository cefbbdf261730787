package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A table file, front to back:
//
//	┌────────────┬─────────────────────────┬────────┬────────────┬────────┐
//	│ leaf pages │ inner pages, level by   │ filter │ properties │ footer │
//	│            │ level, the root last    │ page   │ page       │        │
//	└────────────┴─────────────────────────┴────────┴────────────┴────────┘
//
// The properties page holds the TableMeta; its count is 1. The footer, little endian:
//
//	 0                 16        20       24           28       32
//	┌─────────────────┬─────────┬────────┬────────────┬────────┐
//	│ properties ref  │ version │ zero   │ CRC-32C of │ magic  │
//	│ {u64, u32, u32} │ u32     │ u32    │ 0 to 24    │ u32    │
//	└─────────────────┴─────────┴────────┴────────────┴────────┘
//
// A table that has only one leaf has no inner pages; one without a filter no filter page.
const (
	footerBytes = 32
	footerMagic = 0x54504541 // "AEPT"
)

func appendFooter(dst []byte, props Ref) []byte {
	start := len(dst)
	dst = appendRef(dst, props)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
	return binary.LittleEndian.AppendUint32(dst, footerMagic)
}

// decodeFooter returns where the properties of a file of size bytes are.
func decodeFooter(b []byte, size int64) (Ref, error) {
	if len(b) != footerBytes {
		return Ref{}, fmt.Errorf("footer of %d bytes", len(b))
	}
	d := fields{b}
	props, version, zero, crc, magic := d.ref(), d.u32(), d.u32(), d.u32(), d.u32()
	switch {
	case magic != footerMagic:
		return Ref{}, fmt.Errorf("footer magic %#x, want %#x", magic, footerMagic)
	case crc != checksum(b[:24]):
		return Ref{}, errors.New("footer checksum does not match")
	case version != formatVersion || zero != 0:
		return Ref{}, fmt.Errorf("table format version %d, this code reads %d", version, formatVersion)
	case !props.within(size-footerBytes, maxSharedBytes):
		return Ref{}, fmt.Errorf("properties at %+v of a file of %d bytes", props, size)
	}
	return props, nil
}

// ReadTableMeta reads a table's meta from the table's own footer: what Salvage does when there
// is no checkpoint to believe. name is for error messages. Bad bytes give a *CorruptionError,
// a failed read the error of f, wrapped.
func ReadTableMeta(f io.ReaderAt, size int64, name string) (TableMeta, error) {
	if size < footerBytes {
		return TableMeta{}, &CorruptionError{File: name, What: fmt.Sprintf("table of %d bytes", size)}
	}
	foot := Ref{Offset: size - footerBytes, Length: footerBytes}
	b, err := readFull(f, name, nil, foot)
	if err != nil {
		return TableMeta{}, err
	}
	props, err := decodeFooter(b, size)
	if err != nil {
		return TableMeta{}, &CorruptionError{File: name, Offset: foot.Offset, What: err.Error()}
	}
	if b, err = readFull(f, name, nil, props); err != nil {
		return TableMeta{}, err
	}
	m, err := decodeProperties(b, props)
	if err == nil && m.Size != size {
		err = fmt.Errorf("file of %d bytes, properties say %d", size, m.Size)
	}
	if err != nil {
		return TableMeta{}, &CorruptionError{File: name, Offset: props.Offset, What: err.Error()}
	}
	return m, nil
}

func decodeProperties(stored []byte, ref Ref) (TableMeta, error) {
	if c := checksum(stored); c != ref.CRC {
		return TableMeta{}, fmt.Errorf("properties checksum %#x, want %#x", c, ref.CRC)
	}
	h, payload, err := parseHeader(stored)
	if err != nil {
		return TableMeta{}, err
	}
	if h.kind != kindProps || h.compression != None {
		return TableMeta{}, fmt.Errorf("page of kind %d where the properties should be", h.kind)
	}
	m, rest, err := DecodeTableMeta(payload)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes after the table meta", len(rest))
	}
	return m, err
}

// readFull reads the bytes of ref into buf, grown as needed. A file that ends before them is
// corrupt; any other error is the reader's own.
func readFull(f io.ReaderAt, name string, buf []byte, ref Ref) ([]byte, error) {
	buf = grow(buf[:0], int(ref.Length))[:ref.Length]
	n, err := f.ReadAt(buf, ref.Offset)
	switch {
	case n == len(buf):
		return buf, nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return buf, &CorruptionError{File: name, Offset: ref.Offset,
			What: fmt.Sprintf("file ends after %d of %d bytes", n, len(buf))}
	default:
		return buf, fmt.Errorf("pages: read %s at %d: %w", name, ref.Offset, err)
	}
}

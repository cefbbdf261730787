package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const tablePrefix = "table-"

// TableName returns the name of the file that holds table id.
func TableName(id FileID) string {
	var name [len(tablePrefix) + 16]byte
	return string(appendTableName(name[:0], id))
}

func appendTableName(dst []byte, id FileID) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, tablePrefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[id>>shift&15])
	}
	return dst
}

// ParseTableName is the inverse of TableName. Only names that TableName gives are ours.
func ParseTableName(name string) (FileID, bool) {
	digits, ok := strings.CutPrefix(name, tablePrefix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	var same [len(tablePrefix) + 16]byte
	if err != nil || string(appendTableName(same[:0], FileID(id))) != name {
		return 0, false
	}
	return FileID(id), true
}

// TableMeta is all that a checkpoint stores about a table, and all that its readers need to
// start. The table's own footer leads to a copy of it, for Salvage.
type TableMeta struct {
	ID         FileID
	Size       int64 // of the file, bytes
	Root       Ref
	Levels     uint8 // levels of inner pages above the leaves; 0: the root is the only leaf
	FilterKind FilterKind
	Filter     Ref // zero: no filter
	Min, Max   []byte
	Entries    uint64 // tombstones included
	Tombstones uint64
	RawBytes   uint64 // keys and values, before compression
	LeafBytes  uint64 // leaf pages as stored; the file begins with them
	SeqLo      Seq    // the commits that the table's entries come from …
	SeqHi      Seq    // … were numbered SeqLo to SeqHi
	Tier       uint8  // the tier of the run that the table was written for
}

// A TableMeta, encoded; all numbers little endian, a ref is {offset u64, length u32, crc u32}:
//
//	┌────────────┬────────┬────────────┬──────────┬──────────┬─────────┐
//	│ version u8 │ id u64 │ size u64   │ root ref │ levels u8│ tier u8 │
//	├────────────┴────────┼────────────┴──────────┴─┬────────┴─────────┤
//	│ filter kind u8      │ filter ref              │ entries u64      │
//	├─────────────────────┼─────────────────────────┼──────────────────┤
//	│ tombstones u64      │ raw bytes u64           │ leaf bytes u64   │
//	├─────────────────────┼─────────────────────────┼──────────────────┘
//	│ seqLo u64 seqHi u64 │ min len u16, max len u16│ min │ max
//	└─────────────────────┴─────────────────────────┴─────┴─────
const (
	metaVersion    = 1
	metaFixedBytes = 1 + 8 + 8 + 16 + 1 + 1 + 1 + 16 + 4*8 + 2*8 + 2*2
)

// AppendTo appends the encoding of m to dst.
func (m *TableMeta) AppendTo(dst []byte) []byte {
	dst = slices.Grow(dst, metaFixedBytes+len(m.Min)+len(m.Max))
	dst = append(dst, metaVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.ID))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Size))
	dst = appendRef(dst, m.Root)
	dst = append(dst, m.Levels, m.Tier, byte(m.FilterKind))
	dst = appendRef(dst, m.Filter)
	for _, v := range [...]uint64{m.Entries, m.Tombstones, m.RawBytes, m.LeafBytes, uint64(m.SeqLo), uint64(m.SeqHi)} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Min)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Max)))
	return append(append(dst, m.Min...), m.Max...)
}

// DecodeTableMeta decodes what AppendTo wrote at the beginning of b and returns what follows it.
// Min and Max are copies. References that cannot be inside the file are an error, so that later
// loads may trust their lengths.
func DecodeTableMeta(b []byte) (m TableMeta, rest []byte, err error) {
	if len(b) < metaFixedBytes {
		return TableMeta{}, b, fmt.Errorf("pages: %d bytes are no table meta", len(b))
	}
	if b[0] != metaVersion {
		return TableMeta{}, b, fmt.Errorf("pages: table meta version %d, this code reads %d", b[0], metaVersion)
	}
	d := fields{b[1:]}
	m.ID = FileID(d.u64())
	m.Size = int64(d.u64())
	m.Root = d.ref()
	m.Levels, m.Tier, m.FilterKind = d.u8(), d.u8(), FilterKind(d.u8())
	m.Filter = d.ref()
	m.Entries, m.Tombstones, m.RawBytes, m.LeafBytes = d.u64(), d.u64(), d.u64(), d.u64()
	m.SeqLo, m.SeqHi = Seq(d.u64()), Seq(d.u64())
	minLen, maxLen := int(d.u16()), int(d.u16())
	if len(d.b) < minLen+maxLen {
		return TableMeta{}, b, fmt.Errorf("pages: table meta has %d key bytes, want %d", len(d.b), minLen+maxLen)
	}
	keys := append([]byte(nil), d.b[:minLen+maxLen]...)
	m.Min, m.Max = keys[:minLen:minLen], keys[minLen:]
	if err := m.check(); err != nil {
		return TableMeta{}, b, fmt.Errorf("pages: table meta: %w", err)
	}
	return m, d.b[minLen+maxLen:], nil
}

// check verifies what loads and walks rely on.
func (m *TableMeta) check() error {
	switch {
	case m.Size < footerBytes:
		return fmt.Errorf("file of %d bytes", m.Size)
	case m.Levels > maxLevels:
		return fmt.Errorf("%d levels", m.Levels)
	case !m.Root.within(m.Size, maxPageBytes):
		return fmt.Errorf("root %+v outside of a file of %d bytes", m.Root, m.Size)
	case m.FilterKind > BlockedBloom || (m.FilterKind == NoFilter) != m.Filter.IsZero():
		return fmt.Errorf("filter of kind %d at %+v", m.FilterKind, m.Filter)
	case m.FilterKind != NoFilter && !m.Filter.within(m.Size, maxFilterBytes):
		return fmt.Errorf("filter %+v outside of a file of %d bytes", m.Filter, m.Size)
	case m.Entries == 0 || m.Tombstones > m.Entries:
		return fmt.Errorf("%d tombstones among %d entries", m.Tombstones, m.Entries)
	case m.LeafBytes > uint64(m.Size):
		return fmt.Errorf("%d leaf bytes in a file of %d", m.LeafBytes, m.Size)
	case string(m.Min) > string(m.Max):
		return errors.New("first key above the last")
	case m.SeqLo > m.SeqHi:
		return fmt.Errorf("seqs %d to %d", m.SeqLo, m.SeqHi)
	}
	return nil
}

// within reports whether r lies inside a file of size bytes and holds a page of at most limit.
func (r Ref) within(size int64, limit uint32) bool {
	return r.Offset >= 0 && r.Length >= headerBytes && r.Length-headerBytes <= limit &&
		r.Offset <= size-int64(r.Length)
}

func appendRef(dst []byte, r Ref) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Offset))
	dst = binary.LittleEndian.AppendUint32(dst, r.Length)
	return binary.LittleEndian.AppendUint32(dst, r.CRC)
}

// fields reads fixed-width numbers off the front of b, which its user has checked to be there.
type fields struct{ b []byte }

func (f *fields) u8() uint8 {
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

func (f *fields) u16() uint16 {
	v := binary.LittleEndian.Uint16(f.b)
	f.b = f.b[2:]
	return v
}

func (f *fields) u32() uint32 {
	v := binary.LittleEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) u64() uint64 {
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

func (f *fields) ref() Ref {
	return Ref{Offset: int64(f.u64()), Length: f.u32(), CRC: f.u32()}
}

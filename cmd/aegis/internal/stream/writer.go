package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/aegis-storage/aegis"
)

// Writer writes a stream. It is for one goroutine; after an error it is of no more use.
type Writer struct {
	w       io.Writer
	crc     uint32
	number  uint64
	sums    Sums
	bytes   int64
	head    []byte
	payload []byte // of the entries frame that is being gathered
	last    []byte
	inside  bool // a keyspace was begun
	any     bool // it has an entry
}

// NewWriter writes the header.
func NewWriter(w io.Writer) (*Writer, error) {
	s := &Writer{w: w}
	head := appendHeader(nil)
	s.crc = binary.LittleEndian.Uint32(head[headerBytes-4:])
	return s, s.write(head)
}

// Bytes is how much was written.
func (s *Writer) Bytes() int64 { return s.bytes }

func (s *Writer) write(b []byte) error {
	n, err := s.w.Write(b)
	s.bytes += int64(n)
	return err
}

// Keyspace begins a keyspace. Its entries follow.
func (s *Writer) Keyspace(k Keyspace) error {
	if len(k.Name) == 0 || len(k.Name) > aegis.MaxKeyspaceName {
		return fmt.Errorf("stream: a keyspace's name of %d bytes", len(k.Name))
	}
	if k.Compression == aegis.DefaultCompression {
		k.Compression = aegis.LZ4
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.inside, s.any, s.last = true, false, s.last[:0]
	s.sums.Keyspaces++
	return s.frame(kindKeyspace, append([]byte{byte(k.Compression), byte(k.CompressionLevel)}, k.Name...))
}

// Entry adds an entry to the keyspace that was begun. Keys ascend. Both slices are copied.
func (s *Writer) Entry(key, value []byte) error {
	switch {
	case !s.inside:
		return fmt.Errorf("stream: the entry %q comes before any keyspace", key)
	case len(key) > aegis.MaxKeyBytes || len(value) > aegis.MaxValueBytes:
		return fmt.Errorf("stream: an entry with %d bytes of key and %d of value", len(key), len(value))
	case s.any && bytes.Compare(key, s.last) <= 0:
		return fmt.Errorf("stream: the key %q comes after %q", key, s.last)
	}
	s.any, s.last = true, append(s.last[:0], key...)
	s.payload = binary.AppendUvarint(s.payload, uint64(len(key)))
	s.payload = binary.AppendUvarint(s.payload, uint64(len(value)))
	s.payload = append(append(s.payload, key...), value...)
	s.sums.Entries++
	if len(s.payload) >= targetBytes {
		return s.flush()
	}
	return nil
}

// Block adds a stored block.
func (s *Writer) Block(b Block) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.sums.Blocks++
	payload := binary.LittleEndian.AppendUint64(make([]byte, 0, idBytes+len(b.Stored)), uint64(b.ID))
	return s.frame(kindBlock, append(payload, b.Stored...))
}

// End writes what is left, and the end. It returns what the stream holds.
func (s *Writer) End() (Sums, error) {
	if err := s.flush(); err != nil {
		return s.sums, err
	}
	payload := binary.LittleEndian.AppendUint64(nil, s.sums.Keyspaces)
	payload = binary.LittleEndian.AppendUint64(payload, s.sums.Entries)
	payload = binary.LittleEndian.AppendUint64(payload, s.sums.Blocks)
	return s.sums, s.frame(kindEnd, payload)
}

// flush writes the entries that were gathered.
func (s *Writer) flush() error {
	if len(s.payload) == 0 {
		return nil
	}
	err := s.frame(kindEntries, s.payload)
	if s.payload = s.payload[:0]; cap(s.payload) > 4*targetBytes {
		s.payload = nil
	}
	return err
}

func (s *Writer) frame(kind uint8, payload []byte) error {
	s.number++
	s.head, s.crc = appendFrameHead(s.head[:0], kind, s.number, payload, s.crc)
	if err := s.write(s.head); err != nil {
		return err
	}
	return s.write(payload)
}

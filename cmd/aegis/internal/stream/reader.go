package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/aegis-storage/aegis"
)

// Reader reads a stream. It is for one goroutine.
type Reader struct {
	r      io.Reader
	off    int64 // of the next byte
	frame  int64 // offset of the frame at hand
	crc    uint32
	number uint64
	seen   map[string]bool
	sums   Sums

	entries []byte // that are left of the frame at hand
	last    []byte
	inside  bool
	any     bool
}

// Item is what Next found: exactly one of its parts is set, or Key is.
type Item struct {
	Keyspace   *Keyspace
	Key, Value []byte // of an entry; valid for ever
	Block      *Block
}

// NewReader reads the header. What is wrong with it is an *Error; an error of r comes as it is.
func NewReader(r io.Reader) (*Reader, error) {
	s := &Reader{r: r, seen: map[string]bool{}}
	head, err := s.take(headerBytes)
	if err != nil {
		return nil, err
	}
	crc := binary.LittleEndian.Uint32(head[headerBytes-4:])
	switch {
	case string(head[:len(magic)]) != magic:
		return nil, &Error{0, "it is no stream of aegis dump"}
	case crc != crc32.Checksum(head[:headerBytes-4], castagnoli):
		return nil, &Error{0, "the checksum of the header does not match"}
	case binary.LittleEndian.Uint32(head[len(magic):]) != version:
		return nil, &Error{0, fmt.Sprintf("version %d, this program reads %d", binary.LittleEndian.Uint32(head[len(magic):]), version)}
	}
	s.crc = crc
	return s, nil
}

// Offset is how many bytes were read.
func (s *Reader) Offset() int64 { return s.off }

// Sums are what was read.
func (s *Reader) Sums() Sums { return s.sums }

func (s *Reader) damage(format string, args ...any) error {
	return &Error{s.frame, fmt.Sprintf(format, args...)}
}

// take reads n bytes into memory that grows as they come.
func (s *Reader) take(n int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(n, targetBytes)))
	got, err := io.CopyN(&b, s.r, n)
	s.off += got
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, s.damage("it ends at offset %d, in the middle", s.off)
	}
	return b.Bytes(), err
}

// Next returns what comes next, and io.EOF behind the end. What is wrong with the stream is an
// *Error; an error of the source comes as it is.
func (s *Reader) Next() (Item, error) {
	for len(s.entries) == 0 {
		item, more, err := s.open()
		if err != nil || !more {
			return item, err
		}
	}
	return s.entry()
}

// open reads a frame. more says that it brought entries.
func (s *Reader) open() (item Item, more bool, err error) {
	kind, payload, err := s.readFrame()
	if err != nil {
		return Item{}, false, err
	}
	switch kind {
	case kindKeyspace:
		item, err = s.keyspace(payload)
		return item, false, err
	case kindBlock:
		item, err = s.block(payload)
		return item, false, err
	case kindEntries:
		if !s.inside || len(payload) == 0 {
			return Item{}, false, s.damage("entries outside of a keyspace, or none")
		}
		s.entries = payload
		return Item{}, true, nil
	case kindEnd:
		return Item{}, false, s.end(payload)
	}
	return Item{}, false, s.damage("a frame of kind %d", kind)
}

func (s *Reader) readFrame() (kind uint8, payload []byte, err error) {
	s.frame = s.off
	head, err := s.take(frameBytes)
	if err != nil {
		return 0, nil, err
	}
	length := binary.LittleEndian.Uint32(head[4:])
	number := binary.LittleEndian.Uint64(head[8:])
	crc := binary.LittleEndian.Uint32(head[16:])
	if length > maxPayload {
		return 0, nil, s.damage("a frame of %d bytes", length)
	}
	if payload, err = s.take(int64(length)); err != nil {
		return 0, nil, err
	}
	s.number++
	if crc != crc32.Update(crc32.Update(s.crc, castagnoli, head[:16]), castagnoli, payload) {
		return 0, nil, s.damage("the checksum of the frame does not match")
	}
	if number != s.number || head[1]|head[2]|head[3] != 0 {
		return 0, nil, s.damage("frame %d, where %d should be", number, s.number)
	}
	s.crc = crc
	return head[0], payload, nil
}

func (s *Reader) keyspace(payload []byte) (Item, error) {
	const head = 2
	if len(payload) <= head || len(payload) > head+aegis.MaxKeyspaceName || !plausibleCompression(payload[0]) {
		return Item{}, s.damage("a keyspace that cannot be")
	}
	k := &Keyspace{Name: string(payload[head:]), Compression: aegis.Compression(payload[0]), CompressionLevel: int(payload[1])}
	if first := len(s.seen) == 0; s.seen[k.Name] || first != (k.Name == aegis.DefaultKeyspaceName) {
		return Item{}, s.damage("the keyspace %q comes twice, or is not where it should be", k.Name)
	}
	s.seen[k.Name] = true
	s.inside, s.any, s.last = true, false, nil
	s.sums.Keyspaces++
	return Item{Keyspace: k}, nil
}

func (s *Reader) block(payload []byte) (Item, error) {
	if len(payload) < idBytes {
		return Item{}, s.damage("a block without an id")
	}
	s.sums.Blocks++
	return Item{Block: &Block{ID: aegis.BlockID(binary.LittleEndian.Uint64(payload)), Stored: payload[idBytes:]}}, nil
}

// entry takes the next entry off the frame at hand.
func (s *Reader) entry() (Item, error) {
	b := s.entries
	keyLen, n := binary.Uvarint(b)
	if n <= 0 {
		return Item{}, s.damage("an entry without a length")
	}
	b = b[n:]
	valueLen, n := binary.Uvarint(b)
	if n <= 0 {
		return Item{}, s.damage("an entry without a length")
	}
	b = b[n:]
	if keyLen > aegis.MaxKeyBytes || valueLen > aegis.MaxValueBytes || keyLen+valueLen > uint64(len(b)) {
		return Item{}, s.damage("an entry of %d and %d bytes, where %d are left", keyLen, valueLen, len(b))
	}
	key, value := b[:keyLen:keyLen], b[keyLen:keyLen+valueLen:keyLen+valueLen]
	if s.any && bytes.Compare(key, s.last) <= 0 {
		return Item{}, s.damage("the key %q comes after %q", key, s.last)
	}
	s.any, s.last = true, key
	s.entries = b[keyLen+valueLen:]
	s.sums.Entries++
	return Item{Key: key, Value: value}, nil
}

// end checks the sums, and that nothing follows.
func (s *Reader) end(payload []byte) error {
	const length = 24
	if len(payload) != length {
		return s.damage("an end of %d bytes", len(payload))
	}
	says := Sums{binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:]), binary.LittleEndian.Uint64(payload[16:])}
	if says != s.sums {
		return s.damage("the end says %+v, there were %+v", says, s.sums)
	}
	var one [1]byte
	switch n, err := io.ReadFull(s.r, one[:]); {
	case n > 0:
		s.frame = s.off
		return s.damage("bytes behind the end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// Check reads a whole stream and returns what it holds, or what is wrong with it.
func Check(r io.Reader) (Sums, error) {
	s, err := NewReader(r)
	if err != nil {
		return Sums{}, err
	}
	for {
		if _, err := s.Next(); errors.Is(err, io.EOF) {
			return s.Sums(), nil
		} else if err != nil {
			return s.Sums(), err
		}
	}
}

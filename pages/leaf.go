package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A leaf's payload, as stored:
//
//	 0           4             8
//	┌───────────┬─────────────┬─────────┬─────────┬─ ─ ─
//	│ key bytes │ value bytes │ entry 0 │ entry 1 │
//	│ u32       │ u32         │         │         │
//	└───────────┴─────────────┴─────────┴─────────┴─ ─ ─
//
//	entry:
//	┌─────────────────┬─────────────────┬──────────────────────┬────────┬───────┐
//	│ shared  uvarint │ suffix  uvarint │ len<<1|dead  uvarint │ suffix │ value │
//	└─────────────────┴─────────────────┴──────────────────────┴────────┴───────┘
//
// A key is the first shared bytes of the key before it, then suffix. key bytes and value bytes
// are the sums over the whole keys and the values, so that a reader knows what to allocate.
// dead is 1 for a tombstone, whose len is 0.
//
// Readers use the layout of type leaf instead.
const (
	leafPayloadHead = 8
	minEntryBytes   = 3 // three one-byte numbers
)

// leafWriter gathers the entries of one leaf.
type leafWriter struct {
	payload  []byte // encoded so far; the head is patched in by finish
	last     []byte // last key added
	count    uint32
	keyBytes uint32
	valBytes uint32
}

func (w *leafWriter) reset() {
	if cap(w.payload) > maxKeptScratch {
		w.payload = nil
	}
	w.payload = append(w.payload[:0], make([]byte, leafPayloadHead)...)
	w.count, w.keyBytes, w.valBytes = 0, 0, 0
	w.last = w.last[:0]
}

// sizeWith is what the leaf takes in memory with one more entry.
func (w *leafWriter) sizeWith(key, value []byte) int {
	return leafHead + (int(w.count)+1)*(perEntry+entryHead) + int(w.keyBytes) + int(w.valBytes) + len(key) + len(value)
}

func (w *leafWriter) add(key, value []byte, kind Kind) {
	shared := 0
	if w.count > 0 {
		shared = sharedPrefix(w.last, key)
	}
	length := uint64(len(value)) << 1
	if kind == KindTombstone {
		length |= 1
	}
	b := binary.AppendUvarint(w.payload, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(key)-shared))
	b = binary.AppendUvarint(b, length)
	b = append(b, key[shared:]...)
	w.payload = append(b, value...)
	w.last = append(w.last[:shared], key[shared:]...)
	w.count++
	w.keyBytes += uint32(len(key))
	w.valBytes += uint32(len(value))
}

// finish returns the payload; it is good until the next reset.
func (w *leafWriter) finish() []byte {
	binary.LittleEndian.PutUint32(w.payload, w.keyBytes)
	binary.LittleEndian.PutUint32(w.payload[4:], w.valBytes)
	return w.payload
}

// decodeLeaf lays a payload of several entries out in memory. It checks all that readers rely
// on: lengths, order, and that the sums are what was promised.
func decodeLeaf(h header, payload []byte) (*Page, error) {
	if len(payload) < leafPayloadHead {
		return nil, errors.New("leaf is shorter than its head")
	}
	keyBytes := binary.LittleEndian.Uint32(payload)
	valBytes := binary.LittleEndian.Uint32(payload[4:])
	body := payload[leafPayloadHead:]
	n := int(h.count)
	switch {
	case n > len(body)/minEntryBytes:
		return nil, fmt.Errorf("leaf says %d entries in %d bytes", n, len(body))
	case int64(valBytes) > int64(len(body)):
		return nil, fmt.Errorf("leaf says %d value bytes in %d", valBytes, len(body))
	case keyBytes > maxSharedBytes:
		return nil, fmt.Errorf("leaf says %d key bytes in %d entries", keyBytes, n)
	}
	entryBytes := n*entryHead + int(keyBytes) + int(valBytes)
	if leafHead+n*perEntry+entryBytes > posMask {
		return nil, fmt.Errorf("leaf of %d entries wants %d bytes", n, entryBytes)
	}
	l := newLeaf(n, entryBytes)
	if err := l.fill(body); err != nil {
		return nil, err
	}
	return leafPage(l), nil
}

// leafPage completes a leaf whose entries are in place and makes a page of it.
func leafPage(l *leaf) *Page {
	l.index()
	return &Page{kind: kindLeaf, leaf: l, size: int64(l.room) + pageOverhead}
}

// fill expands the stored entries into the block, which they must fill exactly.
func (l *leaf) fill(body []byte) error {
	mem, slots, at := l.mem(), l.slots(), l.firstPos()
	var prev []byte
	for i := range slots {
		shared, n1 := uvarint(body)
		suffix, n2 := uvarint(body[n1:])
		length, n3 := uvarint(body[n1+n2:])
		if n1 == 0 || n2 == 0 || n3 == 0 {
			return fmt.Errorf("entry %d of the leaf: bad length", i)
		}
		body = body[n1+n2+n3:]
		tail := int64(suffix) + int64(length>>1)
		keyLen := int64(shared) + int64(suffix)
		if int64(shared) > int64(len(prev)) || tail > int64(len(body)) || keyLen > maxKeyBytes ||
			int64(at)+entryHead+int64(shared)+tail > int64(len(mem)) || length&1 == 1 && length != 1 {
			return fmt.Errorf("entry %d of the leaf: lengths %d, %d, %d do not fit", i, shared, suffix, length)
		}
		if i > 0 && !ascends(prev, int(shared), body[:suffix]) {
			return fmt.Errorf("entry %d of the leaf: key does not ascend", i)
		}
		slots[i] = slot(0, at)
		binary.LittleEndian.PutUint16(mem[at:], uint16(keyLen))
		binary.LittleEndian.PutUint32(mem[at+2:], length)
		at += entryHead
		copy(mem[at:], prev[:shared])
		copy(mem[at+int(shared):], body[:tail])
		prev = mem[at : at+int(keyLen)]
		at += int(shared) + int(tail)
		body = body[tail:]
	}
	if len(body) != 0 || at != len(mem) {
		return fmt.Errorf("leaf leaves %d stored and %d expected bytes over", len(body), len(mem)-at)
	}
	return nil
}

// decodeSingle decodes a leaf of one entry, which may be as large as a value: it is decompressed
// to where it stays, and the entry's head is written over the numbers before the key.
func decodeSingle(h header, payload []byte) (*Page, error) {
	raw := int(h.rawLen)
	if raw < leafPayloadHead+minEntryBytes {
		return nil, fmt.Errorf("leaf of one entry has %d bytes", raw)
	}
	if err := plausible(payload, h.compression, raw); err != nil {
		return nil, err
	}
	l := newLeaf(1, raw)
	mem, at := l.mem(), l.firstPos()
	if _, err := Decompress(mem[:at], payload, h.compression, raw); err != nil {
		return nil, err
	}
	keyBytes := binary.LittleEndian.Uint32(mem[at:])
	valBytes := binary.LittleEndian.Uint32(mem[at+4:])
	at += leafPayloadHead
	shared, n1 := uvarint(mem[at:])
	suffix, n2 := uvarint(mem[at+n1:])
	length, n3 := uvarint(mem[at+n1+n2:])
	at += n1 + n2 + n3
	if n1 == 0 || n2 == 0 || n3 == 0 || shared != 0 || suffix != keyBytes || length>>1 != valBytes ||
		suffix > maxKeyBytes || length&1 == 1 && length != 1 ||
		int64(at)+int64(suffix)+int64(valBytes) != int64(len(mem)) {
		return nil, fmt.Errorf("leaf of one entry: lengths %d, %d, %d in %d bytes", shared, suffix, length, raw)
	}
	at -= entryHead
	binary.LittleEndian.PutUint16(mem[at:], uint16(keyBytes))
	binary.LittleEndian.PutUint32(mem[at+2:], length)
	l.slots()[0] = slot(0, at)
	return leafPage(l), nil
}

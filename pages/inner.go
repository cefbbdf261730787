package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

// An inner page's payload, as stored. Its children lie one after another in the file.
//
//	 0                  8            12
//	┌──────────────────┬────────────┬─────────┬─────────┬─ ─ ─
//	│ offset of child 0│ separators │ child 0 │ child 1 │
//	│ u64              │ bytes, u32 │         │         │
//	└──────────────────┴────────────┴─────────┴─────────┴─ ─ ─
//
//	child:
//	┌─────────┬────────────────┬─────────────────┬─────────────────┬────────┐
//	│ crc u32 │ length uvarint │ shared  uvarint │ suffix  uvarint │ suffix │
//	└─────────┴────────────────┴─────────────────┴─────────────────┴────────┘
//
// A separator is the first shared bytes of the one before it, then suffix: a key above all of
// the child before and not above any of its own child. Child 0 has none, it stands for
// everything below (shared and suffix are zero). separators is the sum of their lengths.
//
// In memory, heads are eight bytes of each separator after their common prefix, big endian, in
// one array for binary search; next to them, per child, its Ref and its slot.
const (
	innerPayloadHead = 12
	minChildBytes    = 7 // a crc and three one-byte numbers
	maxExpansion     = 4 // whole separators may take this many times the page's target
)

// inner is the decoded body of an inner page. Everything but the slots is immutable.
type inner struct {
	heads  []uint64               // heads[i] belongs to separator i+1
	prefix []byte                 // what all separators begin with
	seps   []byte                 // separators 1, 2, …, one after another
	ends   []uint32               // ends[i] is where separator i+1 ends in seps
	refs   []Ref                  // one per child
	slots  []atomic.Pointer[Page] // one per child; nil: not resident
	leaves []atomic.Pointer[leaf] // of a page of level 1: the leaf of slots[i], one step nearer
}

// innerWriter gathers the children of one inner page.
type innerWriter struct {
	payload  []byte
	last     []byte // last separator added
	first    []byte // separator of the page itself: that of its first child
	next     int64  // where the next child must lie
	count    uint32
	sepBytes uint32
}

func (w *innerWriter) reset() {
	w.payload = append(w.payload[:0], make([]byte, innerPayloadHead)...)
	w.last, w.first = w.last[:0], w.first[:0]
	w.count, w.sepBytes = 0, 0
}

// fits reports whether a child with separator sep may be added. A page takes two at least;
// separators that share nearly everything must not make it huge in memory.
func (w *innerWriter) fits(sep []byte, limit int) bool {
	suffix := len(sep) - sharedPrefix(w.last, sep)
	return w.count < 2 ||
		len(w.payload)+suffix+16 <= limit && int(w.sepBytes)+len(sep) <= maxExpansion*limit
}

func (w *innerWriter) add(sep []byte, ref Ref) {
	shared, suffix := 0, sep
	if w.count == 0 {
		w.first = append(w.first, sep...)
		suffix = nil
		binary.LittleEndian.PutUint64(w.payload, uint64(ref.Offset))
	} else {
		if ref.Offset != w.next {
			panic(fmt.Sprintf("pages: child at %d after one that ends at %d", ref.Offset, w.next))
		}
		shared = sharedPrefix(w.last, sep)
		suffix = sep[shared:]
		w.last = append(w.last[:shared], suffix...)
		w.sepBytes += uint32(len(sep))
	}
	b := binary.LittleEndian.AppendUint32(w.payload, ref.CRC)
	b = binary.AppendUvarint(b, uint64(ref.Length))
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(suffix)))
	w.payload = append(b, suffix...)
	w.next = ref.Offset + int64(ref.Length)
	w.count++
}

// finish returns the payload; it is good until the next reset.
func (w *innerWriter) finish() []byte {
	binary.LittleEndian.PutUint32(w.payload[8:], w.sepBytes)
	return w.payload
}

// decodeInner lays a payload out in memory. The children must lie before limit in the file.
func decodeInner(h header, payload []byte, limit int64) (*Page, error) {
	if len(payload) < innerPayloadHead {
		return nil, errors.New("inner page is shorter than its head")
	}
	offset := binary.LittleEndian.Uint64(payload)
	sepBytes := binary.LittleEndian.Uint32(payload[8:])
	body := payload[innerPayloadHead:]
	n := int(h.count)
	switch {
	case n > len(body)/minChildBytes:
		return nil, fmt.Errorf("inner page says %d children in %d bytes", n, len(body))
	case offset > uint64(limit):
		return nil, fmt.Errorf("inner page has children at %d, beyond %d", offset, limit)
	case sepBytes > maxExpansion*maxPageTarget+maxKeyBytes:
		return nil, fmt.Errorf("inner page says %d separator bytes", sepBytes)
	}
	in := &inner{
		heads: make([]uint64, n-1),
		seps:  make([]byte, 0, sepBytes),
		ends:  make([]uint32, n-1),
		refs:  make([]Ref, n),
		slots: make([]atomic.Pointer[Page], n),
	}
	if err := in.fill(body, int64(offset), limit); err != nil {
		return nil, err
	}
	in.fillHeads()
	size := int64(sepBytes) + int64(n)*(8+4+16+8) + pageOverhead + innerOverhead
	if h.level == 1 {
		in.leaves = make([]atomic.Pointer[leaf], n)
		size += int64(n) * 8
	}
	return &Page{kind: kindInner, level: h.level, inner: in, size: size}, nil
}

// fill expands the stored children, checking lengths, order and sums.
func (in *inner) fill(body []byte, offset, limit int64) error {
	var prev []byte
	for i := range in.refs {
		if len(body) < 4 {
			return fmt.Errorf("child %d of the inner page is cut short", i)
		}
		crc := binary.LittleEndian.Uint32(body)
		length, n1 := uvarint(body[4:])
		shared, n2 := uvarint(body[4+n1:])
		suffix, n3 := uvarint(body[4+n1+n2:])
		if n1 == 0 || n2 == 0 || n3 == 0 {
			return fmt.Errorf("child %d of the inner page: bad length", i)
		}
		body = body[4+n1+n2+n3:]
		if length < headerBytes || offset+int64(length) > limit {
			return fmt.Errorf("child %d of the inner page: %d bytes at %d do not fit", i, length, offset)
		}
		in.refs[i] = Ref{Offset: offset, Length: length, CRC: crc}
		offset += int64(length)
		if int64(shared) > int64(len(prev)) || int64(suffix) > int64(len(body)) ||
			int64(len(in.seps))+int64(shared)+int64(suffix) > int64(cap(in.seps)) {
			return fmt.Errorf("child %d of the inner page: lengths %d, %d do not fit", i, shared, suffix)
		}
		if i == 0 {
			if shared+suffix != 0 {
				return errors.New("first child of the inner page has a separator")
			}
			continue
		}
		if !ascends(prev, int(shared), body[:suffix]) {
			return fmt.Errorf("child %d of the inner page: separator does not ascend", i)
		}
		start := len(in.seps)
		in.seps = append(in.seps, prev[:shared]...)
		in.seps = append(in.seps, body[:suffix]...)
		in.ends[i-1] = uint32(len(in.seps))
		prev = in.seps[start:]
		body = body[suffix:]
	}
	if len(body) != 0 || len(in.seps) != cap(in.seps) {
		return fmt.Errorf("inner page leaves %d stored and %d expected bytes over", len(body), cap(in.seps)-len(in.seps))
	}
	return nil
}

func (in *inner) fillHeads() {
	n := len(in.heads)
	if n == 0 {
		return
	}
	first := in.sep(1)
	in.prefix = first[:sharedPrefix(first, in.sep(n))]
	for i := range in.heads {
		in.heads[i] = head8(in.sep(i + 1)[len(in.prefix):])
	}
}

// sep returns the separator of child i ≥ 1: not above any key of child i, above all of i-1.
func (in *inner) sep(i int) []byte {
	start := uint32(0)
	if i > 1 {
		start = in.ends[i-2]
	}
	end := in.ends[i-1]
	return in.seps[start:end:end]
}

// head8 is the first eight bytes of b as a number, short ones padded with zeros.
func head8(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var pad [8]byte
	copy(pad[:], b)
	return binary.BigEndian.Uint64(pad[:])
}

// search returns the child whose subtree has key if any has: the last with sep ≤ key.
func (in *inner) search(key []byte) int {
	if p := in.prefix; len(p) > 0 {
		if len(key) < len(p) || string(key[:len(p)]) != string(p) {
			if string(key) < string(p) {
				return 0
			}
			return len(in.heads)
		}
		return in.searchHeads(key, head8(key[len(p):]))
	}
	return in.searchHeads(key, head8(key))
}

// searchHeads counts the separators ≤ key. The loop halves without a branch on the comparison,
// which is as good as random: the compiler makes a conditional move of it.
func (in *inner) searchHeads(key []byte, head uint64) int {
	heads := in.heads
	base, n := 0, len(heads)
	for n > 1 {
		half := n >> 1
		if heads[base+half-1] < head {
			base += half
		}
		n -= half
	}
	if n == 1 && heads[base] < head {
		base++
	}
	// heads[:base] are below. Equal heads say nothing: there the keys decide, and there are
	// few, unless separators agree in eight bytes after their common prefix.
	if base < len(heads) && heads[base] == head {
		base = in.searchEqual(key, head, base)
	}
	return base
}

func (in *inner) searchEqual(key []byte, head uint64, lo int) int {
	hi := len(in.heads)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if in.heads[mid] == head && string(in.sep(mid+1)) <= string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

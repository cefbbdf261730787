package pages

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// TableOptions are the sizes and labels of a table. Zero sizes mean the defaults.
type TableOptions struct {
	LeafBytes        int // of a leaf in memory, unless it is one entry; default 4 KiB, at most 1 MiB
	InnerBytes       int // payload of an inner page before compression; default 16 KiB, at most 1 MiB
	FilterBitsPerKey int // default 10, at most 32; negative: no filter
	SeqLo, SeqHi     Seq
	Tier             uint8
	ID               FileID
}

// Defaults of TableOptions, and what a builder gathers before it calls its writer.
const (
	DefaultLeafBytes        = 4 << 10
	DefaultInnerBytes       = 16 << 10
	DefaultFilterBitsPerKey = 10

	writeBytes     = 256 << 10
	maxKeptScratch = 1 << 20
	firstBuffer    = 1 << 10 // enough for the smallest tables
)

func (o TableOptions) withDefaults() TableOptions {
	o.LeafBytes = sizeOption(o.LeafBytes, DefaultLeafBytes)
	o.InnerBytes = sizeOption(o.InnerBytes, DefaultInnerBytes)
	if o.FilterBitsPerKey == 0 {
		o.FilterBitsPerKey = DefaultFilterBitsPerKey
	}
	o.FilterBitsPerKey = min(max(o.FilterBitsPerKey, 0), maxFilterBits)
	return o
}

func sizeOption(v, byDefault int) int {
	if v <= 0 {
		v = byDefault
	}
	return min(v, maxPageTarget)
}

// Builder writes one table file, front to back, once. The caller syncs the file. A Builder is
// for one goroutine; after an error every call answers that error.
type Builder struct {
	w     io.Writer
	o     TableOptions
	codec Codec
	meta  TableMeta
	err   error

	leaf    leafWriter
	prevKey []byte  // last key of the leaf before; separates it from the next
	level   []child // pages of the level being written, not yet under an inner page
	seps    []byte  // their separators
	treeLen int64   // what they will take in inner pages, roughly
	hashes  []uint64
	buf     []byte // stored pages not yet given to w
	off     int64  // bytes given to w and in buf
}

// child is a written page that still needs a parent.
type child struct {
	ref    Ref
	sepEnd int // its separator is seps[end of the child before : sepEnd]
}

// NewBuilder returns a builder that writes to w with no compression; see SetCodec.
func NewBuilder(w io.Writer, o TableOptions) *Builder {
	b := &Builder{w: w, o: o.withDefaults(), buf: make([]byte, 0, firstBuffer)}
	b.meta = TableMeta{ID: o.ID, SeqLo: o.SeqLo, SeqHi: o.SeqHi, Tier: o.Tier}
	b.leaf.reset()
	return b
}

// SetCodec sets the compression from the next entry on. A leaf has one codec: where it changes,
// a new leaf begins.
func (b *Builder) SetCodec(c Codec) {
	if c == b.codec || b.err != nil {
		return
	}
	b.err = b.cutLeaf()
	b.codec = c
}

// Add appends an entry. Keys must ascend strictly; a tombstone has no value. Key and value are
// copied.
func (b *Builder) Add(key, value []byte, kind Kind) error {
	if b.err == nil {
		b.err = b.check(key, value, kind)
	}
	if b.err != nil {
		return b.err
	}
	if b.leaf.count > 0 && b.leaf.sizeWith(key, value) > b.o.LeafBytes {
		if b.err = b.cutLeaf(); b.err != nil {
			return b.err
		}
	}
	if b.meta.Entries == 0 {
		b.meta.Min = slices.Clone(key)
	}
	if b.leaf.count == 0 {
		b.addSeparator(key)
	}
	b.leaf.add(key, value, kind)
	if b.o.FilterBitsPerKey > 0 {
		b.hashes = append(b.hashes, Hash(key))
	}
	b.meta.Entries++
	b.meta.RawBytes += uint64(len(key) + len(value))
	if kind == KindTombstone {
		b.meta.Tombstones++
	}
	return nil
}

func (b *Builder) check(key, value []byte, kind Kind) error {
	switch {
	case len(key) > maxKeyBytes || len(value) > MaxValueBytes:
		return fmt.Errorf("pages: key of %d bytes, value of %d: limits are %d and %d",
			len(key), len(value), maxKeyBytes, MaxValueBytes)
	case kind != KindValue && kind != KindTombstone:
		return fmt.Errorf("pages: entry of kind %d", kind)
	case kind == KindTombstone && len(value) > 0:
		return fmt.Errorf("pages: tombstone with a value of %d bytes", len(value))
	case b.meta.Entries > 0 && string(key) <= string(b.lastKey()):
		return fmt.Errorf("pages: key %q added after %q", key, b.lastKey())
	}
	return nil
}

// lastKey is the key added last.
func (b *Builder) lastKey() []byte {
	if b.leaf.count > 0 {
		return b.leaf.last
	}
	return b.prevKey
}

// addSeparator notes the separator of the leaf that key begins.
func (b *Builder) addSeparator(key []byte) {
	start := len(b.seps)
	if b.meta.Entries > 0 {
		b.seps = separator(b.seps, b.prevKey, key)
	}
	b.treeLen += int64(len(b.seps)-start) + 10
}

// Size returns about what the file would have if it were finished now: bytes written and
// buffered, the open leaf, and the pages that Finish adds.
func (b *Builder) Size() int64 {
	filterLen := int64(len(b.hashes)) * int64(b.o.FilterBitsPerKey) / 8
	return b.off + int64(len(b.leaf.payload)) + b.treeLen + filterLen + 4*headerBytes + metaFixedBytes + footerBytes
}

// Entries returns how many entries were added.
func (b *Builder) Entries() uint64 { return b.meta.Entries }

// Finish writes what is open, the inner pages, the filter, the properties and the footer, and
// returns the table's meta. A table without entries is an error.
func (b *Builder) Finish() (TableMeta, error) {
	if b.err == nil && b.meta.Entries == 0 {
		b.err = fmt.Errorf("pages: table %d has no entries", b.o.ID)
	}
	if b.err == nil {
		b.err = b.finish()
	}
	if b.err != nil {
		return TableMeta{}, b.err
	}
	b.err = errors.New("pages: builder is finished")
	return b.meta, nil
}

func (b *Builder) finish() error {
	b.meta.Max = slices.Clone(b.lastKey())
	if err := b.cutLeaf(); err != nil {
		return err
	}
	b.meta.LeafBytes = uint64(b.off)
	for len(b.level) > 1 {
		if err := b.writeLevel(); err != nil {
			return err
		}
	}
	b.meta.Root = b.level[0].ref
	if err := b.writeFilter(); err != nil {
		return err
	}
	// The meta's length does not depend on the file's: encode once to learn it.
	props := b.meta.AppendTo(nil)
	b.meta.Size = b.off + headerBytes + int64(len(props)) + footerBytes
	ref, err := b.writePage(b.meta.AppendTo(props[:0]), header{kind: kindProps, count: 1}, Codec{})
	if err != nil {
		return err
	}
	b.buf = appendFooter(b.buf, ref)
	b.off += footerBytes
	return b.flush(0)
}

// cutLeaf writes the open leaf, if it has entries.
func (b *Builder) cutLeaf() error {
	if b.leaf.count == 0 {
		return nil
	}
	ref, err := b.writePage(b.leaf.finish(), header{kind: kindLeaf, count: b.leaf.count}, b.codec)
	if err != nil {
		return err
	}
	b.level = append(b.level, child{ref: ref, sepEnd: len(b.seps)})
	b.prevKey = append(b.prevKey[:0], b.leaf.last...)
	b.leaf.reset()
	return nil
}

// writeLevel puts the pages of b.level under inner pages, which become the new b.level.
func (b *Builder) writeLevel() error {
	b.meta.Levels++
	if b.meta.Levels > maxLevels {
		return fmt.Errorf("pages: table %d has more than %d levels", b.o.ID, maxLevels)
	}
	var w innerWriter
	var above []child
	var aboveSeps []byte
	cut := func() error {
		h := header{kind: kindInner, level: b.meta.Levels, count: w.count}
		ref, err := b.writePage(w.finish(), h, b.codec)
		aboveSeps = append(aboveSeps, w.first...)
		above = append(above, child{ref: ref, sepEnd: len(aboveSeps)})
		w.reset()
		return err
	}
	w.reset()
	start := 0
	for _, c := range b.level {
		sep := b.seps[start:c.sepEnd]
		start = c.sepEnd
		if !w.fits(sep, b.o.InnerBytes) {
			if err := cut(); err != nil {
				return err
			}
		}
		w.add(sep, c.ref)
	}
	if err := cut(); err != nil {
		return err
	}
	b.level, b.seps = above, aboveSeps
	return nil
}

func (b *Builder) writeFilter() error {
	if b.o.FilterBitsPerKey == 0 {
		return nil
	}
	f := newFilter(len(b.hashes), b.o.FilterBitsPerKey)
	for _, h := range b.hashes {
		f.add(h)
	}
	b.hashes = nil
	payload := f.appendTo(make([]byte, 0, len(f.blocks)*blockBytes))
	h := header{kind: kindFilter, level: uint8(f.probes), count: uint32(len(f.blocks))}
	ref, err := b.writePage(payload, h, Codec{})
	b.meta.Filter, b.meta.FilterKind = ref, BlockedBloom
	return err
}

// writePage appends a page to the file.
func (b *Builder) writePage(payload []byte, h header, c Codec) (Ref, error) {
	start := len(b.buf)
	b.buf = appendPage(b.buf, payload, h, c)
	stored := b.buf[start:]
	ref := Ref{Offset: b.off, Length: uint32(len(stored)), CRC: checksum(stored)}
	b.off += int64(len(stored))
	return ref, b.flush(writeBytes)
}

// flush gives the buffered pages to the writer once there are more than limit bytes.
func (b *Builder) flush(limit int) error {
	if len(b.buf) <= limit {
		return nil
	}
	n, err := b.w.Write(b.buf)
	if err == nil && n != len(b.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("pages: write table %d: %w", b.o.ID, err)
	}
	if b.buf = b.buf[:0]; cap(b.buf) > 2*maxKeptScratch {
		b.buf = nil
	}
	return nil
}

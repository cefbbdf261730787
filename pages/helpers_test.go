package pages

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

var ctx = context.Background()

// memFile is a table file in memory that counts its handles and can be told to fail.
type memFile struct {
	data  []byte
	opens atomic.Int32
	open  atomic.Int32
	// read, if set, stands in for ReadAt.
	read func(p []byte, off int64) (int, error)
}

func (m *memFile) handle() (File, error) {
	m.opens.Add(1)
	m.open.Add(1)
	return &memHandle{file: m}, nil
}

func (m *memFile) readAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off)
}

type memHandle struct {
	file   *memFile
	closed atomic.Bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	if h.closed.Load() {
		return 0, errors.New("read of a closed file")
	}
	if h.file.read != nil {
		return h.file.read(p, off)
	}
	return h.file.readAt(p, off)
}

func (h *memHandle) Close() error {
	if h.closed.Swap(true) {
		return errors.New("file closed twice")
	}
	h.file.open.Add(-1)
	return nil
}

// entry is one entry of a model.
type entry struct {
	key, value []byte
	kind       Kind
}

// build writes entries, which must ascend, into a table file.
func build(t testing.TB, o TableOptions, c Codec, entries []entry) (TableMeta, *memFile) {
	t.Helper()
	var buf bytes.Buffer
	b := NewBuilder(&buf, o)
	b.SetCodec(c)
	for _, e := range entries {
		if err := b.Add(e.key, e.value, e.kind); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if m.Size != int64(buf.Len()) {
		t.Fatalf("meta says %d bytes, file has %d", m.Size, buf.Len())
	}
	return m, &memFile{data: buf.Bytes()}
}

func table(t testing.TB, o TableOptions, c Codec, entries []entry) (*Table, *memFile) {
	t.Helper()
	m, f := build(t, o, c, entries)
	return NewTable(m, f.handle, NewCache(nil, nil)), f
}

// numbered returns n entries with 16-byte keys, every tenth a tombstone.
func numbered(n, valueBytes int) []entry {
	rng := rand.New(rand.NewPCG(1, 2))
	entries := make([]entry, n)
	for i := range entries {
		e := entry{key: fmt.Appendf(nil, "\x02key%012d", i*3), kind: KindValue}
		if i%10 == 9 {
			e.kind = KindTombstone
		} else {
			e.value = make([]byte, valueBytes)
			for j := 0; j+8 <= valueBytes; j += 16 { // half of it is noise
				binary.LittleEndian.PutUint64(e.value[j:], rng.Uint64())
			}
		}
		entries[i] = e
	}
	return entries
}

// checkGet compares a lookup with what the model has; want nil: absent.
func checkGet(t testing.TB, tab interface {
	Get(context.Context, []byte, uint64) ([]byte, Kind, bool, error)
}, key []byte, want *entry) {
	t.Helper()
	value, kind, ok, err := tab.Get(ctx, key, Hash(key))
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if ok != (want != nil) {
		t.Fatalf("Get(%q): found %v, want %v", key, ok, want != nil)
	}
	if ok && (kind != want.kind || !bytes.Equal(value, want.value)) {
		t.Fatalf("Get(%q): kind %d and %d bytes, want %d and %d", key, kind, len(value), want.kind, len(want.value))
	}
	if cap(value) != len(value) {
		t.Fatalf("Get(%q): capacity %d is not clipped to %d", key, cap(value), len(value))
	}
}

// checkResidency recounts the pages of tables against their cache.
func checkResidency(t testing.TB, c *Cache, tables ...*Table) {
	t.Helper()
	sum := int64(0)
	for _, tab := range tables {
		tab.Residents(func(p *Page) {
			sum += p.Bytes()
			if p.kind == kindInner {
				kids := int32(0)
				for i := range p.inner.slots {
					child := p.inner.slots[i].Load()
					if child != nil {
						kids++
					}
					if p.level == 1 {
						if l := p.inner.leaves[i].Load(); l != nil && (child == nil || child.leaf != l) {
							t.Error("a leaf can be reached whose page is not resident")
						} else if l == nil && child != nil {
							t.Error("a resident leaf cannot be reached")
						}
					}
				}
				if got := p.kids.Load(); got != kids {
					t.Errorf("inner page counts %d children, has %d", got, kids)
				}
			}
		})
	}
	if got := c.Resident(); got != sum {
		t.Errorf("resident %d bytes, recounted %d", got, sum)
	}
}

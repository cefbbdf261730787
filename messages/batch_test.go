package messages_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis/messages"
	"github.com/aegis-storage/aegis/pages"
)

// write is one op as a test states it.
type write struct {
	key, value []byte
	kind       pages.Kind
}

func encode(writes []write) (batch []byte, ops []messages.Op) {
	for _, w := range writes {
		batch, ops = messages.AppendOp(batch, ops, w.kind, pages.Hash(w.key), w.key, w.value)
	}
	return batch, ops
}

// checkOps compares ops over batch with what was written.
func checkOps(batch []byte, ops []messages.Op, writes []write) error {
	if len(ops) != len(writes) {
		return fmt.Errorf("%d ops of %d writes", len(ops), len(writes))
	}
	for i, w := range writes {
		op := &ops[i]
		if op.Kind != w.kind || op.Hash != pages.Hash(w.key) || !bytes.Equal(op.Key(batch), w.key) || !bytes.Equal(op.Value(batch), w.value) {
			return fmt.Errorf("op %d: kind %d, key %q, value %q, want kind %d, key %q, value %q",
				i, op.Kind, op.Key(batch), op.Value(batch), w.kind, w.key, w.value)
		}
	}
	return nil
}

func drawWrites(t *rapid.T) []write {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) write {
		w := write{key: rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "key"), kind: pages.KindValue}
		if rapid.Bool().Draw(t, "delete") {
			w.kind = pages.KindTombstone
			return w
		}
		w.value = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
		return w
	}), 0, 20).Draw(t, "writes")
}

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writes := drawWrites(t)
		batch, ops := encode(writes)
		if err := checkOps(batch, ops, writes); err != nil {
			t.Fatalf("AppendOp: %v", err)
		}
		before := bytes.Clone(batch)
		decoded, err := messages.DecodeBatch(batch, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkOps(batch, decoded, writes); err != nil {
			t.Fatalf("DecodeBatch: %v", err)
		}
		if !bytes.Equal(batch, before) {
			t.Fatal("DecodeBatch changed the batch")
		}
	})
}

// A batch cut anywhere is an error or a shorter sequence of whole ops: never a changed one.
func TestBatchCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		writes := drawWrites(t)
		batch, _ := encode(writes)
		cut := rapid.IntRange(0, len(batch)).Draw(t, "cut")
		ops, err := messages.DecodeBatch(batch[:cut], nil)
		if len(ops) > len(writes) {
			t.Fatalf("%d ops of %d writes", len(ops), len(writes))
		}
		if wrong := checkOps(batch, ops, writes[:len(ops)]); wrong != nil {
			t.Fatal(wrong)
		}
		if whole, _ := encode(writes[:len(ops)]); err == nil && len(whole) != cut {
			t.Fatalf("a batch cut at %d decodes, its ops end at %d", cut, len(whole))
		}
	})
}

func TestDecodeBatchAppends(t *testing.T) {
	batch, want := encode([]write{{[]byte("b"), []byte("1"), pages.KindValue}})
	ops, err := messages.DecodeBatch(batch, []messages.Op{{Hash: 7}})
	if err != nil || len(ops) != 2 || ops[0].Hash != 7 || ops[1] != want[0] {
		t.Fatalf("ops %v, error %v", ops, err)
	}
}

func TestDecodeBatchRefuses(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<63)
	long := bytes.Repeat([]byte{0xFF}, 11) // a varint that does not end in 64 bits
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	value, tombstone := []byte{byte(pages.KindValue)}, []byte{byte(pages.KindTombstone)}
	for name, batch := range map[string][]byte{
		"kind zero":              {0, 1, 0, 'k'},
		"unknown kind":           {3, 1, 0, 'k'},
		"kind alone":             value,
		"no value length":        {1, 1},
		"empty key":              {1, 0, 1, 'v'},
		"empty key, tombstone":   {2, 0},
		"key beyond the end":     {2, 2, 'k'},
		"value beyond the end":   {1, 1, 2, 'k', 'v'},
		"huge key length":        join(value, huge, []byte{0, 'k'}),
		"huge key, tombstone":    join(tombstone, huge, []byte{'k'}),
		"huge value length":      join(value, []byte{1}, huge, []byte{'k'}),
		"key length overflows":   join(value, long),
		"value length overflows": join(value, []byte{1}, long),
		"second op is bad":       {2, 1, 'a', 9},
	} {
		if ops, err := messages.DecodeBatch(batch, nil); err == nil {
			t.Errorf("%s: decoded as %v", name, ops)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	batch, _ := encode([]write{
		{[]byte("a"), []byte("one"), pages.KindValue},
		{[]byte("b"), nil, pages.KindTombstone},
		{bytes.Repeat([]byte("long"), 50), bytes.Repeat([]byte("v"), 200), pages.KindValue},
		{[]byte("c"), []byte{}, pages.KindValue},
	})
	f.Add(batch)
	f.Add([]byte{})
	f.Add([]byte{2, 1, 'a', 9})
	f.Add(append([]byte{1}, binary.AppendUvarint(nil, 1<<63)...))
	f.Fuzz(func(t *testing.T, batch []byte) {
		ops, err := messages.DecodeBatch(batch, nil)
		var again []byte
		var made []messages.Op
		for i := range ops {
			op := &ops[i]
			again, made = messages.AppendOp(again, made, op.Kind, op.Hash, op.Key(batch), op.Value(batch))
		}
		// Lengths may have been written in more bytes than needed; then offsets differ, contents not.
		if err == nil && len(again) == len(batch) && !bytes.Equal(again, batch) {
			t.Fatalf("%x decodes, and is encoded as %x", batch, again)
		}
		decoded, err := messages.DecodeBatch(again, nil)
		if err != nil || len(decoded) != len(ops) {
			t.Fatalf("%d ops encoded again decode as %d: %v", len(ops), len(decoded), err)
		}
	})
}

func BenchmarkDecodeBatch(b *testing.B) {
	var writes []write
	for i := range 16 {
		writes = append(writes, write{fmt.Appendf(nil, "key-%012d", i), make([]byte, 100), pages.KindValue})
	}
	batch, _ := encode(writes)
	var ops []messages.Op
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		ops, _ = messages.DecodeBatch(batch, ops[:0])
	}
}

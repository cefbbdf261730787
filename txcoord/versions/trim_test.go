package versions

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/aegis-storage/aegis/pages"
)

// put writes key at seq, with a value that names the seq.
func put(x *Index, key string, seq pages.Seq, keep *Keep) {
	x.Put(pages.Hash([]byte(key)), []byte(key), binary.BigEndian.AppendUint64(nil, uint64(seq)), pages.KindValue, seq, keep)
}

func get(x *Index, key string, at pages.Seq) (seq pages.Seq, ok, trimmed bool) {
	v, ok, trimmed := x.Get(pages.Hash([]byte(key)), []byte(key), at)
	if ok && binary.BigEndian.Uint64(v.Value) != uint64(v.Seq) {
		panic(fmt.Sprintf("value %x at seq %d", v.Value, v.Seq))
	}
	return v.Seq, ok, trimmed
}

func check(t *testing.T, x *Index) {
	t.Helper()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestCounterStaysSmall(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	keep := &Keep{Seqs: []pages.Seq{0}}
	value := make([]byte, 100)
	key := []byte("\x02counter")
	hash := pages.Hash(key)
	for seq := pages.Seq(1); seq <= 1_000_000/raceFactor; seq++ {
		keep.Seqs[0] = seq - 1
		x.Put(hash, key, value, pages.KindValue, seq, keep)
		if b := x.Bytes(); b > 1<<20 {
			t.Fatalf("%d bytes after %d updates of one key", b, seq)
		}
	}
	if x.Versions() > 2 || x.Len() != 1 {
		t.Fatalf("%d versions of %d keys", x.Versions(), x.Len())
	}
	check(t, x)
}

// New keys between the updates of a counter do not keep the counter's old values alive.
func TestCounterAmongNewKeysStaysSmall(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	keep := &Keep{Seqs: []pages.Seq{0}}
	for seq := pages.Seq(1); seq <= 300_000/raceFactor; seq++ {
		keep.Seqs[0] = seq - 1
		put(x, "\x02counter", seq, keep)
		if seq%100 == 0 {
			put(x, fmt.Sprintf("\x02key%d", seq), seq, keep)
		}
	}
	if b := x.Bytes(); b > 2<<20 {
		t.Fatalf("%d bytes for a counter and few other keys", b)
	}
	check(t, x)
}

func TestTrimmingKeepsWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name string
		keep []pages.Seq // for every Put
		want []pages.Seq // seqs left of 1…10
		cut  []pages.Seq // seqs at which a read is told that the chain was trimmed
	}{
		{"nothing", nil, []pages.Seq{10}, []pages.Seq{1, 9}},
		{"the first", []pages.Seq{1}, []pages.Seq{1, 10}, []pages.Seq{1, 5, 9}},
		{"below all", []pages.Seq{0}, []pages.Seq{10}, []pages.Seq{1, 9}},
		{"one inside", []pages.Seq{4}, []pages.Seq{4, 10}, []pages.Seq{3, 4, 9}},
		{"some", []pages.Seq{2, 3, 7}, []pages.Seq{2, 3, 7, 10}, []pages.Seq{1, 5, 9}},
		{"beyond", []pages.Seq{9, 10, 11, 12}, []pages.Seq{9, 10}, []pages.Seq{8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := NewIndex(0, IndexOptions{})
			keep := &Keep{Seqs: c.keep}
			for seq := pages.Seq(1); seq <= 10; seq++ {
				put(x, "\x02k", seq, keep)
			}
			var left []pages.Seq
			for at := pages.Seq(1); at <= 10; at++ {
				seq, ok, trimmed := get(x, "\x02k", at)
				if ok && seq == at {
					left = append(left, seq)
				}
				if slices.Contains(c.cut, at) && !trimmed {
					t.Errorf("a read at %d is not told that versions were trimmed", at)
				}
			}
			if !slices.Equal(left, c.want) || x.Versions() != len(c.want) {
				t.Errorf("left %v (%d versions), want %v", left, x.Versions(), c.want)
			}
			for _, at := range []pages.Seq{0, 10} {
				if _, _, trimmed := get(x, "\x02k", at); trimmed {
					t.Errorf("a read at %d is told that versions were trimmed", at)
				}
			}
			check(t, x)
		})
	}
}

// A chunk whose last value goes while it is being filled goes when it is full.
func TestEmptyChunkGoesWhenItIsFull(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	key := []byte("\x02k")
	hash := pages.Hash(key)
	x.Put(hash, key, []byte("a"), pages.KindValue, 1, &Keep{})
	x.Put(hash, key, []byte("b"), pages.KindValue, 2, &Keep{})
	x.Put(hash, key, nil, pages.KindTombstone, 3, &Keep{})
	check(t, x)
	before := x.Bytes()
	x.Put(hash, key, make([]byte, firstChunkBytes), pages.KindValue, 4, &Keep{})
	check(t, x)
	if grown := x.Bytes() - before; grown != firstChunkBytes {
		t.Errorf("grown by %d bytes, want a chunk of %d more than the one that went", grown, firstChunkBytes)
	}
}

func TestCursorTellsOfTrimmedChains(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	put(x, "\x02a", 1, nil)
	for seq := pages.Seq(2); seq < 10; seq++ {
		put(x, "\x02b", seq, &Keep{})
	}
	c := x.NewCursor(5, nil, nil)
	if !c.Next() || c.Trimmed() || c.Next() || !c.Trimmed() {
		t.Errorf("trimmed: %t, on key %q", c.Trimmed(), c.Key())
	}
	if s := x.NewestSeq(1, []byte("\x02none")); s != 0 {
		t.Errorf("an absent key was written at %d", s)
	}
}

// A version that stayed for a snapshot goes with the first Put after the snapshot has gone.
func TestTrimmingAfterSnapshotsAreGone(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	var keep Keep
	for seq := pages.Seq(1); seq <= 1000; seq++ {
		keep.Seqs = append(keep.Seqs, seq)
		put(x, "\x02k", seq, &keep)
	}
	if x.Versions() != 1000 {
		t.Fatalf("%d versions for 1000 snapshots", x.Versions())
	}
	check(t, x)
	seq := pages.Seq(1000)
	for ; x.Versions() > 2; seq++ {
		if seq > 1000+trimAllEvery+1 {
			t.Fatalf("%d versions after %d more puts", x.Versions(), seq-1000)
		}
		put(x, "\x02k", seq+1, &Keep{Seqs: []pages.Seq{seq}})
	}
	check(t, x)
}

// A chain with many protected versions in front still loses the unprotected ones behind.
func TestTrimmingReachesBehindManyVersions(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	var keep Keep
	for seq := pages.Seq(1); seq <= 500; seq++ {
		keep.Seqs = append(keep.Seqs, seq)
		put(x, "\x02k", seq, &keep)
	}
	keep.Seqs = keep.Seqs[300:]
	for seq := pages.Seq(501); seq <= 501+trimAllEvery; seq++ {
		keep.Seqs = append(keep.Seqs, seq)
		put(x, "\x02k", seq, &keep)
	}
	if want := 200 + trimAllEvery + 1; x.Versions() != want {
		t.Fatalf("%d versions, want %d", x.Versions(), want)
	}
	check(t, x)
}

func TestLargeValuesGoWhenTrimmed(t *testing.T) {
	const size = 1 << 20
	x := NewIndex(0, IndexOptions{})
	value := bytes.Repeat([]byte{7}, size)
	key := []byte("\x02large")
	hash := pages.Hash(key)
	for seq := pages.Seq(1); seq <= 20; seq++ {
		x.Put(hash, key, value, pages.KindValue, seq, &Keep{})
		if b := x.Bytes(); b < size || b > size+1<<19 {
			t.Fatalf("%d bytes with one value of %d", b, size)
		}
		check(t, x)
	}
	v, ok, _ := x.Get(hash, key, 20)
	if !ok || !bytes.Equal(v.Value, value) {
		t.Fatal("the last value is not there")
	}
	x.Put(hash, key, nil, pages.KindTombstone, 21, &Keep{})
	if b := x.Bytes(); b > 1<<19 {
		t.Fatalf("%d bytes with nothing but a tombstone", b)
	}
	check(t, x)
	if !bytes.Equal(v.Value, value) {
		t.Fatal("a value changed under its reader")
	}
}

func TestAdoptedBatch(t *testing.T) {
	const small, large = 10, 100 << 10
	x := NewIndex(0, IndexOptions{})
	adopt := func(seq pages.Seq, writes ...string) {
		var batch []byte
		for _, w := range writes {
			batch = append(batch, w...)
			batch = append(batch, bytes.Repeat([]byte(w[len(w)-1:]), large)...)
		}
		c, off := x.Adopt(batch), 0
		for _, w := range writes {
			key := []byte(w)
			size := large
			if w[1] == 's' {
				size = small
			}
			x.PutAdopted(c, pages.Hash(key), off, len(key), off+len(key), size, pages.KindValue, seq, &Keep{})
			off += len(key) + large
		}
	}
	adopt(1, "\x02l1", "\x02l2", "\x02l1") // the third write replaces the first
	check(t, x)
	if b := x.Bytes(); b < 3*large {
		t.Fatalf("%d bytes with a batch of %d", b, 3*large)
	}
	v, _, _ := x.Get(pages.Hash([]byte("\x02l2")), []byte("\x02l2"), 1)
	adopt(2, "\x02l1", "\x02l2")
	check(t, x)
	adopt(3, "\x02l1", "\x02s3")
	check(t, x)
	put(x, "\x02l1", 4, &Keep{})
	put(x, "\x02l2", 4, &Keep{})
	check(t, x)
	// The last batch has the small value of s3, which lives with its key: it stays.
	if b := x.Bytes(); b < 2*large || b > 2*large+large {
		t.Fatalf("%d bytes, want about %d: the first two batches have no version left", b, 2*large)
	}
	if len(v.Value) != large || v.Value[0] != '2' || v.Value[large-1] != '2' {
		t.Fatal("a value changed under its reader")
	}
	v, ok, _ := x.Get(pages.Hash([]byte("\x02s3")), []byte("\x02s3"), 4)
	if !ok || string(v.Value) != "3333333333" {
		t.Fatalf("small adopted value: %q", v.Value)
	}
}

// A batch none of whose writes survive its own commit is not dropped while the commit goes on.
func TestAdoptedBatchIsHeldForItsCommit(t *testing.T) {
	x := NewIndex(0, IndexOptions{})
	key := []byte("\x02k")
	batch := append(bytes.Clone(key), bytes.Repeat([]byte{1}, 2000)...)
	c := x.Adopt(batch)
	for range 3 {
		x.PutAdopted(c, pages.Hash(key), 0, len(key), len(key), 2000, pages.KindValue, 1, &Keep{})
		put(x, "\x02k", 1, &Keep{})
		check(t, x)
	}
	put(x, "\x02other", 2, &Keep{})
	check(t, x)
	if b := x.Bytes(); b > 5000 {
		t.Fatalf("%d bytes, the batch is still held", b)
	}
}

func TestMisusePanics(t *testing.T) {
	frozen := NewIndex(0, IndexOptions{})
	frozen.Freeze(5)
	used := NewIndex(3, IndexOptions{})
	put(used, "\x02k", 7, nil)
	k := []byte("\x02k")
	for name, f := range map[string]func(){
		"put after freeze":   func() { put(frozen, "\x02k", 6, nil) },
		"seq going down":     func() { put(used, "\x02k", 6, nil) },
		"seq at the floor":   func() { put(NewIndex(3, IndexOptions{}), "\x02k", 3, nil) },
		"freeze below a put": func() { used.Freeze(6) },
		"key too long":       func() { used.Put(0, make([]byte, maxKeyLen+1), nil, pages.KindTombstone, 8, nil) },
		"tombstone's value":  func() { used.Put(0, k, k, pages.KindTombstone, 8, nil) },
		"no kind":            func() { used.Put(0, k, nil, 0, 8, nil) },
		"batch not held":     func() { used.PutAdopted(Chunk{}, 0, 0, 0, 0, 0, pages.KindValue, 8, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	if seq, ok := frozen.Frozen(); !ok || seq != 5 {
		t.Errorf("frozen at %d, %t", seq, ok)
	}
	if _, ok := used.Frozen(); ok || used.Floor() != 3 {
		t.Errorf("frozen: %t, floor %d", ok, used.Floor())
	}
}

func TestSinceStops(t *testing.T) {
	x := NewIndex(0, IndexOptions{ChunkBytes: 1})
	for seq := pages.Seq(1); seq <= 100; seq++ {
		put(x, fmt.Sprintf("\x02k%d", seq%40), seq, nil)
	}
	calls := 0
	x.Since(0, 100, func([]byte, pages.Seq) bool { calls++; return calls < 3 })
	if calls != 3 {
		t.Errorf("%d calls after f returned false at the third", calls)
	}
	var seqs []pages.Seq
	x.Since(50, 60, func(_ []byte, seq pages.Seq) bool { seqs = append(seqs, seq); return true })
	slices.Sort(seqs)
	if len(seqs) != 10 || seqs[0] != 51 || seqs[9] != 60 {
		t.Errorf("since(50, 60): %v", seqs)
	}
}

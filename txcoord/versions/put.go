package versions

import (
	"fmt"

	"github.com/aegis-storage/aegis/pages"
)

// Keep says which versions of a chain readers may still ask for.
type Keep struct {
	// Seqs, ascending: besides the newest version, the newest at or below each of these stays.
	Seqs []pages.Seq
}

// Put adds a version of key. key and value are copied. hash is pages.Hash(key). seq is at or
// above that of every earlier Put; putting the same key at the same seq again replaces it for
// all readers. Versions of the key that keep does not protect are unlinked; a nil keep protects
// all.
func (x *Index) Put(hash uint64, key, value []byte, kind pages.Kind, seq pages.Seq, keep *Keep) {
	x.begin(len(key), len(value), kind, seq)
	t := x.table.Load()
	ref, e, place := x.find(t, hash, key)
	if e != nil {
		x.push(ref, e, x.copyValue(value), kind, len(value), seq, keep)
		return
	}
	if len(value) > inlineValueMax {
		at, dst := x.reserve(&x.firsts, len(key))
		copy(dst, key)
		x.addBare(t, place, hash, at, len(key), x.copyValue(value), kind, len(value), seq)
		return
	}
	at, dst := x.reserve(&x.firsts, len(key)+len(value))
	copy(dst[copy(dst, key):], value)
	x.addEntry(t, place, hash, at, entryMeta(len(key), 0, kind, len(value)), seq)
}

// Chunk is an adopted batch.
type Chunk struct{ no uint64 }

// Adopt makes a batch a chunk of the index, so that its keys and values need no copy. Nobody
// may write to batch from then on. It is held until all its versions are trimmed, but no longer
// than the commit it belongs to: the Puts of one commit that refer to it come before any other
// commit's and before the next Adopt.
func (x *Index) Adopt(batch []byte) Chunk {
	if uint64(len(batch)) >= 1<<32 {
		panic(fmt.Sprintf("versions: adopting %d bytes, the limit is %d", len(batch), uint64(1)<<32))
	}
	x.releaseHeld()
	no := x.addChunk(batch)
	x.chunks.live[no]++
	x.held, x.heldBy = no, 0
	return Chunk{no}
}

// PutAdopted is Put for a key and a value inside an adopted batch, both given by offset and
// length in bytes.
func (x *Index) PutAdopted(c Chunk, hash uint64, keyOff, keyLen, valOff, valLen int, kind pages.Kind, seq pages.Seq, keep *Keep) {
	x.begin(keyLen, valLen, kind, seq)
	if c.no == 0 || c.no != x.held {
		panic(fmt.Sprintf("versions: put from adopted chunk %d while %d is held", c.no, x.held))
	}
	x.heldBy = seq
	b := x.chunks.get(c.no).b
	key := b[keyOff : keyOff+keyLen]
	t := x.table.Load()
	ref, e, place := x.find(t, hash, key)
	if gap := valOff - keyOff - keyLen; e == nil && valLen <= inlineValueMax && gap >= 0 && gap <= maxGap {
		x.chunks.live[c.no]++
		x.addEntry(t, place, hash, makeDataRef(c.no, keyOff), entryMeta(keyLen, gap, kind, valLen), seq)
		return
	}
	var val dataRef
	if valLen > 0 {
		x.chunks.live[c.no]++
		val = makeDataRef(c.no, valOff)
	}
	if e != nil {
		x.push(ref, e, val, kind, valLen, seq, keep)
		return
	}
	// An entry lives as long as the index. With its key outside the batch, a large batch can go
	// when its values are trimmed.
	at, dst := x.reserve(&x.firsts, keyLen)
	copy(dst, key)
	x.addBare(t, place, hash, at, keyLen, val, kind, valLen, seq)
}

// begin checks what every Put must satisfy, and lets go of the batch of an earlier commit.
func (x *Index) begin(keyLen, valLen int, kind pages.Kind, seq pages.Seq) {
	if seq < x.last || seq <= x.floor {
		panic(fmt.Sprintf("versions: put at %d after %d, floor %d", seq, x.last, x.floor))
	}
	if f, ok := x.Frozen(); ok {
		panic(fmt.Sprintf("versions: put at %d into an index frozen at %d", seq, f))
	}
	if keyLen > maxKeyLen || valLen > lenMask {
		panic(fmt.Sprintf("versions: key of %d and value of %d bytes, the limits are %d and %d", keyLen, valLen, maxKeyLen, lenMask))
	}
	if kind != pages.KindValue && (kind != pages.KindTombstone || valLen != 0) {
		panic(fmt.Sprintf("versions: kind %d with a value of %d bytes", kind, valLen))
	}
	x.last = seq
	if x.held != 0 && x.heldBy != 0 && x.heldBy != seq {
		x.releaseHeld()
	}
}

func (x *Index) releaseHeld() {
	if no := x.held; no != 0 {
		x.held, x.heldBy = 0, 0
		x.releaseChunk(no)
	}
}

func (x *Index) copyValue(value []byte) dataRef {
	if len(value) == 0 {
		return 0
	}
	ref, dst := x.reserve(&x.laters, len(value))
	copy(dst, value)
	return ref
}

// addEntry publishes a new key with its first version inside.
func (x *Index) addEntry(t *table, place int, hash uint64, key dataRef, meta uint64, seq pages.Seq) {
	ref, e := x.newEntry()
	e.key, e.meta, e.seq = key, meta, seq
	x.tail.Store(uint64(ref))
	x.enter(t, place, hash, ref, key)
}

// addBare publishes a new key with its first version in a record of its own.
func (x *Index) addBare(t *table, place int, hash uint64, key dataRef, keyLen int, val dataRef, kind pages.Kind, valLen int, seq pages.Seq) {
	ref, e := x.newEntry()
	e.key, e.meta, e.seq = key, entryMeta(keyLen, 0, noVersion, 0), seq
	vref, v := x.newVersion()
	v.seq, v.value, v.meta = seq, val, versionMeta(ref, kind, valLen)
	v.prev.Store(uint64(linkEnd))
	e.head.Store(uint64(vref))
	x.bare.Add(1)
	x.versionTail.Store(uint64(vref))
	x.tail.Store(uint64(ref))
	x.enter(t, place, hash, ref, key)
}

// push publishes a later version of a key, and then trims.
func (x *Index) push(ref entryRef, e *entry, val dataRef, kind pages.Kind, valLen int, seq pages.Seq, keep *Keep) {
	vref, v := x.newVersion()
	v.seq, v.value, v.meta = seq, val, versionMeta(ref, kind, valLen)
	v.prev.Store(e.head.Load())
	x.versionTail.Store(uint64(vref))
	e.head.Store(uint64(vref))
	if keep != nil {
		x.trim(e, vref, v, keep)
	}
}

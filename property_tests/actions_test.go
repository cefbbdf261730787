package propertytests

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/aegis-storage/aegis"
)

const maxOpen = 5

// blob is a key or a value, shown by its length and its beginning.
type blob []byte

func (b blob) GoString() string {
	if b == nil {
		return "nil"
	}
	return fmt.Sprintf("%d:%.12q", len(b), []byte(b))
}

var (
	keys = rapid.Custom(func(t *rapid.T) blob {
		switch n := rapid.IntRange(0, 60).Draw(t, "n"); {
		case n < 13:
			return fmt.Appendf(nil, "key%02d", n)
		case n < 18:
			return append(bytes.Repeat([]byte("long"), 200), byte(n))
		case n == 18:
			return blob{}
		default:
			return blob{[...]byte{0, 'a', 0xff}[n%3], [...]byte{0, 'b', 0xff}[n/3%3]}[:1+n%2]
		}
	})
	bounds = rapid.Custom(func(t *rapid.T) blob {
		if rapid.IntRange(0, 3).Draw(t, "open") == 0 {
			return nil
		}
		return keys.Draw(t, "key")
	})
	values = rapid.Custom(func(t *rapid.T) blob {
		n := rapid.SampledFrom([]int{0, 1, 10, 50, 200, 200, 1000, 3000, 20_000}).Draw(t, "size")
		v := bytes.Repeat([]byte{rapid.ByteRange('A', 'Z').Draw(t, "fill")}, n)
		if rapid.Bool().Draw(t, "noise") {
			for i := range v {
				v[i] ^= byte(i * i >> 3)
			}
		}
		return v
	})
	names  = rapid.SampledFrom([]string{aegis.DefaultKeyspaceName, "k1", "k2", "k3"})
	levels = rapid.SampledFrom([]aegis.Isolation{aegis.Serializable, aegis.Serializable, aegis.Snapshot, aegis.ReadCommitted})
)

// pick is an open transaction.
func (m *machine) pick(t *rapid.T) *running {
	if len(m.open) == 0 {
		t.Skip("nothing is open")
	}
	r := rapid.SampledFrom(m.open).Draw(t, "tx")
	if r.x.mixedUp() {
		t.Skip("two keyspaces of one id")
	}
	return r
}

func (m *machine) Begin(t *rapid.T) {
	if len(m.open) == maxOpen {
		t.Skip("enough are open")
	}
	o := aegis.TxOptions{Isolation: levels.Draw(t, "level"), ReadOnly: rapid.IntRange(0, 2).Draw(t, "reader") == 0}
	if rapid.Bool().Draw(t, "own durability") {
		o.Durability = aegis.WithDurability(rapid.SampledFrom([]aegis.Durability{aegis.Sync, aegis.NoSync}).Draw(t, "durability"))
	}
	tx, err := m.db.Begin(ctx, o)
	must(t, err)
	m.open = append(m.open, &running{tx, &txModel{m: m.model, level: o.Isolation, read: o.ReadOnly, begun: len(m.model.states) - 1}})
}

// keyspace opens a keyspace in a transaction and compares whether it is there.
func (r *running) keyspace(t *rapid.T) (*aegis.Keyspace, *space, string) {
	name := names.Draw(t, "keyspace")
	k, err := r.tx.Keyspace(name)
	s := r.x.sees().spaces[name]
	if name != aegis.DefaultKeyspaceName {
		r.x.note(point{namesSpace, name})
	}
	if (s == nil) != errors.Is(err, aegis.ErrNotFound) || (s != nil && err != nil) {
		t.Fatalf("Keyspace(%q): %v, want it: %t", name, err, s != nil)
	}
	return k, s, name
}

func compareGet(t *rapid.T, what string, v []byte, err error, want string, there bool) {
	t.Helper()
	if (err != nil && !errors.Is(err, aegis.ErrNotFound)) || there != (err == nil) || string(v) != want {
		t.Fatalf("%s = %.40q (%d bytes), %v; want %.40q (%d bytes), %t", what, v, len(v), err, want, len(want), there)
	}
}

func (m *machine) Get(t *rapid.T) {
	r := m.pick(t)
	k, s, name := r.keyspace(t)
	if s == nil {
		return
	}
	key := keys.Draw(t, "key")
	v, err := k.Get(key)
	want, there := s.data[string(key)]
	compareGet(t, fmt.Sprintf("Get(%s, %q)", name, key), v, err, want, there)
	r.x.note(point{s.id, string(key)})
}

func (m *machine) Loop(t *rapid.T) {
	r := m.pick(t)
	k, s, name := r.keyspace(t)
	if s == nil {
		return
	}
	lo, hi := bounds.Draw(t, "lo"), bounds.Draw(t, "hi")
	backward := rapid.Bool().Draw(t, "backward")
	seq := k.Range
	if backward {
		seq = k.RangeBackward
	}
	loop := seq(lo, hi)
	if rapid.IntRange(0, 2).Draw(t, "prefix") == 0 {
		loop, hi = k.Prefix(lo), prefixEnd(lo)
		if backward {
			loop = k.PrefixBackward(lo)
		}
	}
	stop := rapid.SampledFrom([]int{1, 3, 1000, 1000}).Draw(t, "stop")
	var got []pair
	for k, v := range loop {
		if got = append(got, pair{string(k), string(v)}); len(got) == stop {
			break
		}
	}
	must(t, r.tx.Err())
	want := s.rows(lo, hi, backward)
	compareRows(t, fmt.Sprintf("loop over %s from %q to %q, backward %t", name, lo, hi, backward), got, want[:min(stop, len(want))])
	read := span{s.id, lo, hi}
	if len(got) == stop {
		if last := []byte(got[stop-1].key); backward {
			read.lo = last
		} else {
			read.hi = append(last, 0)
		}
	}
	r.x.noteSpan(read)
}

// write does f and compares whether it was let.
func (r *running) write(t *rapid.T, err error, o op, name string) {
	t.Helper()
	if r.x.read {
		if !errors.Is(err, aegis.ErrReadOnly) {
			t.Fatalf("a write in a read-only transaction: %v", err)
		}
		return
	}
	must(t, err)
	r.x.write(o, name)
}

func (m *machine) Put(t *rapid.T) {
	r := m.pick(t)
	if k, s, name := r.keyspace(t); s != nil {
		key, value := keys.Draw(t, "key"), values.Draw(t, "value")
		r.write(t, k.Put(key, value), op{kind: opPut, id: s.id, key: string(key), value: string(value)}, name)
	}
}

func (m *machine) Delete(t *rapid.T) {
	r := m.pick(t)
	if k, s, name := r.keyspace(t); s != nil {
		key := keys.Draw(t, "key")
		r.write(t, k.Delete(key), op{kind: opDelete, id: s.id, key: string(key)}, name)
	}
}

func (m *machine) CreateKeyspace(t *rapid.T) {
	r, name := m.pick(t), names.Draw(t, "name")
	o := aegis.KeyspaceOptions{Compression: rapid.SampledFrom([]aegis.Compression{aegis.DefaultCompression, aegis.NoCompression, aegis.LZ4, aegis.Zstd}).Draw(t, "compression")}
	k, err := r.tx.CreateKeyspace(name, o)
	taken := r.x.sees().spaces[name] != nil
	if name == aegis.DefaultKeyspaceName || taken && !r.x.read {
		if !errors.Is(err, aegis.ErrKeyspaceExists) {
			t.Fatalf("CreateKeyspace(%q) of what is there: %v", name, err)
		}
		if name != aegis.DefaultKeyspaceName {
			r.x.note(point{namesSpace, name})
		}
		return
	}
	id := m.model.nextID
	m.model.nextID++
	r.write(t, err, op{kind: opCreate, id: id, name: name}, name)
	if r.x.read {
		return
	}
	key, value := keys.Draw(t, "key"), values.Draw(t, "value")
	r.write(t, k.Put(key, value), op{kind: opPut, id: id, key: string(key), value: string(value)}, name)
}

func (m *machine) DropKeyspace(t *rapid.T) {
	r, name := m.pick(t), names.Draw(t, "name")
	err := r.tx.DropKeyspace(name)
	s := r.x.sees().spaces[name]
	switch {
	case r.x.read || name != aegis.DefaultKeyspaceName && s != nil:
		o := op{kind: opDrop, name: name}
		if s != nil {
			o.id = s.id
		}
		r.write(t, err, o, name)
	case err == nil:
		t.Fatalf("DropKeyspace(%q) worked", name)
	case s == nil:
		r.x.note(point{namesSpace, name})
	}
}

func (m *machine) Keyspaces(t *rapid.T) {
	r := m.pick(t)
	list, err := r.tx.Keyspaces()
	must(t, err)
	var got []string
	for _, info := range list {
		got = append(got, info.Name)
	}
	if want := r.x.sees().names(); !slices.Equal(got, want) {
		t.Fatalf("Keyspaces = %q, want %q", got, want)
	}
	r.x.noteSpan(span{id: namesSpace})
}

func (m *machine) WriteBlock(t *rapid.T) {
	data := values.Draw(t, "data")
	block := aegis.NewBlock(data).WithCompression(rapid.SampledFrom([]aegis.Compression{aegis.NoCompression, aegis.LZ4, aegis.Zstd}).Draw(t, "compression"))
	if rapid.Bool().Draw(t, "by itself") || len(m.open) == 0 {
		id, err := m.db.WriteBlock(ctx, block)
		must(t, err)
		m.committed(m.options.Durability, op{kind: opPutBlock, block: id, value: string(data)})
		return
	}
	r := m.pick(t)
	id, err := r.tx.WriteBlock(block)
	r.write(t, err, op{kind: opPutBlock, block: id, value: string(data)}, "")
}

// block is one that was written at some time.
func (m *machine) block(t *rapid.T) aegis.BlockID {
	ids := m.model.blockIDs()
	if len(ids) == 0 {
		t.Skip("no blocks")
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "block")
}

func (m *machine) ReadBlock(t *rapid.T) {
	id := m.block(t)
	r := m.pick(t)
	b, err := r.tx.ReadBlock(id)
	want, there := r.x.sees().blocks[id]
	var got []byte
	if b != nil {
		got = b.Data()
	}
	compareGet(t, fmt.Sprintf("ReadBlock(%d)", id), got, err, want, there)
	r.x.note(blockPoint(id))
}

func (m *machine) DeleteBlock(t *rapid.T) {
	id := m.block(t)
	o := op{kind: opDeleteBlock, block: id}
	if rapid.Bool().Draw(t, "by itself") || len(m.open) == 0 {
		err := m.db.DeleteBlock(ctx, id)
		if _, there := m.model.now().blocks[id]; there {
			must(t, err)
			m.committed(m.options.Durability, o)
		} else if !errors.Is(err, aegis.ErrNotFound) {
			t.Fatalf("DeleteBlock(%d): %v", id, err)
		}
		return
	}
	r := m.pick(t)
	_, there := r.x.sees().blocks[id]
	err := r.tx.DeleteBlock(id)
	if !r.x.read {
		r.x.note(blockPoint(id))
	}
	if there || r.x.read {
		r.write(t, err, o, "")
	} else if !errors.Is(err, aegis.ErrNotFound) {
		t.Fatalf("DeleteBlock(%d): %v", id, err)
	}
}

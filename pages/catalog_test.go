package pages

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestCatalogKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Filter(func(s string) bool { return s != "" }).Draw(t, "name")
		id := genKeyspace().Draw(t, "id")
		if got, ok := ParseName(NameKey(name)); !ok || got != name {
			t.Fatalf("name %q came back as %q, %v", name, got, ok)
		}
		if got, ok := ParseDrop(DropKey(id)); !ok || got != id {
			t.Fatalf("drop of %d came back as %d, %v", id, got, ok)
		}
		if _, ok := ParseDrop(NameKey(name)); ok {
			t.Fatalf("the name %q was taken for a drop", name)
		}
		if _, ok := ParseName(DropKey(id)); ok {
			t.Fatalf("the drop of %d was taken for a name", id)
		}
		for _, key := range [][]byte{NameKey(name), DropKey(id), NextIDKey()} {
			if ks, _, err := SplitKey(key); err != nil || ks != CatalogKeyspace {
				t.Fatalf("%x lies in keyspace %d, %v", key, ks, err)
			}
		}
	})
}

func TestCatalogRefuses(t *testing.T) {
	for _, b := range [][]byte{nil, {}, NextIDKey(), NameKey(""), []byte("\x02ks/a")} {
		if name, ok := ParseName(b); ok {
			t.Errorf("ParseName(%x) = %q", b, name)
		}
	}
	for _, b := range [][]byte{nil, NextIDKey(), DropKey(1)[:8], append(DropKey(1), 0)} {
		if id, ok := ParseDrop(b); ok {
			t.Errorf("ParseDrop(%x) = %d", b, id)
		}
	}
	good := CatalogEntry{ID: 16, Codec: Codec{Compression: Zstd, Level: 3}}.AppendEntry(nil)
	for _, b := range [][]byte{nil, good[:5], append(bytes.Clone(good), 0), {0, 0, 0, 1, 3, 0}} {
		if e, err := DecodeCatalogEntry(b); err == nil {
			t.Errorf("DecodeCatalogEntry(%x) = %+v", b, e)
		}
	}
}

func TestCatalogEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := CatalogEntry{ID: genKeyspace().Draw(t, "id"), Codec: Codec{
			Compression: rapid.SampledFrom([]Compression{None, LZ4, Zstd}).Draw(t, "compression"),
			Level:       rapid.Int8().Draw(t, "level"),
		}}
		got, err := DecodeCatalogEntry(e.AppendEntry(nil))
		if err != nil || got != e {
			t.Fatalf("%+v came back as %+v, %v", e, got, err)
		}
	})
}

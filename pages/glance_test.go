package pages

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// crowd fills the cache to its target with pages of tab.
func crowd(t *testing.T, tab *Table, entries []entry) {
	t.Helper()
	for i := range len(entries) / 2 {
		checkGet(t, tab, entries[i].key, &entries[i])
	}
	tab.cache.SetLimits(tab.cache.Resident(), 0)
}

// TestGlance: with a full cache lookups are right, and leave most leaves where they are.
func TestGlance(t *testing.T) {
	for _, c := range codecs[:3] {
		entries := numbered(4000, 40)
		m, f := build(t, TableOptions{ID: 1, LeafBytes: 1 << 10, InnerBytes: 1 << 10}, c, entries)
		tab := NewTable(m, f.handle, NewCache(nil, nil))
		crowd(t, tab, entries)
		resident, before := tab.cache.Resident(), tab.cache.Stats()
		rest := entries[len(entries)/2:]
		tab.cache.turn.Store(0)
		held, _, _, err := tab.Get(ctx, rest[1000].key, Hash(rest[1000].key))
		if err != nil {
			t.Fatal(err)
		}
		for i := range rest {
			checkGet(t, tab, rest[i].key, &rest[i])
			checkGet(t, tab, append(bytes.Clone(rest[i].key), 0), nil)
		}
		if !bytes.Equal(held, rest[1000].value) {
			t.Error("a value changed under its reader")
		}
		after := tab.cache.Stats()
		if loads := after.Misses - before.Misses; loads < 400 || after.LoadedBytes <= before.LoadedBytes {
			t.Errorf("%d loads", loads)
		}
		// Leaves that are asked for again and again come in; not all at once.
		if grown := tab.cache.Resident() - resident; grown == 0 {
			t.Error("no leaf was admitted")
		}
		sound(t, tab)
		tab.Retire()
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d open handles", n)
		}
	}
}

// TestSearchLeaf: keys of which one is the beginning of another, or shares an end with one.
func TestSearchLeaf(t *testing.T) {
	s := &scratch{stored: storedLeaf([]entry{{[]byte("ab"), []byte("1"), KindValue}, {[]byte("ac"), nil, KindTombstone},
		{[]byte("acb"), []byte("3"), KindValue}, {[]byte("b"), []byte{}, KindValue}}, Codec{})}
	for key, want := range map[string]string{
		"": "", "a": "", "ab": "1", "abc": "", "ac": "dead", "acb": "3", "ad": "", "b": "empty", "bb": "", "c": "", "aa": "", "abb": "",
	} {
		value, kind, ok, err := s.search(place{kind: kindLeaf}, []byte(key))
		got := string(value)
		switch {
		case err != nil:
			t.Fatal(err)
		case ok && kind == KindTombstone:
			got = "dead"
		case ok && got == "":
			got = "empty"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", key, got, want)
		}
	}
}

// TestGlanceAdmits: one lookup in admitEvery loads its leaf as usual.
func TestGlanceAdmits(t *testing.T) {
	entries := numbered(2000, 40)
	m, f := build(t, TableOptions{ID: 1, LeafBytes: 1 << 10, InnerBytes: 16 << 10}, Codec{}, entries)
	tab := NewTable(m, f.handle, NewCache(nil, nil))
	crowd(t, tab, entries)
	last := &entries[len(entries)-1]
	tab.cache.SetLimits(tab.cache.Resident()-1, 0)
	for range 2 * admitEvery {
		resident := tab.cache.Resident()
		checkGet(t, tab, last.key, last)
		if tab.cache.Resident() > resident {
			t.Fatal("a leaf was admitted while the evictor is behind")
		}
	}
	tab.cache.SetLimits(tab.cache.Resident(), 0)
	tab.cache.turn.Store(0)
	for i := range admitEvery {
		resident := tab.cache.Resident()
		checkGet(t, tab, last.key, last)
		if admitted := tab.cache.Resident() > resident; admitted != (i == admitEvery-1) {
			t.Fatalf("lookup %d admitted its leaf: %v", i, admitted)
		}
	}
	misses := tab.cache.Stats().Misses
	checkGet(t, tab, last.key, last)
	if tab.cache.Stats().Misses != misses {
		t.Error("a leaf that was admitted is loaded again")
	}
}

// TestGlanceFails: damage, failed reads, retired tables and ended contexts are told as by any load.
func TestGlanceFails(t *testing.T) {
	entries := numbered(2000, 40)
	m, f := build(t, TableOptions{ID: 1, LeafBytes: 1 << 10, InnerBytes: 16 << 10}, Codec{Compression: LZ4}, entries)
	tab := NewTable(m, f.handle, NewCache(nil, nil))
	crowd(t, tab, entries)
	last := entries[len(entries)-1].key
	get := func(ctx context.Context) error {
		tab.cache.turn.Store(0)
		_, _, _, err := tab.Get(ctx, last, Hash(last))
		return err
	}
	failure := errors.New("no luck")
	f.read = func([]byte, int64) (int, error) { return 0, failure }
	if err := get(ctx); !errors.Is(err, failure) {
		t.Errorf("a read that fails: %v", err)
	}
	f.read = func(p []byte, off int64) (int, error) {
		n, err := f.readAt(p, off)
		p[n-1] ^= 1
		return n, err
	}
	var damage *CorruptionError
	if err := get(ctx); !errors.As(err, &damage) || damage.File != tab.name() {
		t.Errorf("a damaged leaf: %v", err)
	}
	f.read = nil
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if s := tab.cache.Stats(); s.FailedLoads != 2 {
		t.Errorf("%d failed loads", s.FailedLoads)
	}
	tab.Retire()
	if err := get(ctx); !errors.Is(err, ErrTableGone) {
		t.Errorf("a retired table: %v", err)
	}
	if n := f.open.Load(); n != 0 {
		t.Errorf("%d open handles", n)
	}
}

package aegis_test

import (
	"bytes"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// TestStoredBlocks: all blocks come in the order of their ids, in the form that another store takes.
func TestStoredBlocks(t *testing.T) {
	from := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	to := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	want := map[aegis.BlockID][]byte{}
	for _, data := range [][]byte{bytes.Repeat([]byte("one "), 100), {}, []byte("three")} {
		id, err := from.WriteBlock(ctx, aegis.NewBlock(data))
		must(t, err)
		want[id] = data
	}
	must(t, from.Put(ctx, []byte("a key"), []byte("is no block")))
	must(t, from.View(ctx, func(tx *aegis.Tx) error {
		before := aegis.BlockID(0)
		for id, stored := range tx.StoredBlocks() {
			if id <= before {
				t.Errorf("block %d comes after %d", id, before)
			}
			before = id
			must(t, to.Update(ctx, func(tx *aegis.Tx) error { return tx.CopyBlock(id, stored) }))
			b, err := to.ReadBlock(ctx, id)
			must(t, err)
			if data, ok := want[id]; !ok || !bytes.Equal(b.Data(), data) {
				t.Errorf("block %d has %q, want %q", id, b.Data(), data)
			}
			delete(want, id)
		}
		return tx.Err()
	}))
	if len(want) > 0 {
		t.Errorf("%d blocks did not come", len(want))
	}
}

package aegis_test

import (
	"errors"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// TestCopyBlock: only whole blocks under ids that a store gives out are copied, and ids that come
// after are others, also when the copy came to nothing.
func TestCopyBlock(t *testing.T) {
	mem := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: mem})
	must(t, err)
	first, err := db.WriteBlock(ctx, aegis.NewBlock([]byte("data")))
	must(t, err)
	var stored []byte
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		for _, v := range tx.StoredBlocks() {
			stored = v
		}
		return tx.Err()
	}))
	const epoch = 1 << 32
	copied := first + 3*epoch // an id of an open to come
	giveUp := errors.New("give up")
	if err := db.Update(ctx, func(tx *aegis.Tx) error {
		must(t, tx.CopyBlock(first+5*epoch, stored))
		return giveUp
	}); !errors.Is(err, giveUp) {
		t.Fatal(err)
	}
	var bad *aegis.CorruptionError
	must(t, db.Update(ctx, func(tx *aegis.Tx) error {
		if err := tx.CopyBlock(copied, stored[:len(stored)-1]); !errors.As(err, &bad) {
			t.Errorf("of a part: %v", err)
		}
		if err := tx.CopyBlock(1<<63, stored); !errors.As(err, &bad) {
			t.Errorf("under an id of no store: %v", err)
		}
		return tx.CopyBlock(copied, stored)
	}))
	seen := map[aegis.BlockID]bool{first: true, copied: true}
	for range 8 {
		id, err := db.WriteBlock(ctx, aegis.NewBlock([]byte("new")))
		must(t, err)
		if seen[id] {
			t.Fatalf("block %d was given out twice", id)
		}
		seen[id] = true
		must(t, db.Close())
		db, err = aegis.Open("", &aegis.Options{Backend: mem})
		must(t, err)
	}
	b, err := db.ReadBlock(ctx, copied)
	must(t, err)
	if string(b.Data()) != "data" {
		t.Errorf("the copy is %q", b.Data())
	}
	must(t, db.Close())
}

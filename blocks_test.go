package aegis_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

var codecs = []struct {
	name  string
	c     aegis.Compression
	level int
}{
	{"none", aegis.NoCompression, 0}, {"lz4", aegis.LZ4, 0}, {"default", aegis.DefaultCompression, 0},
	{"zstd", aegis.Zstd, 0}, {"zstd 1", aegis.Zstd, 1}, {"zstd 4", aegis.Zstd, 4},
}

func TestBlockCodecs(t *testing.T) {
	text := bytes.Repeat([]byte("all that is written compresses well. "), 400)
	for _, c := range codecs {
		each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
			db := open(aegis.Options{})
			ids := map[aegis.BlockID][]byte{}
			for _, data := range [][]byte{nil, {}, {7}, text, noise(3000, 1), noise(200_000, 2), bytes.Repeat(text, 20)} {
				block := aegis.NewBlock(data).WithCompression(c.c).WithLevel(c.level)
				if block.StoredSize() != 0 || block.Size() != len(data) {
					t.Errorf("%s: before: sizes %d and %d", c.name, block.Size(), block.StoredSize())
				}
				id, err := db.WriteBlock(ctx, block)
				must(t, err)
				shrinks := c.c != aegis.NoCompression && len(data) >= len(text) && bytes.HasPrefix(data, text)
				if got := block.StoredSize(); (got < len(data)) != shrinks || got > len(data) || got == 0 != (len(data) == 0) {
					t.Errorf("%s: %d bytes are stored as %d", c.name, len(data), got)
				}
				if !shrinks && block.Compression() != aegis.NoCompression {
					t.Errorf("%s: %d bytes that did not shrink are stored as %s", c.name, len(data), block.Compression())
				}
				ids[id] = data
			}
			for range 2 {
				checkBlocks(t, db, ids)
				must(t, db.Compact(ctx, nil))
				checkBlocks(t, db, ids)
				must(t, db.Verify(ctx, nil))
				must(t, db.Close())
				db = open(aegis.Options{})
			}
		})
	}
}

func checkBlocks(t *testing.T, db *aegis.DB, ids map[aegis.BlockID][]byte) {
	t.Helper()
	for id, want := range ids {
		block, err := db.ReadBlock(ctx, id)
		must(t, err)
		if !bytes.Equal(block.Data(), want) || block.Size() != len(want) || block.StoredSize() > len(want) {
			t.Errorf("block %d of %d bytes reads as %d, stored as %d", id, len(want), block.Size(), block.StoredSize())
		}
	}
}

// TestBlockWrittenTwice: what the first write found out about the data does not change what is
// asked for; Update writes again after a conflict.
func TestBlockWrittenTwice(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	for _, c := range codecs {
		block := aegis.NewBlock(noise(1000, 3)).WithCompression(c.c).WithLevel(c.level)
		first, err := db.WriteBlock(ctx, block)
		must(t, err)
		second, err := db.WriteBlock(ctx, block)
		if err != nil {
			t.Errorf("%s: second write: %v", c.name, err)
		} else if first == second {
			t.Errorf("%s: both blocks are %d", c.name, first)
		}
	}
}

func TestBlockOptions(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	for _, block := range []*aegis.Block{
		aegis.NewBlock(nil).WithCompression(9), aegis.NewBlock(nil).WithLevel(2),
		aegis.NewBlock(nil).WithCompression(aegis.Zstd).WithLevel(5), aegis.NewBlock(nil).WithCompression(aegis.Zstd).WithLevel(-1),
	} {
		if id, err := db.WriteBlock(ctx, block); err == nil {
			t.Errorf("block %d was written with compression %s", id, block.Compression())
		}
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			if id, err := tx.WriteBlock(block); err == nil {
				t.Errorf("block %d was written with compression %s", id, block.Compression())
			}
			return nil
		}))
	}
}

// TestBlockIDs: never the same twice, over reopens, rollbacks and deletes.
func TestBlockIDs(t *testing.T) {
	each(t, func(t *testing.T, open func(aegis.Options) *aegis.DB) {
		seen := map[aegis.BlockID]bool{}
		take := func(id aegis.BlockID, err error) aegis.BlockID {
			t.Helper()
			must(t, err)
			if seen[id] {
				t.Errorf("id %d came twice", id)
			}
			seen[id] = true
			return id
		}
		for i := range 4 {
			db := open(aegis.Options{DisableWAL: i%2 == 1})
			kept := take(db.WriteBlock(ctx, aegis.NewBlock([]byte("kept"))))
			gone := take(db.WriteBlock(ctx, aegis.NewBlock([]byte("deleted"))))
			must(t, db.DeleteBlock(ctx, gone))
			tx, err := db.Begin(ctx, aegis.TxOptions{})
			must(t, err)
			undone := take(tx.WriteBlock(aegis.NewBlock([]byte("rolled back"))))
			if block, err := tx.ReadBlock(undone); err != nil || string(block.Data()) != "rolled back" {
				t.Errorf("its own block: %v", err)
			}
			must(t, tx.Rollback())
			for _, id := range []aegis.BlockID{gone, undone, 0} {
				_, err := db.ReadBlock(ctx, id)
				wantErr(t, "read", err, aegis.ErrNotFound)
				wantErr(t, "delete", db.DeleteBlock(ctx, id), aegis.ErrNotFound)
			}
			checkBlocks(t, db, map[aegis.BlockID][]byte{kept: []byte("kept")})
			must(t, db.Close())
		}
	})
}

// TestBlocksInTransactions: blocks and keys commit together, and conflict like keys.
func TestBlocksInTransactions(t *testing.T) {
	db := open(t, "", aegis.Options{Backend: backends.NewMemory()})
	id, err := db.WriteBlock(ctx, aegis.NewBlock([]byte("one")))
	must(t, err)
	first, err := db.Begin(ctx, aegis.TxOptions{})
	must(t, err)
	second, err := db.Begin(ctx, aegis.TxOptions{Isolation: aegis.Snapshot})
	must(t, err)
	reader, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	must(t, err)
	for _, tx := range []*aegis.Tx{first, second} {
		must(t, tx.DeleteBlock(id))
		_, err := tx.ReadBlock(id)
		wantErr(t, "deleted here", err, aegis.ErrNotFound)
		wantErr(t, "deleted twice", tx.DeleteBlock(id), aegis.ErrNotFound)
	}
	must(t, first.Commit())
	wantErr(t, "the second delete", second.Commit(), aegis.ErrConflict)
	must(t, db.Compact(ctx, nil))
	if block, err := reader.ReadBlock(id); err != nil || string(block.Data()) != "one" {
		t.Errorf("an older reader: %v", err)
	}
	must(t, reader.Rollback())
	must(t, db.View(ctx, func(tx *aegis.Tx) error {
		if n := drain(tx.Range(nil, nil)); n != 0 {
			return fmt.Errorf("%d blocks are seen in the default keyspace", n)
		}
		list, err := tx.Keyspaces()
		if len(list) > 0 {
			return fmt.Errorf("keyspaces %v", list)
		}
		return err
	}))
}

// TestBlockDamage: no flipped byte of a table gives wrong data, an absence or a panic.
func TestBlockDamage(t *testing.T) {
	backend := backends.NewMemory()
	db := open(t, "", aegis.Options{Backend: backend})
	id, err := db.WriteBlock(ctx, aegis.NewBlock(noise(20_000, 4)))
	must(t, err)
	must(t, db.Close())
	flipped := 0
	for off := int64(0); ; off += 997 {
		if !flipTableByte(t, backend, off) {
			break
		}
		flipped++
		o := aegis.Options{Backend: backend}
		db, err := aegis.Open("", &o)
		if err == nil {
			var block *aegis.Block
			block, err = db.ReadBlock(ctx, id)
			if err == nil && !bytes.Equal(block.Data(), noise(20_000, 4)) {
				t.Fatalf("offset %d: wrong data", off)
			}
			if verify := db.Verify(ctx, nil); verify == nil {
				t.Errorf("offset %d: Verify found nothing", off)
			}
			_ = db.Close()
		}
		var damage *aegis.CorruptionError
		if err != nil && !errors.As(err, &damage) {
			t.Fatalf("offset %d: %v", off, err)
		}
		flipTableByte(t, backend, off)
	}
	if flipped < 15 {
		t.Errorf("only %d bytes were tried", flipped)
	}
}

// flipTableByte turns the byte at off of the only table, or answers false beyond its end.
func flipTableByte(t *testing.T, b backends.Backend, off int64) bool {
	t.Helper()
	files, err := b.List()
	must(t, err)
	for _, info := range files {
		if !bytes.HasPrefix([]byte(info.Name), []byte("table-")) {
			continue
		}
		if off >= info.Size {
			return false
		}
		f, err := b.Open(info.Name)
		must(t, err)
		var p [1]byte
		_, err = f.ReadAt(p[:], off)
		must(t, err)
		p[0] ^= 0x40
		_, err = f.WriteAt(p[:], off)
		must(t, err)
		must(t, f.Close())
		return true
	}
	t.Fatal("no table")
	return false
}

package aegis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// check ends an example that went wrong.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// inMemory opens a store that lives in memory.
func inMemory() *aegis.DB {
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	check(err)
	return db
}

func Example() {
	dir, err := os.MkdirTemp("", "aegis")
	check(err)
	defer os.RemoveAll(dir)

	db, err := aegis.Open(dir, nil)
	check(err)
	defer db.Close()

	ctx := context.Background()
	err = db.Update(ctx, func(tx *aegis.Tx) error {
		return errors.Join(
			tx.Put([]byte("apple"), []byte("red")),
			tx.Put([]byte("banana"), []byte("yellow")),
			tx.Put([]byte("pear"), []byte("green")),
		)
	})
	check(err)

	err = db.View(ctx, func(tx *aegis.Tx) error {
		for fruit, color := range tx.Range([]byte("b"), nil) {
			fmt.Printf("%s is %s\n", fruit, color)
		}
		return nil
	})
	check(err)
	// Output:
	// banana is yellow
	// pear is green
}

// A store whose files are somewhere else than in a local directory.
func ExampleOpen_backend() {
	files := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{Backend: files})
	check(err)
	check(db.Put(ctx, []byte("k"), []byte("v")))
	check(db.Close())

	db, err = aegis.Open("", &aegis.Options{Backend: files, ReadOnly: true})
	check(err)
	defer db.Close()
	v, err := db.Get(ctx, []byte("k"))
	fmt.Printf("%s %v\n", v, err)
	fmt.Println(db.Put(ctx, []byte("k"), nil))
	// Output:
	// v <nil>
	// aegis: read-only
}

func ExampleOpen_progress() {
	files := backends.NewMemory()
	db, err := aegis.Open("", &aegis.Options{
		Backend:  files,
		Observer: &aegis.Observer{Progress: func(p aegis.Progress) { fmt.Println(p.Stage) }},
	})
	check(err)
	check(db.Put(ctx, []byte("k"), []byte("v")))
	fmt.Println("closing")
	check(db.Close())
	// Output:
	// closing
	// checkpoint
}

func ExampleDB_Get() {
	db := inMemory()
	defer db.Close()
	check(db.Put(ctx, []byte("empty"), nil))

	v, err := db.Get(ctx, []byte("empty"))
	fmt.Println(len(v), err)
	_, err = db.Get(ctx, []byte("missing"))
	fmt.Println(errors.Is(err, aegis.ErrNotFound))
	// Output:
	// 0 <nil>
	// true
}

func ExampleDB_Delete() {
	db := inMemory()
	defer db.Close()
	check(db.Put(ctx, []byte("k"), []byte("v")))
	check(db.Delete(ctx, []byte("k")))
	check(db.Delete(ctx, []byte("k"))) // what is not there can be deleted
	_, err := db.Get(ctx, []byte("k"))
	fmt.Println(err)
	// Output: aegis: not found
}

// Update runs its function again when another transaction won, so the function reads whatever
// it needs each time.
func ExampleDB_Update() {
	db := inMemory()
	defer db.Close()
	visits := []byte("visits")
	for range 3 {
		err := db.Update(ctx, func(tx *aegis.Tx) error {
			n, err := tx.Get(visits)
			if err != nil && !errors.Is(err, aegis.ErrNotFound) {
				return err
			}
			return tx.Put(visits, append(bytes.Clone(n), 'I'))
		})
		check(err)
	}
	n, err := db.Get(ctx, visits)
	fmt.Printf("%s %v\n", n, err)
	// Output: III <nil>
}

func ExampleDB_UpdateWith() {
	db := inMemory()
	defer db.Close()
	err := db.UpdateWith(ctx, aegis.TxOptions{Isolation: aegis.Snapshot, Durability: aegis.WithDurability(aegis.NoSync)},
		func(tx *aegis.Tx) error { return tx.Put([]byte("cheap"), []byte("write")) })
	check(err)
	check(db.Sync(ctx)) // all that was committed so far is durable from here on
	v, err := db.Get(ctx, []byte("cheap"))
	fmt.Printf("%s %v\n", v, err)
	// Output: write <nil>
}

// A reader sees one moment, however long it takes, and holds nobody up.
func ExampleDB_View() {
	db := inMemory()
	defer db.Close()
	check(db.Put(ctx, []byte("k"), []byte("before")))
	err := db.View(ctx, func(tx *aegis.Tx) error {
		check(db.Put(ctx, []byte("k"), []byte("after")))
		v, err := tx.Get([]byte("k"))
		fmt.Printf("%s\n", v)
		return err
	})
	check(err)
	v, err := db.Get(ctx, []byte("k"))
	fmt.Printf("%s %v\n", v, err)
	// Output:
	// before
	// after <nil>
}

func ExampleDB_Begin() {
	db := inMemory()
	defer db.Close()

	tx, err := db.Begin(ctx, aegis.TxOptions{})
	check(err)
	defer tx.Rollback() // does nothing after Commit

	check(tx.Put([]byte("k"), []byte("v")))
	v, err := tx.Get([]byte("k"))
	fmt.Printf("in the transaction: %s %v\n", v, err)
	_, err = db.Get(ctx, []byte("k"))
	fmt.Println("outside:", err)
	check(tx.Commit())
	v, err = db.Get(ctx, []byte("k"))
	fmt.Printf("after it: %s %v\n", v, err)
	// Output:
	// in the transaction: v <nil>
	// outside: aegis: not found
	// after it: v <nil>
}

// The first of two transactions that depend on each other wins.
func ExampleErrConflict() {
	db := inMemory()
	defer db.Close()
	var txs []*aegis.Tx
	for range 2 {
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		check(err)
		_, err = tx.Get([]byte("seat"))
		fmt.Println(err)
		check(tx.Put([]byte("seat"), []byte("taken")))
		txs = append(txs, tx)
	}
	for _, tx := range txs {
		fmt.Println(errors.Is(tx.Commit(), aegis.ErrConflict))
	}
	// Output:
	// aegis: not found
	// aegis: not found
	// false
	// true
}

// CommitAsync keeps many commits of one goroutine under way: they share their syncs.
func ExampleTx_CommitAsync() {
	db := inMemory()
	defer db.Close()
	var pending []*aegis.Pending
	for i := range 3 {
		tx, err := db.Begin(ctx, aegis.TxOptions{})
		check(err)
		check(tx.Put(fmt.Append(nil, i), []byte("v")))
		p, err := tx.CommitAsync()
		check(err)
		pending = append(pending, p)
	}
	for _, p := range pending {
		fmt.Println(p.Wait(ctx))
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

// Deleting while a loop runs is safe: it sees the state at its beginning.
func ExampleTx_Prefix() {
	db := inMemory()
	defer db.Close()
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		for _, k := range []string{"log/1", "log/2", "log/3", "user/1"} {
			check(tx.Put([]byte(k), nil))
		}
		for k := range tx.Prefix([]byte("log/")) {
			fmt.Printf("delete %s\n", k)
			check(tx.Delete(k))
		}
		for k := range tx.Range(nil, nil) {
			fmt.Printf("left: %s\n", k)
		}
		return nil
	})
	check(err)
	// Output:
	// delete log/1
	// delete log/2
	// delete log/3
	// left: user/1
}

// The newest three of many entries.
func ExampleTx_RangeBackward() {
	db := inMemory()
	defer db.Close()
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		for i := range 100 {
			check(tx.Put(fmt.Appendf(nil, "%03d", i), nil))
		}
		n := 0
		for k := range tx.RangeBackward(nil, nil) {
			if n++; n > 3 {
				break
			}
			fmt.Printf("%s\n", k)
		}
		return nil
	})
	check(err)
	// Output:
	// 099
	// 098
	// 097
}

// A loop that cannot go on ends early. The transaction keeps why, and Commit, Update and View
// return it.
func ExampleTx_Err() {
	db := inMemory()
	defer db.Close()
	check(db.Put(ctx, []byte("k"), []byte("v")))
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	check(err)
	check(db.Close())
	for k := range tx.Range(nil, nil) {
		fmt.Printf("%s\n", k)
	}
	fmt.Println(tx.Err())
	// Output: aegis: store is closed
}

func ExampleTx_CreateKeyspace() {
	db := inMemory()
	defer db.Close()
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		users, err := tx.CreateKeyspace("users", aegis.KeyspaceOptions{})
		check(err)
		archive, err := tx.CreateKeyspace("archive", aegis.KeyspaceOptions{Compression: aegis.Zstd, CompressionLevel: 3})
		check(err)
		return errors.Join(users.Put([]byte("1"), []byte("Ada")), archive.Put([]byte("1"), []byte("old")))
	})
	check(err)
	err = db.View(ctx, func(tx *aegis.Tx) error {
		list, err := tx.Keyspaces()
		for _, k := range list {
			fmt.Println(k.Name, k.Compression)
		}
		users, err := tx.Keyspace("users")
		check(err)
		for k, v := range users.Range(nil, nil) {
			fmt.Printf("%s: %s=%s\n", users.Name(), k, v)
		}
		return err
	})
	check(err)
	// Output:
	// archive zstd
	// users lz4
	// users: 1=Ada
}

func ExampleTx_DropKeyspace() {
	db := inMemory()
	defer db.Close()
	check(db.Update(ctx, func(tx *aegis.Tx) error {
		k, err := tx.CreateKeyspace("cache", aegis.KeyspaceOptions{})
		check(err)
		return k.Put([]byte("k"), []byte("v"))
	}))
	check(db.Update(ctx, func(tx *aegis.Tx) error { return tx.DropKeyspace("cache") }))
	err := db.View(ctx, func(tx *aegis.Tx) error {
		_, err := tx.Keyspace("cache")
		return err
	})
	fmt.Println(err)
	// Output: keyspace "cache": aegis: not found
}

func ExampleDB_WriteBlock() {
	db := inMemory()
	defer db.Close()
	page := bytes.Repeat([]byte("<p>all work and no play</p>\n"), 100)
	block := aegis.NewBlock(page).WithCompression(aegis.Zstd).WithLevel(2)
	id, err := db.WriteBlock(ctx, block)
	check(err)
	fmt.Println(block.Size(), block.StoredSize() < 200, block.Compression())

	read, err := db.ReadBlock(ctx, id)
	check(err)
	fmt.Println(bytes.Equal(read.Data(), page))

	check(db.DeleteBlock(ctx, id))
	_, err = db.ReadBlock(ctx, id)
	fmt.Println(errors.Is(err, aegis.ErrNotFound))
	// Output:
	// 2800 true zstd
	// true
	// true
}

// Blocks and the keys that name them are committed together.
func ExampleTx_WriteBlock() {
	db := inMemory()
	defer db.Close()
	check(db.Update(ctx, func(tx *aegis.Tx) error {
		id, err := tx.WriteBlock(aegis.NewBlock([]byte("the picture")))
		check(err)
		return tx.Put([]byte("picture of Ada"), fmt.Append(nil, id))
	}))
	check(db.View(ctx, func(tx *aegis.Tx) error {
		v, err := tx.Get([]byte("picture of Ada"))
		check(err)
		var id aegis.BlockID
		_, err = fmt.Sscan(string(v), &id)
		check(err)
		b, err := tx.ReadBlock(id)
		check(err)
		fmt.Printf("%s\n", b.Data())
		return nil
	}))
	// Output: the picture
}

func ExampleDB_BulkLoad() {
	db := inMemory()
	defer db.Close()
	capitals := map[string]string{"France": "Paris", "Japan": "Tokyo", "Chad": "N'Djamena"}
	r, err := db.BulkLoad(ctx, "capitals", aegis.KeyspaceOptions{}, func(yield func(k, v []byte) bool) {
		for _, country := range slices.Sorted(maps.Keys(capitals)) {
			if !yield([]byte(country), []byte(capitals[country])) {
				return
			}
		}
	})
	check(err)
	fmt.Println(r.Entries, r.RawBytes, r.Tables)
	// Output: 3 34 1
}

func ExampleDB_Compact() {
	db := inMemory()
	defer db.Close()
	for i := range 1000 {
		check(db.Put(ctx, []byte("the same key"), fmt.Append(nil, i)))
	}
	check(db.Compact(ctx, nil))
	s, err := db.Stats(ctx)
	check(err)
	fmt.Println(s.Tables.Entries, s.Tables.Tombstones, s.Tables.Settled)
	// Output: 1 0 true
}

func ExampleDB_Verify() {
	db := inMemory()
	defer db.Close()
	check(db.Put(ctx, []byte("k"), []byte("v")))
	check(db.Checkpoint(ctx))
	err := db.Verify(ctx, nil)
	var damage *aegis.CorruptionError
	if errors.As(err, &damage) {
		fmt.Println("damaged:", damage.File, damage.Offset, damage.What)
	}
	fmt.Println(err)
	// Output: <nil>
}

func ExampleDB_Stats() {
	db := inMemory()
	defer db.Close()
	for i := range 10 {
		check(db.Put(ctx, fmt.Append(nil, i), nil))
	}
	tx, err := db.Begin(ctx, aegis.TxOptions{ReadOnly: true})
	check(err)
	defer tx.Rollback()
	s, err := db.Stats(ctx)
	check(err)
	fmt.Println(s.Commits.Commits, s.Commits.Conflicts, len(s.Snapshots), s.Err)
	// Output: 10 0 1 <nil>
}

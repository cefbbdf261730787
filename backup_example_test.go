package aegis_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/backends"
)

// A full backup and an incremental one, restored together. Streams are files or connections in
// practice, and the stores directories.
func ExampleDB_Backup() {
	ctx := context.Background()
	db, err := aegis.Open("", &aegis.Options{Backend: backends.NewMemory()})
	check(err)
	defer db.Close()
	var full, next bytes.Buffer
	check(db.Put(ctx, []byte("monday"), []byte("1")))
	info, err := db.Backup(ctx, &full, nil)
	check(err)
	check(db.Put(ctx, []byte("tuesday"), []byte("2")))
	_, err = db.Backup(ctx, &next, info)
	check(err)

	target := backends.NewMemory()
	restored, err := aegis.Restore(ctx, "", &aegis.RestoreOptions{Backend: target}, &full, &next)
	check(err)
	fmt.Println("restored up to commit", restored.Seq)
	again, err := aegis.Open("", &aegis.Options{Backend: target})
	check(err)
	defer again.Close()
	value, err := again.Get(ctx, []byte("tuesday"))
	fmt.Printf("%s %v\n", value, err)
	// Output:
	// restored up to commit 2
	// 2 <nil>
}

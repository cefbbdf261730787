// Debpackages loads Debian's package index, as apt keeps it in its lists, twice: in the order of
// the keys as a bulk load, straight into tables, and out of order in ordinary transactions. It
// compares the two keyspaces entry by entry and looks a package up in both.
//
//	apt-get update
//	go run ./examples/debpackages
//	go run ./examples/debpackages -package golang-go FILE...
//
// Files may be plain, or compressed with gzip, LZ4 or Zstandard.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aegis-storage/aegis"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("debpackages: ")
	name := flag.String("package", "bash", "package to look up")
	flag.Parse()
	if err := run(context.Background(), flag.Args(), *name); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, files []string, name string) (err error) {
	if len(files) == 0 {
		files, _ = filepath.Glob("/var/lib/apt/lists/*_Packages*")
	}
	if len(files) == 0 {
		return errors.New("no package lists in /var/lib/apt/lists: run apt-get update, or name files")
	}
	packages, err := read(files)
	if err != nil {
		return err
	}
	fmt.Printf("read      %d packages from %d lists\n", len(packages), len(files))
	dir, err := os.MkdirTemp("", "debpackages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := aegis.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := inOrder(ctx, db, packages); err != nil {
		return err
	}
	if err := outOfOrder(ctx, db, packages); err != nil {
		return err
	}
	return compare(ctx, db, name, len(packages))
}

// inOrder is a bulk load: sorted input for a new keyspace.
func inOrder(ctx context.Context, db *aegis.DB, packages map[string]string) error {
	start := time.Now()
	result, err := db.BulkLoad(ctx, "ordered", aegis.KeyspaceOptions{Compression: aegis.Zstd}, sorted(packages))
	if err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Printf("in order  %d entries, %.1f MiB into %.1f MiB (%.2fx, zstd) in %.2fs: %.0f entries/s\n", result.Entries,
		mib(result.RawBytes), mib(result.StoredBytes), float64(result.RawBytes)/float64(result.StoredBytes),
		took.Seconds(), float64(result.Entries)/took.Seconds())
	return nil
}

func sorted(packages map[string]string) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(packages)) {
			if !yield([]byte(k), []byte(packages[k])) {
				return
			}
		}
	}
}

// outOfOrder puts the packages in the random order of a Go map, a thousand to a transaction.
func outOfOrder(ctx context.Context, db *aegis.DB, packages map[string]string) error {
	const perTransaction = 1000
	start, bytes := time.Now(), int64(0)
	err := db.Update(ctx, func(tx *aegis.Tx) error {
		_, err := tx.CreateKeyspace("shuffled", aegis.KeyspaceOptions{})
		return err
	})
	if err != nil {
		return err
	}
	for keys := range slices.Chunk(slices.Collect(maps.Keys(packages)), perTransaction) {
		err := db.Update(ctx, func(tx *aegis.Tx) error {
			ks, err := tx.Keyspace("shuffled")
			if err != nil {
				return err
			}
			for _, k := range keys {
				if err := ks.Put([]byte(k), []byte(packages[k])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, k := range keys {
			bytes += int64(len(k) + len(packages[k]))
		}
	}
	took := time.Since(start)
	fmt.Printf("shuffled  %d entries, %.1f MiB in %.2fs: %.0f entries/s, each transaction durable\n",
		len(packages), mib(bytes), took.Seconds(), float64(len(packages))/took.Seconds())
	return nil
}

// compare walks both keyspaces in one snapshot: they must be equal.
func compare(ctx context.Context, db *aegis.DB, name string, want int) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		ordered, err := tx.Keyspace("ordered")
		if err != nil {
			return err
		}
		shuffled, err := tx.Keyspace("shuffled")
		if err != nil {
			return err
		}
		start, n := time.Now(), 0
		next, stop := iter.Pull2(shuffled.Range(nil, nil))
		defer stop()
		for k, v := range ordered.Range(nil, nil) {
			k2, v2, ok := next()
			if !ok || string(k) != string(k2) || string(v) != string(v2) {
				return fmt.Errorf("the keyspaces differ at %q and %q", k, k2)
			}
			n++
		}
		if _, _, more := next(); more || n != want {
			return fmt.Errorf("%d entries are equal, of %d", n, want)
		}
		fmt.Printf("compared  %d entries of both keyspaces in %.2fs: equal\n", n, time.Since(start).Seconds())
		for k, v := range ordered.Prefix([]byte(name + "/")) {
			fmt.Printf("found     %s, %d bytes\n", k, len(v))
		}
		return tx.Err()
	})
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

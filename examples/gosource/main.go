// Gosource stores the source tree of the Go standard library in an aegis store with the default,
// durable options: path → content in one keyspace, and symbol → files in another. Then it
// closes the store, opens it again, compares every byte with the files on disk, and answers a
// prefix scan and a symbol lookup.
//
//	go run ./examples/gosource
//	go run ./examples/gosource -dir /tmp/gosource -compression zstd
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aegis-storage/aegis"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gosource: ")
	dir := flag.String("dir", "", "directory of the store; must be empty or missing (default: a temporary one that is removed)")
	compression := flag.String("compression", "lz4", "lz4, zstd or none")
	source := flag.String("source", "", "source tree to store (default: $(go env GOROOT)/src)")
	symbol := flag.String("symbol", "ListenAndServe", "symbol to look up")
	flag.Parse()
	if err := run(context.Background(), *dir, *compression, *source, *symbol); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, compression, source, symbol string) error {
	if dir == "" {
		temp, err := os.MkdirTemp("", "gosource-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = filepath.Join(temp, "store")
	}
	if source == "" {
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return fmt.Errorf("go env GOROOT: %w", err)
		}
		source = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	options := &aegis.Options{}
	switch compression {
	case "lz4":
	case "zstd":
		options.Compression = aegis.Zstd
	case "none":
		options.Compression = aegis.NoCompression
	default:
		return fmt.Errorf("-compression %q, allowed are lz4, zstd and none", compression)
	}
	if err := fill(ctx, dir, source, options); err != nil {
		return err
	}
	return check(ctx, dir, source, options, symbol)
}

// fill makes the store and closes it.
func fill(ctx context.Context, dir, source string, options *aegis.Options) (err error) {
	db, err := aegis.Open(dir, options)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	err = db.Update(ctx, func(tx *aegis.Tx) error {
		if _, err := tx.CreateKeyspace("files", aegis.KeyspaceOptions{}); err != nil {
			return err
		}
		_, err := tx.CreateKeyspace("symbols", aegis.KeyspaceOptions{})
		return err
	})
	if err != nil {
		return err
	}
	l := loader{ctx: ctx, db: db, source: source, start: time.Now()}
	if err := l.load(); err != nil {
		return err
	}
	took := time.Since(l.start)
	fmt.Printf("stored    %d files and %d symbol entries, %s, in %d durable transactions, %.1fs (%s/s, %.0f entries/s)\n",
		l.files, l.symbols, size(l.bytes), l.transactions, took.Seconds(),
		size(int64(float64(l.bytes)/took.Seconds())), float64(l.files+l.symbols)/took.Seconds())
	return nil
}

// check opens the store again and reads it in every way.
func check(ctx context.Context, dir, source string, options *aegis.Options, symbol string) error {
	start := time.Now()
	db, err := aegis.Open(dir, options)
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Printf("reopened  in %s\n", time.Since(start).Round(10*time.Microsecond))
	if err := compare(ctx, db, source); err != nil {
		return err
	}
	if err := query(ctx, db, symbol); err != nil {
		return err
	}
	if err := db.Verify(ctx, nil); err != nil {
		return err
	}
	s, err := db.Stats(ctx)
	if err != nil {
		return err
	}
	t := s.Tables
	fmt.Printf("on disk   %s in %d tables for %s of keys and values (%.2fx), runs per tier %v, checkpoint %d, verified\n",
		size(t.Bytes), t.Tables, size(t.RawBytes), t.CompressionRatio, t.RunsPerTier, t.CheckpointNumber)
	return nil
}

// compare walks the store and the files side by side: same paths, same bytes, none missing.
func compare(ctx context.Context, db *aegis.DB, source string) error {
	start := time.Now()
	files, bytes := 0, int64(0)
	err := db.View(ctx, func(tx *aegis.Tx) error {
		ks, err := tx.Keyspace("files")
		if err != nil {
			return err
		}
		for path, content := range ks.Range(nil, nil) {
			onDisk, err := os.ReadFile(filepath.Join(source, string(path)))
			if err != nil {
				return err
			}
			if string(onDisk) != string(content) {
				return fmt.Errorf("%s: the stored content differs from the file", path)
			}
			files++
			bytes += int64(len(content))
		}
		return tx.Err()
	})
	if err != nil {
		return err
	}
	want := 0
	if err := walk(source, func(string) error { want++; return nil }); err != nil {
		return err
	}
	if files != want {
		return fmt.Errorf("%d files in the store, %d on disk", files, want)
	}
	took := time.Since(start)
	fmt.Printf("compared  %d files, %s, every byte equal, in %.1fs\n", files, size(bytes), took.Seconds())
	return nil
}

// query answers a prefix scan and a symbol lookup.
func query(ctx context.Context, db *aegis.DB, symbol string) error {
	return db.View(ctx, func(tx *aegis.Tx) error {
		files, err := tx.Keyspace("files")
		if err != nil {
			return err
		}
		start, n := time.Now(), 0
		for range files.Prefix([]byte("net/http/")) {
			n++
		}
		fmt.Printf("scanned   net/http/: %d files in %s\n", n, time.Since(start).Round(time.Microsecond))
		symbols, err := tx.Keyspace("symbols")
		if err != nil {
			return err
		}
		start = time.Now()
		var found []string
		prefix := symbol + "\x00"
		for k := range symbols.Prefix([]byte(prefix)) {
			found = append(found, string(k[len(prefix):]))
		}
		fmt.Printf("looked up %s: %s in %s\n", symbol, strings.Join(found, ", "), time.Since(start).Round(time.Microsecond))
		return tx.Err()
	})
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

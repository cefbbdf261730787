package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aegis-storage/aegis"
)

// filesPerTransaction is how many files, with their symbols, one durable transaction stores.
const filesPerTransaction = 100

// loader stores a source tree and shows how far it is.
type loader struct {
	ctx    context.Context
	db     *aegis.DB
	source string
	start  time.Time

	files, symbols, transactions int
	bytes                        int64
	shown                        time.Time
}

func (l *loader) load() error {
	var paths []string
	if err := walk(l.source, func(path string) error { paths = append(paths, path); return nil }); err != nil {
		return err
	}
	for len(paths) > 0 {
		n := min(filesPerTransaction, len(paths))
		if err := l.store(paths[:n]); err != nil {
			return err
		}
		paths = paths[n:]
		if time.Since(l.shown) > time.Second || len(paths) == 0 {
			l.shown = time.Now()
			fmt.Printf("storing   %d files, %d symbol entries, %s, %d files to go\n", l.files, l.symbols, size(l.bytes), len(paths))
		}
	}
	return nil
}

// store puts files and their symbols into the store in one transaction.
func (l *loader) store(paths []string) error {
	contents := make([][]byte, len(paths))
	for i, p := range paths {
		content, err := os.ReadFile(filepath.Join(l.source, p))
		if err != nil {
			return err
		}
		contents[i] = content
	}
	var symbols int
	var bytes int64
	err := l.db.Update(l.ctx, func(tx *aegis.Tx) error {
		symbols, bytes = 0, 0 // Update may run this again
		files, err := tx.Keyspace("files")
		if err != nil {
			return err
		}
		index, err := tx.Keyspace("symbols")
		if err != nil {
			return err
		}
		for i, p := range paths {
			if err := files.Put([]byte(p), contents[i]); err != nil {
				return err
			}
			bytes += int64(len(p) + len(contents[i]))
			for _, s := range symbolsOf(p, contents[i]) {
				key := s + "\x00" + p
				if err := index.Put([]byte(key), nil); err != nil {
					return err
				}
				symbols++
				bytes += int64(len(key))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.files += len(paths)
	l.symbols += symbols
	l.bytes += bytes
	l.transactions++
	return nil
}

// symbolsOf returns the names that a Go file declares at its top level. Files that do not
// parse (the tree has some on purpose) have none.
func symbolsOf(path string, content []byte) []string {
	if !strings.HasSuffix(path, ".go") {
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, content, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// walk calls f with the path of every regular file below root, relative to it, in order.
func walk(root string, f func(path string) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(relative))
	})
}

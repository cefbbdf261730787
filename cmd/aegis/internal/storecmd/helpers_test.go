package storecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

var ctx = context.Background()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// said is what a command line came to.
type said struct {
	out, err string
	code     int
}

// run runs a command line, whose words are split at spaces unless there are several.
func run(t *testing.T, words ...string) said {
	t.Helper()
	return runWith(t, ctx, "", false, words...)
}

func runWith(t *testing.T, ctx context.Context, in string, terminal bool, words ...string) said {
	t.Helper()
	if len(words) == 1 {
		words = strings.Fields(words[0])
	}
	var out, err bytes.Buffer
	a := &cli.App{In: strings.NewReader(in), Out: cli.NewSink(&out), Err: cli.NewSink(&err), Terminal: terminal}
	code := a.Main(ctx, &cli.Command{Name: "aegis", Short: "aegis", Subs: Commands()}, words)
	return said{out.String(), err.String(), code}
}

// want checks the exit code, and that each text is in what was printed, errors included.
func (s said) want(t *testing.T, code int, texts ...string) said {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(s.out+s.err, text) {
			t.Errorf("%q was not printed", text)
		}
	}
	if s.code != code || t.Failed() {
		t.Fatalf("exit code %d, want %d\noutput:\n%s\nerrors:\n%s", s.code, code, s.out, s.err)
	}
	return s
}

// is checks the whole output of a command that ends well.
func (s said) is(t *testing.T, out string) {
	t.Helper()
	if s.code != cli.ExitClean || s.out != out {
		t.Errorf("exit code %d\noutput:\n%s\nwant:\n%s\nerrors:\n%s", s.code, s.out, out, s.err)
	}
}

// object parses an output that is one JSON document.
func (s said) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(s.out), &o); err != nil || strings.Count(s.out, "\n") != 1 {
		t.Fatalf("%v in %q; errors:\n%s", err, s.out, s.err)
	}
	return o
}

// fill makes a store with two keyspaces, one of them empty, blocks, and bytes of all kinds.
func fill(t *testing.T, dir string) {
	t.Helper()
	db, err := aegis.Open(dir, nil)
	must(t, err)
	for round := range 2 {
		must(t, db.Update(ctx, func(tx *aegis.Tx) error {
			if round == 0 {
				for name, o := range map[string]aegis.KeyspaceOptions{
					"users": {Compression: aegis.Zstd, CompressionLevel: 3}, "empty": {Compression: aegis.NoCompression},
				} {
					if _, err := tx.CreateKeyspace(name, o); err != nil {
						return err
					}
				}
				if _, err := tx.WriteBlock(aegis.NewBlock(bytes.Repeat([]byte("block "), 100))); err != nil {
					return err
				}
				if _, err := tx.WriteBlock(aegis.NewBlock([]byte{}).WithCompression(aegis.NoCompression)); err != nil {
					return err
				}
			}
			users, err := tx.Keyspace("users")
			if err != nil {
				return err
			}
			for i := range 1500 {
				if err := users.Put(fmt.Appendf(nil, "user/%05d", i), fmt.Appendf(nil, "name %d of round %d", i, round)); err != nil {
					return err
				}
			}
			for i := range 256 {
				if err := tx.Put([]byte{byte(i), 0}, bytes.Repeat([]byte{byte(i)}, i)); err != nil {
					return err
				}
			}
			return tx.Put(nil, []byte("of the empty key"))
		}))
		must(t, db.Checkpoint(ctx))
	}
	must(t, db.Close())
}

// files are the names and sizes below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			names = append(names, fmt.Sprint(path, " ", info.Size(), " ", info.ModTime()))
		}
		return err
	}))
	return names
}

// theFile returns the largest file of a store whose name begins with prefix.
func theFile(t *testing.T, dir, prefix string) (path string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	must(t, err)
	size := int64(-1)
	for _, name := range all {
		info, err := os.Stat(name)
		must(t, err)
		if info.Size() > size {
			path, size = name, info.Size()
		}
	}
	if path == "" {
		t.Fatalf("no %s file in %s", prefix, dir)
	}
	return path
}

// flip changes a byte of a file; a negative offset counts from the end.
func flip(t *testing.T, path string, off int) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if off < 0 {
		off += len(b)
	}
	b[off] ^= 0x40
	must(t, os.WriteFile(path, b, 0o644))
}

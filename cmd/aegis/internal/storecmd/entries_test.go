package storecmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aegis-storage/aegis"
	"github.com/aegis-storage/aegis/cmd/aegis/internal/cli"
)

// TestEntries: put, get, scan and delete, in every notation.
func TestEntries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	run(t, "put", "--create", dir, "answer", "42").is(t, "")
	run(t, "get", dir, "answer").is(t, "42\n")
	run(t, "get", "--raw", dir, "answer").is(t, "42")
	run(t, "get", "--hex", dir, "616e73776572").is(t, "3432\n")
	run(t, "get", "--json", dir, "answer").is(t, `{"key":"answer","value":"42"}`+"\n")
	run(t, "get", dir, "question").want(t, cli.ExitFound, `the key question is not in the keyspace "default"`)

	run(t, "put", dir, "--hex", "ff00", "0x00ff0a").is(t, "")
	run(t, "put", dir, "--escaped", `tab\tand\xfe`, `a\\b`).is(t, "")
	runWith(t, ctx, "from\nstdin", false, "put", dir, "in").is(t, "")
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("of a file"), 0o644))
	run(t, "put", "--json", dir, "file", "--file", file).is(t, `{"key":"file","value_bytes":9}`+"\n")
	const all = "answer\t42\nfile\tof a file\nin\tfrom\\nstdin\ntab\\tand\\xfe\ta\\\\b\n\\xff\\x00\t\\x00\\xff\\n\n"
	run(t, "scan", dir).is(t, all)
	for line := range strings.Lines(all) { // what is printed can be given
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		want, err := unescape(value)
		must(t, err)
		run(t, "get", "--escaped", "--raw", dir, key).is(t, string(want))
	}

	run(t, "scan", dir, "--prefix", "in").is(t, "in\tfrom\\nstdin\n")
	run(t, "scan", dir, "--from", "file", "--to", "tab", "--keys-only").is(t, "file\nin\n")
	run(t, "scan", dir, "--from", "a", "--to", "z", "--prefix", "i", "--keys-only").is(t, "in\n")
	run(t, "scan", dir, "--from", "x", "--prefix", "i").is(t, "")
	run(t, "scan", dir, "--limit", "2", "--reverse", "--hex").is(t, "ff00\t00ff0a\n74616209616e64fe\t615c62\n")
	run(t, "scan", dir, "--limit", "2", "--reverse", "--json").is(t, `{"key_hex":"ff00","value_hex":"00ff0a"}`+"\n"+`{"key_hex":"74616209616e64fe","value":"a\\b"}`+"\n")
	run(t, "scan", dir, "--json", "--keys-only", "--limit", "1").is(t, `{"key":"answer"}`+"\n")
	run(t, "scan", dir, "--count").is(t, "5 entries, 22 B of keys, 27 B of values\n")
	run(t, "scan", dir, "--count", "--json").is(t, `{"keyspace":"default","entries":5,"key_bytes":22,"value_bytes":27}`+"\n")

	run(t, "delete", dir, "answer", "nosuch").is(t, "1 key removed\n")
	run(t, "delete", dir, "--prefix", "f", "--json").is(t, `{"removed":1}`+"\n")
	run(t, "delete", dir, "--prefix", "").is(t, "3 keys removed\n")
	run(t, "scan", dir).is(t, "")
}

// TestDeletePrefix: all keys with a prefix go, over several batches, and no others.
func TestDeletePrefix(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var lines strings.Builder
	lines.WriteString(`{"key":"o","value":""}` + "\n" + `{"key":"q","value":""}` + "\n" + `{"key":"p","value":""}` + "\n")
	const keys = 20_000 // with "p" and the one below, which follows on the last of the first batch: three batches
	lines.WriteString(`{"key":"p09998\u0000","value":""}` + "\n")
	for i := range keys {
		fmt.Fprintf(&lines, `{"key":"p%05d","value":""}`+"\n", i)
	}
	runWith(t, ctx, lines.String(), false, "load", "--create", dir).want(t, cli.ExitClean)
	run(t, "delete", dir, "--prefix", "p").is(t, "20,002 keys removed\n")
	run(t, "scan", dir, "--keys-only").is(t, "o\nq\n")
	run(t, "delete", dir, "--prefix", "").is(t, "2 keys removed\n")
}

// forbidden is an input that nobody may read.
type forbidden struct{ t *testing.T }

func (f forbidden) Read([]byte) (int, error) {
	f.t.Error("the input was read")
	return 0, io.EOF
}

// TestStoreFirst: that there is no store is said before an input is waited for.
func TestStoreFirst(t *testing.T) {
	for _, command := range []string{"put", "load"} {
		var complaints bytes.Buffer
		a := &cli.App{In: forbidden{t}, Out: cli.NewSink(io.Discard), Err: cli.NewSink(&complaints)}
		words := []string{command, filepath.Join(t.TempDir(), "nosuch"), "key"}[:map[string]int{"put": 3, "load": 2}[command]]
		code := a.Main(ctx, &cli.Command{Name: "aegis", Subs: Commands()}, words)
		if code != cli.ExitUsage || !strings.Contains(complaints.String(), "--create makes one") {
			t.Errorf("%s: exit code %d, %q", command, code, complaints.String())
		}
	}
}

// TestKeyspaces: they are listed, made and dropped, and named where one is wrong.
func TestKeyspaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	run(t, "keyspaces", "create", "--create", dir, "users", "--compression", "zstd", "--level", "2").is(t, "keyspace users made\n")
	run(t, "keyspaces", "create", dir, "users").want(t, cli.ExitFound, `there is a keyspace "users"`)
	run(t, "put", dir, "-k", "users", "1", "one").is(t, "")
	run(t, "get", dir, "--keyspace", "users", "1").is(t, "one\n")
	run(t, "get", dir, "-k", "nosuch", "1").want(t, cli.ExitFound, `there is no keyspace "nosuch", there are: default, users`)
	run(t, "put", dir, "-k", "new", "1", "one").want(t, cli.ExitFound, `there is no keyspace "new"`)
	run(t, "put", dir, "-k", "new", "1", "one", "--create").is(t, "")
	run(t, "keyspaces", "list", dir, "--count").is(t, "KEYSPACE  COMPRESSION   ENTRIES  BYTES\ndefault   of the store  0        0 B\nnew       lz4           1        4 B\nusers     zstd          1        4 B\n")
	run(t, "keyspaces", "list", dir, "--json").is(t, `[{"name":"default","compression":"of the store"},{"name":"new","compression":"lz4"},{"name":"users","compression":"zstd"}]`+"\n")
	run(t, "keyspaces", "drop", dir, "new", "--json").is(t, `{"keyspace":"new","outcome":"dropped"}`+"\n")
	run(t, "keyspaces", "drop", dir, "new").want(t, cli.ExitFound, `there is no keyspace "new"`)
	run(t, "keyspaces", "drop", dir, "default").want(t, cli.ExitUsage, "cannot be dropped")
}

// TestNotation: escapes are read as they are written.
func TestNotation(t *testing.T) {
	for _, text := range []string{"", "plain", "ünïcode", "a\\b", "\x00\xff\n\r\t\x7f", "\xe2\x80\xa8", "\\x41"} {
		back, err := unescape(cli.Escape([]byte(text)))
		if err != nil || string(back) != text || strings.ContainsAny(cli.Escape([]byte(text)), "\n\t\x00") {
			t.Errorf("%q is written %s and read %q, %v", text, cli.Escape([]byte(text)), back, err)
		}
	}
	for _, text := range []string{`\`, `a\q`, `\x`, `\x4`, `\xgg`} {
		if b, err := unescape(text); err == nil {
			t.Errorf("%s is read as %q", text, b)
		}
	}
}

// TestMisuse: what is wrong is said in one line, with what to do, and nothing is printed as output.
func TestMisuse(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "data")
	run(t, "put", "--create", dir, "a", "b").is(t, "")
	must(t, os.WriteFile(filepath.Join(base, "text"), []byte("some text"), 0o644))
	for _, c := range []struct{ args, says string }{
		{"get DIR", "it needs STORE KEY: aegis help get explains it"},
		{"get DIR a b", `"b" is one argument too many`},
		{"get DIR --hex xy", `"xy" is not hexadecimal`},
		{"get DIR --hex --escaped a", "only one of them"},
		{"get TEXT a", "is a file: name the directory of a store"},
		{"put DIR a b --file TEXT", "only one of them"},
		{"put DIR a --file NOSUCH", "no such file"},
		{"put NOSUCH a b", "--create makes one"},
		{"delete DIR", "it needs KEYs or --prefix"},
		{"delete DIR a --prefix a", "it needs KEYs or --prefix"},
		{"delete NOSUCH a", "aegis put --create makes one"},
		{"scan DIR --limit -1", "--limit -1"},
		{"scan DIR --nosuch", "there is no flag --nosuch, there are: --count, --escaped, --from"},
		{"keyspaces create DIR x --compression rar", "there are: none, lz4, zstd"},
		{"keyspaces create DIR x --level 9", "CompressionLevel"},
		{"dump DIR --format xml", "there are: stream, jsonl"},
		{"dump DIR TEXT", "is there: name a new file"},
		{"load DIR TEXT", "neither a stream of aegis dump nor JSON lines"},
		{"load DIR TEXT --format xml", "there are: auto, stream, jsonl, csv"},
		{"load DIR", "standard input: it is empty"},
		{"load DIR TEXT --format csv", `there is no column "some text"`},
		{"load DIR TEXT --format csv --columns key,key_hex", "one of key and key_hex is needed"},
		{"load DIR TEXT --batch 0", "--batch 0"},
		{"load DIR NOSUCH", "no such file"},
		{"inspect NOSUCH", "there is no "},
		{"inspect TEXT", "is no file of a store"},
		{"inspect BASE", "holds no store but other files"},
		{"bench --only nosuch", "there are: fdatasync, load"},
		{"bench --clients 0", "--clients 0"},
		{"bench --seconds 0", "--seconds"},
		{"bench NOSUCH --seconds 0.01", "no such file"},
		{"bench --seconds 1e30", "--seconds"},
		{"config print NOSUCH", "no such file"},
		{"config validate NOSUCH", "no such file"},
		{"inspect DIR --limit -1", "--limit -1"},
		{"backup DIR --verify", "it needs FILE"},
		{"backup DIR --since NOSUCH", "no such file"},
		{"restore NEW NOSUCH", "no such file"},
		{"restore NEW", "it needs NEW FILE…"},
		{"salvage DIR BASE", "is not empty"},
	} {
		line := strings.NewReplacer("DIR", dir, "TEXT", filepath.Join(base, "text"), "BASE", base, "NOSUCH", filepath.Join(base, "nosuch"), "NEW", filepath.Join(base, "new")).Replace(c.args)
		s := run(t, line)
		if s.code != cli.ExitUsage || s.out != "" || !strings.Contains(s.err, c.says) || strings.Count(s.err, "\n") != 1 && !strings.HasPrefix(c.args, "bench") {
			t.Errorf("aegis %s: exit code %d, output %q, errors %q; want %q", c.args, s.code, s.out, s.err, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(base, "new")); err == nil {
		t.Error("a command that failed has made a directory")
	}
}

// reading are the commands that only read.
var reading = []string{
	"get DIR a", "scan DIR", "keyspaces list DIR", "keyspaces DIR", "keyspaces --json DIR", "stats DIR", "check DIR", "dump DIR", "dump DIR --format jsonl", "backup DIR",
}

// TestReadingMakesNothing: where there is no store a command that reads makes none, and it changes none.
func TestReadingMakesNothing(t *testing.T) {
	base := t.TempDir()
	empty, foreign, store := filepath.Join(base, "empty"), filepath.Join(base, "foreign"), filepath.Join(base, "store")
	must(t, os.Mkdir(empty, 0o755))
	must(t, os.Mkdir(foreign, 0o755))
	must(t, os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o644))
	run(t, "put", "--create", store, "a", "b").is(t, "")
	commands := append([]string{"compact DIR", "delete DIR a", "keyspaces drop DIR x", "checkpoint DIR " + filepath.Join(base, "new"), "salvage DIR " + filepath.Join(base, "new")}, reading...)
	before := files(t, base)
	for _, command := range commands {
		for dir, says := range map[string]string{filepath.Join(base, "missing"): "there is no directory", empty: "is empty", foreign: `holds no store but other files, as "letter.txt"`} {
			s := run(t, strings.ReplaceAll(command, "DIR", dir))
			if s.code != cli.ExitUsage || s.out != "" || !strings.Contains(s.err, says) {
				t.Errorf("%s of %s: %+v", command, dir, s)
			}
		}
	}
	for _, command := range reading {
		run(t, strings.ReplaceAll(command, "DIR", store)).want(t, cli.ExitClean)
	}
	run(t, "inspect", store).want(t, cli.ExitClean)
	if after := files(t, base); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

// TestLocked: a store that a program has open is named with the program's pid, and inspected all the
// same.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	db, err := aegis.Open(dir, nil)
	must(t, err)
	must(t, db.Put(ctx, []byte("a"), []byte("b")))
	for _, command := range append([]string{"put DIR a b", "delete DIR a", "compact DIR", "salvage DIR DIR/new"}, reading...) {
		s := run(t, strings.ReplaceAll(command, "DIR", dir)).want(t, cli.ExitLocked, "locked", "close it there", strconv.Itoa(os.Getpid()))
		if strings.Count(s.err, dir) > 1 {
			t.Errorf("%s names the store twice: %s", command, s.err)
		}
	}
	run(t, "inspect", dir).want(t, cli.ExitClean, "wal-")
	must(t, db.Close())
	run(t, "get", dir, "a").is(t, "b\n")
}
